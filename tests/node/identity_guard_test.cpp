#include "node/identity_guard.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "node/node.hpp"

namespace shoal::node {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kEpoch = 5;  // Of this start.

NodeId id(std::uint64_t number) { return {.high = number, .low = number}; }
Address address(std::uint64_t number) {
  return ipv4(10, 0, 0, static_cast<std::uint8_t>(number), 7461);
}

NodeConfig config() {
  NodeConfig made;
  made.id = id(1);
  made.address = address(1);
  return made;
}

wire::MemberInfo info(std::uint64_t number) {
  return {.address = address(number), .name = {}, .zone = {}, .boot_nonce = 1000 + number};
}

wire::MemberRecord record(std::uint64_t number, wire::MemberState state) {
  return {.node = id(number),
          .state = state,
          .incarnation = {7, 0},
          .accuser = id(number),
          .info = info(number)};
}

Source source(std::uint64_t number) { return {.node = id(number), .address = address(number)}; }

// The guard of node 1, and a test that plays the others.
struct GuardWorld {
  // Members 2 to `members`; one shard, at home on 1, 2 and 3.
  explicit GuardWorld(std::uint64_t members = 3) {
    context.membership = &membership;
    context.shards = &shards;
    context.shard_count = 1;
    context.boot_epoch = kEpoch;
    context.boot_nonce = 77;
    std::vector<wire::MemberRecord> others;
    for (std::uint64_t number = 2; number <= members; ++number) {
      others.push_back(record(number, wire::MemberState::alive));
    }
    membership.restore(now.steady, others);
    wire::ShardState state;
    state.config.home = {id(1), id(2), id(3)};
    shards.restore_shard(ShardId{0}, state);
  }

  void start() {
    guard.start(now);
    guard.on_boot_durable(now);
  }
  void pass(Duration time) {
    now.steady += time;
    guard.on_time(now);
  }
  // What a peer answers that remembers, besides the start that asks, this one.
  void answer(std::uint64_t peer, wire::StoreMark settled = {kEpoch, 77, 0},
              std::uint64_t sequence = 0) {
    guard.on_message(now, source(peer),
                     wire::StoreAnswer{{kEpoch, 77, 0}, settled, sequence, id(1)});
  }
  // A vote and a word with the peers 2 and 3.
  void let_vote() {
    start();
    answer(2);
    answer(3);
    REQUIRE(guard.may_vote());
    context.output = {};
  }

  template <class Message>
  std::vector<std::pair<Envelope, Message>> sent(const std::vector<Envelope>& list) {
    std::vector<std::pair<Envelope, Message>> found;
    for (const Envelope& envelope : list) {
      const auto* message = std::get_if<Message>(&envelope.message);
      if (message != nullptr) found.emplace_back(envelope, *message);
    }
    return found;
  }
  std::vector<NodeId> asked() {
    std::vector<NodeId> nodes;
    for (const auto& [envelope, query] : sent<wire::StoreQuery>(context.output.messages)) {
      nodes.push_back(envelope.to);
    }
    std::ranges::sort(nodes);
    context.output.messages.clear();
    return nodes;
  }
  std::optional<std::string> written(std::string_view name) {
    std::optional<std::string> value;
    for (const wire::Write& write : context.output.writes) {
      const auto* meta = std::get_if<wire::PutMeta>(&write);
      if (meta != nullptr && meta->name == name) value = meta->value;
    }
    return value;
  }
  // The disk has what was written: what waited for it comes back.
  void sync() {
    const auto promises = std::exchange(context.output.promises, {});
    for (const auto& [envelope, query] : sent<wire::StoreQuery>(promises)) {
      guard.on_message(now, {.node = envelope.to}, query);
    }
  }
  bool refused_with(std::string_view words) {
    return guard.refused() && !guard.may_vote() &&
           context.output.refused.find(words) != std::string::npos;
  }
  bool lasting() { return written("refused").has_value(); }

  Now now{TimePoint(1h), WallTime(500'000h)};
  Context context{config(), 1};
  membership::Membership membership{{}, id(1), {kEpoch, 0}, info(1), Random(1), now.steady};
  shard::Shards shards{id(1), {}, 1};
  IdentityGuard guard{context};
};

wire::StoreQuery query(std::uint64_t epoch, std::uint64_t nonce, std::uint64_t sequence,
                       bool settled = false) {
  return {.mark = {epoch, nonce, sequence}, .settled = settled};
}

}  // namespace

TEST_CASE("identity: a node alone votes as soon as its boot epoch is on disk") {
  GuardWorld world(1);
  world.guard.start(world.now);
  CHECK_FALSE(world.guard.may_vote());
  world.guard.on_boot_durable(world.now);
  CHECK(world.guard.may_vote());
  CHECK(world.guard.may_talk(id(1)));
  CHECK(world.asked().empty());
}

TEST_CASE("identity: a node votes when all that it can reach have answered") {
  GuardWorld world;
  world.start();
  CHECK(world.asked() == std::vector{id(2), id(3)});
  world.answer(2);
  CHECK_FALSE(world.guard.may_vote());
  CHECK_FALSE(world.guard.may_talk(id(2)));
  world.answer(3);
  CHECK(world.guard.may_vote());
  CHECK(world.guard.may_talk(id(3)));
  CHECK_FALSE(world.guard.may_talk(id(4)));
  CHECK(world.guard.wake_at() >= world.now.steady);
}

TEST_CASE("identity: who refuses the connection is not waited for, but asked again") {
  GuardWorld world;
  world.start();
  world.guard.on_peer_closed(world.now, id(2));
  world.answer(3);
  CHECK(world.guard.may_vote());
  CHECK_FALSE(world.guard.may_talk(id(2)));
  world.asked();
  world.pass(kAskAgainLater);
  CHECK(world.asked() == std::vector{id(2)});
  world.answer(2);
  CHECK(world.guard.may_talk(id(2)));
  world.pass(kAskAgainLater);
  CHECK(world.asked().empty());
}

TEST_CASE("identity: silence is waited for so long and no longer") {
  GuardWorld world;
  world.start();
  world.asked();
  world.pass(kAskAgain);
  CHECK(world.asked() == std::vector{id(2), id(3)});
  world.pass(kAskMax - kAskAgain);
  CHECK(world.guard.may_vote());
  CHECK_FALSE(world.guard.may_talk(id(2)));
  // The first word of the shard protocol makes it ask out of turn.
  world.asked();
  world.pass(kAskAgain);
  world.guard.on_withheld(world.now, id(2), address(2));
  world.guard.on_withheld(world.now, id(2), address(2));
  CHECK(world.asked() == std::vector{id(2)});
}

TEST_CASE("identity: in a large cluster home neighbours are asked, others when they speak") {
  GuardWorld world(100);
  world.start();
  CHECK(world.asked() == std::vector{id(2), id(3)});
  world.answer(2);
  world.answer(3);
  world.guard.on_withheld(world.now, id(50), address(50));
  CHECK(world.asked() == std::vector{id(50)});
  world.answer(50);
  CHECK(world.guard.may_talk(id(50)));
}

TEST_CASE("identity: the dead are not asked before they are back") {
  GuardWorld world;
  world.membership.on_message(world.now.steady, {id(3), address(3), membership::Channel::stream},
                              wire::Gossip{{record(3, wire::MemberState::dead)}});
  world.start();
  CHECK(world.asked() == std::vector{id(2)});
  world.answer(2);
  CHECK(world.guard.may_vote());
  wire::MemberRecord back = record(3, wire::MemberState::alive);
  back.incarnation = {8, 0};
  world.membership.on_message(world.now.steady, {id(3), address(3), membership::Channel::stream},
                              wire::Gossip{{back}});
  world.guard.on_member(world.now, {id(3), membership::Change::alive});
  world.pass(0s);
  CHECK(world.asked() == std::vector{id(3)});
}

TEST_CASE("identity: a start counts with a peer before a word of the protocol is said to it") {
  GuardWorld world(2);
  world.start();
  world.asked();
  world.answer(2, {});  // It remembers nothing of before.
  CHECK_FALSE(world.guard.may_talk(id(2)));
  const auto said = world.sent<wire::StoreQuery>(world.context.output.messages);
  REQUIRE(said.size() == 1);
  CHECK(said[0].second.settled);
  world.answer(2);
  CHECK(world.guard.may_talk(id(2)));
}

// The store: start 3 (nonce 33) came to sequence 10, start 4 (nonce 44) to 20.
TEST_CASE("identity: what peers remember must fit the history of the store") {
  struct Case {
    wire::StoreMark mark;
    std::uint64_t sequence;
    bool fits;
  };
  const std::vector<Case> cases{
      {{4, 44, 20}, 20, true},   // The last start, to its end.
      {{4, 44, 15}, 15, true},   // This peer was away then.
      {{3, 33, 10}, 10, true},   // Longer still.
      {{1, 11, 2}, 2, true},     // Before what the store remembers.
      {{}, 0, true},             // It remembers nothing.
      {{3, 0, 0}, 0, true},      // The start is known, by news, but not its nonce.
      {{5, 77, 20}, 20, true},   // This one.
      {{6, 66, 0}, 0, false},    // A later start.
      {{5, 70, 0}, 0, false},    // Another one with the number of this.
      {{4, 40, 0}, 0, false},    // Another one with a former number.
      {{3, 33, 11}, 11, false},  // Start 3 was rolled back.
      {{1, 11, 21}, 21, false},  // More was written than the store knows of.
      {{}, 21, false},           // The same, by probes.
  };
  for (const Case& each : cases) {
    GuardWorld world;
    REQUIRE(world.guard.restore("starts", "3 33 10\n4 44 10\n"));
    REQUIRE(world.guard.restore("sequence", "20"));
    world.start();
    world.answer(2, each.mark, each.sequence);
    INFO(each.mark.boot_epoch, " ", each.mark.boot_nonce, " ", each.mark.sequence);
    CHECK(world.guard.refused() != each.fits);
    if (each.fits) continue;
    CHECK(world.refused_with("--new-identity"));
    CHECK(world.refused_with("old copy"));
    CHECK(world.lasting());
    CHECK(world.guard.wake_at() == kNever);
    world.answer(3);
    CHECK_FALSE(world.guard.may_talk(id(3)));
  }
}

TEST_CASE("identity: the store keeps its last starts and what they came to") {
  GuardWorld world;
  REQUIRE(world.guard.restore("starts", "3 33 10\n4 44 10\n"));
  REQUIRE(world.guard.restore("sequence", "20"));
  world.start();
  CHECK(world.written("starts") == "3 33 10\n4 44 20\n5 77 20\n");

  std::string many;
  for (std::size_t start = 0; start < kStartsMax; ++start) many += "1 2 3\n";
  GuardWorld old;
  REQUIRE(old.guard.restore("starts", many));
  old.start();
  CHECK(std::ranges::count(*old.written("starts"), '\n') == kStartsMax);
}

TEST_CASE("identity: a refusal outlasts the process") {
  GuardWorld world;
  REQUIRE(world.guard.restore("refused", "because of that"));
  world.start();
  CHECK(world.refused_with("because of that"));
  CHECK(world.asked().empty());
}

TEST_CASE("identity: an answer about a former identity at this address says nothing of this one") {
  GuardWorld world;
  world.start();
  const wire::StoreMark much{9, 99, 1'000'000};
  world.guard.on_message(world.now, source(2), wire::StoreAnswer{much, much, 0, id(7)});
  CHECK_FALSE(world.guard.refused());
  world.guard.on_message(world.now, source(2), wire::StoreAnswer{much, much, 0, id(1)});
  CHECK(world.guard.refused());
}

TEST_CASE("identity: an answer to a former start lets nobody speak") {
  GuardWorld world;
  REQUIRE(world.guard.restore("starts", "4 44 0\n"));
  world.start();
  world.guard.on_message(world.now, source(2), wire::StoreAnswer{{4, 44, 0}, {4, 44, 0}, 0, id(1)});
  CHECK_FALSE(world.guard.refused());
  CHECK_FALSE(world.guard.may_talk(id(2)));
}

TEST_CASE("identity: the sequence rises with shard writes, at most once a second") {
  GuardWorld world;
  REQUIRE(world.guard.restore("sequence", "9"));
  world.let_vote();
  world.guard.on_shard_writes(world.now);
  CHECK(world.written("sequence") == "10");  // In the same batch.
  CHECK(world.guard.announced() == 9);
  CHECK(world.asked().empty());
  world.sync();
  CHECK(world.guard.announced() == 10);
  CHECK(world.asked() == std::vector{id(2), id(3)});

  world.context.output = {};
  world.pass(400ms);
  world.guard.on_shard_writes(world.now);
  CHECK_FALSE(world.written("sequence"));
  CHECK(world.guard.wake_at() <= world.now.steady + 600ms);
  world.pass(600ms);
  CHECK(world.written("sequence") == "11");
  world.context.output = {};
  world.pass(5s);
  CHECK_FALSE(world.written("sequence"));
}

TEST_CASE("identity: a sequence that is not durable is not remembered against the node") {
  GuardWorld world;
  world.let_vote();
  world.guard.on_shard_writes(world.now);  // Sequence 1 is on its way.
  world.answer(2, {kEpoch, 77, 1}, 1);
  CHECK_FALSE(world.guard.refused());
}

TEST_CASE("identity: a peer remembers the newest start and the last one that settled") {
  GuardWorld world;
  world.start();
  const auto answer_to = [&](const wire::StoreQuery& asked) {
    world.context.output.messages.clear();
    world.guard.on_message(world.now, source(2), asked);
    return world.sent<wire::StoreAnswer>(world.context.output.messages).at(0).second;
  };
  answer_to(query(4, 44, 20));
  CHECK(answer_to(query(4, 44, 20, true)).settled == wire::StoreMark{4, 44, 20});
  CHECK(answer_to(query(4, 44, 25)).settled.sequence == 25);
  // Later starts that did not settle, as those of a store that was rolled back.
  for (const std::uint64_t epoch : {5UL, 6UL, 7UL}) {
    const wire::StoreAnswer answer = answer_to(query(epoch, 10 * epoch, 30));
    CHECK(answer.newest == wire::StoreMark{epoch, 10 * epoch, 30});
    CHECK(answer.settled == wire::StoreMark{4, 44, 25});
  }
  // A late message, or another process.
  CHECK(answer_to(query(4, 44, 90, true)).settled == wire::StoreMark{4, 44, 25});
  CHECK(answer_to(query(7, 71, 90, true)).newest == wire::StoreMark{7, 70, 30});
  CHECK(answer_to(query(7, 70, 40, true)).settled == wire::StoreMark{7, 70, 40});
}

TEST_CASE("identity: what a peer remembers is on its disk") {
  GuardWorld world;
  world.start();
  world.guard.on_message(world.now, source(2), query(4, 44, 20, true));
  world.guard.on_message(world.now, source(2), query(6, 66, 30));
  world.context.output.writes.clear();
  world.pass(kMarksInterval);
  const std::string name = std::string(kMetaMark) + to_string(id(2));
  const auto kept = world.written(name);
  REQUIRE(kept);
  GuardWorld again;
  REQUIRE(again.guard.restore(name, *kept));
  again.start();
  again.context.output.messages.clear();
  again.guard.on_message(again.now, source(2), query(1, 1, 1));
  const auto answers = again.sent<wire::StoreAnswer>(again.context.output.messages);
  REQUIRE(answers.size() == 2);
  CHECK(answers[0].second.newest == wire::StoreMark{6, 66, 30});
  CHECK(answers[0].second.settled == wire::StoreMark{4, 44, 20});
  CHECK(answers[0].second.sequence == 30);
  // The sender is not who is known by this name: the stream may lead to that one.
  CHECK(answers[1].first.channel == Channel::datagram);
  CHECK(answers[1].first.address == address(2));
}

TEST_CASE("identity: sequences are heard from probes as well, and starts from members' news") {
  GuardWorld world;
  world.start();
  world.guard.on_member(world.now, {id(2), membership::Change::alive});
  world.membership.on_message(
      world.now.steady, {id(2), address(2), membership::Channel::datagram},
      wire::Ping{.sequence = 1, .target = id(1), .load = {.store_sequence = 12}, .news = {}});
  world.pass(kMarksInterval);
  CHECK(world.written(std::string(kMetaMark) + to_string(id(2))) == "7 1002 0 0 0 0 12");
}

TEST_CASE("identity: a member that is forgotten is remembered while it is of a home here") {
  GuardWorld world(4);
  world.start();
  for (const std::uint64_t node : {3UL, 4UL}) {
    world.guard.on_message(world.now, source(node), query(4, 40, 20));
  }
  world.pass(kMarksInterval);
  world.context.output.writes.clear();
  for (const std::uint64_t node : {3UL, 4UL}) {
    world.guard.on_member(world.now, {id(node), membership::Change::forgotten});
  }
  world.pass(kMarksInterval);
  CHECK_FALSE(world.written(std::string(kMetaMark) + to_string(id(3))));
  CHECK(world.written(std::string(kMetaMark) + to_string(id(4))) == "");
}

TEST_CASE("identity: marks and sequences that cannot be read are refused") {
  GuardWorld world;
  const std::string mark = std::string(kMetaMark) + to_string(id(2));
  CHECK(world.guard.restore(mark, "1 2 3 4 5 6 7"));
  for (const char* bad : {"", "1 2", "1 2 3 4 5 6 x", "1 2 3 4 5 6 7 8", "-1 2 3 4 5 6 7", " "}) {
    CHECK_FALSE(world.guard.restore(mark, bad));
  }
  CHECK_FALSE(world.guard.restore(std::string(kMetaMark) + "nobody", "1 2 3 4 5 6 7"));
  for (const char* bad : {"1", "1 2", "1 2 x\n", "1 2 3 4\n", "\n"}) {
    CHECK_FALSE(GuardWorld().guard.restore("starts", bad));
  }
  CHECK_FALSE(world.guard.restore("sequence", "many"));
  CHECK(world.guard.restore("something of another part", "x"));
}

TEST_CASE("identity: two processes of one key are told of each other through a third") {
  GuardWorld world;
  world.let_vote();
  world.guard.on_message(world.now, source(2), query(8, 40, 20));
  world.context.output = {};
  // The copy, elsewhere, has heard of the other from somebody.
  const Source copy{.node = id(2), .address = address(99)};
  const wire::SameKey said{.boot_nonce = 41, .heard = 40, .address = address(99), .voted = false};
  world.guard.on_message(world.now, copy, said);
  CHECK_FALSE(world.guard.refused());
  const auto passed = world.sent<wire::SameKey>(world.context.output.messages);
  REQUIRE(passed.size() == 2);
  CHECK(passed[0].first.address == address(2));
  CHECK(passed[0].first.channel == Channel::datagram);
  CHECK(passed[0].second.heard == 40);
}

TEST_CASE("identity: another live process of the key ends this one, for good if it has voted") {
  for (const bool voted : {false, true}) {
    GuardWorld world;
    world.let_vote();
    world.guard.on_message(
        world.now, source(2),
        wire::SameKey{.boot_nonce = 78, .heard = 77, .address = address(99), .voted = voted});
    CHECK(world.refused_with(to_string(address(99))));
    CHECK(world.lasting() == voted);
    // It tells the other one the same.
    const auto told = world.sent<wire::SameKey>(world.context.output.messages);
    REQUIRE(told.size() == 2);
    CHECK(told[0].second.boot_nonce == 77);
    CHECK(told[0].second.heard == 78);
    CHECK(told[0].second.voted);
  }
}

TEST_CASE("identity: a word about a former start, or the node's own, alarms nobody") {
  GuardWorld world;
  world.let_vote();
  world.guard.on_message(
      world.now, source(2),
      wire::SameKey{.boot_nonce = 78, .heard = 70, .address = address(99), .voted = true});
  world.guard.on_message(
      world.now, source(2),
      wire::SameKey{.boot_nonce = 77, .heard = 77, .address = address(1), .voted = true});
  CHECK_FALSE(world.guard.refused());
  CHECK(world.context.output.messages.empty());
}

TEST_CASE("identity: news of a later start of this node ends it") {
  GuardWorld world;
  world.let_vote();
  wire::MemberRecord later = record(1, wire::MemberState::alive);
  later.incarnation = {kEpoch + 1, 0};
  world.guard.on_rival(world.now, later);
  CHECK(world.refused_with("--new-identity"));
  CHECK(world.lasting());
}

TEST_CASE("identity: news of a copy that nobody let vote does not end the node for good") {
  GuardWorld world;
  world.let_vote();
  wire::MemberRecord same = record(1, wire::MemberState::alive);
  same.incarnation = {kEpoch, 1};
  world.guard.on_rival(world.now, same);
  CHECK(world.guard.refused());
  CHECK_FALSE(world.lasting());
}

}  // namespace shoal::node
