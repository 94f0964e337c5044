// Confirm rounds (rules O4, H4) and the shard table.
#include <doctest/doctest.h>

#include "shard/shard_table.hpp"
#include "small_world.hpp"

namespace shoal::shard::test {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_CASE("confirm: one message for each neighbour serves all shards and questions") {
  World world(3, 2, {}, 1);
  world.take_over(0, ShardId{0});
  world.take_over(0, ShardId{1});
  world.settle();
  Shards& shards = world.at(0);
  const std::uint64_t both = shards.confirm(world.now, {ShardId{0}, ShardId{1}});
  const std::uint64_t one = shards.confirm(world.now, {ShardId{1}});
  Output output = shards.take_output(world.now);
  REQUIRE(output.messages.size() == 2);
  CHECK(output.confirmed.empty());
  const auto& confirm = std::get<wire::Confirm>(output.messages[0].message);
  CHECK(confirm.items.size() == 2);
  // One of the two is a quorum together with the own promise.
  shards.on_message(world.now, node_id(1), wire::Confirmed{confirm.round, confirm.items});
  output = shards.take_output(world.now);
  REQUIRE(output.confirmed.size() == 2);
  CHECK(output.confirmed[0].ticket == both);
  CHECK(output.confirmed[0].confirmed.size() == 2);
  CHECK(output.confirmed[1].ticket == one);
}

TEST_CASE("confirm: without a quorum in time the shard is reported as failed") {
  World world(3, 1, {}, 1);
  world.take_over(0);
  world.settle();
  Shards& shards = world.at(0);
  shards.confirm(world.now, {ShardId{0}, ShardId{7}});  // The second is not owned here.
  CHECK(shards.take_output(world.now).confirmed.empty());
  world.advance(milliseconds(1100));
  shards.on_time(world.now);
  const Output output = shards.take_output(world.now);
  REQUIRE(output.confirmed.size() == 1);
  CHECK(output.confirmed[0].confirmed.empty());
  CHECK(output.confirmed[0].failed == std::vector{ShardId{0}, ShardId{7}});
}

TEST_CASE("confirm: an answer to an earlier round does not serve a later question") {
  World world(3, 1, {}, 1);
  world.take_over(0);
  world.settle();
  Shards& shards = world.at(0);
  shards.confirm(world.now, {ShardId{0}});
  Output output = shards.take_output(world.now);
  const auto early = std::get<wire::Confirm>(output.messages[0].message);
  const std::uint64_t later = shards.confirm(world.now, {ShardId{0}});
  shards.take_output(world.now);
  shards.on_message(world.now, node_id(1), wire::Confirmed{early.round, early.items});
  output = shards.take_output(world.now);
  REQUIRE(output.confirmed.size() == 1);
  CHECK(output.confirmed[0].ticket != later);
}

TEST_CASE("confirm: one home confirms itself at once") {
  World world(1, 1, {}, 1);
  world.take_over(0);
  world.settle();
  world.at(0).confirm(world.now, {ShardId{0}});
  CHECK(world.at(0).take_output(world.now).confirmed.size() == 1);
}

TEST_CASE("shard table: the newest finished config and the highest owner win, in any order") {
  const auto entry = [](std::uint64_t round, std::size_t home, std::uint64_t owner) {
    return wire::TableEntry{.shard = ShardId{3},
                            .config = {.id = {{round, node_id(0)}, 0}, .home = {node_id(home)}},
                            .owner = {owner, node_id(1)}};
  };
  ShardTable a(100), b(100);
  CHECK(a.merge(entry(1, 1, 9)));
  CHECK(a.merge(entry(2, 2, 4)));
  b.merge(entry(2, 2, 4));
  b.merge(entry(1, 1, 9));
  CHECK(!b.merge(entry(1, 1, 9)));
  CHECK(a.find(ShardId{3})->config.home == std::vector{node_id(2)});
  CHECK(a.find(ShardId{3})->owner.round == 9);
  CHECK(a.digest().groups == b.digest().groups);
  CHECK(!a.on_digest(b.digest()));
}

TEST_CASE("shard table: an unfinished config is never taken as fact (G4)") {
  ShardTable table(10);
  wire::TableEntry joint{.shard = ShardId{1},
                         .config = {.home = {node_id(0)}, .next = {node_id(1)}}};
  CHECK(!table.merge(joint));
  CHECK(table.find(ShardId{1}) == nullptr);
}

TEST_CASE("shard table: push-pull makes two tables alike in one round") {
  ShardTable a(200), b;  // The second knows no table yet.
  a.merge({.shard = ShardId{0}, .config = {.home = {node_id(0)}}, .owner = {1, node_id(0)}});
  a.merge({.shard = ShardId{199}, .config = {.home = {node_id(2)}}, .owner = {1, node_id(2)}});
  const auto first = a.on_digest(b.digest());
  REQUIRE(first);
  CHECK(!b.on_entries(*first));
  CHECK(b.digest().groups == a.digest().groups);
  b.merge({.shard = ShardId{70}, .config = {.home = {node_id(1)}}, .owner = {5, node_id(1)}});
  const auto second = a.on_digest(b.digest());
  REQUIRE(second);
  CHECK(second->wanted_groups == std::vector<std::uint32_t>{1});
  const auto answer = b.on_entries(*second);
  REQUIRE(answer);
  a.on_entries(*answer);
  CHECK(a.digest().groups == b.digest().groups);
}

}  // namespace shoal::shard::test
