// The commands that break one thing by hand, and those that look and mend.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "tools/chaos/backend.hpp"
#include "tools/chaos/fault.hpp"

namespace shoal::chaos {

struct CommandOptions {
  std::string against = "local";  // `local`: the cluster in the default folder of `shoal dev`.
  std::string shoal;
  std::filesystem::path folder = "/var/tmp";
  std::optional<std::uint64_t> seed;
  bool dry_run = false;
  bool json = false;
};

// What a fault without an end is given: then the dead man heals it.
inline constexpr Ms kUnattendedMax{600'000};

// Breaks, and with a duration stays to heal it; `every` does it again and again until it is
// interrupted. Without a duration it returns at once.
int break_once(const CommandOptions& options, const Fault& fault, std::optional<Ms> every);

int heal_all(bool all);
int status(const CommandOptions& options);
int list_faults(const CommandOptions& options);

}  // namespace shoal::chaos
