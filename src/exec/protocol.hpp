// What a node and its supervisors say to each other over a local stream socket.
//
// A frame is: u32 length of the rest, u8 type, body. All integers are little-endian. A text is u32
// length and its bytes; a list is u32 count and its elements.
//
//   1 launch  u64 launch, u64 timeout (ms, 0: none), u64 output_bytes_max, u8 scratch (0 or 1),
//             text working_folder, text stdin_file, text output file of stdout, of stderr,
//             list of text argv, list of text environment (NAME=VALUE, the marks first)
//   2 kill    u64 launch, u8 reason (EndReason), u64 grace (ms)
//   3 ended   u64 launch, u8 reason, i32 exit_status, i32 signal, i64 started, i64 ended (ms since
//             1970), u64 cpu time (us), u64 memory peak, then for stdout and for stderr: u64 bytes,
//             u8 capped, text tail; text message
//
// `launch` is the node's own number of a launch; it is never used twice on one socket.
//
// Limits: a frame is at most kFrameBytesMax. A longer one, an unknown type, a body that ends early
// or late, or an enumerator out of range is an error; the stream is then of no use any more.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "shoal/job.hpp"
#include "shoal/result.hpp"

namespace shoal::exec {

inline constexpr std::size_t kFrameBytesMax = 1024 * 1024;
static_assert(kSpecBytesMax + 2 * kOutputTailBytes < kFrameBytesMax);

struct LaunchMessage {
  std::uint64_t launch = 0;
  std::chrono::milliseconds timeout{0};
  std::uint64_t output_bytes_max = 0;
  bool scratch = false;  // The supervisor makes working_folder, and removes it if it ends up empty.
  std::string working_folder;
  std::string stdin_file;  // Empty: /dev/null.
  std::array<std::string, 2> output_files;
  std::vector<std::string> argv;
  std::vector<std::string> environment;
  bool operator==(const LaunchMessage&) const = default;
};

struct KillMessage {
  std::uint64_t launch = 0;
  EndReason reason = EndReason::cancelled;
  std::chrono::milliseconds grace{0};
  bool operator==(const KillMessage&) const = default;
};

struct EndedMessage {
  std::uint64_t launch = 0;
  AttemptResult result;
  std::array<std::string, 2> tails;
  bool operator==(const EndedMessage&) const = default;
};

using Message = std::variant<LaunchMessage, KillMessage, EndedMessage>;

// Appends one frame to `out`. `out` stays as it was when the frame would be too long.
Result<void> append_frame(std::string& out, const Message& message);

// Cuts a byte stream into messages.
class Decoder {
 public:
  void feed(std::string_view bytes);

  // The next whole message; absent when more bytes are needed. After an error it only repeats it.
  Result<std::optional<Message>> next();

 private:
  std::string buffer_;
  std::size_t position_ = 0;  // Bytes of buffer_ that are already decoded.
  bool broken_ = false;
};

}  // namespace shoal::exec
