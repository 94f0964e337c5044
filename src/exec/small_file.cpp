#include "exec/small_file.hpp"

#include <fcntl.h>

#include <array>
#include <cerrno>

#include "exec/descriptor.hpp"

namespace shoal::exec {

std::string read_small_file(const std::string& path, std::size_t bytes_max) {
  return read_small_file_at(AT_FDCWD, path.c_str(), bytes_max);
}

std::string read_small_file_at(int folder, const char* name, std::size_t bytes_max) {
  std::string text;
  const Descriptor file(::openat(folder, name, O_RDONLY | O_CLOEXEC));
  if (!file) return text;
  std::array<char, 8192> chunk;
  while (text.size() < bytes_max) {
    const ssize_t count = ::read(file.get(), chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    text.append(chunk.data(), static_cast<std::size_t>(count));
  }
  return text;
}

}  // namespace shoal::exec
