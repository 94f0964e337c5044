#include "tools/chaos/schedule.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

namespace shoal::chaos {
namespace {

constexpr const char* kMixed = R"(chaos = 1
duration = "120s"
warmup = "5s"
[[fault]]
at = "10s"
what = "kill"
target = "any:2"
for = "5s"
repeat = "every 20s"
times = 3
[[fault]]
at = "60s"
what = "restart"
target = "all"
rolling = "3s"
[random]
every = "2s~6s"
for = "1s~9s"
at_once = 2
[[random.fault]]
weight = 2
what = "pause"
target = "any"
[[random.fault]]
what = "join"
)";

const std::vector<std::string> kNodes{"n1", "n2", "n3", "n4", "n5"};

std::optional<std::string> anything(const Fault&) { return std::nullopt; }

Scenario mixed() {
  auto scenario = parse_scenario(kMixed, "mixed.toml");
  REQUIRE(scenario);
  return *std::move(scenario);
}

std::string lines_of(const Schedule& schedule) {
  std::string lines;
  for (const Planned& each : schedule.faults) lines += text_of(each) + "\n";
  return lines;
}

std::string planned(std::uint64_t seed) {
  const auto schedule = plan_schedule(mixed(), seed, kNodes, anything);
  REQUIRE(schedule);
  return lines_of(*schedule);
}

TEST_CASE("schedule: the same seed plans the same, others plan otherwise") {
  std::set<std::string> different;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    CHECK(planned(seed) == planned(seed));
    different.insert(planned(seed));
  }
  CHECK(different.size() == 10);
}

TEST_CASE("schedule: a fault more does not change what the others draw") {
  Scenario scenario = mixed();
  const std::string first = lines_of(*plan_schedule(scenario, 3, kNodes, anything));
  scenario.random.reset();
  const auto without = plan_schedule(scenario, 3, kNodes, anything);
  for (const Planned& each : without->faults) {
    CAPTURE(text_of(each));
    CHECK(first.find(text_of(each)) != std::string::npos);
  }
}

TEST_CASE("schedule: faults repeat, roll, and end with the duration") {
  Scenario scenario = mixed();
  scenario.random.reset();
  const auto schedule = plan_schedule(scenario, 1, kNodes, anything);
  REQUIRE(schedule);
  std::vector<std::int64_t> kills;
  std::vector<std::string> rolled;
  for (const Planned& each : schedule->faults) {
    CHECK(each.until <= scenario.duration);
    if (each.injection.fault.kind == FaultKind::kill) kills.push_back(each.at / Ms(1000));
    if (each.injection.fault.kind == FaultKind::restart) {
      REQUIRE(each.injection.nodes.size() == 1);
      rolled.push_back(each.injection.nodes[0]);
    }
  }
  CHECK(kills == std::vector<std::int64_t>{10, 30, 50});
  CHECK(rolled == kNodes);
}

TEST_CASE("schedule: at most so many random faults at once") {
  Scenario scenario = mixed();
  scenario.faults.clear();
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const auto schedule = plan_schedule(scenario, seed, kNodes, anything);
    REQUIRE(schedule);
    for (const Planned& each : schedule->faults) {
      const auto active = std::ranges::count_if(schedule->faults, [&each](const Planned& other) {
        return other.at <= each.at && each.at < other.until;
      });
      CHECK(active <= 2);
    }
  }
}

TEST_CASE(
    "schedule: what the back end cannot do is refused with the reason, or left out if drawn") {
  const auto no_pause = [](const Fault& fault) -> std::optional<std::string> {
    if (fault.kind == FaultKind::pause || fault.kind == FaultKind::kill) return "for no reason";
    return std::nullopt;
  };
  Scenario scenario = mixed();
  const auto refused = plan_schedule(scenario, 1, kNodes, no_pause);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message == "'kill' is not possible: for no reason");
  scenario.faults.clear();
  const auto left_out = plan_schedule(scenario, 1, kNodes, no_pause);
  REQUIRE(left_out);
  CHECK(left_out->notes.size() == 1);
  for (const Planned& each : left_out->faults) {
    CHECK(each.injection.fault.kind == FaultKind::join);
  }
}

TEST_CASE("schedule: what was drawn, written out, plans the same for every seed") {
  const Scenario scenario = mixed();
  const auto drawn = plan_schedule(scenario, 5, kNodes, anything);
  REQUIRE(drawn);
  const auto replay = parse_scenario(toml_of(fixed(scenario, *drawn, 5)), "replay.toml");
  if (!replay) FAIL(replay.error().message);
  const auto again = plan_schedule(*replay, 99, kNodes, anything);
  REQUIRE(again);
  CHECK(lines_of(*again) == lines_of(*drawn));
}

}  // namespace
}  // namespace shoal::chaos
