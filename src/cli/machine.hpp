// What a node offers unless it is told otherwise, and where it keeps its state.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace shoal::cli {

std::uint32_t machine_cores();         // Those this process may run on.
std::uint64_t machine_memory_bytes();  // Of the machine, or of the control group if that is less.
std::uint64_t free_bytes(const std::filesystem::path& folder);  // 0: unknown.
std::string machine_name();  // The host's name up to its first dot.

// $XDG_STATE_HOME/shoal, else ~/.local/state/shoal, else /var/lib/shoal (no home).
std::filesystem::path state_folder();

}  // namespace shoal::cli
