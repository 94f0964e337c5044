#include "cli/results.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/format.hpp"

namespace shoal::cli {
namespace {

std::unexpected<Error> cannot(std::string_view what, const std::string& path, int error) {
  return fail(ErrorCode::io, format("cannot {} {}: {}", what, path, std::strerror(error)));
}

std::string escaped(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '\t':
        safe += "\\t";
        break;
      case '\n':
        safe += "\\n";
        break;
      case '\r':
        safe += "\\r";
        break;
      case '\\':
        safe += "\\\\";
        break;
      default:
        safe += c;
    }
  }
  return safe;
}

}  // namespace

Result<File> create_file(const std::string& path) {
  File file(std::fopen(path.c_str(), "we"));
  if (!file) return cannot("create", path, errno);
  return file;
}

Result<ResultsFolder> ResultsFolder::create(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return cannot("create the folder", folder, error.value());
  auto index = create_file(folder + "/index.tsv");
  if (!index) return std::unexpected(index.error());
  return ResultsFolder(folder, std::move(*index));
}

Result<void> ResultsFolder::write(std::uint32_t index, int stream, std::uint64_t offset,
                                  std::string_view bytes) {
  const std::string path = format("{}/{}.{}", folder_, index, stream == 0 ? "out" : "err");
  const int mode = O_WRONLY | O_CREAT | O_CLOEXEC | (offset == 0 ? O_TRUNC : 0);
  const int file = open(path.c_str(), mode, 0644);
  if (file < 0) return cannot("create", path, errno);
  Result<void> written;
  while (!bytes.empty()) {
    const ssize_t count = pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      written = cannot("write", path, errno);
      break;
    }
    bytes.remove_prefix(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  close(file);
  return written;
}

std::string index_line(const TaskStatus& task, int exit_code, std::string_view node) {
  return format("{}\t{}\t{}\t{}\t{}\n", task.index, exit_code, to_string(task.state), node,
                escaped(task.argument));
}

Result<void> ResultsFolder::add_line(const TaskStatus& task, int exit_code, std::string_view node) {
  const std::string line = index_line(task, exit_code, node);
  if (std::fwrite(line.data(), 1, line.size(), index_.get()) != line.size()) {
    return cannot("write", folder_ + "/index.tsv", errno);
  }
  return {};
}

Result<void> ResultsFolder::flush() {
  if (std::fflush(index_.get()) != 0) return cannot("write", folder_ + "/index.tsv", errno);
  return {};
}

}  // namespace shoal::cli
