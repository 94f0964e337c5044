// What an attempt writes to one of its streams: a pipe into a file, up to a limit.
//
// A pipe rather than the file itself, because only its reader can stop a file at a limit. It costs
// no more than a file opened for the child (both about 3 % of a /bin/true), and a stream that stays
// empty never touches the disk: the file is made with its first byte.
//
// The file holds the first `bytes_max` bytes. What is beyond is counted and dropped, never refused:
// the task runs on. One last line, outside of the limit and of the count, then says so. The same
// holds when the disk refuses a write.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace shoal::exec {

class Capture {
 public:
  Capture() = default;
  Capture(std::string file, std::uint64_t bytes_max)
      : path_(std::move(file)), bytes_max_(bytes_max) {}
  ~Capture();
  Capture(Capture&& other) noexcept;
  Capture& operator=(Capture&&) = delete;

  // The end to write to, which the caller closes once the child has it; -1 with errno on failure.
  int open_pipe();

  // The end to poll for reading; -1 when there is nothing more to come.
  int descriptor() const { return pipe_; }

  // Takes what is there, through `buffer`, and never waits for more. At most a few buffers full, so
  // that one loud task does not starve the others.
  void pump(std::span<char> buffer);

  // Takes what is still in the pipe and closes everything. REQUIRES: the tree of the attempt is
  // gone.
  void finish(std::span<char> buffer);

  std::uint64_t bytes() const { return bytes_; }  // As written by the task.
  bool capped() const { return bytes_ > kept_; }
  const std::string& failure() const {
    return failure_;
  }  // Why the file could not be written, if so.
  std::string take_tail();  // The last kOutputTailBytes written.

 private:
  bool read_some(std::span<char> buffer);
  void keep(std::string_view piece);
  bool open_file();
  void fail_file(int error);

  std::string path_;
  std::uint64_t bytes_max_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t kept_ = 0;  // Bytes in the file; at most bytes_max_.
  int pipe_ = -1;
  int file_ = -1;
  bool noted_ = false;  // The last line is written.
  std::string tail_;
  std::string failure_;
};

// Makes the folder that holds `path`, if it is missing. One level only: the rest is the node's.
void make_parent_folder(const std::string& path);

}  // namespace shoal::exec
