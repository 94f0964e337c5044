// Supervisors in the world: what survives which kind of end, and that leases end whoever runs.
#include <doctest/doctest.h>

#include <algorithm>

#include "sim/scenario.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

constexpr ClusterOptions kOne{
    .nodes = 1, .world = {.processes = {.supervised = true, .report_late_percent = 0}}};

// A cluster of one that runs four processes for `duration`.
void begin_four(Scenario& one, std::string_view duration) {
  REQUIRE(one.found());
  one.monitor().set_faults(true);
  one.submit({.spec = {.argv = {"sleep", std::string(duration)}, .cpu_millis = 1000}, .count = 4});
  REQUIRE(
      one.world().run_until([&] { return one.world().processes(0).running().size() == 4; }, 5s));
}

}  // namespace

TEST_CASE("supervision: processes outlive kill -9 of their node, and the next one hears of them") {
  Scenario one(kOne);
  begin_four(one, "3s");
  one.world().crash(0);
  CHECK(one.world().processes(0).running().size() == 4);
  one.world().run_for(500ms);
  one.world().start(0);
  one.world().run_for(50ms);
  CHECK(one.world().figures().recovered == 4);
  CHECK(one.world().processes(0).running().size() == 4);
}

TEST_CASE("supervision: processes end by themselves while no node is there, and that is kept") {
  Scenario one(kOne);
  begin_four(one, "2s");
  one.world().crash(0);
  one.world().run_for(10s);
  CHECK(one.world().processes(0).running().empty());
  CHECK(one.world().processes(0).kept_count() == 4);
  one.world().start(0);
  one.world().run_for(50ms);
  CHECK(one.world().figures().recovered == 0);
}

TEST_CASE("supervision: leases end while the node is down, paused or slow") {
  for (const int way : {0, 1, 2}) {
    CAPTURE(way);
    Scenario one(kOne);
    begin_four(one, "100s");
    if (way == 0) one.world().crash(0);
    if (way == 1) one.world().pause(0);
    if (way == 2) one.world().slow_down(0, 5000);
    one.world().run_for(3s);
    CHECK(one.world().processes(0).running().size() == 4);
    one.world().run_for(3s);
    CHECK(one.world().processes(0).running().empty());
  }
}

TEST_CASE("supervision: a suspended host runs nothing, and nothing that is over when it goes on") {
  Scenario one(kOne);
  begin_four(one, "100s");
  one.world().suspend(0);
  one.world().run_for(20s);
  CHECK(one.world().processes(0).running().size() == 4);
  one.world().resume(0);
  one.world().run_for(199ms);
  const std::vector<AttemptId> runs = one.world().processes(0).running();
  CHECK(std::ranges::none_of(runs, [](const AttemptId& attempt) { return attempt.number == 1; }));
}

TEST_CASE("supervision: a loss of power ends all, and the host's clock starts anew") {
  Scenario one(kOne);
  begin_four(one, "100s");
  one.world().run_for(100s);
  one.world().crash_host(0);
  CHECK(one.world().processes(0).running().empty());
  CHECK(one.world().processes(0).kept_count() == 0);
  one.world().start(0);
  CHECK(one.await_serving(5s));
}

TEST_CASE("supervision: the seed decides when and in how many pieces a node hears of its past") {
  std::size_t late = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    ClusterOptions options = kOne;
    options.seed = seed;
    options.world.processes.report_late_percent = 50;
    Scenario one(options);
    begin_four(one, "100s");
    one.world().crash(0);
    one.world().start(0);
    one.world().run_for(10ms);
    if (one.world().figures().recovered < 4) ++late;
    one.world().run_for(3s);
    CHECK(one.world().figures().recovered == 4);
  }
  CHECK(late > 5);
  CHECK(late < 20);
}

}  // namespace shoal::sim
