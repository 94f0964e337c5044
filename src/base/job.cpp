#include "shoal/job.hpp"

#include "base/assert.hpp"

namespace shoal {

std::string_view to_string(JobState state) {
  switch (state) {
    case JobState::open:
      return "open";
    case JobState::closed:
      return "closed";
    case JobState::finished:
      return "finished";
  }
  SHOAL_ASSERT(false);
}

std::string_view to_string(TaskState state) {
  switch (state) {
    case TaskState::ready:
      return "ready";
    case TaskState::claimed:
      return "claimed";
    case TaskState::succeeded:
      return "succeeded";
    case TaskState::failed:
      return "failed";
    case TaskState::cancelled:
      return "cancelled";
    case TaskState::expired:
      return "expired";
    case TaskState::lost:
      return "lost";
  }
  SHOAL_ASSERT(false);
}

std::string_view to_string(EndReason reason) {
  switch (reason) {
    case EndReason::exited:
      return "exited";
    case EndReason::signalled:
      return "signalled";
    case EndReason::timed_out:
      return "timed out";
    case EndReason::cancelled:
      return "cancelled";
    case EndReason::not_found:
      return "command not found";
    case EndReason::not_executable:
      return "command not executable";
    case EndReason::start_failed:
      return "could not be started";
    case EndReason::node_stopped:
      return "node stopped";
  }
  SHOAL_ASSERT(false);
}

}  // namespace shoal
