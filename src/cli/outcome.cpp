#include "cli/outcome.hpp"

#include <algorithm>

#include "base/format.hpp"
#include "base/units.hpp"
#include "cli/commands.hpp"
#include "cli/render.hpp"

namespace shoal::cli {

int exit_code_of(const TaskStatus& task) {
  if (task.state == TaskState::succeeded) return kExitGood;
  if (!task.result) return kExitFailed;
  const AttemptResult& result = *task.result;
  switch (result.reason) {
    case EndReason::not_found:
      return 127;
    case EndReason::not_executable:
      return 126;
    case EndReason::start_failed:
      return kExitNotStarted;
    case EndReason::signalled:
      if (result.signal > 0) return (128 + result.signal) & 0xff;
      break;
    case EndReason::exited:
    case EndReason::timed_out:
    case EndReason::cancelled:
    case EndReason::node_stopped:
      break;
  }
  // A status of 0 in a task that did not succeed must not read as success.
  const int code = result.exit_status & 0xff;
  return code == 0 ? kExitFailed : code;
}

std::string failure_line(JobId job, const TaskStatus& task, const TaskSpec& spec,
                         const NodeNames& names) {
  std::string line = format("{} {}", short_text(job), word_of(task.state).word);
  if (task.node) line += " on " + name_of(names, task.node);
  if (task.result) line += ": " + end_text(*task.result);
  if (task.attempt == 0) return line + " before it was started";
  line += format(" (attempt {} of {}", task.attempt, std::max(task.attempt, spec.retries + 1));
  if (task.result) {
    const auto took = task.result->ended - task.result->started;
    line += ", " + duration_text(std::max(took, std::chrono::milliseconds(0)));
  }
  return line + ")";
}

int exit_code_of(const JobStatus& job) {
  const std::uint32_t wanted = std::max(job.count, job.counts.total);
  const bool all = job.counts.succeeded >= wanted && !job.cancelled;
  return all ? kExitGood : kExitFailed;
}

std::string last_line(std::string_view output) {
  while (!output.empty()) {
    const std::size_t end = output.find_last_not_of(" \t\r\n");
    if (end == std::string_view::npos) return {};
    output = output.substr(0, end + 1);
    const std::size_t begin = output.rfind('\n');
    return printable(begin == std::string_view::npos ? output : output.substr(begin + 1));
  }
  return {};
}

}  // namespace shoal::cli
