// Files of /proc and of control groups: short texts that the kernel makes up as they are read.
#pragma once

#include <cstddef>
#include <string>

namespace shoal::exec {

// The first `bytes_max` bytes; empty when the file cannot be read.
std::string read_small_file(const std::string& path, std::size_t bytes_max = 64 * 1024);
std::string read_small_file_at(int folder, const char* name, std::size_t bytes_max = 64 * 1024);

}  // namespace shoal::exec
