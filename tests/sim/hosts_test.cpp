// What befalls hosts: each mishap does what it says, and no more.
#include <doctest/doctest.h>

#include "sim/scenario.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

JobPlan tasks(std::uint32_t count) { return {.spec = {.argv = {"true"}}, .count = count}; }

}  // namespace

TEST_CASE("hosts: a crash after the sync keeps what nobody was told of, one before may lose it") {
  for (const SyncMoment moment : {SyncMoment::before_durable, SyncMoment::after_durable}) {
    std::size_t kept = 0;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      Scenario one({.nodes = 1, .seed = seed});
      REQUIRE(one.found());
      one.world().run_for(2s);
      bool crashed = false;
      const std::size_t before = one.world().disk(0).record_count();
      one.world().crash_at_sync(0, moment, [&] { crashed = true; });
      const JobClient& job = one.submit(tasks(1));
      REQUIRE(one.world().run_until([&] { return crashed; }, 10s));
      CHECK_FALSE(one.world().up(0));
      CHECK(job.acknowledged() == 0);
      kept += one.world().disk(0).record_count() > before ? 1 : 0;
    }
    if (moment == SyncMoment::after_durable) CHECK(kept > 0);
    if (moment == SyncMoment::before_durable) CHECK(kept < 20);
  }
}

TEST_CASE("hosts: a stalled loop lets its last output wait and hears nothing meanwhile") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  three.monitor().set_faults(true);
  three.world().run_for(1s);
  three.world().stall_loop(1, 700ms);
  REQUIRE(three.world().run_until([&] { return three.world().paused(1); }, 2s));
  three.world().run_for(600ms);
  CHECK(three.world().paused(1));
  three.world().run_for(200ms);
  CHECK_FALSE(three.world().paused(1));
  three.settle();
  CHECK(three.verdict() == "");
}

TEST_CASE("hosts: a loop that stalls while it catches up keeps the order of its outputs") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  three.monitor().set_faults(true);
  three.world().run_for(1s);
  three.world().pause(1);
  for (int i = 0; i < 8; ++i) three.submit(tasks(3));
  three.world().run_for(300ms);
  three.world().stall_loop(1, 500ms);
  three.world().unpause(1);
  three.world().run_for(400ms);
  CHECK(three.world().paused(1));  // By the first output; what comes after it waits.
  CHECK_FALSE(three.world().disk(1).syncing());
  three.settle();
  CHECK(three.verdict() == "");
}

TEST_CASE("hosts: a paused node's processes go on, a suspended host's do not") {
  Scenario one({.nodes = 1});
  REQUIRE(one.found());
  one.monitor().set_faults(true);
  one.submit({.spec = {.argv = {"sleep", "2s"}}, .count = 1});
  REQUIRE(one.world().run_until([&] { return !one.world().processes(0).running().empty(); }, 5s));
  one.world().suspend(0);
  one.world().run_for(3s);
  CHECK(one.world().processes(0).running().size() == 1);
  one.world().resume(0);
  one.world().pause(0);
  one.world().run_for(3s);
  CHECK(one.world().processes(0).running().empty());
  one.settle();
  CHECK(one.verdict() == "");
}

TEST_CASE("hosts: a poisonous task takes its host down, and three of them are enough") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  three.monitor().set_faults(true);
  const JobClient& job = three.submit({.spec = {.argv = {"poison", "100ms"}}, .count = 1});
  CHECK(three.world().run_until([&] { return three.world().figures().crashes == 3; }, 3min));
  three.world().run_for(1min);
  CHECK(three.world().figures().crashes == 3);
  CHECK(job.finished());
  three.settle();
  CHECK(three.verdict() == "");
}

TEST_CASE("hosts: an empty data folder makes a new node, which joins") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  const NodeId before = three.world().id(2);
  three.monitor().set_faults(true);
  three.world().crash_host(2);
  three.world().replace_store(2);
  three.world().start(2);
  CHECK(three.world().id(2) != before);
  CHECK(three.await_serving(30s));
  CHECK(three.await_agreement(60s));
}

TEST_CASE("hosts: a wall clock set wrong is a host's own") {
  Scenario two({.nodes = 2});
  REQUIRE(two.found());
  two.world().set_wall_offset(1, 30min);
  two.submit(tasks(40));
  REQUIRE(two.await_workload(60s));
  two.settle();
  CHECK(two.verdict() == "");
  CHECK_FALSE(two.world().clocks_were_wrong());  // Ids are refused by clocks that are behind.
  two.world().set_wall_offset(1, -30min);
  CHECK(two.world().clocks_were_wrong());
}

TEST_CASE("hosts: a clock's rate may change under running leases") {
  Scenario one({.nodes = 1, .world = {.processes = {.supervised = true}}});
  REQUIRE(one.found());
  one.monitor().set_faults(true);
  one.submit({.spec = {.argv = {"sleep", "100s"}}, .count = 1});
  REQUIRE(one.world().run_until([&] { return !one.world().processes(0).running().empty(); }, 5s));
  const AttemptId attempt = one.world().processes(0).running().front();
  one.world().crash(0);
  one.world().set_clock_rate(0, 200'000);  // Its lease of 4.5 s ends sooner.
  one.world().run_for(3900ms);
  const auto running = one.world().processes(0).running();
  CHECK(std::ranges::find(running, attempt) == running.end());
}

TEST_CASE("hosts: a clone has the same id and is met at its own address") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  const NodeIndex copy = three.world().clone(1);
  CHECK(three.world().id(copy) == three.world().id(1));
  CHECK(three.world().config(copy).address != three.world().config(1).address);
  CHECK(three.world().disk(copy).image().shards.size() ==
        three.world().disk(1).image().shards.size());
}

TEST_CASE("hosts: no client goes to a node that is given up") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  three.world().abandon(0);
  CHECK_FALSE(three.world().connect(0, {}, {}));
  CHECK(three.monitor().observe().size() == 2);
}

}  // namespace shoal::sim
