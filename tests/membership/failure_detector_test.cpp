#include "membership/failure_detector.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>

namespace shoal::membership {

using namespace std::chrono_literals;
using Kind = FailureDetector::Step::Kind;
using Steps = std::vector<FailureDetector::Step>;

namespace {

NodeId node(std::uint64_t number) { return {.high = 0, .low = number}; }

struct Bench {
  explicit Bench(std::uint64_t members) : detector(config, now, random) {
    for (std::uint64_t i = 1; i <= members; ++i) detector.add(node(i), random);
  }
  // Goes to the next deadline and returns what is to be done there.
  Steps next() {
    now = detector.wake_at();
    return detector.on_time(now, random);
  }
  std::size_t count(const Steps& steps, Kind kind) const {
    return static_cast<std::size_t>(std::ranges::count(steps, kind, &FailureDetector::Step::kind));
  }
  MembershipConfig config;
  TimePoint now{1h};
  Random random{1};
  FailureDetector detector;
};

}  // namespace

TEST_CASE("failure detector: every member is probed once in each round of the list") {
  Bench bench(20);
  for (int round = 0; round < 3; ++round) {
    std::map<NodeId, int> probed;
    for (int i = 0; i < 20; ++i) {
      const Steps steps = bench.next();
      REQUIRE(steps.size() == 1);
      ++probed[steps[0].target];
      bench.detector.on_ack(bench.now, steps[0].target, steps[0].sequence);
    }
    CHECK(probed.size() == 20);
  }
}

TEST_CASE("failure detector: without an ack it asks others, then a stream, then it has failed") {
  Bench bench(10);
  const Steps ping = bench.next();
  REQUIRE(ping.size() == 1);
  CHECK(ping[0].kind == Kind::ping);
  const TimePoint sent = bench.now;

  const Steps others = bench.next();
  CHECK(bench.now == sent + 500ms);
  CHECK(bench.count(others, Kind::indirect_ping) == 3);
  CHECK(bench.count(others, Kind::ping_by_stream) == 1);
  for (const auto& step : others) {
    CHECK(step.target == ping[0].target);
    if (step.kind == Kind::indirect_ping) CHECK(step.to != step.target);
  }
  const Steps end = bench.next();
  CHECK(bench.now == sent + 1s);
  CHECK(bench.count(end, Kind::failed) == 1);
}

TEST_CASE(
    "failure detector: an ack through a relay saves the probe, one from a stranger does not") {
  for (const bool stranger : {false, true}) {
    Bench bench(10);
    const Steps ping = bench.next();
    const Steps others = bench.next();
    bench.detector.on_ack(bench.now, stranger ? node(99) : others[0].to, ping[0].sequence);
    CHECK(bench.count(bench.next(), Kind::failed) == (stranger ? 1 : 0));
  }
}

TEST_CASE("failure detector: nacks spare local health, missing ones hurt it, acks heal it") {
  Bench bench(10);
  bench.next();
  for (const auto& step : bench.next()) bench.detector.on_nack(step.to, step.sequence);
  bench.next();
  CHECK(bench.detector.health() == 0);

  bench.next();  // The probe begun at the end of the last: its relays stay silent.
  const Steps end = bench.next();
  CHECK(bench.detector.health() == 3);
  // The next round was planned before; the one after it is stretched by local health.
  const auto next = std::ranges::find(end, Kind::ping, &FailureDetector::Step::kind);
  REQUIRE(next != end.end());
  bench.detector.on_ack(bench.now, next->target, next->sequence);
  CHECK(bench.detector.health() == 2);
  CHECK(bench.detector.wake_at() - bench.now == 4s);
}

TEST_CASE("failure detector: local health stays between zero and its bound") {
  Bench bench(10);
  for (int i = 0; i < 20; ++i) bench.detector.on_accused();
  CHECK(bench.detector.health() == bench.config.local_health_max);
  CHECK(bench.detector.degraded());
}

TEST_CASE("failure detector: who fails to reach most others originates few accusations") {
  Bench bench(10);
  int allowed = 0;
  for (int i = 0; i < 100; ++i) allowed += bench.detector.may_accuse() ? 1 : 0;
  CHECK(allowed >= 20);  // Not none: a node cut off from most must find out in the end.
  CHECK(allowed <= 26);
  CHECK(bench.detector.degraded());
}

TEST_CASE("failure detector: an urgent probe tries all ways and ends after one timeout") {
  Bench bench(10);
  const TimePoint asked = bench.now;
  const Steps steps = bench.detector.probe(asked, node(1), true, bench.random);
  CHECK(bench.count(steps, Kind::ping) == 1);
  CHECK(bench.count(steps, Kind::indirect_ping) == 3);
  // One at a time for each member: a stream that keeps breaking causes no storm.
  CHECK(bench.detector.probe(asked, node(1), true, bench.random).empty());
  Steps end;
  while (bench.count(end, Kind::failed) == 0) end = bench.next();
  CHECK(bench.now == asked + 500ms);
}

TEST_CASE("failure detector: a relay passes on the ack, or says in time that there is none") {
  for (const bool answers : {true, false}) {
    Bench bench(10);
    const auto ping =
        bench.detector.on_indirect_ping(bench.now, node(1), node(2), 42, /*reachable=*/true);
    CHECK(ping.kind == Kind::ping);
    CHECK(ping.to == node(2));
    if (answers) {
      const auto step = bench.detector.on_ack(bench.now, node(2), ping.sequence);
      REQUIRE(step);
      CHECK(step->kind == Kind::ack);
      CHECK(step->to == node(1));
      CHECK(step->sequence == 42);
      continue;
    }
    const TimePoint asked = bench.now;
    Steps steps;
    while (bench.count(steps, Kind::nack) == 0) steps = bench.next();
    CHECK(bench.now - asked < bench.config.probe_interval - bench.config.probe_timeout);
  }
}

TEST_CASE("failure detector: relays are bounded, and whom it cannot reach it says at once") {
  Bench bench(10);
  CHECK(bench.detector.on_indirect_ping(bench.now, node(1), node(2), 1, false).kind == Kind::nack);
  for (std::uint32_t i = 0; i < bench.config.relays_max; ++i) {
    CHECK(bench.detector.on_indirect_ping(bench.now, node(1), node(2), i, true).kind == Kind::ping);
  }
  CHECK(bench.detector.on_indirect_ping(bench.now, node(1), node(2), 1, true).kind == Kind::nack);
}

TEST_CASE("failure detector: in a small cluster the only candidates are found") {
  Bench bench(3);
  for (int i = 0; i < 20; ++i) {
    CHECK(bench.detector.pick(3, node(1), bench.random).size() == 2);
    CHECK(bench.detector.pick(3, NodeId{}, bench.random).size() == 3);
  }
}

}  // namespace shoal::membership
