// One key, one store, one process (rule F2; holes 7, 7b, 7c): stores that are rolled back, copied
// or lost, and the restarts that must not be taken for such.
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <set>
#include <string>
#include <variant>

#include "shard/quorum.hpp"
#include "sim/scenario.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

bool votes_now(Scenario& cluster, NodeIndex node) {
  return cluster.world().up(node) && cluster.world().node(node).inspect().votes;
}

// How long after this start the node takes part in the shard protocol.
Duration time_to_vote(Scenario& cluster, NodeIndex node) {
  Simulator& world = cluster.world();
  const TimePoint started = world.now();
  world.start(node);
  CHECK(world.run_until([&] { return votes_now(cluster, node); }, 10s, 1ms));
  return world.now() - started;
}

bool ends_refused(Scenario& cluster, NodeIndex node, Duration deadline = 5s) {
  Simulator& world = cluster.world();
  return world.run_until([&] { return !world.up(node); }, deadline) && !world.refused(node).empty();
}

std::set<NodeIndex> refused(Scenario& cluster) {
  std::set<NodeIndex> nodes;
  for (NodeIndex node = 0; node < cluster.world().node_count(); ++node) {
    if (!cluster.world().refused(node).empty()) nodes.insert(node);
  }
  return nodes;
}

void write_on(Scenario& cluster, Duration time = 3s) {
  cluster.add_workload({.tasks = 1'000'000, .jobs_at_once = 4, .array_max = 20});
  cluster.world().run_for(time);
}

// Words of the shard protocol that a node said to others, counted from now on.
struct Votes {
  Votes(Scenario& cluster, NodeIndex node) {
    cluster.world().set_filter([this, node](NodeIndex from, const node::Envelope& envelope) {
      const auto& m = envelope.message;
      const bool vote =
          std::holds_alternative<wire::Promise>(m) || std::holds_alternative<wire::Ack>(m) ||
          std::holds_alternative<wire::Confirmed>(m) || std::holds_alternative<wire::Prepare>(m) ||
          std::holds_alternative<wire::WriteRecords>(m);
      const bool self = envelope.to == id;
      if (from == node && vote && !self) ++count;
      return false;
    });
    id = cluster.world().id(node);
  }
  NodeId id;
  std::uint32_t count = 0;
};

// A host with a copy of another one's disk, and so of its identity. REQUIRES: that one is down.
NodeIndex add_copy(Scenario& cluster, NodeIndex original) {
  Simulator& world = cluster.world();
  node::NodeConfig config = world.config(original);
  config.name = "copy";
  config.address = {};
  const NodeIndex copy = world.add_node(std::move(config), {1, 2});
  world.disk(copy) = world.disk(original);
  return copy;
}

}  // namespace

TEST_CASE("identity: a restart with all peers up costs a few milliseconds") {
  for (const std::uint32_t nodes : {2U, 3U, 9U}) {
    Scenario cluster({.nodes = nodes});
    REQUIRE(cluster.found());
    write_on(cluster);
    Duration longest{};
    for (NodeIndex node = 0; node < nodes; ++node) {
      cluster.world().crash(node);
      longest = std::max(longest, time_to_vote(cluster, node));
      cluster.world().run_for(1s);
    }
    MESSAGE(nodes, " nodes: at most ", longest / 1ms, " ms from a start to the vote");
    CHECK(longest < 20ms);
    CHECK(refused(cluster).empty());
  }
}

TEST_CASE("identity: a lone node votes at once, and one whose peers are down nearly so") {
  Scenario one({.nodes = 1});
  REQUIRE(one.found());
  one.world().crash(0);
  CHECK(time_to_vote(one, 0) < 10ms);

  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  for (NodeIndex node = 0; node < 3; ++node) three.world().crash(node);
  CHECK(time_to_vote(three, 0) < 20ms);  // Their hosts are up and refuse the connection.
  three.world().crash(0);
  three.world().network().split({0, 1, 1});
  CHECK(time_to_vote(three, 0) < 600ms);  // Nobody answers at all.
}

TEST_CASE("identity: founding is not slower for it") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  CHECK(three.world().now() - TimePoint{} < 1500ms);
}

TEST_CASE("identity: quick restarts, late datagrams and moves raise no alarm") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  write_on(three, 1s);
  NetworkOptions slow;
  slow.late_delay = 5s;
  three.world().network().set_options(slow);
  three.world().network().links().begin(
      {}, {.duplicate_permille = 200, .reorder_permille = 300, .late_per_million = 20'000});
  three.monitor().set_faults(true);
  Random& random = three.world().random();
  for (std::uint8_t round = 0; round < 40; ++round) {
    const auto node = static_cast<NodeIndex>(round % 3);
    three.world().crash(node);
    if (round % 4 == 0) three.world().run_for(random.below(200ms));
    if (round % 5 == 0) three.world().move_to(node, ipv4(10, 1, round, 1, 7461));
    three.world().start(node);
    three.world().run_for(random.below(700ms));
    REQUIRE(refused(three).empty());
  }
  three.world().run_for(10s);
  CHECK(refused(three).empty());
  CHECK(three.await_serving(30s));
}

TEST_CASE("identity: suspicion, death and refutation raise no alarm") {
  Scenario five({.nodes = 5});
  REQUIRE(five.found());
  write_on(five, 1s);
  five.monitor().set_faults(true);
  five.world().suspend(1);
  five.world().run_for(60s);
  five.world().resume(1);
  five.world().run_for(5s);
  five.world().network().split({0, 0, 0, 1, 1});
  five.world().run_for(90s);
  five.world().network().heal();
  CHECK(five.await_agreement(2min));
  CHECK(refused(five).empty());
}

TEST_CASE("identity: a cluster that restarts as a whole serves again, in any order") {
  for (const Duration apart : {Duration(0s), Duration(300ms), Duration(3s)}) {
    Scenario five({.nodes = 5});
    REQUIRE(five.found());
    write_on(five);
    five.monitor().set_faults(true);
    for (NodeIndex node = 0; node < 5; ++node) five.world().crash(node);
    five.world().run_for(1s);
    for (const NodeIndex node : {3U, 1U, 4U, 0U, 2U}) {
      five.world().start(node);
      five.world().run_for(apart);
    }
    CHECK(five.await_serving(10s));
    CHECK(refused(five).empty());
  }
}

TEST_CASE("identity: a store that was rolled back never votes, and says what to do") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  write_on(three);
  three.world().crash(0);
  const Disk backup = three.world().disk(0);
  three.world().start(0);
  three.world().run_for(3s);
  three.world().crash(0);
  three.world().disk(0) = backup;
  Votes votes(three, 0);
  three.world().start(0);
  REQUIRE(ends_refused(three, 0, 1s));
  CHECK(votes.count == 0);
  CHECK(three.world().refused(0).find("--new-identity") != std::string::npos);
  // For good: nobody needs to be asked the next time.
  three.world().crash(1);
  three.world().crash(2);
  three.world().start(0);
  REQUIRE(ends_refused(three, 0, 1s));
  CHECK(votes.count == 0);
}

TEST_CASE("identity: a rolled-back store starts where nobody remembers, and is found out later") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  write_on(three);
  three.world().crash(0);
  const Disk backup = three.world().disk(0);
  three.world().start(0);
  three.world().run_for(3s);
  three.world().crash(0);
  three.world().disk(0) = backup;
  three.world().network().split({0, 1, 1});
  Votes votes(three, 0);
  // Its starts overtake the boot epoch that the others know.
  for (int start = 0; start < 5; ++start) {
    three.world().start(0);
    three.world().run_for(5s);
    if (start < 4) three.world().crash(0);
  }
  CHECK(refused(three).empty());
  three.world().network().heal();
  CHECK(ends_refused(three, 0, 2min));
  CHECK(votes.count == 0);
}

TEST_CASE("identity: what peers remember of a store outlasts their own restarts") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  write_on(three);
  // A snapshot of the running host: the start is the same, only the sequence tells.
  Disk backup = three.world().disk(0);
  backup.crash(three.world().random());
  three.world().run_for(4s);
  for (NodeIndex node = 0; node < 3; ++node) three.world().crash(node);
  three.world().disk(0) = backup;
  for (NodeIndex node = 0; node < 3; ++node) three.world().start(node);
  CHECK(ends_refused(three, 0, 2s));
  CHECK(refused(three) == std::set<NodeIndex>{0});
}

TEST_CASE("identity: a rollback is found out by each of the others alone") {
  for (const NodeIndex away : {1U, 2U}) {
    Scenario three({.nodes = 3});
    REQUIRE(three.found());
    write_on(three);
    three.world().crash(0);
    const Disk backup = three.world().disk(0);
    three.world().start(0);
    three.world().run_for(3s);
    three.world().crash(0);
    three.world().crash(away);
    three.world().disk(0) = backup;
    three.world().start(0);
    CHECK(ends_refused(three, 0, 1s));
  }
}

TEST_CASE("identity: two that start from copies of one disk both end") {
  for (const Duration apart : {Duration(0s), Duration(20ms), Duration(5s)}) {
    Scenario three({.nodes = 3});
    REQUIRE(three.found());
    write_on(three);
    three.monitor().set_faults(true);
    three.world().crash(0);
    const NodeIndex copy = add_copy(three, 0);
    three.world().start(0);
    three.world().run_for(apart);
    three.world().start(copy);
    CHECK(ends_refused(three, copy));
    CHECK(ends_refused(three, 0));
    CHECK(refused(three) == std::set<NodeIndex>{0, copy});
  }
}

TEST_CASE("identity: an old copy that is started ends, and so does the original") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  write_on(three);
  three.monitor().set_faults(true);
  three.world().crash(0);
  const NodeIndex copy = add_copy(three, 0);
  for (int start = 0; start < 3; ++start) {
    three.world().start(0);
    three.world().run_for(1s);
    if (start < 2) three.world().crash(0);
  }
  Votes votes(three, copy);
  three.world().start(copy);
  CHECK(ends_refused(three, copy));
  CHECK(ends_refused(three, 0));
  // The copy has not voted, so the original may go on when it is gone.
  three.world().start(0);
  three.world().run_for(5s);
  CHECK(three.world().refused(0).empty());
  CHECK(votes_now(three, 0));
  three.world().start(copy);
  CHECK(ends_refused(three, copy, 1s));
  CHECK(three.world().up(0));
}

TEST_CASE("identity: a copy that was started more often than the original ends both") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  three.world().run_for(3s);  // Nothing is written, so the two differ by their starts alone.
  three.monitor().set_faults(true);
  three.world().crash(0);
  const NodeIndex copy = add_copy(three, 0);
  three.world().network().split({0, 0, 0, 1});
  for (int start = 0; start < 4; ++start) {
    three.world().start(copy);
    three.world().run_for(1s);
    three.world().crash(copy);
  }
  three.world().network().heal();
  three.world().start(0);
  three.world().run_for(1s);
  three.world().start(copy);
  CHECK(ends_refused(three, 0));
  CHECK(ends_refused(three, copy));
}

TEST_CASE("identity: a lost disk under the old identity does not vote") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  write_on(three);
  three.world().crash(2);
  three.world().disk(2) = Disk({});
  Votes votes(three, 2);
  three.world().start(2);
  CHECK(ends_refused(three, 2));
  CHECK(votes.count == 0);
}

TEST_CASE("identity: a wiped minority comes back as new nodes and cannot vote for the old ones") {
  Scenario five({.nodes = 5});
  REQUIRE(five.found());
  five.add_workload({.tasks = 2000, .jobs_at_once = 4, .array_max = 20});
  five.world().run_for(3s);
  five.monitor().set_faults(true);
  const NodeId old = five.world().id(4);
  five.world().crash(4);
  five.world().replace_store(4);
  const NodeId fresh = five.world().id(4);
  // It votes where a change of the home has made it a member, and nowhere else.
  std::uint32_t for_another = 0;
  five.world().set_filter([&](NodeIndex from, const node::Envelope& envelope) {
    const auto* promise = std::get_if<wire::Promise>(&envelope.message);
    if (from != 4 || promise == nullptr) return false;
    for (const wire::PromiseItem& item : promise->items) {
      const auto named = shard::members(item.config);
      if (std::ranges::find(named, fresh) == named.end()) ++for_another;
    }
    return false;
  });
  five.world().start(4);
  five.world().run_for(5s);
  CHECK(five.world().up(4));
  CHECK(five.world().node(4).serving());
  CHECK(five.await_workload(2min));
  CHECK(for_another == 0);
  CHECK(five.verdict() == "");
  // The old one is a member that does not answer.
  const auto members = five.world().node(0).inspect().members;
  const auto former = std::ranges::find(members, old, &decltype(members)::value_type::first);
  REQUIRE(former != members.end());
  CHECK(former->second != wire::MemberState::alive);
}

}  // namespace shoal::sim
