// Rules C1-C6, O1-O5 and H6 of the shard protocol, over three homes.
#include <doctest/doctest.h>

#include <algorithm>

#include "small_world.hpp"

namespace shoal::shard::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
constexpr ShardId kShard{0};

// Node 0 owns the shard and everybody knows.
World owned(std::uint64_t seed = 1) {
  World world(3, 1, {}, seed);
  world.take_over(0);
  world.settle();
  REQUIRE(world.at(0).owns(kShard));
  return world;
}

template <class M>
std::size_t count_to(const World& world, std::size_t to) {
  return static_cast<std::size_t>(std::ranges::count_if(world.net, [&](const Packet& packet) {
    return packet.to == to && std::holds_alternative<M>(packet.message);
  }));
}

void pass(World& world, Duration time, std::size_t node) {
  for (Duration gone{}; gone < time; gone += milliseconds(50)) {
    world.advance(milliseconds(50));
    world.tick(node);
  }
}

}  // namespace

TEST_CASE("takeover: nobody else is prepared before the own disk has the promise (C2)") {
  World world(3, 1, {}, 1);
  world.take_over(0);
  CHECK(world.net.empty());
  world.sync(0);
  CHECK(count_to<wire::Prepare>(world, 1) == 1);
  CHECK(count_to<wire::Prepare>(world, 2) == 1);
}

TEST_CASE("takeover: prepares are repeated at growing intervals (C2)") {
  World world(3, 1, {}, 1);
  world.take_over(0);
  world.sync(0);
  world.net.clear();
  pass(world, seconds(10), 0);
  CHECK(count_to<wire::Prepare>(world, 1) >= 6);  // After 0.25, 0.75, 1.75 and 3.75 s, then 2 s.
  CHECK(count_to<wire::Prepare>(world, 1) <= 8);
}

TEST_CASE("takeover: a home whose digest is on its way is not prepared again (C2)") {
  const ShardsConfig settings;
  const wire::Ballot ballot{.round = 1, .node = node_id(0)};
  const wire::ShardConfig config{.id = {}, .home = {node_id(0), node_id(1), node_id(2)}};
  Replica replica(kShard);
  Effects effects;
  Candidate candidate(node_id(0), kShard, ballot, config, settings);
  const auto prepares_to = [&](std::size_t node) {
    Output output;
    effects.outbox.drain(output);
    return std::ranges::count_if(output.messages, [&](const Outgoing& out) {
      return out.to == node_id(node) && std::holds_alternative<wire::Prepare>(out.message);
    });
  };
  wire::PromiseItem page{.shard = kShard, .ballot = ballot, .config = config, .page_count = 1};
  TimePoint now{};
  replica.found(config, effects.output.writes);
  candidate.on_promise(now, node_id(0), page, replica, effects);
  CHECK(prepares_to(1) == 1);
  page.page_count = 100;
  for (; page.page < 50; ++page.page) {
    now += milliseconds(100);
    candidate.on_promise(now, node_id(1), page, replica, effects);
    candidate.on_time(now, replica, effects);
    CHECK(prepares_to(1) == 0);
  }
  std::ptrdiff_t repeats = 0;  // The rest does not come: it is asked for again.
  for (int i = 0; i < 50; ++i) {
    now += milliseconds(100);
    candidate.on_time(now, replica, effects);
    repeats += prepares_to(1);
  }
  CHECK(repeats >= 1);
  CHECK(repeats <= 3);
}

TEST_CASE("takeover: one other promise is enough of three, none is not (C3)") {
  World world(3, 1, {}, 1);
  world.take_over(0);
  world.settle({0});
  CHECK(!world.at(0).owns(kShard));
  pass(world, seconds(1), 0);  // The prepare is repeated.
  world.settle({0, 2});
  CHECK(world.at(0).owns(kShard));
}

TEST_CASE("takeover: a refused candidate comes back above what refused it (C1, C4)") {
  World world = owned();
  world.take_over(1);
  world.settle({1, 2});
  const wire::Ballot higher = world.at(1).ballot(kShard);
  world.crash(0);
  world.take_over(0);  // Its own promise is old: the first round is refused.
  world.settle();
  CHECK(!world.at(0).owns(kShard));
  pass(world, seconds(2), 0);
  world.settle();
  pass(world, seconds(2), 0);
  world.settle();
  REQUIRE(world.at(0).owns(kShard));
  CHECK(world.at(0).ballot(kShard).round > higher.round);
}

TEST_CASE("takeover: yielding ends the attempts") {
  World world(3, 1, {}, 1);
  world.take_over(0);
  world.at(0).yield(kShard);
  world.settle();
  pass(world, seconds(5), 0);
  world.settle();
  CHECK(!world.at(0).owns(kShard));
}

TEST_CASE("takeover: a ballot on disk is never used again after a restart (C1, hole 12)") {
  World world = owned();
  const wire::Ballot before = world.at(0).ballot(kShard);
  world.crash(0);
  CHECK(!world.at(0).owns(kShard));
  world.take_over(0);
  world.settle();
  CHECK(world.at(0).ballot(kShard).round > before.round);
}

TEST_CASE("takeover: what is settled keeps its ballot, what is not is written again (C5)") {
  World world = owned();
  const wire::Ballot first = world.at(0).ballot(kShard);
  world.change(0, 0);
  world.settle();
  world.change(0, 1);  // Reaches its own disk only.
  world.settle({0});
  world.crash(0);
  world.net.clear();
  world.take_over(0);
  world.sync(0);
  world.settle({0, 2});
  world.settle({0, 2});
  CHECK(world.disk(0).records.at({kShard, key_of(0)}).version.ballot == first);
  CHECK(world.disk(0).records.at({kShard, key_of(1)}).version ==
        wire::RecordVersion{world.at(0).ballot(kShard), 1});
  CHECK(world.committed(0, 1) == 2);
}

TEST_CASE("takeover: an unsettled record is not shown before a quorum has it again (O3, O4)") {
  World world = owned();
  world.change(0, 1);
  world.settle({0});
  world.crash(0);
  world.net.clear();
  world.take_over(0);
  world.sync(0);
  // Promises come, the writes do not.
  for (Packet& packet : std::exchange(world.net, {})) {
    if (packet.to == 1) world.deliver(std::move(packet));
  }
  world.sync(1);
  for (Packet& packet : std::exchange(world.net, {})) world.deliver(std::move(packet));
  REQUIRE(world.at(0).owns(kShard));
  CHECK(world.committed(0, 1) == -1);
  CHECK(world.at(0).proposed(kShard, key_of(1)) != nullptr);
  world.settle();
  CHECK(world.committed(0, 1) == 1);
}

TEST_CASE("takeover: a record whose copies are bad waits for enough good ones (C5)") {
  World world = owned();
  world.change(0, 0);
  world.settle();
  world.disk(0).bad.insert({kShard, key_of(0)});
  world.crash(0);
  world.take_over(0);
  world.settle({0, 1});
  pass(world, seconds(2), 0);
  world.settle({0, 1});
  REQUIRE(world.at(0).owns(kShard));
  CHECK(world.committed(0, 0) == -1);  // One good promise of three is not enough.
  CHECK(!world.change(0, 0));
  for (int i = 0; i < 6; ++i) {
    pass(world, seconds(1), 0);
    world.settle();
  }
  REQUIRE(world.at(0).owns(kShard));
  CHECK(world.committed(0, 0) == 1);
  CHECK(world.disk(0).bad.empty());
}

TEST_CASE("takeover: a holder that does not answer costs a new ballot, not the shard (C6)") {
  World world = owned();
  world.change(0, 0);
  world.settle({0, 1});  // Nodes 0 and 1 hold it.
  world.net.clear();
  world.take_over(2);
  world.sync(2);
  // Node 1 promises, then is gone.
  for (Packet& packet : std::exchange(world.net, {})) {
    if (packet.to == 1) world.deliver(std::move(packet));
  }
  world.sync(1);
  for (Packet& packet : std::exchange(world.net, {})) {
    if (packet.to == 2) world.deliver(std::move(packet));
  }
  CHECK(count_to<wire::Fetch>(world, 1) == 1);
  for (int i = 0; i < 6; ++i) {
    pass(world, seconds(1), 2);
    world.settle({0, 2});
  }
  REQUIRE(world.at(2).owns(kShard));
  CHECK(world.committed(2, 0) == 1);
}

TEST_CASE("owner: the own copy counts only when its own disk has answered (1.1, hole 13)") {
  World world = owned();
  world.change(0, 0);
  for (Packet& packet : std::exchange(world.net, {})) {
    if (packet.to == 1) world.deliver(std::move(packet));
  }
  world.sync(1);
  for (Packet& packet : std::exchange(world.net, {})) world.deliver(std::move(packet));
  CHECK(world.committed(0, 0) == 0);  // Node 1 has it; the own disk has not spoken.
  world.sync(0);
  CHECK(world.committed(0, 0) == 1);
}

TEST_CASE("owner: until a version is committed the one before is shown (O4, hole 8)") {
  World world = owned();
  world.change(0, 0);
  world.settle();
  world.change(0, 0);
  world.change(0, 0);
  world.settle({0});
  CHECK(world.committed(0, 0) == 1);
  CHECK(*world.at(0).proposed(kShard, key_of(0)) == "3");
  world.net.clear();
  pass(world, seconds(2), 0);
  world.settle();
  CHECK(world.committed(0, 0) == 3);
}

TEST_CASE("owner: proposals between two outputs share a version and are all answered (O1)") {
  World world = owned();
  Shards& shards = world.at(0);
  shards.propose(world.now, kShard, key_of(0), "first", 8);
  shards.propose(world.now, kShard, key_of(0), "second", 9);
  const Output output = shards.take_output(world.now);
  REQUIRE(output.writes.size() == 1);
  const wire::Record record = std::get<wire::PutRecord>(output.writes[0]).record;
  CHECK(record.value == "second");
  CHECK(record.version.version == 1);
  for (const std::size_t from : {std::size_t{0}, std::size_t{1}}) {
    for (const Outgoing& out : output.promises) {
      if (from == 0) shards.on_message(world.now, out.to, std::get<wire::Ack>(out.message));
    }
    for (const Outgoing& out : output.messages) {
      if (from != 1 || out.to != node_id(1)) continue;
      world.deliver({0, 1, out.message});
      world.sync(1);
      shards.on_message(world.now, out.to, std::get<wire::Ack>(world.net.back().message));
    }
  }
  const Output done = shards.take_output(world.now);
  REQUIRE(done.committed.size() == 2);
  CHECK(done.committed[0].token == 8);
  CHECK(done.committed[1].token == 9);
}

TEST_CASE("owner: a deposed owner steps down at the first refusal (O5)") {
  World world = owned();
  world.take_over(1);
  world.settle({1, 2});
  CHECK(world.at(0).owns(kShard));  // It has not heard.
  world.change(0, 0);
  world.settle();
  CHECK(!world.at(0).owns(kShard));
  CHECK(world.at(0).committed(kShard, key_of(0)).state == Committed::unsettled);
  CHECK(world.failure() == "");
}

TEST_CASE("owner: its own higher promise ends its ownership at once (H6)") {
  World world = owned();
  world.take_over(1);
  world.sync(1);
  for (Packet& packet : std::exchange(world.net, {})) {
    if (packet.to == 0) world.deliver(std::move(packet));
  }
  CHECK(!world.at(0).owns(kShard));
}

TEST_CASE("owner: a candidate that promises another one hears of that as of a refusal (C4, H6)") {
  World world = owned();
  world.take_over(1);
  world.take_over(2);
  world.sync(1);
  world.sync(2);
  for (Packet& packet : std::exchange(world.net, {})) {
    if (packet.to == 1) world.deliver(std::move(packet));
  }
  REQUIRE(world.refused.size() == 1);
  CHECK(world.refused.front().first == 1);
  CHECK(world.refused.front().second.promised.node == node_id(2));
}

TEST_CASE("owner: a leftover of a lower ballot is overwritten under the owner's (O2, hole 11)") {
  World world = owned();
  world.change(0, 0);
  world.settle();  // (1, version 1) everywhere.
  world.take_over(1);
  world.settle();
  world.change(1, 0);
  world.settle({1});  // A leftover at node 1 only.
  world.net.clear();
  world.take_over(0);
  world.settle({0, 2});
  REQUIRE(world.committed(0, 0) == 1);
  for (int i = 0; i < 4; ++i) {
    pass(world, seconds(1), 0);
    world.settle();
  }
  CHECK(world.committed(0, 0) == 1);
  CHECK(world.disk(1).records.at({kShard, key_of(0)}).value == "1");
  CHECK(world.disk(1).records.at({kShard, key_of(0)}).version.ballot == world.at(0).ballot(kShard));
}

TEST_CASE("owner: a silent home gets one write without records a second, and no commit waits") {
  World world = owned();
  for (int i = 0; i < 30; ++i) {
    world.change(0, static_cast<std::size_t>(i % 2));
    world.settle({0, 1});
  }
  CHECK(world.committed(0, 0) == 29);
  pass(world, seconds(2), 0);
  world.net.clear();
  pass(world, seconds(5), 0);
  CHECK(count_to<wire::WriteRecords>(world, 2) == 5);
  world.net.clear();
  world.change(0, 0);
  CHECK(count_to<wire::WriteRecords>(world, 1) == 1);
  CHECK(count_to<wire::WriteRecords>(world, 2) == 0);

  // It answers: it gets what it lacks, the current versions only.
  for (int i = 0; i < 3; ++i) {
    pass(world, seconds(1), 0);
    world.settle();
  }
  CHECK(world.disk(2).records == world.disk(0).records);
  CHECK(world.at(0).wake_at() == kNever);  // Nothing is open any more.
}

TEST_CASE("owner: an answer that comes after the time-out still counts") {
  World world = owned();
  world.change(0, 0);
  world.sync(0);
  for (Packet& packet : std::exchange(world.net, {})) world.deliver(std::move(packet));
  pass(world, milliseconds(1500), 0);  // The other homes' disks are slow.
  world.net.clear();                   // Repeats do not get through.
  CHECK(world.committed(0, 0) == 0);
  world.sync(1);
  for (Packet& packet : std::exchange(world.net, {})) world.deliver(std::move(packet));
  CHECK(world.committed(0, 0) == 1);
}

TEST_CASE("owner: a full window whose first writes were lost opens again") {
  World world = owned();
  for (std::size_t i = 0; i < kOutstandingMax; ++i) world.change(0, 0);
  std::size_t seen = 0;
  for (Packet& packet : std::exchange(world.net, {})) {
    if (packet.to == 2 && ++seen <= 4) continue;  // Lost; all others arrive and are answered.
    world.deliver(std::move(packet));
  }
  for (std::size_t node = 0; node < 3; ++node) world.sync(node);
  for (Packet& packet : std::exchange(world.net, {})) world.deliver(std::move(packet));
  for (int i = 0; i < 3; ++i) {
    pass(world, seconds(1), 0);
    world.settle();
  }
  world.change(0, 0);
  CHECK(count_to<wire::WriteRecords>(world, 2) == 1);
  world.settle();
  CHECK(world.disk(2).records == world.disk(0).records);
  CHECK(world.at(0).wake_at() != kNever);
  pass(world, seconds(1), 0);
  CHECK(world.at(0).wake_at() == kNever);  // Nothing is open any more.
}

TEST_CASE("owner: a bad copy that keeps what it has is tried once a second, not at once") {
  World world = owned();
  world.change(0, 0);
  world.settle();
  // The disk at node 2 spoils the record and the version beside it.
  world.disk(2).records.at({kShard, key_of(0)}).version.version = 99;
  world.disk(2).bad.insert({kShard, key_of(0)});
  world.crash(2);
  world.change(0, 0);
  std::size_t sent = 0;
  for (int i = 0; i < 30; ++i) {
    world.advance(milliseconds(100));
    world.tick(0);
    for (int round = 0; round < 10; ++round) {
      sent += count_to<wire::WriteRecords>(world, 2);
      for (Packet& packet : std::exchange(world.net, {})) world.deliver(std::move(packet));
      for (std::size_t node = 0; node < 3; ++node) world.sync(node);
    }
  }
  CHECK(sent >= 3);
  CHECK(sent <= 5);
  CHECK(world.committed(0, 0) == 2);

  // The next owner's merge knew all that was committed, so its write takes the place.
  world.take_over(1);
  for (int i = 0; i < 4; ++i) {
    world.settle();
    pass(world, seconds(1), 1);
  }
  CHECK(world.disk(2).bad.empty());
  CHECK(world.disk(2).records == world.disk(1).records);
}

TEST_CASE("owner: a home that did not promise is sent only what it lacks") {
  World world = owned();
  world.change(0, 0);
  world.settle();
  world.change(0, 1);
  world.settle({0, 1});
  world.net.clear();
  world.take_over(1);
  world.settle({0, 1});
  REQUIRE(world.at(1).owns(kShard));
  std::vector<wire::RecordKey> sent;
  for (int i = 0; i < 100; ++i) {
    world.advance(milliseconds(50));
    world.tick(1);
    for (std::size_t node = 0; node < 3; ++node) world.sync(node);
    for (Packet& packet : std::exchange(world.net, {})) {
      const auto* writes = std::get_if<wire::WriteRecords>(&packet.message);
      if (packet.to == 2 && writes != nullptr) {
        for (const auto& record : writes->items[0].records) sent.push_back(record.key);
      }
      world.deliver(std::move(packet));
    }
  }
  CHECK(sent == std::vector{key_of(1)});
}

TEST_CASE("owner: a detached value is kept on disk only, and read again for a home that lacks it") {
  World world = owned();
  const std::size_t last = kKeys - 1;
  world.change(0, last);
  world.settle({0, 1});
  CHECK(world.at(0).proposed(kShard, key_of(last))->empty());
  CHECK(world.at(0).committed(kShard, key_of(last)).state == Committed::present);
  world.net.clear();
  for (int i = 0; i < 4; ++i) {
    pass(world, seconds(1), 0);
    world.settle();
  }
  REQUIRE(world.disk(2).records.contains({kShard, key_of(last)}));
  CHECK(world.disk(2).records.at({kShard, key_of(last)}).value == "1");
}

TEST_CASE("owner: a shard of one home lives through restarts") {
  World world(1, 1, {}, 1);
  for (int i = 1; i <= 3; ++i) {
    world.take_over(0);
    world.settle();
    REQUIRE(world.change(0, 0));
    world.settle();
    CHECK(world.committed(0, 0) == i);
    world.crash(0);
  }
}

TEST_CASE("owner: many records are packed into few messages") {
  World world = owned();
  for (std::uint64_t i = 0; i < 5000; ++i) {
    world.at(0).propose(world.now, kShard, {100 + i, 0}, std::string(100, 'x'), i);
  }
  const Output output = world.at(0).take_output(world.now);
  CHECK(output.writes.size() == 5000);
  CHECK(output.messages.size() <= 2 * 5);
  for (const Outgoing& out : output.messages) {
    std::size_t records = 0;
    for (const auto& item : std::get<wire::WriteRecords>(out.message).items) {
      records += item.records.size();
    }
    CHECK(records <= kMessageRecordsMax);
  }
}

}  // namespace shoal::shard::test
