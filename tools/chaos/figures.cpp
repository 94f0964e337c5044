// Figures: how fast a cluster noticed, went on and came back. Verdicts only where a scenario bounds
// them.
#include <algorithm>
#include <cmath>
#include <set>

#include "tools/chaos/verdicts.hpp"

namespace shoal::chaos {
namespace {

constexpr Ms kLongEnough{10'000};  // A fault so long should be seen by all.
constexpr Time kWindowMin{1'000'000};

using Sees = std::map<std::string, std::string>;

bool hurts_process(const FaultFacts& fault) {
  const std::set<std::string> kinds{"kill", "stop", "pause"};
  return fault.injected && kinds.contains(fault.what);
}

Time end_of(const Evidence& evidence, const FaultFacts& fault) {
  return fault.heal_begun.value_or(evidence.phase("healed", fault.until));
}

// Whether some fault has `node` at any moment between.
bool hurt_between(const Evidence& evidence, const std::string& node, Time from, Time until) {
  return std::ranges::any_of(evidence.faults, [&](const FaultFacts& fault) {
    const Time end = fault.heal_ended.value_or(end_of(evidence, fault));
    return fault.injected && fault.begun <= until && from <= end &&
           std::ranges::find(fault.nodes, node) != fault.nodes.end();
  });
}

std::string state_in(const ViewFacts& view, const std::string& node) {
  if (!view.sees) return {};
  const auto found = view.sees->find(node);
  return found == view.sees->end() ? std::string() : found->second;
}

bool gone(const std::string& state) {
  return state == "suspect" || state == "dead" || state == "left";
}

std::string state_at(const std::vector<ViewFacts>& views, const std::string& node, Time t) {
  std::string state;
  for (const ViewFacts& view : views) {
    if (view.t > t) break;
    state = state_in(view, node);
  }
  return state;
}

// The first moment from `from` to `until` at which the observer's view of `node` is as wanted.
template <class Wanted>
std::optional<Time> first_time(const std::vector<ViewFacts>& views, const std::string& node,
                               Time from, Time until, Wanted wanted) {
  for (const ViewFacts& view : views) {
    if (view.t >= from && view.t <= until && wanted(state_in(view, node))) return view.t;
  }
  return std::nullopt;
}

std::string spread_text(std::vector<Time> values) {
  if (values.empty()) return "none";
  return text("p50 ", duration_text(*percentile(values, 0.5)), ", p99 ",
              duration_text(*percentile(values, 0.99)), ", most ",
              duration_text(*percentile(values, 1)), " of ", values.size());
}

Json spread_json(const std::vector<Time>& values) {
  if (values.empty()) return nullptr;
  return {{"p50_ms", percentile(values, 0.5)->count() / 1000.0},
          {"p99_ms", percentile(values, 0.99)->count() / 1000.0},
          {"max_ms", percentile(values, 1)->count() / 1000.0},
          {"count", values.size()}};
}

struct Window {
  Time from{0};
  Time until{0};
};

// The times when something is broken, joined where they touch.
std::vector<Window> broken_windows(const Evidence& evidence) {
  std::vector<Window> all;
  for (const FaultFacts& fault : evidence.faults) {
    if (!fault.injected) continue;
    all.push_back(
        {fault.begun, std::max(end_of(evidence, fault), fault.heal_ended.value_or(Time(0)))});
  }
  std::ranges::sort(all, {}, &Window::from);
  std::vector<Window> merged;
  for (const Window& each : all) {
    if (!merged.empty() && each.from <= merged.back().until) {
      merged.back().until = std::max(merged.back().until, each.until);
    } else {
      merged.push_back(each);
    }
  }
  return merged;
}

double rate_in(const std::vector<Time>& sorted, const std::vector<Window>& windows) {
  double length = 0;
  double count = 0;
  for (const Window& window : windows) {
    const auto first = std::ranges::lower_bound(sorted, window.from);
    const auto last = std::ranges::lower_bound(sorted, window.until);
    count += static_cast<double>(last - first);
    length += static_cast<double>((window.until - window.from).count()) / 1e6;
  }
  return length > 0 ? count / length : 0;
}

Time length_of(const std::vector<Window>& windows) {
  Time sum{0};
  for (const Window& each : windows) sum += each.until - each.from;
  return sum;
}

}  // namespace

std::optional<Time> percentile(std::vector<Time> values, double share) {
  if (values.empty()) return std::nullopt;
  std::ranges::sort(values);
  const double place = std::ceil(share * static_cast<double>(values.size()));
  const auto rank = static_cast<std::size_t>(std::max(1.0, place));
  return values[std::min(rank, values.size()) - 1];
}

void bound_duration(Verdict& verdict, const Evidence& evidence, const char* name,
                    std::optional<Time> worst) {
  const auto bound = bound_of(evidence, name);
  if (!bound) return;
  verdict.limit = duration_text(Ms(static_cast<std::int64_t>(*bound)));
  const bool good = worst && static_cast<double>(worst->count()) / 1000 <= *bound;
  verdict.judgement = good ? Judgement::pass : Judgement::fail;
}

Verdict judge_detection(const Evidence& evidence) {
  Verdict verdict{.name = "detection",
                  .about = "from a node's end to its being suspected by each other node"};
  std::vector<Time> times;
  std::uint32_t unseen = 0;
  for (const FaultFacts& fault : evidence.faults) {
    if (!hurts_process(fault)) continue;
    const Time end = end_of(evidence, fault);
    for (const std::string& node : fault.nodes) {
      for (const auto& [observer, views] : evidence.views) {
        if (hurt_between(evidence, observer, fault.begun, end)) continue;
        if (state_at(views, node, fault.begun) != "alive") continue;
        const auto seen = first_time(views, node, fault.begun, end, gone);
        if (seen) {
          times.push_back(*seen - fault.begun);
        } else if (end - fault.begun >= Time(kLongEnough)) {
          ++unseen;
          verdict.details.push_back(text(observer, " never noticed: ", fault.text));
        }
      }
    }
  }
  verdict.value = spread_text(times) + (unseen > 0 ? text(", ", unseen, " unseen") : "");
  verdict.figure = spread_json(times);
  if (!times.empty() || unseen > 0) {
    bound_duration(verdict, evidence, "detect_p99",
                   unseen > 0 ? std::nullopt : percentile(times, 0.99));
  }
  return verdict;
}

Verdict judge_rejoin(const Evidence& evidence) {
  Verdict verdict{.name = "rejoin",
                  .about = "from a node's return to its being alive for each other node"};
  std::vector<Time> times;
  std::uint32_t never = 0;
  const Time last = evidence.phase("end", Time::max());
  for (const FaultFacts& fault : evidence.faults) {
    if (!hurts_process(fault) || !fault.heal_ended) continue;
    const Time back = *fault.heal_ended;
    // Until the next fault has it, or somebody else.
    Time until = last;
    for (const FaultFacts& other : evidence.faults) {
      if (other.injected && other.begun > back) until = std::min(until, other.begun);
    }
    for (const std::string& node : fault.nodes) {
      for (const auto& [observer, views] : evidence.views) {
        if (observer == node || hurt_between(evidence, observer, back, back)) continue;
        if (!gone(state_at(views, node, *fault.heal_begun))) continue;
        const auto seen = first_time(views, node, *fault.heal_begun, until,
                                     [](const std::string& state) { return state == "alive"; });
        if (seen) times.push_back(std::max(Time(0), *seen - back));
        if (!seen && until == last) ++never;
      }
    }
  }
  verdict.value = spread_text(times) + (never > 0 ? text(", ", never, " never") : "");
  verdict.figure = spread_json(times);
  if (!times.empty() || never > 0) {
    bound_duration(verdict, evidence, "rejoin_within",
                   never > 0 ? std::nullopt : percentile(times, 1));
  }
  return verdict;
}

Verdict judge_recovery(const Evidence& evidence) {
  Verdict verdict{.name = "recovery",
                  .about =
                      "until submissions to all shards that lost their owner are "
                      "acknowledged again; from the healing, where it took that"};
  std::vector<Time> times;
  std::uint32_t open = 0;
  for (const RecoveryFacts& each : evidence.recoveries) {
    const auto fault = std::ranges::find(evidence.faults, each.fault, &FaultFacts::id);
    if (fault == evidence.faults.end()) continue;
    open += each.open;
    if (!each.last || each.open > 0) continue;
    const bool healed_first = fault->heal_begun && *each.last > *fault->heal_begun;
    const Time took = *each.last - (healed_first ? *fault->heal_begun : fault->begun);
    times.push_back(took);
    verdict.details.push_back(
        text(fault->text, ": ", duration_text(took), healed_first ? " after it was healed" : ""));
  }
  if (verdict.details.size() > kDetailsMax) verdict.details.resize(kDetailsMax);
  verdict.value = spread_text(times) + (open > 0 ? text(", ", open, " shards not") : "");
  verdict.figure = spread_json(times);
  if (!times.empty() || open > 0) {
    bound_duration(verdict, evidence, "recover_within",
                   open > 0 ? std::nullopt : percentile(times, 1));
  }
  return verdict;
}

std::vector<Verdict> judge_throughput(const Evidence& evidence) {
  Verdict verdict{.name = "throughput", .about = "tasks ended a second, before and under faults"};
  Verdict drop{.name = "throughput_drop", .about = "the second below the first"};
  std::vector<Time> ends;
  for (const auto& [id, job] : evidence.jobs) {
    for (const TaskFacts& task : job.facts) {
      for (const Attempt& attempt : task.attempts) {
        if (attempt.ended) ends.push_back(attempt.last);
      }
    }
  }
  std::ranges::sort(ends);
  const Time warmup(Ms(field(evidence.run, "warmup_ms", std::int64_t{0})));
  const double before = rate_in(ends, {{warmup / 4, warmup}});
  const std::vector<Window> broken = broken_windows(evidence);
  if (length_of(broken) < kWindowMin || before <= 0) {
    verdict.value = before > 0 ? number_text(before, 1) + "/s; nothing was broken for long" : "-";
    return {verdict};
  }
  const double under = rate_in(ends, broken);
  const double percent = 100 * (1 - under / before);
  verdict.value = text(number_text(before, 1), "/s before, ", number_text(under, 1), "/s in the ",
                       duration_text(length_of(broken)), " with faults");
  verdict.figure = {{"before", before}, {"under", under}};
  drop.value = number_text(percent, 1) + "%";
  drop.figure = percent;
  if (const auto bound = bound_of(evidence, "throughput_drop_max")) {
    drop.limit = number_text(*bound, 0) + "%";
    drop.judgement = percent <= *bound ? Judgement::pass : Judgement::fail;
  }
  return {verdict, drop};
}

Verdict judge_duplicates(const Evidence& evidence) {
  Verdict verdict{.name = "duplicates", .about = "starts beyond the first, of 10,000 tasks"};
  std::uint64_t started = 0;
  std::uint64_t starts = 0;
  for (const auto& [id, job] : evidence.jobs) {
    for (const TaskFacts& task : job.facts) {
      started += task.attempts.empty() ? 0 : 1;
      starts += task.attempts.size();
    }
  }
  const std::uint64_t again = starts - started;
  const double rate =
      started > 0 ? 10'000 * static_cast<double>(again) / static_cast<double>(started) : 0;
  verdict.value = text(again, " of ", started, " tasks (", number_text(rate, 1), " per 10k)");
  verdict.figure = rate;
  if (const auto bound = bound_of(evidence, "duplicates_per_10k")) {
    verdict.limit = number_text(*bound, 1) + " per 10k";
    verdict.judgement = rate <= *bound ? Judgement::pass : Judgement::fail;
  }
  return verdict;
}

Verdict judge_finish(const Evidence& evidence) {
  Verdict verdict{.name = "finish", .about = "from the load's start to the last outcome"};
  const auto ended = evidence.phases.find("load_end");
  if (ended == evidence.phases.end()) {
    verdict.value = "not all was finished";
    bound_duration(verdict, evidence, "finish_within", std::nullopt);
    return verdict;
  }
  verdict.value = duration_text(ended->second);
  verdict.figure = ended->second.count() / 1000;
  bound_duration(verdict, evidence, "finish_within", ended->second);
  return verdict;
}

Verdict judge_start_latency(const Evidence& evidence) {
  Verdict verdict{.name = "start_latency",
                  .about = "from a task's being handed in to its first start"};
  std::vector<Time> times;
  for (const auto& [id, job] : evidence.jobs) {
    if (!job.begun || job.canary) continue;
    for (const TaskFacts& task : job.facts) {
      if (!task.attempts.empty()) times.push_back(task.attempts.front().start - *job.begun);
    }
  }
  verdict.value = spread_text(times);
  verdict.figure = spread_json(times);
  bound_duration(verdict, evidence, "start_latency_p99", percentile(times, 0.99));
  return verdict;
}

}  // namespace shoal::chaos
