// Clusters under work: short scenarios named by topology and fault, and random runs by seed.
#include <doctest/doctest.h>

#include "sim/scenario.hpp"

namespace shoal::sim {

using namespace std::chrono_literals;

TEST_CASE("cluster: one node founds alone and runs 300 tasks") {
  Scenario one({.nodes = 1});
  REQUIRE(one.found());
  one.add_workload({.tasks = 300});
  CHECK(one.await_workload(5min));
  one.settle();
  CHECK(one.verdict() == "");
}

TEST_CASE("cluster: three nodes found each other and run 1,000 tasks") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  three.add_workload({.tasks = 1000});
  CHECK(three.await_workload(5min));
  three.settle();
  CHECK(three.verdict() == "");
  CHECK(three.monitor().outcomes().acknowledged_count() >= 900);
  CHECK(three.world().figures().grants > 0);
}

TEST_CASE("cluster: three founders, two that join later pull work too") {
  Scenario five({.nodes = 5, .founders = 3});
  REQUIRE(five.found());
  five.add_workload({.tasks = 600, .noops = false, .sleeps = false});
  CHECK(five.await_workload(5min));
  CHECK(five.world().figures().grants > 0);
  five.settle();
  CHECK(five.world().disk(4).record_count() > 0);  // Its share of the homes has come to it.
  CHECK(five.verdict() == "");
}

TEST_CASE("cluster: five nodes, a crash and restart of one, every acknowledged task ends") {
  Scenario five({.nodes = 5});
  REQUIRE(five.found());
  five.add_workload({.tasks = 800, .sleeps = false});
  five.monitor().set_faults(true);
  five.world().run_for(1s);
  five.world().crash(3);
  five.world().run_for(8s);
  five.world().start(3);
  five.settle();
  CHECK(five.verdict() == "");
}

TEST_CASE(
    "cluster: five nodes, one of them home to nothing dies for good, its attempts go elsewhere") {
  Scenario five({.nodes = 5, .founders = 3});
  REQUIRE(five.found());
  five.add_workload({.tasks = 400, .cpu_millis_max = 2000, .noops = false, .sleeps = false});
  five.monitor().set_faults(true);
  five.world().run_for(1s);
  five.world().crash(4);
  CHECK(five.await_workload(3min));
  five.settle();
  CHECK(five.verdict() == "");
}

TEST_CASE("cluster: three nodes, all crash at once, nothing acknowledged is lost") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  three.add_workload({.tasks = 500});
  three.monitor().set_faults(true);
  for (int round = 0; round < 3; ++round) {
    three.world().run_for(700ms);
    for (NodeIndex index = 0; index < 3; ++index) three.world().crash(index);
    three.world().run_for(100ms);
    for (NodeIndex index = 0; index < 3; ++index) three.world().start(index);
  }
  three.settle();
  CHECK(three.verdict() == "");
}

TEST_CASE("cluster: three nodes, one is stopped by SIGTERM and gives back what it ran") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  three.add_workload({.tasks = 300, .failing_percent = 0, .noops = false});
  three.monitor().set_faults(true);
  three.world().run_for(1s);
  three.world().stop(2);
  CHECK(three.world().run_until([&] { return !three.world().up(2); }, 30s));
  three.world().start(2);
  three.settle();
  CHECK(three.verdict() == "");
}

TEST_CASE("cluster: three nodes, a host suspended beyond its leases, attempts do not overlap") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  three.add_workload({.tasks = 300, .cpu_millis_max = 2000, .noops = false, .sleeps = false});
  three.monitor().set_faults(true);
  three.world().run_for(1s);
  three.world().suspend(1);
  three.world().run_for(20s);
  three.world().resume(1);
  three.settle();
  CHECK(three.verdict() == "");
}

TEST_CASE("cluster: random runs under every kind of fault keep every promise") {
  for (const char* faults : {"net", "crash", "disk", "all"}) {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      CAPTURE(faults);
      CAPTURE(seed);
      const auto report =
          run({.nodes = 5, .tasks = 400, .seed = seed, .faults = faults, .duration = 40s});
      REQUIRE(report);
      std::string violations;
      for (const Violation& each : report->violations) violations += each.text + "\n";
      CHECK(violations == "");
    }
  }
}

}  // namespace shoal::sim
