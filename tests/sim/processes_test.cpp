#include "sim/processes.hpp"

#include <doctest/doctest.h>

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kStart{1h};
const AttemptId kAttempt{{JobId{7}, 3}, 1};
constexpr ProcessOptions kSupervised{.supervised = true, .supervisors = 1};
constexpr ProcessOptions kContained{.supervised = false};

task::Launch launch(std::vector<std::string> argv) {
  return {kAttempt, {.argv = std::move(argv), .cpu_millis = 500, .memory_bytes = 1 << 20}};
}

Processes::Ending begin(Processes& processes, const task::Launch& what,
                        TimePoint lease_end = kNever) {
  Random random(1);
  const auto ending = processes.launch(kStart, {}, what, lease_end, random);
  REQUIRE(ending);
  return *ending;
}

// Its events until it has ended; when that was.
TimePoint run_out(Processes& processes, Processes::Ending ending) {
  for (;;) {
    const TimePoint at = ending.at;
    const Processes::Due happens = processes.due(at, ending, {});
    if (happens.ended) return at;
    REQUIRE(happens.again);
    ending = *happens.again;
  }
}

EndReason reason(Processes& processes) {
  const auto ended = processes.take_ended(kAttempt);
  REQUIRE(ended);
  return ended->result.reason;
}

}  // namespace

TEST_CASE("processes: sleep runs as long as it says and leaves its resources") {
  Processes processes(kContained);
  const auto ending = begin(processes, launch({"sleep", "0.5"}));
  CHECK(ending.at == kStart + 500ms);
  CHECK(processes.cpu_millis() == 500);
  CHECK(processes.due(ending.at, ending, {}).ended);
  CHECK(processes.take_ended(kAttempt)->result.good());
  CHECK(processes.cpu_millis() == 0);
  CHECK_FALSE(processes.due(ending.at, ending, {}).ended);  // Once only.
  CHECK_FALSE(processes.take_ended(kAttempt));
}

TEST_CASE("processes: a command's words say how it ends") {
  const auto result = [](std::vector<std::string> argv) {
    Processes processes({});
    run_out(processes, begin(processes, launch(std::move(argv))));
    return processes.take_ended(kAttempt)->result;
  };
  CHECK(result({"true"}).good());
  CHECK(result({"false"}).exit_status == 1);
  CHECK(result({"exit", "9"}).exit_status == 9);
  CHECK(result({"flaky", "2"}).exit_status == 1);  // This is attempt 1.
  CHECK(result({"missing"}).reason == EndReason::not_found);
}

TEST_CASE("processes: a kill makes the natural end void") {
  Processes processes({});
  const auto natural = begin(processes, launch({"sleep", "10"}));
  const auto killed = processes.kill(kStart + 1s, {kAttempt, EndReason::cancelled});
  REQUIRE(killed);
  CHECK_FALSE(processes.due(natural.at, natural, {}).ended);
  CHECK(processes.due(killed->at, *killed, {}).ended);
  CHECK(reason(processes) == EndReason::cancelled);
}

TEST_CASE("processes: SIGTERM is enough for most, a stubborn one lives as long as the grace") {
  Processes processes({});
  begin(processes, launch({"stubborn", "10"}));
  const auto polite = processes.kill(kStart, {kAttempt, EndReason::cancelled, 2000ms});
  REQUIRE(polite);
  CHECK(polite->at > kStart + 2s);
  const auto at_once = processes.kill(kStart + 1s, {kAttempt, EndReason::node_stopped});
  REQUIRE(at_once);
  CHECK(run_out(processes, *at_once) < kStart + 1100ms);
  CHECK(reason(processes) == EndReason::node_stopped);
}

TEST_CASE("processes: a suspended host's processes go on with what was left") {
  Processes processes({});
  const auto natural = begin(processes, launch({"sleep", "10"}));
  processes.freeze(kStart + 4s);
  CHECK_FALSE(processes.due(natural.at, natural, {}).ended);
  processes.resume_supervisors(kStart + 100s);
  const auto endings = processes.thaw(kStart + 100s);
  REQUIRE(endings.size() == 1);
  CHECK(endings[0].at == kStart + 106s);
}

TEST_CASE("processes: a timeout ends the process when it passes") {
  Processes processes({});
  task::Launch limited = launch({"sleep", "10"});
  limited.spec.timeout = 2s;
  CHECK(run_out(processes, begin(processes, limited)) == kStart + 2s);
  CHECK(reason(processes) == EndReason::timed_out);
}

TEST_CASE("processes: a supervisor kills at the end of the lease, and no earlier") {
  Processes processes(kSupervised);
  task::Launch leased = launch({"sleep", "60"});
  leased.lease_end = TimePoint(5s);  // By the host's clock.
  const auto ending = begin(processes, leased, kStart + 5s);
  processes.extend({kAttempt, TimePoint(9s)}, kStart + 9s);
  processes.extend({kAttempt, TimePoint(8s)}, kStart + 8s);  // Leases only grow.
  const TimePoint ended = run_out(processes, ending);
  CHECK(ended >= kStart + 9s);
  CHECK(ended < kStart + 9100ms);
  CHECK(reason(processes) == EndReason::node_stopped);
}

TEST_CASE("processes: what is launched after its lease is over never starts") {
  Processes processes(kSupervised);
  Random random(1);
  CHECK_FALSE(processes.launch(kStart, {}, launch({"true"}), kStart - 1ms, random));
  CHECK(processes.running().empty());
  CHECK(reason(processes) == EndReason::node_stopped);
}

TEST_CASE("processes: a lease that ended during a suspension is enforced before tasks run again") {
  Processes processes(kSupervised);
  begin(processes, launch({"sleep", "60"}), kStart + 5s);
  processes.freeze(kStart + 1s);
  const auto endings = processes.resume_supervisors(kStart + 20s);
  REQUIRE(endings.size() == 1);
  CHECK(endings[0].at < kStart + 20s + 200ms);
  CHECK(run_out(processes, {kAttempt, endings[0].token, kStart + 20s}) < kStart + 20s + 200ms);
  CHECK(processes.thaw(kStart + 20s + 200ms).empty());
}

TEST_CASE("processes: a restarted node is told what runs, and again of ends it did not settle") {
  Processes processes(kSupervised);
  const auto ending = begin(processes, launch({"sleep", "10"}), kStart + 30s);
  CHECK(processes.orphan(kStart + 1s).empty());
  REQUIRE(processes.held_by(0, kStart + 2s) == std::vector{kAttempt});
  const auto first = processes.report(kAttempt);
  REQUIRE(std::holds_alternative<task::RecoveredAttempt>(first));
  CHECK(std::get<task::RecoveredAttempt>(first).cpu_millis == 500);

  processes.orphan(kStart + 3s);
  CHECK(run_out(processes, ending) == kStart + 10s);
  CHECK_FALSE(processes.take_ended(kAttempt));  // Nobody is there to be told.
  for (int node = 0; node < 2; ++node) {
    REQUIRE(processes.held_by(0, kStart + 11s) == std::vector{kAttempt});
    const auto again = processes.report(kAttempt);
    REQUIRE(std::holds_alternative<task::ProcessEnded>(again));
    CHECK(std::get<task::ProcessEnded>(again).result.good());
    processes.orphan(kStart + 12s);
  }
  processes.settle(kAttempt);
  CHECK(processes.held_by(0, kStart + 13s).empty());
}

TEST_CASE("processes: a supervisor without node and tasks leaves after a minute") {
  Processes processes(kSupervised);
  const auto ending = begin(processes, launch({"sleep", "10"}));
  processes.orphan(kStart);
  run_out(processes, ending);
  CHECK(processes.held_by(0, kStart + 69s).size() == 1);
  CHECK(processes.held_by(0, kStart + 71s).empty());
  CHECK(processes.kept_count() == 0);
}

TEST_CASE("processes: without supervisors they die with their node, and the power ends all") {
  Processes contained(kContained);
  begin(contained, launch({"sleep", "10"}));
  CHECK(contained.orphan(kStart + 1s) == std::vector{kAttempt});
  CHECK(contained.running().empty());
  Processes processes(kSupervised);
  begin(processes, launch({"sleep", "10"}));
  CHECK(processes.clear() == std::vector{kAttempt});
  CHECK(processes.held_by(0, kStart + 1s).empty());
}

}  // namespace shoal::sim
