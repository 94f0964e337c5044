// Ways in which plans like this one have failed, one short scenario each: the numbers are those of
// the list that the design was attacked with. More of them are told where their rules are tested.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "sim/scenario.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

JobPlan quick_tasks(std::uint32_t count) {
  return {.spec = {.argv = {"sleep", "50ms"}, .cpu_millis = 1000}, .count = count};
}

// Every shard has an owner among the nodes that are up.
bool all_owned(Scenario& cluster, std::uint32_t shards) {
  std::set<ShardId> owned;
  for (const Observation& node : cluster.monitor().observe()) {
    owned.insert(node.inspection.owned.begin(), node.inspection.owned.end());
  }
  return owned.size() == shards;
}

std::vector<std::vector<NodeId>> homes(Scenario& cluster, NodeIndex viewer, std::uint32_t shards) {
  std::vector<std::vector<NodeId>> all;
  const auto inspection = cluster.world().node(viewer).inspect();
  for (std::uint32_t shard = 0; shard < shards; ++shard) {
    const wire::ShardConfig* config = inspection.config(ShardId{shard});
    all.push_back(config == nullptr ? std::vector<NodeId>{} : config->home);
  }
  return all;
}

}  // namespace

TEST_CASE("hole 1: both sides of a split are handed one id, one submission has it") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    CAPTURE(seed);
    Scenario five({.nodes = 5, .seed = seed});
    REQUIRE(five.found());
    five.monitor().set_faults(true);
    five.world().network().split({0, 0, 0, 1, 1});
    five.world().run_for(5s);
    JobPlan one = quick_tasks(3);
    one.job = JobId::mint(std::chrono::floor<std::chrono::seconds>(five.world().wall()),
                          Retention::week, five.world().random().next());
    one.contested = true;
    JobPlan other = one;
    one.gateway = 0;
    one.nonce = {1, seed};
    other.gateway = 4;
    other.nonce = {2, seed};
    other.spec.argv = {"false"};
    five.submit(one);
    five.submit(other);
    five.world().run_for(5s);
    five.world().network().heal();
    five.settle();
    CHECK(five.verdict() == "");
  }
}

TEST_CASE("hole 2: every answer to a submission is late, its retries make one task each") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  three.monitor().set_faults(true);
  // For 5 s the owners' answers are lost: the gateway asks again, and so does the client.
  three.world().set_filter([](NodeIndex, const node::Envelope& envelope) {
    return std::holds_alternative<wire::OwnerReplies>(envelope.message);
  });
  for (NodeIndex gateway = 0; gateway < 3; ++gateway) {
    JobPlan plan = quick_tasks(40);
    plan.gateway = gateway;
    three.submit(std::move(plan));
  }
  three.world().run_for(5s);
  three.world().set_filter([](NodeIndex, const node::Envelope&) { return false; });
  three.settle();
  CHECK(three.verdict() == "");
  CHECK(three.monitor().attempts().count() == 120);
}

TEST_CASE("hole 4: backups that take over together do not duel, and yield to one") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    CAPTURE(seed);
    Scenario three({.nodes = 3, .seed = seed, .shard_count = 16});
    REQUIRE(three.found());
    three.monitor().set_faults(true);
    three.world().run_for(2s);
    const std::uint64_t before = three.world().figures().takeovers;
    const auto lost = three.world().node(0).inspect().owned.size();
    three.world().crash(0);
    CHECK(three.world().run_until([&] { return all_owned(three, 16); }, 3s));
    three.world().run_for(5s);
    // One ballot for each shard that lost its owner, and a few that met.
    CHECK(three.world().figures().takeovers - before <= 2 * lost);
    three.world().start(0);
    three.settle();
    CHECK(three.verdict() == "");
  }
}

TEST_CASE("hole 10c: the loss of a rack moves no home, its return needs no repair") {
  Scenario six({.nodes = 6, .shard_count = 16, .dead_after = 5s});
  REQUIRE(six.found());
  six.monitor().set_faults(true);
  six.world().run_for(5s);
  const auto before = homes(six, 0, 16);
  for (const NodeIndex node : {4U, 5U}) six.world().crash_host(node);
  six.world().run_for(120s);
  CHECK(homes(six, 0, 16) == before);
  for (const NodeIndex node : {4U, 5U}) six.world().start(node);
  six.settle();
  CHECK(six.verdict() == "");
}

TEST_CASE("hole 16: many nodes ask for the same tasks at once, each task is granted once") {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    CAPTURE(seed);
    Scenario twelve({.nodes = 12, .seed = seed, .founders = 3, .shard_count = 4});
    REQUIRE(twelve.found());
    twelve.submit(quick_tasks(400));
    CHECK(twelve.await_workload(30s));
    CHECK(twelve.monitor().attempts().count() == 400);
    twelve.settle();
    CHECK(twelve.verdict() == "");
  }
}

TEST_CASE("hole 17: an owner dies while nobody wants anything, its shards are owned again") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    CAPTURE(seed);
    Scenario five({.nodes = 5, .seed = seed, .shard_count = 16});
    REQUIRE(five.found());
    five.monitor().set_faults(true);
    five.world().run_for(30s);
    five.world().crash_host(seed % 5);
    CHECK(five.world().run_until([&] { return all_owned(five, 16); }, 6s));
    five.world().start(seed % 5);
    five.settle();
    CHECK(five.verdict() == "");
  }
}

TEST_CASE("hole 19: of two members one is away, the other serves what it keeps") {
  Scenario two({.nodes = 2, .founders = 1, .shard_count = 16});
  REQUIRE(two.found());
  two.monitor().set_faults(true);
  two.world().run_for(10s);
  const std::vector<ShardId> kept = two.world().node(0).inspect().owned;
  two.world().crash(1);
  two.world().run_for(30s);
  CHECK(two.world().node(0).inspect().owned == kept);  // R = 1: nobody's majority is gone.
  CHECK_FALSE(kept.empty());
  two.world().start(1);
  two.settle();
  CHECK(two.verdict() == "");
}

TEST_CASE("hole 21: two that founded apart and meet later stay two clusters, each with its tasks") {
  Scenario two({.nodes = 2, .founders = 1, .shard_count = 4});
  Simulator& world = two.world();
  two.monitor().set_faults(true);
  world.config_at_next_start(1).join = false;  // It is told to found, too.
  world.network().split({0, 1});
  two.monitor().begin();
  world.start(0);
  world.start(1);
  const auto founded = [&] { return world.node(0).serving() && world.node(1).serving(); };
  REQUIRE(world.run_until(founded, 30s));
  CHECK(world.node(0).cluster() != world.node(1).cluster());
  world.network().heal();
  world.crash(1);
  world.start(1);  // It asks its seed, which is of the other cluster.
  world.run_for(60s);
  REQUIRE(founded());
  CHECK(world.node(0).cluster() != world.node(1).cluster());
  for (const NodeIndex node : {0U, 1U}) {
    CHECK(two.alive_seen_by(node) == 1);
    CHECK(world.node(node).inspect().owned.size() == 4);
  }
  JobPlan plan = quick_tasks(20);
  plan.gateway = 0;
  two.submit(std::move(plan));
  CHECK(two.await_workload(30s));
  CHECK(world.node(1).inspect().tasks_run() == 0);
  CHECK(two.verdict() == "");
}

TEST_CASE("hole 23: an owner with as many records as it may have refuses, and loses nothing") {
  Scenario one({.nodes = 1});
  one.world().config_at_next_start(0).records_max = 100;
  REQUIRE(one.found());
  one.monitor().set_faults(true);
  one.submit(quick_tasks(200));
  REQUIRE(one.await_workload(60s));
  one.submit(quick_tasks(40));
  CHECK_FALSE(one.await_workload(20s));
  one.world().crash(0);
  one.world().config_at_next_start(0).records_max = 10'000;
  one.world().start(0);
  one.settle();
  CHECK(one.verdict() == "");
}

}  // namespace shoal::sim
