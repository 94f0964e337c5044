// What a user hands in and gets back: a task's description, its states and its outcome.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shoal/id.hpp"

namespace shoal {

using WallTime = std::chrono::sys_time<std::chrono::milliseconds>;

// Limits of a description; what exceeds them is refused with a sentence (task::validate).
inline constexpr std::size_t kSpecBytesMax = 256 * 1024;
inline constexpr std::size_t kArgumentBytesMax = 64 * 1024;
inline constexpr std::uint32_t kJobTasksMax = 10'000'000;
inline constexpr std::size_t kOutputTailBytes = 16 * 1024;

// How a task is executed. The built-in kinds run without a process, for bench and simulation.
enum class TaskKind : std::uint8_t { process = 0, noop = 1, sleep = 2 };

struct EnvironmentVariable {
  std::string name;
  std::string value;
  bool operator==(const EnvironmentVariable&) const = default;
};

// One task, or the template that all elements of an array share.
//
// In an array, `{}` `{.}` `{/}` `{//}` `{/.}` `{#}` inside argv elements stand for the element's
// argument (GNU parallel's meaning) when `substitute` is set; no value ever passes through a shell.
struct TaskSpec {
  TaskKind kind = TaskKind::process;
  std::vector<std::string> argv;
  std::vector<EnvironmentVariable> environment;  // Added to the executing node's small default set.
  std::string working_folder;                    // Empty: the task's own scratch folder.
  std::string stdin_file;                        // Empty: /dev/null.
  std::uint32_t cpu_millis = 1000;               // 1000 = one cpu. 0 is allowed.
  std::uint64_t memory_bytes = 0;                // 0: not counted, not limited.
  std::chrono::milliseconds timeout{0};          // 0: none.
  std::chrono::milliseconds sleep{0};            // For TaskKind::sleep.
  std::uint32_t retries = 0;                     // Failures of the command that are tried again.
  std::int32_t priority = 0;                     // Higher first.
  std::uint64_t output_bytes_max = 64ULL * 1024 * 1024;  // Per stream.
  bool substitute = false;
  bool at_most_once = false;  // Never started twice: an attempt that goes silent makes it `lost`.
  bool operator==(const TaskSpec&) const = default;
};

// A job's 128-bit nonce: same id and nonce is the same submission.
struct Nonce {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  auto operator<=>(const Nonce&) const = default;
};

enum class JobState : std::uint8_t { open = 0, closed = 1, finished = 2 };

// `ready` and `claimed` are not terminal. A claimed task may or may not have been started.
enum class TaskState : std::uint8_t {
  ready = 0,
  claimed = 1,
  succeeded = 2,
  failed = 3,
  cancelled = 4,
  expired = 5,
  lost = 6,
};

constexpr bool terminal(TaskState state) { return state >= TaskState::succeeded; }

// Why an attempt or a task ended as it did, beyond its exit status.
enum class EndReason : std::uint8_t {
  exited = 0,     // By itself: see exit_status.
  signalled = 1,  // By a signal nobody here sent: see signal.
  timed_out = 2,  // Its timeout passed; its process tree was killed.
  cancelled = 3,
  not_found = 4,       // Command does not exist: exit_status 127.
  not_executable = 5,  // Found but could not be executed: exit_status 126.
  start_failed = 6,    // Working folder or stdin file missing, no memory...: exit_status 125.
  node_stopped = 7,    // The node gave it back; never a failure of the task.
};

// How one attempt ended. Times are the executing node's wall clock.
struct AttemptResult {
  EndReason reason = EndReason::exited;
  std::int32_t exit_status = 0;  // 128 + signal when ended by a signal.
  std::int32_t signal = 0;
  WallTime started;
  WallTime ended;
  std::chrono::microseconds cpu_time{0};  // User and system.
  std::uint64_t memory_bytes_peak = 0;
  std::array<std::uint64_t, 2>
      output_bytes{};                   // Per stream (stdout, stderr), as written by the task.
  std::array<bool, 2> output_capped{};  // The file ends at output_bytes_max.
  std::string message;                  // Why it could not be started, for people.
  bool operator==(const AttemptResult&) const = default;
  bool good() const { return reason == EndReason::exited && exit_status == 0; }
};

struct TaskCounts {
  std::uint32_t total = 0;  // Elements known so far.
  std::uint32_t ready = 0;
  std::uint32_t claimed = 0;
  std::uint32_t succeeded = 0;
  std::uint32_t failed = 0;
  std::uint32_t cancelled = 0;
  std::uint32_t lost = 0;  // Lost or expired.
  bool operator==(const TaskCounts&) const = default;
  std::uint32_t ended() const { return succeeded + failed + cancelled + lost; }
  std::uint32_t good() const { return succeeded; }
};

// A task as its shard's owner shows it: always a committed value.
struct TaskStatus {
  std::uint32_t index = 0;
  TaskState state = TaskState::ready;
  std::uint32_t attempt = 0;  // The latest, 0 before the first.
  NodeId node;                // Of the latest attempt.
  std::string argument;
  std::optional<AttemptResult> result;  // Of the latest ended attempt.
  std::uint32_t failures = 0;           // Attempts that ended badly so far.
  bool recovered = false;  // From a copy that an operator adopted: history may be missing.
  bool operator==(const TaskStatus&) const = default;
};

struct JobStatus {
  JobId id;
  std::string name;
  JobState state = JobState::open;
  std::uint32_t count = 0;  // Tasks the job will have.
  TaskSpec spec;
  TaskCounts counts;
  WallTime created;
  WallTime ended;  // Valid when finished.
  bool cancelled = false;
  bool operator==(const JobStatus&) const = default;
};

std::string_view to_string(JobState state);
std::string_view to_string(TaskState state);
std::string_view to_string(EndReason reason);

}  // namespace shoal
