// Nodes whose disks have little room left: no new tasks there, and nothing else suffers.
#include <doctest/doctest.h>

#include "sim/scenario.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

std::size_t owned_by(Scenario& cluster, NodeIndex node) {
  return cluster.world().node(node).inspect().owned.size();
}

JobPlan noops(std::uint32_t count) { return {.spec = {.kind = TaskKind::noop}, .count = count}; }

}  // namespace

TEST_CASE("disk low: an owner hands its shards over, and new tasks are taken all the same") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  const std::size_t before = owned_by(three, 0);
  REQUIRE(before > 0);
  three.monitor().set_faults(true);
  three.world().set_disk_low(0, true);
  REQUIRE(three.world().run_until([&] { return owned_by(three, 0) == 0; }, 5s));
  CHECK(three.await_serving(5s));
  // Rank 0 takes nothing back while it has no room.
  three.world().run_for(60s);
  CHECK(owned_by(three, 0) == 0);
  JobClient& job = three.submit(noops(300));
  CHECK(three.world().run_until([&] { return job.acknowledged() == 300; }, 10s));
  three.world().set_disk_low(0, false);
  CHECK(three.world().run_until([&] { return owned_by(three, 0) == before; }, 60s));
  three.settle();
  CHECK(three.verdict() == "");
}

TEST_CASE("disk low: where all are short of room new tasks are refused until one has it again") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  three.monitor().set_faults(true);
  JobClient& accepted = three.submit(noops(100));
  REQUIRE(three.world().run_until([&] { return accepted.acknowledged() == 100; }, 5s));
  for (NodeIndex node = 0; node < 3; ++node) three.world().set_disk_low(node, true);
  three.world().run_for(1s);
  JobClient& job = three.submit(noops(10));
  three.world().run_for(20s);
  CHECK(job.acknowledged() == 0);
  CHECK(job.retries() > 0);
  CHECK(three.await_serving(1s));
  three.world().set_disk_low(1, false);
  CHECK(three.world().run_until([&] { return job.acknowledged() == 10; }, 10s));
  for (const NodeIndex node : {0U, 2U}) three.world().set_disk_low(node, false);
  three.settle();
  CHECK(three.verdict() == "");
}

TEST_CASE("disk low: one node alone refuses new tasks and ends those it has") {
  Scenario one({.nodes = 1});
  REQUIRE(one.found());
  JobClient& accepted = one.submit({.spec = {.argv = {"sleep", "5s"}}, .count = 4});
  REQUIRE(one.world().run_until([&] { return accepted.acknowledged() == 4; }, 5s));
  one.world().run_for(1s);
  one.world().set_disk_low(0, true);
  JobClient& job = one.submit(noops(10));
  CHECK(one.world().run_until([&] { return accepted.finished(); }, 60s));
  CHECK(job.acknowledged() == 0);
  one.world().set_disk_low(0, false);
  one.settle();
  CHECK(one.verdict() == "");
}

}  // namespace shoal::sim
