#include "tools/chaos/history.hpp"

#include <algorithm>
#include <array>

namespace shoal::chaos {
namespace {

// Why a task ended badly, where it says so.
std::string reason_of(const AttemptResult& result) {
  std::string reason = text(std::string(to_string(result.reason)), ", status ", result.exit_status);
  if (result.signal != 0) reason += text(", signal ", result.signal);
  if (!result.message.empty()) reason += ": " + result.message;
  return reason;
}

Json outcome_of(const TaskStatus& task) {
  const std::int64_t ended = task.result ? task.result->ended.time_since_epoch().count() : 0;
  Json outcome = Json::array({task.index, to_string(task.state), task.attempt, ended});
  if (task.result && !task.result->good()) outcome.push_back(reason_of(*task.result));
  return outcome;
}

Json terminal_ones(const std::vector<TaskStatus>& tasks) {
  Json list = Json::array();
  for (const TaskStatus& task : tasks) {
    if (terminal(task.state)) list.push_back(outcome_of(task));
  }
  return list;
}

}  // namespace

std::string_view to_string(OpResult result) {
  constexpr std::array<std::string_view, 3> kNames{"ok", "fail", "unknown"};
  return kNames.at(static_cast<std::size_t>(result));
}

OpResult result_of(const Error& error) {
  switch (error.code) {
    case ErrorCode::bad_input:
    case ErrorCode::conflict:
    case ErrorCode::refused:
    case ErrorCode::expired:
      return OpResult::fail;
    default:
      return OpResult::unknown;
  }
}

void History::submitted(const Submit& submit, const std::string& gateway, Time begun,
                        OpResult result, const std::string& error) {
  Json line{{"op", ++last_},
            {"what", submit.what},
            {"client", submit.client},
            {"job", to_string(submit.job)},
            {"tasks", submit.tasks},
            {"at_most_once", submit.at_most_once},
            {"gateway", gateway},
            {"begun", begun.count()},
            {"result", to_string(result)}};
  if (!error.empty()) line["error"] = error;
  recording_.history(std::move(line));
}

void History::seen(JobId job, const std::string& by, const std::vector<TaskStatus>& tasks) {
  Json outcomes = terminal_ones(tasks);
  if (outcomes.empty()) return;
  recording_.history({{"seen", to_string(job)}, {"by", by}, {"tasks", std::move(outcomes)}});
}

void History::final_read(const std::string& node, JobId job, const Result<TaskListing>& listing) {
  Json line{{"final", node}, {"job", to_string(job)}};
  if (!listing) {
    line["error"] = listing.error().message;
    recording_.history(std::move(line));
    return;
  }
  const std::vector<TaskStatus>& tasks = listing->tasks;
  seen(job, node, tasks);
  line["found"] = tasks.size();
  line["open"] =
      std::ranges::count_if(tasks, [](const TaskStatus& task) { return !terminal(task.state); });
  if (!listing->missing.empty()) {
    line["error"] = text("nobody answered for ", listing->missing.size(), " of its shards");
  }
  recording_.history(std::move(line));
}

}  // namespace shoal::chaos
