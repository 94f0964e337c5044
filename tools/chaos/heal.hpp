// Mending what journals name: by the run itself, by its dead man, by `shoal-chaos heal`, and by the
// next start of the tool after a crash. Doing it twice does no harm.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tools/chaos/journal.hpp"

namespace shoal::chaos {

struct Healed {
  std::uint32_t entry = 0;
  std::string what;
  std::vector<std::string> commands;
  std::optional<Error> error;  // Of the first step that failed; the others were done nevertheless.
};

enum class Which : std::uint8_t { all, overdue, one };

// How steps are done; tests watch them. The default is perform().
using Perform = std::function<Result<void>(const Step&)>;

// The entries of one journal that are not healed, last first. Each is marked in the journal.
std::vector<Healed> heal_journal(const std::filesystem::path& path, Which which,
                                 std::uint32_t entry = 0, const Perform& perform_step = {});

// Whose journals: of tools that crashed; also of commands that left their faults to the timer; also
// of those that are still at work.
enum class Whose : std::uint8_t { crashed, left, all };

// Journals that are whole afterwards are removed, unless their owner is at work.
std::vector<Healed> heal_everything(Whose whose);

// What the hidden command `dead-man JOURNAL` does: mends what is overdue, and everything once the
// owner is gone; ends when the journal is closed.
int dead_man(const std::filesystem::path& journal);
Result<ProcessId> start_dead_man(const std::filesystem::path& journal);

}  // namespace shoal::chaos
