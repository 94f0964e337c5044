#include "sim/sweep.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/format.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kExpiringOneIn = 20;

template <class T, std::size_t kCount>
T pick(Random& random, const std::array<T, kCount>& choices) {
  return choices.at(random.below(kCount));
}

void draw_cluster(Random& random, ClusterOptions& cluster) {
  cluster.nodes = pick(random, std::array<std::uint32_t, 10>{1, 2, 3, 3, 3, 4, 5, 5, 6, 7});
  // Founded by all, or by some with the others joining.
  if (cluster.nodes > 3 && random.chance(1, 2)) cluster.founders = 3;
  if (random.chance(1, 10)) cluster.founders = 1;
  cluster.shard_count = pick(random, std::array<std::uint32_t, 6>{1, 2, 4, 8, 16, 64});
  cluster.cpu_millis = static_cast<std::uint32_t>(500 << random.below(5));
  cluster.lease = pick(random, std::array<Duration, 4>{2s, 3s, 5s, 5s});
  cluster.dead_after = pick(random, std::array<Duration, 4>{3s, 10s, 10min, 10min});
  WorldOptions& world = cluster.world;
  world.clock_rate_ppm_max = random.chance(1, 3) ? 40'000 : 1'000;  // Within the lease's margin.
  world.network.latency_base = pick(random, std::array<Duration, 4>{50us, 150us, 500us, 2ms});
  world.network.latency_tail = world.network.latency_base / (1 + random.below(4));
  world.disk.sync_base = pick(random, std::array<Duration, 3>{100us, 300us, 5ms});
  world.processes.duration_mean = pick(random, std::array<Duration, 4>{5ms, 100ms, 500ms, 2s});
}

void draw_times(Random& random, shard::ShardsConfig& shards) {
  if (random.chance(1, 2)) return;  // As shipped.
  shards.retransmit_after = pick(random, std::array<Duration, 3>{100ms, 300ms, 1s});
  shards.prepare_again = pick(random, std::array<Duration, 2>{50ms, 250ms});
  shards.fetch_timeout = pick(random, std::array<Duration, 2>{50ms, 500ms});
  shards.back_off_min = pick(random, std::array<Duration, 2>{5ms, 50ms});
  shards.confirm_again = pick(random, std::array<Duration, 2>{50ms, 300ms});
  shards.confirm_timeout = pick(random, std::array<Duration, 2>{200ms, 1s});
  shards.catch_up_window = pick(random, std::array<std::uint32_t, 3>{1, 4, 16});
}

void draw_load(Random& random, const ClusterOptions& cluster, WorkloadOptions& load) {
  load.tasks = static_cast<std::uint32_t>(20 << random.below(5));
  load.jobs_at_once = static_cast<std::uint32_t>(1 + random.below(16));
  load.array_max = pick(random, std::array<std::uint32_t, 4>{2, 10, 60, 400});
  load.single_percent = pick(random, std::array<std::uint32_t, 3>{0, 30, 90});
  load.failing_percent = pick(random, std::array<std::uint32_t, 3>{0, 8, 30});
  load.cancel_percent = pick(random, std::array<std::uint32_t, 3>{0, 3, 25});
  load.cancel_one_percent = pick(random, std::array<std::uint32_t, 3>{0, 3, 25});
  load.asking_percent = pick(random, std::array<std::uint32_t, 3>{10, 30, 80});
  load.slow_percent = pick(random, std::array<std::uint32_t, 3>{0, 3, 20});
  load.dying_percent = pick(random, std::array<std::uint32_t, 3>{0, 5, 25});
  load.contested_percent = pick(random, std::array<std::uint32_t, 3>{0, 1, 10});
  load.timeout_percent = pick(random, std::array<std::uint32_t, 3>{0, 3, 20});
  load.noops = random.chance(2, 3);
  load.sleeps = random.chance(2, 3);
  load.cpu_millis_max = std::min(cluster.cpu_millis, 1000U << random.below(2));
  // Not more than can be done in a minute or two, retries included.
  const std::uint64_t slots = cluster.nodes * (cluster.cpu_millis / load.cpu_millis_max);
  const auto most = 60s * slots / std::max<Duration>(cluster.world.processes.duration_mean, 1s);
  load.tasks = std::min(load.tasks, static_cast<std::uint32_t>(most));
}

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::string_view next_word(std::string_view& line) {
  const std::size_t space = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, space);
  line.remove_prefix(std::min(space + 1, line.size()));
  return word;
}

template <class Array>
std::string numbers(const Array& counts) {
  std::string text;
  for (const std::uint64_t count : counts) text += format(" {}", count);
  return text;
}

template <class Array>
void read_numbers(std::string_view line, Array& counts) {
  for (std::uint64_t& count : counts) count = number(next_word(line));
}

std::string list_text(const std::vector<std::string_view>& names) {
  if (names.empty()) return "none";
  std::string text;
  for (const std::string_view name : names) {
    if (!text.empty()) text += ", ";
    text += name;
  }
  return text;
}

// What few runs have, from a stream apart: the others are what they would be without it.
void draw_rare(Random& random, const std::vector<PlannedFault>& kinds, RunPlan& plan) {
  if (random.chance(1, kExpiringOneIn)) {
    // Long enough for what expires to go, a minute later, in the midst of faults.
    plan.load.expiring_percent = pick(random, std::array<std::uint32_t, 3>{20, 50, 90});
    plan.duration = 75s + random.below(Duration(45s));
  }
  for (const PlannedFault& each : kinds) {
    const bool chosen = random.chance(1, each.kind->planned_one_in);
    const PlannedFault planned{
        .kind = each.kind, .at = random.below(plan.duration), .length = 50ms + random.below(5s)};
    if (chosen) plan.faults.planned.push_back(planned);
  }
}

}  // namespace

RunPlan draw_plan(std::uint64_t seed, const FaultOptions& faults) {
  Random random(mix64(seed) ^ 0x5eed);
  RunPlan plan;
  plan.cluster.seed = seed;
  draw_cluster(random, plan.cluster);
  draw_times(random, plan.cluster.shards);
  draw_load(random, plan.cluster, plan.load);
  plan.faults = faults;
  plan.faults.core_percent = pick(random, std::array<std::uint32_t, 2>{0, 100});
  plan.duration = 2s + random.below(Duration(28s));
  // Work all through the fault phase.
  const std::uint32_t rounds = plan.load.tasks / (plan.load.jobs_at_once * 2) + 1;
  plan.load.pause_max = std::min<Duration>(2 * plan.duration / rounds, 10s);
  plan.sites_percent = faults.any() ? pick(random, std::array<std::uint32_t, 3>{0, 10, 25}) : 0;
  Random rare(mix64(seed) ^ 0x2a2e);
  plan.faults.planned.clear();
  if (!faults.planned.empty()) draw_rare(rare, faults.planned, plan);
  return plan;
}

std::string describe(const RunPlan& plan) {
  const ClusterOptions& cluster = plan.cluster;
  const std::uint32_t founders = cluster.founders == 0 ? cluster.nodes : cluster.founders;
  std::string planned;
  for (const PlannedFault& each : plan.faults.planned) {
    planned += format(", {} at {} ms", each.kind->name, each.at / 1ms);
  }
  return format(
      "{} nodes ({} founders), {} shards, {} cpu millis, lease {} ms, {} tasks in {} jobs at once, "
      "{} ms of faults, sites {} %{}{}",
      cluster.nodes, founders, cluster.shard_count, cluster.cpu_millis, cluster.lease / 1ms,
      plan.load.tasks, plan.load.jobs_at_once, plan.duration / 1ms, plan.sites_percent,
      plan.load.expiring_percent > 0 ? ", jobs expire" : "", planned);
}

SeedResult run_seed(std::uint64_t seed, const std::string& faults, std::uint64_t repeat_one_in) {
  SeedResult result{.seed = seed};
  const auto plan = plan_of({.seed = seed, .faults = faults, .drawn = true});
  if (!plan) {
    result.violations.push_back(plan.error().message);
    return result;
  }
  const RunReport report = run(*plan);
  result.virtual_time = report.virtual_time;
  result.marks = report.marks;
  result.sites = report.sites;
  for (const Violation& violation : report.violations) {
    const auto micros = violation.at.time_since_epoch() / 1us;
    result.violations.push_back(
        format("at {}.{:06} s: {}", micros / 1'000'000, micros % 1'000'000, violation.text));
  }
  if (repeat_one_in != 0 && seed % repeat_one_in == 0 &&
      run(*plan).trace_hash != report.trace_hash) {
    result.violations.emplace_back("a second run of the seed took another course (I19)");
  }
  if (!result.violations.empty()) result.plan = describe(*plan);
  return result;
}

std::string encode(const SeedResult& result) {
  std::string text =
      format("seed {} {}\nmarks{}\nsites{}\n", result.seed, result.virtual_time.count(),
             numbers(result.marks.counts), numbers(result.sites));
  if (!result.plan.empty()) text += format("plan {}\n", result.plan);
  for (std::string violation : result.violations) {
    std::ranges::replace(violation, '\n', ';');
    text += format("violation {}\n", violation);
  }
  return text + "\n";
}

Result<SeedResult> decode_seed_result(std::string_view text) {
  SeedResult result;
  bool known = false;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) break;
    const std::string_view word = next_word(line);
    if (word == "seed") {
      known = true;
      result.seed = number(next_word(line));
      result.virtual_time = Duration(static_cast<std::int64_t>(number(line)));
    } else if (word == "marks") {
      read_numbers(line, result.marks.counts);
    } else if (word == "sites") {
      read_numbers(line, result.sites);
    } else if (word == "plan") {
      result.plan = line;
    } else if (word == "violation") {
      result.violations.emplace_back(line);
    } else {
      return fail(ErrorCode::bad_input, format("`{}` is no part of a seed's result", word));
    }
  }
  if (!known) return fail(ErrorCode::bad_input, "a seed's result names its seed");
  return result;
}

void SweepTotals::add(const SeedResult& result) {
  ++seeds_;
  if (!result.violations.empty()) ++bad_seeds_;
  virtual_time_ += result.virtual_time;
  for (std::size_t i = 0; i < probes::kMarkCount; ++i) {
    marks_.counts.at(i) += result.marks.counts.at(i);
  }
  for (std::size_t i = 0; i < probes::kSiteCount; ++i) sites_.at(i) += result.sites.at(i);
}

std::vector<std::string_view> SweepTotals::marks_not_reached() const {
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < probes::kMarkCount; ++i) {
    if (marks_.counts.at(i) == 0) names.push_back(to_string(static_cast<probes::Mark>(i)));
  }
  return names;
}

std::vector<std::string_view> SweepTotals::sites_not_reached() const {
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < probes::kSiteCount; ++i) {
    if (sites_.at(i) == 0) names.push_back(to_string(static_cast<probes::Site>(i)));
  }
  return names;
}

std::string SweepTotals::counts() const {
  std::string text;
  for (std::size_t i = 0; i < probes::kMarkCount; ++i) {
    text += format("mark      {:>10}  {}\n", marks_.counts.at(i),
                   to_string(static_cast<probes::Mark>(i)));
  }
  for (std::size_t i = 0; i < probes::kSiteCount; ++i) {
    text += format("site      {:>10}  {}\n", sites_.at(i), to_string(static_cast<probes::Site>(i)));
  }
  return text;
}

std::string SweepTotals::summary(double real_seconds) const {
  const double virtual_seconds = std::chrono::duration<double>(virtual_time_).count();
  return format(
      "{} seeds, {} with violations; {:.1f} virtual hours in {:.0f} s, {:.0f} times as fast; marks "
      "never reached: {}; sites that never failed: {}",
      seeds_, bad_seeds_, virtual_seconds / 3600, real_seconds,
      real_seconds > 0 ? virtual_seconds / real_seconds : 0, list_text(marks_not_reached()),
      list_text(sites_not_reached()));
}

}  // namespace shoal::sim
