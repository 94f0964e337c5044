#include "sim/fault_atlas.hpp"

#include <doctest/doctest.h>

#include "sim/scenario.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

constexpr ShardId kShard{3};

}  // namespace

TEST_CASE("atlas: before the cluster is founded nothing may be lost") {
  Scenario three({.nodes = 3});
  CHECK_FALSE(FaultAtlas(three.world()).may_lose(0));
}

TEST_CASE("atlas: one store of three may go, a second may not") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  CHECK(FaultAtlas(three.world()).may_lose(1));
  three.world().crash_host(1);
  three.world().replace_store(1);
  CHECK_FALSE(FaultAtlas(three.world()).may_lose(0));
  CHECK_FALSE(FaultAtlas(three.world()).may_damage(0, kShard));
  CHECK(FaultAtlas(three.world()).may_lose(1));  // It holds nothing.
}

TEST_CASE("atlas: the only copy is never touched") {
  Scenario one({.nodes = 1});
  REQUIRE(one.found());
  CHECK_FALSE(FaultAtlas(one.world()).may_lose(0));
  CHECK_FALSE(FaultAtlas(one.world()).may_damage(0, kShard));
}

TEST_CASE("atlas: a damaged record spoils its shard on that host until it is written again") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  three.submit({.spec = {.argv = {"true"}}, .count = 200});
  REQUIRE(three.await_workload(60s));
  const auto place = three.world().disk(1).record_after({kShard, {}});
  REQUIRE(place);
  three.world().damage(1, *place);
  CHECK_FALSE(FaultAtlas(three.world()).may_damage(0, place->first));
  CHECK(FaultAtlas(three.world()).may_damage(1, place->first));  // It is spoilt already.
  CHECK_FALSE(FaultAtlas(three.world()).may_lose(0));
  // At its next start the node finds it out, and the owner writes the record again.
  three.world().crash(1);
  three.world().start(1);
  three.monitor().set_faults(true);
  CHECK(
      three.world().run_until([&] { return three.world().disk(1).image().damaged.empty(); }, 60s));
  CHECK(FaultAtlas(three.world()).may_lose(0));
}

TEST_CASE("atlas: two of three suffice, one does not") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  CHECK(FaultAtlas(three.world()).suffice({0, 2}));
  CHECK_FALSE(FaultAtlas(three.world()).suffice({0}));
}

}  // namespace shoal::sim
