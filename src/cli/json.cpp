#include "cli/json.hpp"

#include "base/units.hpp"
#include "cli/render.hpp"

namespace shoal::cli {
namespace {

Json json_of(const TaskCounts& counts) {
  return {{"total", counts.total},     {"ready", counts.ready},
          {"claimed", counts.claimed}, {"succeeded", counts.succeeded},
          {"failed", counts.failed},   {"cancelled", counts.cancelled},
          {"lost", counts.lost},       {"ended", counts.ended()}};
}

Json json_of(const AttemptResult& result) {
  const auto took = result.ended - result.started;
  return {{"reason", to_string(result.reason)},
          {"exit", result.exit_status},
          {"signal", result.signal},
          {"started", rfc3339(result.started)},
          {"ended", rfc3339(result.ended)},
          {"took_ms", took.count()},
          {"cpu_ms", result.cpu_time.count() / 1000},
          {"memory_bytes_peak", result.memory_bytes_peak},
          {"stdout_bytes", result.output_bytes[0]},
          {"stderr_bytes", result.output_bytes[1]},
          {"stdout_capped", result.output_capped[0]},
          {"stderr_capped", result.output_capped[1]},
          {"message", result.message}};
}

Json json_of(const NodeFigures& figures) {
  return {
      {"tasks_run", figures.tasks_run},
      {"tasks_stolen", figures.tasks_stolen},
      {"tasks_given", figures.tasks_given},
      {"records", figures.records},
      {"commits", figures.commits},
      {"shards_home", figures.shards_home},
      {"shards_owned", figures.shards_owned},
      {"resident_bytes", figures.resident_bytes},
      {"dropped_inputs", figures.dropped_inputs},
      {"sync",
       {{"count", figures.sync.count}, {"p50_us", figures.sync.p50}, {"p99_us", figures.sync.p99}}},
      {"uptime_ms", figures.uptime_ms},
      {"cpu_millis", figures.cpu_millis},
      {"cpu_millis_free", figures.cpu_millis_free},
      {"memory_bytes", figures.memory_bytes},
      {"memory_bytes_free", figures.memory_bytes_free},
      {"running", figures.running},
      {"ready", figures.ready}};
}

std::string_view kind_text(TaskKind kind) {
  switch (kind) {
    case TaskKind::process:
      return "process";
    case TaskKind::noop:
      return "noop";
    case TaskKind::sleep:
      return "sleep";
  }
  return "unknown";
}

std::string_view retention_text(Retention retention) {
  switch (retention) {
    case Retention::hour:
      return "hour";
    case Retention::week:
      return "week";
    case Retention::month:
      return "month";
    case Retention::quarter:
      return "quarter";
  }
  return "unknown";
}

}  // namespace

Json json_of(const TaskSpec& spec) {
  Json environment = Json::object();
  for (const EnvironmentVariable& one : spec.environment) environment[one.name] = one.value;
  return {{"kind", kind_text(spec.kind)},      {"argv", spec.argv},
          {"environment", environment},        {"working_folder", spec.working_folder},
          {"stdin_file", spec.stdin_file},     {"cpu_millis", spec.cpu_millis},
          {"memory_bytes", spec.memory_bytes}, {"timeout_ms", spec.timeout.count()},
          {"retries", spec.retries},           {"at_most_once", spec.at_most_once},
          {"priority", spec.priority},         {"output_bytes_max", spec.output_bytes_max},
          {"substitute", spec.substitute}};
}

Json json_of(const JobStatus& job) {
  Json json{{"schema", "shoal.job/1"},
            {"id", to_string(job.id)},
            {"name", job.name},
            {"state", to_string(job.state)},
            {"status", word_of(job).word},
            {"cancelled", job.cancelled},
            {"count", job.count},
            {"tasks", json_of(job.counts)},
            {"created", rfc3339(job.created)},
            {"keep", retention_text(job.id.retention())},
            {"spec", json_of(job.spec)}};
  json["ended"] = nullptr;
  if (job.state == JobState::finished) json["ended"] = rfc3339(job.ended);
  return json;
}

Json json_of(const TaskStatus& task, const NodeNames& names) {
  Json json{{"index", task.index},       {"state", to_string(task.state)},
            {"attempt", task.attempt},   {"failures", task.failures},
            {"argument", task.argument}, {"recovered", task.recovered},
            {"node", nullptr},           {"node_id", nullptr},
            {"result", nullptr}};
  if (task.node) {
    json["node"] = name_of(names, task.node);
    json["node_id"] = to_string(task.node);
  }
  if (task.result) json["result"] = json_of(*task.result);
  return json;
}

Json json_of(const JobListing& listing) {
  Json jobs = Json::array();
  for (const JobStatus& job : listing.jobs) jobs.push_back(json_of(job));
  Json unconfirmed = Json::array();
  for (const JobId id : listing.unconfirmed) unconfirmed.push_back(to_string(id));
  return {{"schema", "shoal.jobs/1"},
          {"complete", listing.missing.empty()},
          {"missing", listing.missing},
          {"unconfirmed", unconfirmed},
          {"jobs", jobs}};
}

Json json_of(const ClusterView& view) {
  Json nodes = Json::array();
  for (const MemberView& member : view.members) {
    Json node{{"node", to_string(member.node)},
              {"name", member.name},
              {"address", member.address},
              {"state", member.state},
              {"draining", member.draining},
              {"leaving", member.leaving},
              {"version", member.version},
              {"self", member.self},
              {"figures", nullptr}};
    if (member.figures) node["figures"] = json_of(*member.figures);
    nodes.push_back(std::move(node));
  }
  return {{"schema", "shoal.nodes/1"},       {"cluster", to_string(view.cluster)},
          {"serving", view.serving},         {"waiting_for", view.waiting_for},
          {"shard_count", view.shard_count}, {"nodes", nodes}};
}

Json json_of(const Error& error, int exit_code) {
  return {{"schema", "shoal.error/1"}, {"error", error.message}, {"exit", exit_code}};
}

std::string name_of(const NodeNames& names, NodeId node) {
  const auto found = names.find(node);
  return found == names.end() || found->second.empty() ? short_text(node) : found->second;
}

NodeNames names_of(const ClusterView& view) {
  NodeNames names;
  for (const MemberView& member : view.members) names[member.node] = member.name;
  return names;
}

std::string text_of(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace shoal::cli
