// Processes and ports of this machine, as `shoal dev` needs them.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "shoal/result.hpp"

namespace shoal::cli {

// When the process started, in clock ticks since boot. Absent when there is none, or it is dead and
// only not waited for.
std::optional<std::uint64_t> process_start_time(pid_t pid);

// Starts `arguments` in a session of its own, away from this terminal; both output streams are
// appended to `log`.
Result<pid_t> start_detached(const std::vector<std::string>& arguments,
                             const std::filesystem::path& log);

// Ports of 127.0.0.1 that are free for streams and datagrams, outside the range that outgoing
// connections take theirs from.
Result<std::vector<std::uint16_t>> free_ports(std::uint32_t count);

}  // namespace shoal::cli
