#include "tools/chaos/schedule.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <iterator>
#include <numeric>

#include "tools/chaos/links.hpp"

namespace shoal::chaos {
namespace {

using Names = std::vector<std::string>;

bool overlap(const Planned& a, Ms from, Ms until) { return a.at < until && from < a.until; }

class Planner {
 public:
  Planner(const Scenario& scenario, Names nodes, const Cannot& cannot)
      : scenario_(scenario), nodes_(std::move(nodes)), cannot_(cannot) {}

  Result<void> add(const FaultSpec& spec, Random random) {
    const Ms end = std::min(spec.until.value_or(scenario_.duration), scenario_.duration);
    const std::uint32_t times = spec.every ? spec.times.value_or(~0U) : 1;
    Ms at = spec.at;
    for (std::uint32_t i = 0; i < times && at < std::max(end, spec.at + Ms(1)); ++i) {
      auto done = spec.rolling ? add_rolling(spec, at, random) : add_one(spec.fault, at, random);
      if (!done) return done;
      at += spec.every.value_or(Ms(0));
    }
    return {};
  }

  Result<void> add_random(const RandomSpec& spec, Random random) {
    std::vector<RandomSpec::Choice> possible;
    for (const RandomSpec::Choice& choice : spec.choices) {
      const auto why = cannot_(choice.fault);
      if (!why) possible.push_back(choice);
      if (why) {
        schedule_.notes.push_back(text(rule_of(choice.fault.kind).name, " is left out: ", *why));
      }
    }
    if (possible.empty()) {
      return fail(ErrorCode::bad_input,
                  text("none of the random faults is possible here: ", joined(schedule_.notes)));
    }
    const auto length = [&random](const Span& span) {
      return Ms(random.between(span.least.count(), span.most.count()));
    };
    for (Ms at = scenario_.warmup + length(spec.every); at < scenario_.duration;
         at += length(spec.every)) {
      RandomSpec::Choice choice = pick(possible, random);
      const Ms lasting = length(choice.lasting.value_or(spec.lasting));
      if (!at_once(choice.fault.kind)) choice.fault.duration = lasting;
      const auto active = std::ranges::count_if(
          schedule_.faults, [at](const Planned& each) { return overlap(each, at, at + Ms(1)); });
      if (std::cmp_greater_equal(active, spec.at_once)) continue;
      if (auto done = add_one(choice.fault, at, random); !done) return done;
    }
    return {};
  }

  Schedule finish() {
    // Of the same time, the one that was planned first comes first.
    number();
    std::ranges::sort(schedule_.faults, {},
                      [](const Planned& each) { return std::pair(each.at, each.injection.id); });
    number();
    return std::move(schedule_);
  }

 private:
  void number() {
    std::uint32_t id = 0;
    for (Planned& each : schedule_.faults) each.injection.id = ++id;
  }

  static const RandomSpec::Choice& pick(const std::vector<RandomSpec::Choice>& choices,
                                        Random& random) {
    const std::uint64_t sum = std::accumulate(
        choices.begin(), choices.end(), std::uint64_t{0},
        [](std::uint64_t so_far, const auto& each) { return so_far + each.weight; });
    std::uint64_t drawn = random.below(sum);
    for (const RandomSpec::Choice& each : choices) {
      if (drawn < each.weight) return each;
      drawn -= each.weight;
    }
    return choices.back();
  }

  Choice choice_at(Ms from, Ms until) const {
    Choice choice{.nodes = nodes_};
    for (const Planned& each : schedule_.faults) {
      if (!overlap(each, from, until)) continue;
      std::ranges::copy(each.injection.nodes, std::back_inserter(choice.held));
    }
    return choice;
  }

  Result<void> settle(Planned& planned, Random& random) {
    Injection& injection = planned.injection;
    const Fault& fault = injection.fault;
    Choice choice = choice_at(planned.at, planned.until);
    if (!rule_of(fault.kind).targeted) return {};
    planned.lookup = looked_up(fault.target);
    if (planned.lookup) return {};
    auto chosen = choose(fault.target, choice, random);
    if (!chosen) return std::unexpected(chosen.error());
    injection.nodes = *std::move(chosen);
    if (rule_of(fault.kind).family != Family::network) return {};
    const auto links = links_of(injection, nodes_);
    return links ? Result<void>() : std::unexpected(links.error());
  }

  Result<void> add_one(const Fault& fault, Ms at, Random& random) {
    Planned planned{.at = at, .until = scenario_.duration, .injection = {.fault = fault}};
    if (fault.duration) planned.until = std::min(planned.until, at + *fault.duration);
    if (at_once(fault.kind) && !fault.duration) planned.until = at;
    settle_draw(planned.injection.fault, random);
    if (auto settled = settle(planned, random); !settled) return settled;
    schedule_.faults.push_back(std::move(planned));
    return {};
  }

  Result<void> add_rolling(const FaultSpec& spec, Ms at, Random& random) {
    if (looked_up(spec.fault.target)) {
      return fail(ErrorCode::bad_input, text("'", spec.fault.target.words,
                                             "' cannot be rolling: it is not known beforehand"));
    }
    const auto chosen = choose(spec.fault.target, choice_at(at, at + Ms(1)), random);
    if (!chosen) return std::unexpected(chosen.error());
    for (const std::string& node : *chosen) {
      Fault fault = spec.fault;
      fault.target = Target{.kind = TargetKind::names, .names = {node}, .words = node};
      if (at >= scenario_.duration) {
        schedule_.notes.push_back(text(rule_of(fault.kind).name, " of ", node,
                                       " is left out: its turn comes after the duration"));
      } else if (auto done = add_one(fault, at, random); !done) {
        return done;
      }
      at += *spec.rolling;
    }
    return {};
  }

  const Scenario& scenario_;
  Names nodes_;
  const Cannot& cannot_;
  Schedule schedule_;
};

}  // namespace

Result<Schedule> plan_schedule(const Scenario& scenario, std::uint64_t seed,
                               const std::vector<std::string>& nodes, const Cannot& cannot) {
  std::vector<std::string> impossible;
  for (const FaultSpec& spec : scenario.faults) {
    const auto why = cannot(spec.fault);
    const std::string line =
        why ? text("'", rule_of(spec.fault.kind).name, "' is not possible: ", *why) : std::string();
    if (why && std::ranges::find(impossible, line) == impossible.end()) impossible.push_back(line);
  }
  if (!impossible.empty()) return fail(ErrorCode::bad_input, joined(impossible, "\n"));
  Planner planner(scenario, nodes, cannot);
  std::size_t number = 0;
  for (const FaultSpec& spec : scenario.faults) {
    const std::string stream = text("fault ", ++number);
    if (auto added = planner.add(spec, Random(seed, stream)); !added) {
      return fail(added.error().code, text(stream, ": ", added.error().message));
    }
  }
  if (scenario.random) {
    if (auto added = planner.add_random(*scenario.random, Random(seed, "random")); !added) {
      return std::unexpected(added.error());
    }
  }
  return planner.finish();
}

Scenario fixed(const Scenario& scenario, const Schedule& schedule, std::uint64_t seed) {
  Scenario whole = scenario;
  whole.seed = seed;
  whole.random.reset();
  whole.faults.clear();
  const auto names = [](const std::vector<std::string>& nodes) {
    return Target{.kind = TargetKind::names, .names = nodes, .words = joined(nodes, ",")};
  };
  for (const Planned& planned : schedule.faults) {
    FaultSpec spec{.fault = planned.injection.fault, .at = planned.at};
    if (!planned.lookup && !planned.injection.nodes.empty()) {
      spec.fault.target = names(planned.injection.nodes);
    }
    whole.faults.push_back(std::move(spec));
  }
  return whole;
}

std::string text_of(const Planned& planned) {
  std::array<char, 32> time{};
  std::snprintf(time.data(), time.size(), "%7.1fs  ",
                static_cast<double>(planned.at.count()) / 1000);
  std::string line = time.data() + text_of(planned.injection);
  if (planned.lookup) {
    line += text(" ", planned.injection.fault.target.words, ", looked up when it is due");
  }
  return line;
}

}  // namespace shoal::chaos
