#include "exec/capture.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/format.hpp"
#include "shoal/job.hpp"

namespace shoal::exec {
namespace {

constexpr int kBuffersPerPump = 4;
constexpr int kBuffersAtEnd = 64;  // A pipe holds at most 1 MiB unless root made it larger.

// How much of `piece` is in the file in the end; less than all of it with errno on an error.
std::size_t write_all(int file, std::string_view piece) {
  std::size_t written = 0;
  while (written < piece.size()) {
    const ssize_t count = write(file, piece.data() + written, piece.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    written += static_cast<std::size_t>(count);
  }
  return written;
}

}  // namespace

Capture::Capture(Capture&& other) noexcept
    : path_(std::move(other.path_)),
      bytes_max_(other.bytes_max_),
      bytes_(other.bytes_),
      kept_(other.kept_),
      pipe_(std::exchange(other.pipe_, -1)),
      file_(std::exchange(other.file_, -1)),
      noted_(other.noted_),
      tail_(std::move(other.tail_)),
      failure_(std::move(other.failure_)) {}

Capture::~Capture() {
  if (pipe_ >= 0) close(pipe_);
  if (file_ >= 0) close(file_);
}

int Capture::open_pipe() {
  std::array<int, 2> ends{-1, -1};
  if (pipe2(ends.data(), O_CLOEXEC) < 0) return -1;
  pipe_ = ends[0];
  fcntl(pipe_, F_SETFL, O_NONBLOCK);  // This end alone: programs expect theirs to block.
  return ends[1];
}

void Capture::pump(std::span<char> buffer) {
  for (int i = 0; i < kBuffersPerPump; ++i) {
    if (!read_some(buffer)) return;
  }
}

void Capture::finish(std::span<char> buffer) {
  for (int i = 0; i < kBuffersAtEnd; ++i) {
    if (!read_some(buffer)) break;
  }
  if (pipe_ >= 0) close(std::exchange(pipe_, -1));
  if (capped() && failure_.empty() && !noted_ && (file_ >= 0 || open_file())) {
    noted_ = true;
    write_all(file_, format("\n[shoal: the output limit of {} bytes was reached; the task wrote {} "
                            "bytes, the rest was dropped]\n",
                            bytes_max_, bytes_));
  }
  if (file_ >= 0) close(std::exchange(file_, -1));
}

// False when the pipe is empty, or closed.
bool Capture::read_some(std::span<char> buffer) {
  if (pipe_ < 0) return false;
  const ssize_t count = read(pipe_, buffer.data(), buffer.size());
  if (count < 0 && errno == EINTR) return true;
  if (count < 0 && errno == EAGAIN) return false;
  if (count <= 0) {
    close(std::exchange(pipe_, -1));
    return false;
  }
  keep({buffer.data(), static_cast<std::size_t>(count)});
  return static_cast<std::size_t>(count) == buffer.size();
}

void Capture::keep(std::string_view piece) {
  bytes_ += piece.size();
  if (piece.size() >= kOutputTailBytes) {
    tail_ = piece.substr(piece.size() - kOutputTailBytes);
  } else {
    // Trimmed only now and then, so that a byte is not moved once for every small write.
    tail_.append(piece);
    if (tail_.size() > 2 * kOutputTailBytes) tail_.erase(0, tail_.size() - kOutputTailBytes);
  }
  if (kept_ >= bytes_max_ || !failure_.empty()) return;
  if (file_ < 0 && !open_file()) return;
  const std::string_view fitting =
      piece.substr(0, std::min<std::uint64_t>(piece.size(), bytes_max_ - kept_));
  const std::size_t written = write_all(file_, fitting);
  kept_ += written;
  if (written < fitting.size()) fail_file(errno);
}

bool Capture::open_file() {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC;
  file_ = open(path_.c_str(), kFlags, 0600);
  if (file_ < 0 && errno == ENOENT) {
    make_parent_folder(path_);
    file_ = open(path_.c_str(), kFlags, 0600);
  }
  if (file_ < 0) fail_file(errno);
  return file_ >= 0;
}

void Capture::fail_file(int error) {
  failure_ = format("output file `{}` could not be written: {}; the output is incomplete", path_,
                    strerror(error));
}

std::string Capture::take_tail() {
  if (tail_.size() > kOutputTailBytes) tail_.erase(0, tail_.size() - kOutputTailBytes);
  return std::move(tail_);
}

void make_parent_folder(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash != std::string::npos && slash > 0) mkdir(path.substr(0, slash).c_str(), 0700);
}

}  // namespace shoal::exec
