// What a node asks of its executor, and what it hears back. Both drivers (supervisor processes,
// simulated processes) speak these values.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/time.hpp"
#include "shoal/id.hpp"
#include "shoal/job.hpp"

namespace shoal::task {

enum class Stream : std::uint8_t { out = 0, err = 1 };

// Start this attempt's process. `spec` is complete: placeholders are replaced, kind is `process`.
// The driver adds the SHOAL_* variables and the output files.
struct Launch {
  AttemptId attempt;
  TaskSpec spec;
  ShardId shard{};  // Kept for a restarted node, see RecoveredAttempt.
  // Then the supervisor kills the whole process tree by itself, however the node fares (hole 14).
  // Boot-time clock.
  TimePoint lease_end = kNever;
};

// The attempt may run until here. Leases only grow; unknown attempts are ignored.
struct Extend {
  AttemptId attempt;
  TimePoint lease_end;
};

// End the attempt's whole process tree: SIGTERM first, SIGKILL after `grace`; at once when it is
// zero. `reason` comes back in the result. Unknown attempts are ignored.
struct Kill {
  AttemptId attempt;
  EndReason reason = EndReason::cancelled;
  std::chrono::milliseconds grace{0};
};

using ProcessAction = std::variant<Launch, Kill>;

// The attempt is over: nothing of its process tree runs any more. Exactly one per Launch. `tails`
// are the last kOutputTailBytes of each stream (all of it when it is shorter). A tree that its
// supervisor killed at the end of its lease has the reason `node_stopped`. The supervisor keeps it
// until the node says that the attempt is settled, and tells a restarted node again.
struct ProcessEnded {
  AttemptId attempt;
  AttemptResult result;
  std::array<std::string, 2> tails;
};

// An attempt that a former process of this node launched: its supervisor still runs it.
struct RecoveredAttempt {
  AttemptId attempt;
  ShardId shard{};
  std::uint32_t cpu_millis = 0;
  std::uint64_t memory_bytes = 0;
  WallTime started;
  TimePoint lease_end;
  bool operator==(const RecoveredAttempt&) const = default;
};

// A piece of an attempt's output file on this node.
struct OutputRead {
  std::uint64_t request = 0;  // Echoed in the answer.
  AttemptId attempt;
  Stream stream = Stream::out;
  std::uint64_t offset = 0;
  std::uint32_t bytes_max = 64 * 1024;
};

struct OutputPiece {
  std::uint64_t request = 0;
  bool known = false;  // This node has the file.
  bool ended = false;  // The attempt is over and `bytes` reach the end of the file.
  std::uint64_t offset = 0;
  std::string bytes;
};

}  // namespace shoal::task
