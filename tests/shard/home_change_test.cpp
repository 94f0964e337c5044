// Rules G1-G5, H5 and E1-E3 of the shard protocol, recovery, and copies that come later.
#include <doctest/doctest.h>

#include "small_world.hpp"

namespace shoal::shard::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Set = std::set<std::size_t>;
constexpr ShardId kShard{0};
const Set kAll{0, 1, 2, 3, 4, 5};

// Six nodes; the first `home` of them keep the shard, node 0 owns it and all records stand.
World owned(std::size_t home = 3, Mutations mutations = {}) {
  World world(6, 1, mutations, 1, home);
  world.take_over(0);
  world.settle();
  for (std::size_t key = 0; key < kKeys; ++key) REQUIRE(world.change(0, key));
  world.settle();
  REQUIRE(world.at(0).owns(kShard));
  return world;
}

void pass(World& world, Duration time, const Set& up = kAll) {
  for (Duration gone{}; gone < time; gone += milliseconds(50)) {
    world.advance(milliseconds(50));
    for (const std::size_t node : up) world.tick(node);
    world.settle(up);
  }
}

bool at_home(World& world, std::size_t node) {
  const wire::ShardConfig* config = world.at(node).config(kShard);
  return config != nullptr && std::ranges::find(config->home, node_id(node)) != config->home.end();
}

std::size_t records_of(const World& world, std::size_t node) {
  return world.disk(node).records.size();
}

}  // namespace

TEST_CASE("home change: one home becomes three, and all records are there (G1-G3)") {
  World world = owned(1);
  REQUIRE(world.change_home(0, {0, 1, 2}));
  pass(world, seconds(1));
  CHECK(!world.at(0).changing_home(kShard));
  CHECK(world.at(0).owns(kShard));
  for (const std::size_t node : Set{0, 1, 2}) CHECK(records_of(world, node) == kKeys);
  world.crash(0);  // A majority of the newcomers goes on without it.
  world.take_over(1);
  world.settle({1, 2});
  CHECK(world.committed(1, 0) == 1);
}

TEST_CASE("home change: three other nodes, the old ones retire and keep a stub (G4, H5)") {
  World world = owned();
  const wire::Ballot before = world.at(0).ballot(kShard);
  REQUIRE(world.change_home(0, {3, 4, 5}));
  pass(world, seconds(1));
  CHECK(!world.at(0).owns(kShard));
  for (const std::size_t node : Set{3, 4, 5}) CHECK(records_of(world, node) == kKeys);
  for (const std::size_t node : Set{0, 1, 2}) {
    CHECK(records_of(world, node) == 0);
    CHECK(world.disk(node).shards.at(kShard).promised == before);  // For ever.
    CHECK(!at_home(world, node));
  }
  world.take_over(3);
  world.settle();
  CHECK(world.committed(3, 0) == 1);
  // A leaver is no voter, and its candidacy ends at once.
  world.take_over(0);
  world.settle();
  CHECK(!world.at(0).candidate(kShard));
}

TEST_CASE("home change: while it is joint a record needs both majorities (O3, G2)") {
  World world = owned();
  REQUIRE(world.change_home(0, {3, 4, 5}));
  while (world.at(0).config(kShard)->next.empty()) {
    world.sync(0);
    for (Packet& packet : std::exchange(world.net, {})) {
      world.deliver(std::move(packet));
      if (!world.at(0).config(kShard)->next.empty()) break;
    }
    for (const std::size_t node : Set{1, 2, 3, 4, 5}) world.sync(node);
  }
  world.change(0, 0);
  const int before = world.committed(0, 0);
  world.settle({0, 1, 2});
  pass(world, seconds(2), {0, 1, 2});
  CHECK(world.committed(0, 0) == before);  // The new home has not said a word.
  pass(world, seconds(4));
  CHECK(!world.at(0).owns(kShard));
  world.take_over(4);
  world.settle();
  CHECK(world.committed(4, 0) > before);
}

// An owner whose own disk is slow: what it commits stands on nodes 1 and 2 and in its memory.
TEST_CASE("home change: the owner's own copy counts for the new home when its disk has it (G3)") {
  World world = owned();
  int value = 0;
  const auto held_back = [&](const Packet& packet) {
    const auto* writes = std::get_if<wire::WriteRecords>(&packet.message);
    if (writes == nullptr || packet.to != 3 || value == 0) return false;
    return std::ranges::any_of(writes->items, [&](const wire::WriteItem& item) {
      return std::ranges::any_of(item.records, [&](const wire::Record& record) {
        return record.value == std::to_string(value);
      });
    });
  };
  // What comes and goes between node 0 and these, but for the new value to node 3.
  const auto exchange = [&](const Set& nodes) {
    for (int round = 0; round < 4; ++round) {
      for (Packet& packet : std::exchange(world.net, {})) {
        const bool among = nodes.contains(packet.to) || nodes.contains(packet.from);
        if (among && !held_back(packet)) {
          world.deliver(std::move(packet));
        } else {
          world.net.push_back(std::move(packet));
        }
      }
      for (const std::size_t node : nodes) world.sync(node);
    }
  };
  REQUIRE(world.change_home(0, {0, 1, 3}));
  exchange({1, 2, 3});
  world.sync(0);  // The last time. What it sends node 3 is all there was.
  value = world.deepest(0) + static_cast<int>(kKeys);
  REQUIRE(world.change(0, 0));
  exchange({1, 2});
  REQUIRE(world.committed(0, 0) == value);
  exchange({1, 2, 3});
  CHECK(world.at(0).config(kShard)->next.size() == 3);  // Joint, and not final.
  world.crash(0);
  world.take_over(3);
  world.settle({0, 2, 3});
  REQUIRE(world.at(3).owns(kShard));
  CHECK(world.committed(3, 0) == value);
  CHECK(world.failure() == "");
}

TEST_CASE("home change: it ends although new writes never stop (G3)") {
  World world = owned();
  REQUIRE(world.change_home(0, {0, 3, 4}));
  for (int i = 0; i < 400 && world.at(0).changing_home(kShard); ++i) {
    world.change(0, static_cast<std::size_t>(i % 2));
    world.advance(milliseconds(5));
    for (const std::size_t node : kAll) {
      world.sync(node);
      if (i % 10 == 0) world.tick(node);
    }
    for (Packet& packet : std::exchange(world.net, {})) world.deliver(std::move(packet));
  }
  CHECK(!world.at(0).changing_home(kShard));
  world.settle();
  CHECK(world.failure() == "");
  CHECK(world.committed(0, 0) > 0);
}

TEST_CASE(
    "home change: an owner that dies while it is joint leaves it to the next one (G5, hole 7)") {
  World world = owned();
  REQUIRE(world.change_home(0, {3, 4, 5}));
  // Learners have it all; the joint config comes to two old and two new homes, and no further.
  while (world.at(4).config(kShard) == nullptr || world.at(4).config(kShard)->next.empty()) {
    for (const std::size_t node : kAll) world.sync(node);
    for (Packet& packet : std::exchange(world.net, {})) {
      if (packet.from == 0 || packet.to == 0) world.deliver(std::move(packet));
    }
  }
  world.sync(1);
  world.sync(4);
  world.net.clear();
  const Set rest{1, 2, 3, 4, 5};
  world.take_over(1);
  pass(world, seconds(5), rest);
  CHECK(!world.at(1).owns(kShard));  // It finished the change, which moved it out too.
  world.take_over(3);
  pass(world, seconds(1), rest);
  REQUIRE(world.at(3).owns(kShard));
  CHECK(at_home(world, 3));
  CHECK(world.committed(3, 0) == 1);
}

TEST_CASE("home change: whoever missed its own leaving hears by whom it was refused (C3, H5)") {
  World world = owned();
  const Set rest{0, 1, 3, 4, 5};
  REQUIRE(world.change_home(0, {0, 1, 3}));
  pass(world, seconds(3), rest);
  world.net.clear();
  REQUIRE(at_home(world, 3));
  REQUIRE(at_home(world, 2));  // As it believes.
  for (int round = 0; round < 3; ++round) {
    world.refused.clear();
    world.take_over(2);  // Above all promises: only its config is too old.
    world.settle();
    CHECK_FALSE(world.at(2).candidate(kShard));
    REQUIRE_FALSE(world.refused.empty());
    CHECK(world.refused.front().first == 2);
    CHECK(world.refused.front().second.promised.node == node_id(0));
  }
  CHECK(world.at(0).owns(kShard));
}

// Two changes, each the first of its owner: what counts is whose ballot it stands under.
TEST_CASE("home change: two owners' joint configs with one number are two configs (hole 5)") {
  World world = owned();
  REQUIRE(world.change_home(0, {0, 1, 3}));
  while (world.at(0).config(kShard)->next.empty()) {
    for (const std::size_t node : kAll) world.sync(node);
    for (Packet& packet : std::exchange(world.net, {})) world.deliver(std::move(packet));
  }
  world.sync(0);
  world.net.clear();  // The joint config is on no other disk, and its owner dies.
  const wire::ConfigId forgotten = world.disk(0).shards.at(kShard).config.id;
  world.crash(0);
  const Set rest{1, 2, 3, 4, 5};
  world.take_over(2);
  pass(world, seconds(1), rest);
  REQUIRE(world.change_home(2, {1, 2, 4}));
  pass(world, seconds(2), rest);
  CHECK(forgotten < world.at(2).config(kShard)->id);
  world.take_over(0);
  pass(world, seconds(3));
  CHECK(world.at(0).config(kShard)->id >= world.at(2).config(kShard)->id);
  CHECK(!at_home(world, 0));
  CHECK(!world.at(0).owns(kShard));
  CHECK(world.failure() == "");
}

TEST_CASE("home change: a takeover drops learners that were not voters yet (G5)") {
  World world = owned();
  REQUIRE(world.change_home(0, {0, 1, 3}));
  world.settle({0, 1, 2});  // Node 3 hears nothing: it stays a learner.
  CHECK(world.at(1).config(kShard)->learners == std::vector{node_id(3)});
  world.take_over(1);
  pass(world, seconds(2), {1, 2});
  REQUIRE(world.at(1).owns(kShard));
  CHECK(world.at(1).config(kShard)->learners.empty());
  CHECK(!world.at(1).changing_home(kShard));
}

TEST_CASE("home change: a learner that never comes is given up for another one (G1)") {
  World world = owned();
  const Set up{0, 1, 2, 4, 5};
  REQUIRE(world.change_home(0, {0, 1, 3}));
  pass(world, seconds(2), up);
  CHECK(world.at(0).changing_home(kShard));
  REQUIRE(world.change_home(0, {0, 1, 4}));
  pass(world, seconds(2), up);
  CHECK(!world.at(0).changing_home(kShard));
  CHECK(records_of(world, 4) == kKeys);
  CHECK(records_of(world, 2) == 0);
}

TEST_CASE("home change: a learner that has fallen silent makes no majority of the new home (G2)") {
  World world = owned();
  REQUIRE(world.change_home(0, {0, 3, 4}));
  pass(world, seconds(2), {0, 1, 2, 3});  // Node 3 learns all there is, node 4 hears nothing.
  CHECK(records_of(world, 3) == kKeys);
  pass(world, seconds(70), {0, 1, 2});
  CHECK(world.at(0).config(kShard)->next.empty());  // No way back would lead out of it (G5).
  const int before = world.committed(0, 0);
  REQUIRE(world.change(0, 0));
  pass(world, seconds(1), {0, 1, 2});
  CHECK(world.committed(0, 0) > before);
  pass(world, seconds(5), {0, 1, 2, 3});  // It is back, and two of three are enough by now.
  CHECK(!world.at(0).changing_home(kShard));
  CHECK(at_home(world, 3));
}

TEST_CASE("home change: a member that stays and is dead does not hold the change up (G2)") {
  World world = owned();
  REQUIRE(world.change_home(0, {0, 2, 3}));
  pass(world, seconds(5), {0, 1, 3});
  CHECK(!world.at(0).changing_home(kShard));
  CHECK(records_of(world, 3) == kKeys);
}

TEST_CASE("home change: a node that left and came back counts for nothing of before (hole 6)") {
  const auto run = [](const Mutations& mutations) {
    World world = owned(3, mutations);
    world.change_home(0, {0});
    pass(world, seconds(2));
    CHECK(records_of(world, 2) == 0);
    world.change_home(0, {2});
    pass(world, seconds(4));
    world.take_over(2);
    world.settle();
    return world.committed(2, 0);
  };
  CHECK(run({}) == 1);
  CHECK(run({.count_old_acks = true}) != 1);
}

TEST_CASE("retire: only the config that it names, and no home of it (H5)") {
  World world = owned();
  const wire::ConfigId id = world.at(1).config(kShard)->id;
  world.deliver({0, 1, wire::Retire{{{kShard, id}}}});
  world.deliver({0, 1, wire::Retire{{{kShard, {id.ballot, id.seq + 1}}}}});
  world.settle();
  CHECK(records_of(world, 1) == kKeys);
}

TEST_CASE("retire: a leaver's stub refuses the writes of an owner of long ago (H5, hole 10)") {
  World world = owned();
  world.change(0, 0);
  std::vector<Packet> late = world.net;  // To come very late.
  world.settle();
  REQUIRE(world.change_home(0, {0, 3, 4}));
  pass(world, seconds(1));
  world.take_over(3);
  pass(world, seconds(3));
  REQUIRE(world.change_home(3, {3, 4, 5}));
  pass(world, seconds(1));
  for (Packet& packet : late) world.deliver(std::move(packet));
  world.settle();
  CHECK(records_of(world, 0) == 0);
  CHECK(records_of(world, 1) <= 1);  // Its stub has the old promise: it took what it may take,
  CHECK(!at_home(world, 1));         // and is no home by it.
}

TEST_CASE("retire: a node that missed its retirement is told when it asks (H5)") {
  World world = owned();
  REQUIRE(world.change_home(0, {0, 1, 3}));
  pass(world, seconds(90), {0, 1, 3, 4, 5});
  REQUIRE(records_of(world, 2) == kKeys);
  CHECK(!world.at(0).changing_home(kShard));
  pass(world, seconds(5));
  CHECK(records_of(world, 2) == kKeys);
  world.at(0).retire(world.now, kShard, node_id(2));
  pass(world, seconds(5));
  CHECK(records_of(world, 2) == 0);
}

TEST_CASE(
    "expiry: a floor drops records everywhere, and gone is said when a quorum has it (E1-E3)") {
  World world = owned();
  world.advance(seconds(3));  // 300 s by the wall clock: the first record's time is over.
  world.expire(0);
  CHECK(!world.at(0).floor_settled(kShard));
  CHECK(world.committed(0, 0) == 0);
  world.settle();
  CHECK(world.at(0).floor_settled(kShard));
  for (const std::size_t node : Set{0, 1, 2}) {
    CHECK(!world.disk(node).records.contains({kShard, key_of(0)}));
    CHECK(world.disk(node).records.contains({kShard, key_of(1)}));
  }
  world.crash(0);
  world.take_over(2);
  world.settle({1, 2});
  CHECK(world.at(2).floor(kShard) == expiry_of_key(0));
  CHECK(world.committed(2, 0) == 0);
}

TEST_CASE(
    "expiry: a home refuses a floor beyond its own clock, and keeps the record (E2, hole 9)") {
  World world = owned();
  world.set_skew(0, 1000);
  world.expire(0);
  pass(world, milliseconds(200));
  CHECK(!world.at(0).floor_settled(kShard));
  for (const std::size_t node : Set{1, 2}) CHECK(records_of(world, node) == kKeys);
  world.take_over(1);
  world.settle({1, 2});  // Nobody there has heard of that clock.
  CHECK(world.committed(1, 0) == 1);
}

TEST_CASE("expiry: what a silent home missed of the floor it hears when it is back (E1)") {
  World world = owned();
  world.settle({0, 1});
  world.advance(seconds(3));
  world.expire(0);
  pass(world, seconds(1), {0, 1});
  CHECK(records_of(world, 2) == kKeys);
  pass(world, seconds(3));
  CHECK(records_of(world, 2) == kKeys - 1);
}

TEST_CASE("recover: the last copy is adopted, and the lost ones are no homes any more") {
  World world = owned();
  const Set last{2};
  world.take_over(2);
  pass(world, seconds(3), last);
  REQUIRE(!world.at(2).owns(kShard));
  CHECK(!world.at(2).recover(world.now, kShard, {node_id(0)}));  // A majority is left.
  REQUIRE(world.at(2).recover(world.now, kShard, {node_id(0), node_id(1)}));
  pass(world, seconds(3), last);
  REQUIRE(world.at(2).owns(kShard));
  CHECK(world.at(2).config(kShard)->home == std::vector{node_id(2)});
  CHECK(world.committed(2, 0) == 1);
  REQUIRE(world.change(2, 0));
  pass(world, seconds(1), last);
  CHECK(world.committed(2, 0) > 1);
}

TEST_CASE("damage: a home that restarts with bad copies is sent them again (C5)") {
  World world = owned();
  world.disk(1).bad.insert({kShard, key_of(0)});
  world.disk(1).bad.insert({kShard, key_of(kKeys - 1)});
  world.crash(1);
  pass(world, seconds(3));
  CHECK(world.disk(1).bad.size() == 2);  // Nobody knows.
  world.at(0).on_peer_restarted(world.now, node_id(1));
  pass(world, seconds(3));
  CHECK(world.disk(1).bad.empty());
}

TEST_CASE("damage: an owner whose own output record is unreadable gets it from another home (C6)") {
  World world = owned();
  world.disk(0).bad.insert({kShard, key_of(kKeys - 1)});
  world.at(0).read(kShard, key_of(kKeys - 1));
  world.tick(0);
  pass(world, seconds(2));
  CHECK(world.disk(0).bad.empty());
}

// A bad copy of another record makes the candidate wait for the third promise, and then the output
// is settled although it has none.
TEST_CASE("takeover: settled output is not fetched before it is wanted, and comes later (C6)") {
  World world(3, 1, {}, 1);
  world.take_over(0);
  world.settle();
  world.change(0, 0);
  world.settle();
  world.change(0, kKeys - 1);
  world.settle({0, 1});
  world.net.clear();
  world.disk(2).bad.insert({kShard, key_of(0)});
  world.crash(2);
  world.take_over(2);
  bool fetched = false;
  for (int i = 0; i < 10 && !world.at(2).owns(kShard); ++i) {
    for (const std::size_t node : Set{0, 1, 2}) world.sync(node);
    for (Packet& packet : std::exchange(world.net, {})) {
      const auto* fetch = std::get_if<wire::Fetch>(&packet.message);
      for (std::size_t k = 0; fetch != nullptr && k < fetch->items.size(); ++k) {
        const auto& keys = fetch->items[k].keys;
        fetched = fetched || std::ranges::find(keys, key_of(kKeys - 1)) != keys.end();
      }
      world.deliver(std::move(packet));
    }
  }
  REQUIRE(world.at(2).owns(kShard));
  CHECK(!fetched);
  CHECK(world.at(2).committed(kShard, key_of(kKeys - 1)).state == Committed::present);
  CHECK(!world.disk(2).records.contains({kShard, key_of(kKeys - 1)}));
  pass(world, seconds(2), {0, 1, 2});
  CHECK(world.disk(2).records.contains({kShard, key_of(kKeys - 1)}));
}

}  // namespace shoal::shard::test
