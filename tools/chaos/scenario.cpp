#include "tools/chaos/scenario.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <set>

#include "tools/chaos/process.hpp"

namespace shoal::chaos {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kScenarioBytesMax = 1 << 20;

fs::path scenario_folder() {
  const fs::path beside = this_program().parent_path() / "scenarios";
  if (fs::is_directory(beside)) return beside;
  return SHOAL_CHAOS_SCENARIOS;
}

std::string quoted_toml(std::string_view words) {
  std::string whole = "\"";
  for (const char c : words) {
    if (c == '"' || c == '\\') whole += '\\';
    whole += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return whole + "\"";
}

std::string toml_of(const Value& value) {
  if (const auto* figure = std::get_if<double>(&value)) return number_text(*figure, 3);
  return quoted_toml(text_of(value));
}

std::string exact(Ms time) { return text("\"", time.count(), "ms\""); }

std::string toml_of(const Fault& fault) {
  const FaultRule& rule = rule_of(fault.kind);
  std::string whole = text("what = \"", rule.name, "\"\n");
  if (rule.targeted) whole += text("target = ", quoted_toml(fault.target.words), "\n");
  for (const auto& [name, value] : fault.parameters) {
    whole += text(name, " = ", toml_of(value), "\n");
  }
  return whole;
}

std::string toml_of(const FaultSpec& spec) {
  std::string whole = text("\n[[fault]]\nat = ", exact(spec.at), "\n", toml_of(spec.fault));
  if (spec.fault.duration) whole += text("for = ", exact(*spec.fault.duration), "\n");
  if (spec.every) whole += text("every = ", exact(*spec.every), "\n");
  if (spec.times) whole += text("times = ", *spec.times, "\n");
  if (spec.until) whole += text("until = ", exact(*spec.until), "\n");
  if (spec.rolling) whole += text("rolling = ", exact(*spec.rolling), "\n");
  return whole;
}

std::string toml_of(const Span& span) {
  return text("\"", span.least.count(), "ms~", span.most.count(), "ms\"");
}

std::string toml_of(const RandomSpec& random) {
  std::string whole =
      text("\n[random]\nevery = ", toml_of(random.every), "\nfor = ", toml_of(random.lasting),
           "\nat_once = ", random.at_once, "\n");
  for (const RandomSpec::Choice& choice : random.choices) {
    whole += text("\n[[random.fault]]\nweight = ", choice.weight, "\n", toml_of(choice.fault));
    if (choice.lasting) whole += text("for = ", toml_of(*choice.lasting), "\n");
  }
  return whole;
}

std::string toml_of(const LoadSpec& load) {
  return text("\n[load]\nkind = \"map\"\nmarker = \"file\"\ntasks = ", load.tasks,
              "\narray = ", load.array, "\nclients = ", load.clients,
              "\nin_flight = ", load.in_flight, "\nsingle = ", number_text(load.single, 2),
              "\nat_most_once = ", number_text(load.at_most_once, 2),
              "\ncpus = ", number_text(load.cpu_millis / 1000.0, 3), "\nbeat = ", exact(load.beat),
              "\npayload = \"sleep:", load.sleep_least.count(), "us~", load.sleep_most.count(),
              "us\"\nlonger = ", number_text(load.longer, 2),
              "\nlonger_payload = \"sleep:", load.longer_least.count(), "us~",
              load.longer_most.count(), "us\"\npace = \"", load.even ? "even" : "fast", "\"\n");
}

}  // namespace

const std::vector<ExpectationRule>& expectation_rules() {
  using enum BoundType;
  static const std::vector<ExpectationRule> kRules{
      {"lost", count, "acknowledged tasks without an outcome"},
      {"failed", count, "tasks that ended badly, although their commands do not"},
      {"given_up", count, "tasks that are `lost` after attempts on nodes that died"},
      {"overlaps", count, "attempts of one task at the same time"},
      {"duplicates_per_10k", number, "starts beyond the first, of 10,000 tasks"},
      {"finish_within", duration, "from the load's start to the last outcome"},
      {"detect_p99", duration, "from a node's end to its being suspected by each other node"},
      {"recover_within", duration, "until submissions to all shards are acknowledged again"},
      {"rejoin_within", duration, "from a node's return to its being alive for each other node"},
      {"ring_agrees_within", duration, "after all is healed: each node sees all others alive"},
      {"throughput_drop_max", percent, "tasks ended a second: under faults, below before"},
      {"start_latency_p99", duration, "from a task's being handed in to its first start"},
  };
  return kRules;
}

std::vector<FaultKind> Scenario::kinds() const {
  std::set<FaultKind> all;
  for (const FaultSpec& spec : faults) all.insert(spec.fault.kind);
  if (random) {
    for (const RandomSpec::Choice& choice : random->choices) all.insert(choice.fault.kind);
  }
  return {all.begin(), all.end()};
}

void stretch(Scenario& scenario, Ms duration) {
  const double ratio = static_cast<double>(duration.count()) /
                       static_cast<double>(std::max<std::int64_t>(1, scenario.duration.count()));
  const double tasks = std::round(static_cast<double>(scenario.load.tasks) * ratio);
  scenario.load.tasks = static_cast<std::uint32_t>(std::clamp(tasks, 1.0, 1e7));
  scenario.duration = duration;
  std::erase_if(scenario.faults, [duration](const FaultSpec& spec) { return spec.at >= duration; });
  const auto finish = scenario.expect.find("finish_within");
  if (finish != scenario.expect.end()) finish->second *= std::max(1.0, ratio);
}

std::vector<std::string> shipped_scenarios() {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(scenario_folder(), error), end; !error && at != end;
       at.increment(error)) {
    if (at->path().extension() == ".toml") names.push_back(at->path().stem().string());
  }
  std::ranges::sort(names);
  return names;
}

Result<std::string> find_scenario(const std::string& path_or_name) {
  const bool path_like =
      path_or_name.find('/') != std::string::npos || path_or_name.ends_with(".toml");
  if (path_like || fs::is_regular_file(path_or_name)) return path_or_name;
  const std::vector<std::string> shipped = shipped_scenarios();
  if (std::ranges::find(shipped, path_or_name) != shipped.end()) {
    return (scenario_folder() / (path_or_name + ".toml")).string();
  }
  return fail(ErrorCode::bad_input, text("there is no file and no shipped scenario '", path_or_name,
                                         "'.", suggestion(path_or_name, shipped)));
}

Result<std::string> read_text(const fs::path& path) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(path, error);
  if (!error && size > kScenarioBytesMax) {
    return fail(ErrorCode::bad_input,
                text(path.string(), " has ", size_text(size), ": that is no scenario"));
  }
  std::ifstream file(path, std::ios::binary);
  std::string whole{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (error || file.bad()) {
    return fail(ErrorCode::bad_input, text(path.string(), " cannot be read",
                                           error ? ": " + error.message() : std::string()));
  }
  return whole;
}

std::string toml_of(const Scenario& scenario) {
  std::string whole = text("chaos = 1\nname = \"", scenario.name, "\"\n");
  if (!scenario.about.empty()) whole += text("about = ", quoted_toml(scenario.about), "\n");
  if (scenario.seed) whole += text("seed = ", *scenario.seed, "\n");
  whole += text("duration = ", exact(scenario.duration), "\nwarmup = ", exact(scenario.warmup),
                "\nsettle = ", exact(scenario.settle), "\npatience = ", exact(scenario.patience),
                "\n\n[cluster]\nnodes = ", scenario.cluster.nodes,
                "\nbackend = ", quoted_toml(scenario.cluster.backend), "\n");
  if (scenario.cluster.disk_bytes > 0) whole += text("disk = ", scenario.cluster.disk_bytes, "\n");
  whole += toml_of(scenario.load);
  for (const FaultSpec& spec : scenario.faults) whole += toml_of(spec);
  if (scenario.random) whole += toml_of(*scenario.random);
  if (!scenario.expect.empty()) whole += "\n[expect]\n";
  for (const auto& [name, bound] : scenario.expect) {
    const auto rule = std::ranges::find(expectation_rules(), name, &ExpectationRule::name);
    if (rule == expectation_rules().end()) continue;
    const bool time = rule->type == BoundType::duration;
    whole += text(name, " = ",
                  time ? exact(Ms(static_cast<std::int64_t>(bound))) : number_text(bound, 3), "\n");
  }
  return whole;
}

}  // namespace shoal::chaos
