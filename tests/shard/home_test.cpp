// Rules H1-H4 of the shard protocol, at one home.
#include <doctest/doctest.h>

#include "shard/replica.hpp"
#include "small_world.hpp"

namespace shoal::shard::test {
namespace {

constexpr ShardId kShard{0};

wire::Ballot ballot(std::uint64_t round, std::size_t node) { return {round, node_id(node)}; }

wire::ShardConfig config(wire::Ballot by, std::uint64_t seq = 0) {
  return {.id = {by, seq}, .home = {node_id(0), node_id(1), node_id(2)}};
}

wire::WriteItem write(wire::Ballot by, std::uint64_t version, std::string value) {
  return {.shard = kShard,
          .ballot = by,
          .config_id = config(by).id,
          .config = config(by),
          .number = 1,
          .records = {{key_of(0), {by, version}, std::move(value)}}};
}

struct Home {
  Home() { replica.found(config({}), writes); }
  Replica::Prepared prepare(wire::Ballot by, wire::ShardConfig belief = config({})) {
    return replica.on_prepare({kShard, by, std::move(belief)}, {}, writes);
  }
  std::optional<wire::AckItem> take(wire::WriteItem item) {
    return replica.on_write(item, kWall, {}, writes);
  }
  std::string value() const { return replica.find(key_of(0))->value; }

  Replica replica{kShard};
  std::vector<wire::Write> writes;
};

}  // namespace

TEST_CASE("home: a node without state for the shard is silent (H1, F2)") {
  Replica blank(kShard);
  std::vector<wire::Write> writes;
  CHECK(blank.on_prepare({kShard, ballot(1, 0), config({})}, {}, writes) ==
        Replica::Prepared::silent);
  CHECK(writes.empty());
}

TEST_CASE("home: a promise is durable with its reply, and nothing lower is promised (H1)") {
  Home home;
  home.writes.clear();
  CHECK(home.prepare(ballot(2, 1)) == Replica::Prepared::promised);
  REQUIRE(home.writes.size() == 1);
  CHECK(std::get<wire::PutShard>(home.writes[0]).state.promised == ballot(2, 1));
  CHECK(home.prepare(ballot(1, 2)) == Replica::Prepared::refused);
  CHECK(home.prepare(ballot(2, 1)) == Replica::Prepared::promised);  // Equal: answered again.
  CHECK(home.replica.promised() == ballot(2, 1));
}

TEST_CASE("home: a candidate with an older config is refused and told the newer one (H1)") {
  Home home;
  REQUIRE(home.take(write(ballot(1, 0), 1, "a")));
  CHECK(home.prepare(ballot(5, 1)) == Replica::Prepared::refused);
  CHECK(home.replica.promised() == ballot(1, 0));
  CHECK(home.replica.refusal(ballot(5, 1)).config.id == config(ballot(1, 0)).id);
}

TEST_CASE("home: a write below the promise is refused and changes nothing (H2)") {
  Home home;
  home.prepare(ballot(2, 1));
  CHECK(!home.take(write(ballot(1, 0), 1, "a")));
  CHECK(home.replica.find(key_of(0)) == nullptr);
}

TEST_CASE("home: a write raises the promise of a home that never saw the prepare (H2)") {
  Home home;
  REQUIRE(home.take(write(ballot(3, 1), 1, "a")));
  CHECK(home.replica.promised() == ballot(3, 1));
  CHECK(!home.take(write(ballot(2, 0), 9, "b")));
}

TEST_CASE("home: an older version does not overwrite, and the answer says what is held (H2)") {
  Home home;
  REQUIRE(home.take(write(ballot(1, 0), 7, "seven")));
  const auto ack = home.take(write(ballot(1, 0), 6, "six"));
  REQUIRE(ack);
  CHECK(home.value() == "seven");
  REQUIRE(ack->exceptions.size() == 1);
  CHECK(ack->exceptions[0].version == wire::RecordVersion{ballot(1, 0), 7});
}

TEST_CASE("home: a higher ballot wins over a higher version (H2)") {
  Home home;
  REQUIRE(home.take(write(ballot(1, 0), 7, "old owner")));
  REQUIRE(home.take(write(ballot(2, 1), 3, "new owner")));
  CHECK(home.value() == "new owner");
}

TEST_CASE("home: a config named by an id it does not hold stores nothing (H2)") {
  Home home;
  wire::WriteItem item = write(ballot(1, 0), 1, "a");
  item.config.reset();
  const auto ack = home.take(item);
  REQUIRE(ack);
  CHECK(ack->config == config({}));
  CHECK(home.replica.find(key_of(0)) == nullptr);

  REQUIRE(home.take(write(ballot(1, 0), 1, "a")));  // In full: from then on the id does.
  wire::WriteItem next = write(ballot(1, 0), 2, "b");
  next.config.reset();
  CHECK(!home.take(next)->config);
  CHECK(home.value() == "b");
}

TEST_CASE("home: an accepted write makes a node one of the shard's (H2)") {
  Replica blank(kShard);
  std::vector<wire::Write> writes;
  wire::WriteItem item = write(ballot(1, 0), 1, "a");
  CHECK(blank.on_write(item, kWall, {}, writes));
  CHECK(blank.known());
  CHECK(blank.state().config == config(ballot(1, 0)));
}

TEST_CASE("home: a bad copy abstains until it is written again, and not by something older (C5)") {
  Home home;
  home.replica.restore({key_of(0), {ballot(1, 0), 5}, ""}, true);
  CHECK(home.replica.promise()[0].digest[0].bad);
  const auto older = home.take(write(ballot(1, 0), 4, "four"));
  REQUIRE(older->exceptions.size() == 1);
  CHECK(older->exceptions[0].version == wire::RecordVersion{});  // Nobody may count it.
  CHECK(home.take(write(ballot(1, 0), 5, "five"))->exceptions.empty());
  CHECK(!home.replica.promise()[0].digest[0].bad);
  CHECK(home.value() == "five");
}

TEST_CASE("home: a bad copy gives way to whatever a later owner writes (C5)") {
  Home home;
  home.replica.restore({key_of(0), {ballot(9, 2), 99}, ""}, true);  // As the spoilt disk says.
  CHECK(home.take(write(ballot(2, 1), 3, "three"))->exceptions.empty());
  CHECK(home.value() == "three");
}

TEST_CASE("home: a long digest comes in pages (B1)") {
  Home home;
  for (std::uint64_t i = 0; i < kDigestPageEntries + 1; ++i) {
    home.replica.restore({{i, 0}, {ballot(1, 0), 1}, ""}, false);
  }
  const auto pages = home.replica.promise();
  REQUIRE(pages.size() == 2);
  CHECK(pages[0].digest.size() == kDigestPageEntries);
  CHECK(pages[1].digest.size() == 1);
  DigestPages together;
  CHECK(!together.add(pages[1]));
  CHECK(!together.add(pages[1]));  // A repeat is no news.
  CHECK(together.add(pages[0]));
  CHECK(together.entries().size() == kDigestPageEntries + 1);
}

TEST_CASE("home: values are fetched only under the promised ballot (H3)") {
  World world(3, 1, {}, 1);
  world.take_over(0);
  world.settle();
  const wire::Ballot owner = world.at(0).ballot(kShard);
  world.at(1).on_message(world.now, node_id(2), wire::Fetch{{{kShard, ballot(9, 2), {key_of(0)}}}});
  world.at(1).on_message(world.now, node_id(0), wire::Fetch{{{kShard, owner, {key_of(0)}}}});
  const Output output = world.at(1).take_output(world.now);
  REQUIRE(output.messages.size() == 1);
  CHECK(std::get<wire::Refuse>(output.messages[0].message).items[0].promised == owner);
}

TEST_CASE("home: confirm is answered for the promised ballot, refused below, silent above (H4)") {
  World world(3, 1, {}, 1);
  world.take_over(0);
  world.settle();
  const auto answer = [&](wire::Ballot asked) {
    world.at(1).on_message(world.now, node_id(2), wire::Confirm{4, {{kShard, asked}}});
    return world.at(1).take_output(world.now).messages;
  };
  const auto same = answer(world.at(0).ballot(kShard));
  REQUIRE(same.size() == 1);
  CHECK(std::get<wire::Confirmed>(same[0].message).round == 4);
  const auto lower = answer({});
  REQUIRE(lower.size() == 1);
  CHECK(std::holds_alternative<wire::Refuse>(lower[0].message));
  CHECK(answer(ballot(99, 2)).empty());
}

}  // namespace shoal::shard::test
