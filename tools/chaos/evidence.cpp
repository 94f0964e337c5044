#include "tools/chaos/evidence.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <functional>
#include <sstream>
#include <tuple>

namespace shoal::chaos {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kTasksMax = 10'000'000;

std::optional<TaskState> state_of(const std::string& word) {
  for (const TaskState state : {TaskState::succeeded, TaskState::failed, TaskState::cancelled,
                                TaskState::expired, TaskState::lost}) {
    if (to_string(state) == word) return state;
  }
  return std::nullopt;
}

Time time_of(const Json& line, const char* name) {
  return Time(field(line, name, std::int64_t{0}));
}

TaskFacts* facts_of(JobFacts& job, std::uint64_t index) {
  if (index >= kTasksMax) return nullptr;
  if (job.facts.size() <= index) job.facts.resize(std::max<std::size_t>(index + 1, job.tasks));
  return &job.facts[index];
}

// [INDEX, STATE, ATTEMPT, ENDED_MS], and REASON if it ended badly.
bool take_outcome(JobFacts& job, const Json& row, bool final_read) {
  const bool reasoned = row.is_array() && row.size() == 5 && row[4].is_string();
  if (!row.is_array() || (row.size() != 4 && !reasoned) || !row[0].is_number_unsigned() ||
      !row[1].is_string() || !row[2].is_number_unsigned() || !row[3].is_number_integer()) {
    return false;
  }
  const auto state = state_of(row[1].get<std::string>());
  TaskFacts* task = facts_of(job, row[0].get<std::uint64_t>());
  if (!state || task == nullptr) return false;
  Outcome outcome{*state, row[2].get<std::uint32_t>(), row[3].get<std::int64_t>()};
  if (reasoned) outcome.reason = row[4].get<std::string>();
  if (std::ranges::find(task->outcomes, outcome) == task->outcomes.end()) {
    task->outcomes.push_back(outcome);
  }
  if (final_read) ++task->shown_at_end;
  return true;
}

void take_operation(Evidence& evidence, const Json& line) {
  JobFacts& job = evidence.jobs[field(line, "job", std::string())];
  job.tasks = field(line, "tasks", std::uint32_t{0});
  job.at_most_once = field(line, "at_most_once", false);
  job.canary = field(line, "what", std::string()) == "canary";
  if (!job.begun) job.begun = time_of(line, "begun");
  const std::string result = field(line, "result", std::string());
  job.acknowledged = job.acknowledged || result == "ok";
  if (result == "unknown") ++job.unknown;
}

void take_names(std::vector<std::string>& to, const Json& list) {
  for (const Json& each : list) {
    if (each.is_string()) to.push_back(each.get<std::string>());
  }
}

void read_lines(const fs::path& path, const std::function<void(const std::string&)>& take) {
  std::ifstream file(path, std::ios::binary);
  for (std::string line; std::getline(file, line);) {
    if (!line.empty()) take(line);
  }
}

// A line begins with its time and its level.
std::uint32_t count_errors(const fs::path& log) {
  std::uint32_t errors = 0;
  read_lines(log, [&errors](const std::string& line) {
    const std::string_view head = std::string_view(line).substr(0, 40);
    errors += head.find("Z error ") != std::string_view::npos ? 1 : 0;
  });
  return errors;
}

}  // namespace

Time Evidence::phase(const char* name, Time otherwise) const {
  const auto found = phases.find(name);
  return found == phases.end() ? otherwise : found->second;
}

void take_history(Evidence& evidence, const std::string& text_line) {
  const Json line = Json::parse(text_line, nullptr, false);
  if (line.contains("op")) {
    take_operation(evidence, line);
  } else if (line.contains("seen")) {
    JobFacts& job = evidence.jobs[field(line, "seen", std::string())];
    const std::string by = field(line, "by", std::string());
    const bool final_read = std::ranges::find(evidence.nodes, by) != evidence.nodes.end();
    for (const Json& row : field(line, "tasks", Json::array())) {
      if (!take_outcome(job, row, final_read)) ++evidence.bad_lines;
    }
  } else if (line.contains("final")) {
    JobFacts& job = evidence.jobs[field(line, "job", std::string())];
    job.reads[field(line, "final", std::string())] = {
        .found = field(line, "found", std::uint32_t{0}),
        .error = field(line, "error", std::string())};
  } else {
    ++evidence.bad_lines;
  }
}

void take_fault(Evidence& evidence, const std::string& text_line) {
  const Json line = Json::parse(text_line, nullptr, false);
  const auto id = field(line, "fault", std::uint32_t{0});
  if (id == 0) {
    ++evidence.bad_lines;
    return;
  }
  auto fault = std::ranges::find(evidence.faults, id, &FaultFacts::id);
  if (fault == evidence.faults.end()) {
    evidence.faults.push_back({.id = id});
    fault = std::prev(evidence.faults.end());
  }
  const std::string state = field(line, "state", std::string());
  const Time begun = time_of(line, "begun");
  fault->what = field(line, "what", std::string());
  fault->text = field(line, "text", std::string());
  if (const std::string error = field(line, "error", std::string()); !error.empty()) {
    fault->error = error;
  }
  if (state == "healed") {
    fault->heal_begun = begun;
    fault->heal_ended = begun + time_of(line, "took_us");
    return;
  }
  take_names(fault->nodes, field(line, "nodes", Json::array()));
  fault->parameters = field(line, "parameters", Json::object());
  fault->skipped = state == "skipped";
  fault->failed = state == "failed";
  fault->injected = !fault->skipped;
  fault->begun = begun;
  fault->until = time_of(line, "until");
}

void take_event(Evidence& evidence, const std::string& text_line) {
  const Json line = Json::parse(text_line, nullptr, false);
  const std::string event = field(line, "event", std::string());
  const Time t = time_of(line, "t");
  const std::string node = field(line, "node", std::string());
  if (event == "view") {
    std::map<std::string, std::string> sees;
    const Json states = field(line, "sees", Json::object());
    for (const auto& [name, state] : states.items()) {
      if (state.is_string()) sees[name] = state.get<std::string>();
    }
    evidence.views[node].push_back({t, std::move(sees)});
  } else if (event == "silent") {
    evidence.views[node].push_back({t, std::nullopt});
  } else if (event == "member") {
    evidence.names[field(line, "id", std::string())] = field(line, "name", std::string());
  } else if (event == "recovered") {
    RecoveryFacts recovery{.fault = field(line, "fault", std::uint32_t{0}),
                           .shards = field(line, "shards", std::uint32_t{0}),
                           .open = field(line, "open", std::uint32_t{0})};
    if (line.contains("last_us")) recovery.last = time_of(line, "last_us");
    evidence.recoveries.push_back(recovery);
  } else if (event == "owners") {
    evidence.moves.push_back({.t = t,
                              .to = field(line, "to", std::string()),
                              .shards = field(line, "shards", std::uint32_t{0})});
  } else if (event == "crash") {
    evidence.crashes.push_back({t, node});
  } else if (event == "phase") {
    evidence.phases[field(line, "name", std::string())] = t;
  } else if (event == "interrupted") {
    evidence.interrupted = true;
  } else if (event.empty()) {
    ++evidence.bad_lines;
  }
}

// Only what the picture shows: t,node,running,ready,tasks_run,tasks_stolen,...
void take_metrics(Evidence& evidence, const std::string& line) {
  constexpr std::size_t kStolen = 5;
  const std::vector<std::string> cells = split(line, ',');
  if (cells.size() <= kStolen || cells[0] == "t") return;
  const auto t = parse_number(cells[0]);
  const auto stolen = parse_number(cells[kStolen]);
  if (!t || !stolen) {
    ++evidence.bad_lines;
    return;
  }
  evidence.steals.push_back({.t = Time(static_cast<std::int64_t>(*t)),
                             .node = cells[1],
                             .stolen = static_cast<std::uint64_t>(*stolen)});
}

void take_mark(Evidence& evidence, const std::string& line, std::int64_t origin_ns) {
  std::istringstream fields(line);
  std::string kind;
  std::string job_id;
  std::string node;
  std::uint64_t index = 0;
  std::uint32_t number = 0;
  std::int64_t pid = 0;
  std::int64_t ns = 0;
  if (!(fields >> kind >> job_id >> index >> number >> node >> pid >> ns) || kind.size() != 1) {
    ++evidence.bad_lines;
    return;
  }
  // Of a job that this run did not hand in: an earlier run's.
  const auto job = evidence.jobs.find(job_id);
  TaskFacts* task = job == evidence.jobs.end() ? nullptr : facts_of(job->second, index);
  if (task == nullptr) return;
  const Time t((ns - origin_ns) / 1000);
  const auto name = evidence.names.find(node);
  if (name != evidence.names.end()) node = name->second;
  if (kind == "S") {
    task->attempts.push_back({.number = number, .node = node, .pid = pid, .start = t, .last = t});
    return;
  }
  // A number that was given twice is a finding: the two are told apart by their processes.
  for (Attempt& attempt : task->attempts) {
    if (attempt.number != number || attempt.node != node || attempt.pid != pid) continue;
    attempt.last = std::max(attempt.last, t);
    attempt.ended = attempt.ended || kind == "E";
  }
}

void put_in_order(Evidence& evidence) {
  for (auto& [id, job] : evidence.jobs) {
    if (job.facts.size() < job.tasks) job.facts.resize(job.tasks);
    for (TaskFacts& task : job.facts) {
      std::ranges::sort(task.attempts, {}, [](const Attempt& attempt) {
        return std::tuple(attempt.start, attempt.number, attempt.pid);
      });
    }
  }
  std::ranges::sort(evidence.faults, {}, &FaultFacts::id);
}

Result<Evidence> load_evidence(const fs::path& folder) {
  Evidence evidence;
  std::ifstream file(folder / "run.json");
  evidence.run = Json::parse(file, nullptr, false);
  if (!file || !evidence.run.is_object()) {
    return fail(ErrorCode::not_found,
                text(folder.string(), " holds no run of this tool: it has no run.json"));
  }
  for (const Json& node : field(evidence.run, "nodes", Json::array())) {
    evidence.nodes.push_back(field(node, "name", std::string()));
  }
  const auto origin = field(evidence.run, "origin_ns", std::int64_t{0});
  read_lines(folder / "events.jsonl", [&](const std::string& line) { take_event(evidence, line); });
  read_lines(folder / "faults.jsonl", [&](const std::string& line) { take_fault(evidence, line); });
  read_lines(folder / "history.jsonl",
             [&](const std::string& line) { take_history(evidence, line); });
  read_lines(folder / "metrics.csv",
             [&](const std::string& line) { take_metrics(evidence, line); });
  read_lines(folder / "marks", [&](const std::string& line) { take_mark(evidence, line, origin); });
  for (const std::string& node : evidence.nodes) {
    const std::uint32_t errors = count_errors(folder / "nodes" / (node + ".log"));
    if (errors > 0) evidence.log_errors[node] = errors;
  }
  put_in_order(evidence);
  return evidence;
}

}  // namespace shoal::chaos
