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
// are the last kOutputTailBytes of each stream (all of it when it is shorter).
struct ProcessEnded {
  AttemptId attempt;
  AttemptResult result;
  std::array<std::string, 2> tails;
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
