// Switched-off rules must be noticed: each scenario breaks the world or a node in one way, and the
// checker that guards that promise must fail.
#include <doctest/doctest.h>

#include "sim/scenario.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

bool violated(const Scenario& scenario, std::string_view words) {
  return scenario.verdict().find(words) != std::string::npos;
}

WorkloadOptions processes_only(std::uint32_t tasks) {
  return {.tasks = tasks, .noops = false, .sleeps = false};
}

}  // namespace

TEST_CASE("mutations: disks that forget what they synced lose acknowledged tasks") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  for (NodeIndex index = 0; index < 3; ++index) {
    three.world().disk(index).options().forgetful = true;
  }
  three.add_workload({.tasks = 100});
  three.monitor().set_faults(true);
  three.world().run_for(2s);
  for (NodeIndex index = 0; index < 3; ++index) three.world().crash(index);
  for (NodeIndex index = 0; index < 3; ++index) three.world().start(index);
  three.settle(1min);
  CHECK(violated(three, "no owner holds it"));
}

TEST_CASE("mutations: a node that has less than it says is caught by its processes") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  for (NodeIndex index = 0; index < 3; ++index) {
    three.world().set_capacity(index, {.cpu_millis = 1500});
  }
  three.add_workload(processes_only(300));
  three.world().run_for(10s);
  CHECK(violated(three, "cpu millis; it has 1500"));
}

TEST_CASE("mutations: processes that ignore kills overlap with the next attempt") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  // The node that is cut off goes on with what it was granted, beyond any lease.
  three.world().process_options(2).deaf = true;
  three.world().process_options(2).duration_mean = 120s;
  three.add_workload(processes_only(400));
  three.monitor().set_faults(true);
  three.world().run_for(1s);
  three.world().network().split({0, 0, 1});
  three.world().run_for(30s);
  three.world().network().heal();
  three.world().run_for(30s);
  CHECK(violated(three, "overlaps"));
}

TEST_CASE("mutations: without pulls a node idles beside work that fits it") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  three.world().set_filter([](NodeIndex, const node::Envelope& envelope) {
    return std::holds_alternative<wire::Pull>(envelope.message);
  });
  three.world().run_for(10s);
  WorkloadOptions options = processes_only(400);
  options.single_percent = 100;
  options.jobs_at_once = 400;
  options.pause_max = 10ms;
  for (NodeIndex index = 0; index < 3; ++index) {
    three.world().process_options(index).duration_mean = (index == 0 ? 20s : Duration(100ms));
  }
  three.add_workload(options);
  three.world().run_for(60s);
  CHECK(violated(three, "idles beside"));
}

TEST_CASE("mutations: a cut that stays keeps views apart") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  three.world().network().split({0, 0, 1});
  three.world().run_for(60s);
  CHECK(three.monitor().disagreement());
}

}  // namespace shoal::sim
