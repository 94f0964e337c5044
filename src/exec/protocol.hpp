// What a node and its supervisors say to each other over a local stream socket.
//
// A frame is: u32 length of the rest, u8 type, body. All integers are little-endian. A text is u32
// length and its bytes; a list is u32 count and its elements; an attempt is u64 job, u32 index, u32
// number; a moment is i64 nanoseconds of CLOCK_BOOTTIME.
//
//   to the supervisor
//   16 hello    u32 protocol, text build: always first
//   17 launch   attempt, u32 shard, u32 cpu_millis, u64 memory_bytes, moment lease_end, u64 timeout
//               (ms, 0: none), u64 output_bytes_max, u8 scratch (0 or 1), text working_folder, text
//               stdin_file, text output file of stdout, of stderr, list of text argv, list of text
//               environment (NAME=VALUE, the marks first)
//   18 kill     attempt, u8 reason (EndReason), u64 grace (ms)
//   19 extend   attempt, moment lease_end
//   20 settled  attempt
//   21 quit     -
//   22 ping     u64 number
//
//   to the node: after hello a welcome, the report (running and ended attempts), reported; then
//   news 32 welcome  u32 protocol, text build, text grouping (for people) 33 running  attempt, u32
//   shard, u32 cpu_millis, u64 memory_bytes, i64 started (ms since 1970),
//               moment lease_end
//   34 ended    attempt, u8 reason, i32 exit_status, i32 signal, i64 started, i64 ended (ms since
//               1970), u64 cpu time (us), u64 memory peak, then for stdout and for stderr: u64
//               bytes, u8 capped, text tail; text message
//   35 reported -
//   36 pong     u64 number: of the ping
//
// A supervisor outlives upgrades of its node, so either side may be the older one. What is there
// keeps its place and meaning for ever; fields are added at the end of a body, and types are added.
// A reader passes over bytes and types that it does not know, and takes an unknown reason for
// node_stopped, which is never held against a task.
//
// Limits: a frame is at most kFrameBytesMax. A longer one or a body that ends early is an error;
// the stream is then of no use any more.
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

#include "base/time.hpp"
#include "shoal/id.hpp"
#include "shoal/job.hpp"
#include "shoal/result.hpp"
#include "task/process.hpp"

namespace shoal::exec {

inline constexpr std::size_t kFrameBytesMax = 1024 * 1024;
static_assert(kSpecBytesMax + 2 * kOutputTailBytes < kFrameBytesMax);

inline constexpr std::uint32_t kProtocol = 1;

struct HelloMessage {
  std::uint32_t protocol = kProtocol;
  std::string build;  // Two builds are the same only if these are equal.
  bool operator==(const HelloMessage&) const = default;
};

struct LaunchMessage {
  AttemptId attempt;
  ShardId shard{};
  std::uint32_t cpu_millis = 0;
  std::uint64_t memory_bytes = 0;
  TimePoint lease_end = kNever;
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
  AttemptId attempt;
  EndReason reason = EndReason::cancelled;
  std::chrono::milliseconds grace{0};
  bool operator==(const KillMessage&) const = default;
};

struct ExtendMessage {
  AttemptId attempt;
  TimePoint lease_end;
  bool operator==(const ExtendMessage&) const = default;
};

// The outcome is recorded: the supervisor forgets it.
struct SettledMessage {
  AttemptId attempt;
  bool operator==(const SettledMessage&) const = default;
};

// Every tree is to be killed at once; then the supervisor exits.
struct QuitMessage {
  bool operator==(const QuitMessage&) const = default;
};

// Answered by a pong: the supervisor does not hang.
struct PingMessage {
  std::uint64_t number = 0;
  bool operator==(const PingMessage&) const = default;
};

struct WelcomeMessage {
  std::uint32_t protocol = kProtocol;
  std::string build;
  std::string grouping;
  bool operator==(const WelcomeMessage&) const = default;
};

struct RunningMessage {
  task::RecoveredAttempt running;
  bool operator==(const RunningMessage&) const = default;
};

struct EndedMessage {
  AttemptId attempt;
  AttemptResult result;
  std::array<std::string, 2> tails;
  bool operator==(const EndedMessage&) const = default;
};

// All that runs and all ended attempts that are not settled have been told.
struct ReportedMessage {
  bool operator==(const ReportedMessage&) const = default;
};

struct PongMessage {
  std::uint64_t number = 0;
  bool operator==(const PongMessage&) const = default;
};

using Message = std::variant<HelloMessage, LaunchMessage, KillMessage, ExtendMessage,
                             SettledMessage, QuitMessage, PingMessage, WelcomeMessage,
                             RunningMessage, EndedMessage, ReportedMessage, PongMessage>;

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
