#include "membership/membership.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/log.hpp"

namespace shoal::membership {

using namespace std::chrono_literals;
using wire::MemberState;

namespace {

NodeId node(std::uint64_t number) { return {.high = 0, .low = number}; }
Address address(std::uint64_t number) {
  return ipv4(10, 0, 0, static_cast<std::uint8_t>(number), 7461);
}
wire::MemberInfo info(std::uint64_t number) {
  return {.address = address(number), .name = "n" + std::to_string(number), .zone = ""};
}
Source from(std::uint64_t number, Channel channel = Channel::datagram) {
  return {.node = node(number), .address = address(number), .channel = channel};
}
wire::MemberRecord record(std::uint64_t number, MemberState state, std::uint64_t counter,
                          std::uint64_t accuser = 0) {
  return {.node = node(number),
          .state = state,
          .incarnation = {.boot_epoch = 1, .counter = counter},
          .accuser = node(accuser),
          .info = info(number)};
}

// One member, number 1, that knows the members 2 to `known`; the test plays all others.
struct Alone {
  explicit Alone(std::uint64_t known, MembershipConfig config = {})
      : membership(config, node(1), {.boot_epoch = 1}, info(1), Random(1), now) {
    log::set_level(log::Level::error);
    for (std::uint64_t i = 2; i <= known; ++i) hear(i, record(i, MemberState::alive, 0));
    membership.take_output();
  }
  ~Alone() { log::set_level(log::Level::info); }
  void hear(std::uint64_t speaker, const wire::MemberRecord& news) {
    membership.on_message(now, from(speaker), wire::Gossip{.news = {news}});
  }
  void hear_table(std::uint64_t speaker, std::vector<wire::MemberRecord> records) {
    membership.on_message(
        now, from(speaker, Channel::stream),
        wire::MemberTable{.records = std::move(records), .bucket_mask = 1, .reply = false});
  }
  MemberState state(std::uint64_t number) { return membership.find(node(number))->state; }
  // All messages of a kind until `until`, with acks for every ping if `answers`.
  template <class M>
  std::vector<std::pair<Envelope, M>> run(Duration duration, bool answers = true) {
    std::vector<std::pair<Envelope, M>> found;
    const TimePoint end = now + duration;
    while (true) {
      Output output = membership.take_output();
      for (const Envelope& envelope : output.messages) {
        if (const auto* message = std::get_if<M>(&envelope.message)) {
          found.emplace_back(envelope, *message);
        }
        const auto* ping = std::get_if<wire::Ping>(&envelope.message);
        if (ping == nullptr || !answers) continue;
        membership.on_message(now, {.node = envelope.to, .address = envelope.address},
                              wire::PingAck{.sequence = ping->sequence});
      }
      for (const Event& event : output.events) events.push_back(event);
      if (membership.wake_at() > end) break;
      now = std::max(now, membership.wake_at());
      membership.on_time(now);
    }
    now = end;
    return found;
  }
  TimePoint now{1h};
  std::vector<Event> events;
  Membership membership;
};

template <class M>
std::vector<M> sent(const Output& output) {
  std::vector<M> found;
  for (const Envelope& envelope : output.messages) {
    if (const auto* message = std::get_if<M>(&envelope.message)) found.push_back(*message);
  }
  return found;
}

}  // namespace

TEST_CASE("membership: an accused node refutes with a higher incarnation and doubts itself") {
  Alone one(5);
  one.hear(2, record(1, MemberState::suspect, 0, 2));
  CHECK(one.membership.incarnation() == wire::Incarnation{1, 1});
  CHECK(one.membership.local_health() == 1);
  const auto gossip = sent<wire::Gossip>(one.membership.take_output());
  REQUIRE(gossip.size() == 1);  // To whom it heard it from, at once.
  CHECK(gossip[0].news[0].state == MemberState::alive);
  CHECK(gossip[0].news[0].incarnation.counter == 1);
  // An accusation of an earlier incarnation needs no further refutation.
  one.hear(3, record(1, MemberState::dead, 0, 3));
  CHECK(one.membership.incarnation() == wire::Incarnation{1, 1});
}

TEST_CASE("membership: a ping to a suspect carries the accusation") {
  Alone one(3);
  one.hear(2, record(3, MemberState::suspect, 0, 2));
  bool told = false;
  for (const auto& [envelope, ping] : one.run<wire::Ping>(3s)) {
    if (envelope.to != node(3)) continue;
    told = told || std::ranges::any_of(ping.news, [](const wire::MemberRecord& news) {
             return news.node == node(3) && news.state == MemberState::suspect;
           });
  }
  CHECK(told);
}

TEST_CASE("membership: nobody is declared dead on one member's word, from four members on") {
  for (const std::uint64_t members : {3U, 5U}) {
    Alone one(members);
    one.hear(2, record(3, MemberState::suspect, 0, 2));
    one.run<wire::Ping>(5min);  // All pings are answered: it does not become an accuser itself.
    CHECK(one.state(3) == (members == 3 ? MemberState::dead : MemberState::suspect));
    one.hear(2, record(3, MemberState::suspect, 0, members));
    one.run<wire::Ping>(5min);
    CHECK(one.state(3) == MemberState::dead);
  }
}

TEST_CASE("membership: with one accuser it asks for itself, and so becomes the second") {
  Alone one(5);
  one.hear(2, record(3, MemberState::suspect, 0, 2));
  one.run<wire::Ping>(10min, false);
  CHECK(one.state(3) == MemberState::dead);
}

TEST_CASE("membership: who alone accuses a member says so again, until another does too") {
  Alone one(5);
  one.hear(2, record(3, MemberState::alive, 1));
  one.run<wire::Ping>(5min, false);
  REQUIRE(one.state(3) == MemberState::suspect);
  bool told = false;
  for (const auto& [envelope, gossip] : one.run<wire::Gossip>(5min, false)) {
    told = told || std::ranges::any_of(gossip.news, [](const wire::MemberRecord& news) {
             return news.node == node(3) && news.accuser == node(1);
           });
  }
  CHECK(told);
  one.hear(2, record(3, MemberState::suspect, 1, 2));
  one.run<wire::Ping>(1min, false);
  CHECK(one.state(3) == MemberState::dead);
}

TEST_CASE("membership: a death found in bulk is only a suspicion, and the subject is told") {
  Alone one(5);
  one.hear_table(2, {record(3, MemberState::dead, 0, 4)});
  CHECK(one.state(3) == MemberState::suspect);
  const Output output = one.membership.take_output();
  const auto gossip = sent<wire::Gossip>(output);
  REQUIRE(gossip.size() == 1);
  CHECK(output.messages[0].to == node(3));
  CHECK(gossip[0].news[0].state == MemberState::suspect);
  // The subject's own word counts: it stopped, or left.
  one.hear_table(2, {record(4, MemberState::dead, 0, 4), record(5, MemberState::left, 0, 5)});
  CHECK(one.state(4) == MemberState::dead);
  CHECK(one.membership.find(node(4))->stopped());
  CHECK(one.state(5) == MemberState::left);
}

TEST_CASE("membership: a stale claim to be alive is answered with the accusation") {
  Alone one(5);
  one.hear(2, record(3, MemberState::dead, 5, 4));
  one.membership.take_output();
  one.hear(3, record(3, MemberState::alive, 1));
  const Output output = one.membership.take_output();
  const auto gossip = sent<wire::Gossip>(output);
  REQUIRE(gossip.size() == 1);
  CHECK(output.messages[0].to == node(3));
  CHECK(gossip[0].news[0].state == MemberState::dead);
  CHECK(gossip[0].news[0].incarnation.counter == 5);
  CHECK(one.membership.counters().stale_answered == 1);
}

TEST_CASE("membership: a member changes its address with a higher incarnation only") {
  Alone one(5);
  auto moved = record(3, MemberState::alive, 0);
  moved.info->address = address(33);
  one.hear(2, moved);
  CHECK(one.membership.find(node(3))->info.address == address(3));
  moved.incarnation.counter = 1;
  one.hear(2, moved);
  CHECK(one.membership.find(node(3))->info.address == address(33));
  const auto events = one.membership.take_output().events;
  CHECK(events == std::vector<Event>{{node(3), Change::address}});
}

TEST_CASE("membership: two nodes of one name are two members") {
  Alone one(3);
  auto twin = record(4, MemberState::alive, 0);
  twin.info->name = "n1";
  one.hear(4, twin);
  CHECK(one.membership.alive_count() == 4);
}

TEST_CASE("membership: an own change raises the incarnation, no change does not") {
  Alone one(3);
  one.membership.set_info(one.now, info(1));
  CHECK(one.membership.incarnation().counter == 0);
  one.membership.set_info(one.now, info(9));
  CHECK(one.membership.incarnation().counter == 1);
  CHECK(one.membership.find(node(1))->info == info(9));
}

TEST_CASE("membership: a ping meant for another node is not answered") {
  Alone one(3);
  one.membership.on_message(one.now, from(2), wire::Ping{.sequence = 1, .target = node(9)});
  CHECK(one.membership.take_output().messages.empty());
  one.membership.on_message(one.now, from(2, Channel::stream),
                            wire::Ping{.sequence = 2, .target = node(1), .load = {.ready = 7}});
  const Output output = one.membership.take_output();
  REQUIRE(output.messages.size() == 1);
  CHECK(output.messages[0].channel == Channel::stream);
  CHECK(std::get<wire::PingAck>(output.messages[0].message).sequence == 2);
  REQUIRE(one.membership.load_of(node(2)));
  CHECK(one.membership.load_of(node(2))->load.ready == 7);
  CHECK_FALSE(one.membership.load_of(node(3)));
}

TEST_CASE("membership: push-pull sends only the buckets that differ") {
  Alone one(40);
  const auto& digest = one.membership.digest();
  wire::MemberDigest same{.buckets = {digest.begin(), digest.end()}};
  one.membership.on_message(one.now, from(2, Channel::stream), same);
  CHECK(one.membership.take_output().messages.empty());
  same.buckets[MemberTable::bucket_of(node(7))] ^= 1;
  one.membership.on_message(one.now, from(2, Channel::stream), same);
  const auto tables = sent<wire::MemberTable>(one.membership.take_output());
  REQUIRE(tables.size() == 1);
  CHECK(tables[0].reply);
  CHECK(tables[0].records.size() < 10);
  CHECK(std::ranges::any_of(tables[0].records,
                            [](const wire::MemberRecord& item) { return item.node == node(7); }));
}

TEST_CASE("membership: a table too long for one message comes in parts, the question in the last") {
  Alone one(1);
  std::vector<wire::MemberRecord> many;
  for (std::uint64_t i = 2; i <= 5000; ++i) {
    many.push_back(record(i, MemberState::alive, 0));
    many.back().info->name.assign(wire::kNodeNameBytesMax, 'n');
    many.back().info->zone.assign(wire::kNodeNameBytesMax, 'z');
  }
  // A newcomer is told in parts as well, and has nothing to tell the others but of itself and of
  // whom it heard.
  one.membership.join(one.now, std::array{address(2)});
  const std::span all(many);
  for (std::size_t begin = 0; begin < all.size(); begin += 1000) {
    const auto part = all.subspan(begin, std::min<std::size_t>(1000, all.size() - begin));
    CHECK_FALSE(one.membership.joined());
    one.membership.on_message(one.now, from(2, Channel::stream),
                              wire::MemberTable{.records = {part.begin(), part.end()},
                                                .bucket_mask = ~std::uint64_t{0},
                                                .join = begin + part.size() == all.size()});
  }
  CHECK(one.membership.joined());
  CHECK(one.membership.members().size() == 5000);
  one.membership.take_output();

  one.membership.on_message(
      one.now, from(3, Channel::stream),
      wire::MemberTable{.bucket_mask = ~std::uint64_t{0}, .join = true, .reply = true});
  const auto parts = sent<wire::MemberTable>(one.membership.take_output());
  REQUIRE(parts.size() > 4);
  std::set<NodeId> told;
  for (const wire::MemberTable& part : parts) {
    std::size_t bytes = 0;
    for (const auto& item : part.records) bytes += record_bytes(item);
    CHECK(bytes <= 256 * 1024);
    CHECK(part.join == (&part == &parts.back()));
    CHECK_FALSE(part.reply);
    for (const auto& item : part.records) told.insert(item.node);
  }
  CHECK(told.size() == 5000);
  for (const auto& [envelope, gossip] : one.run<wire::Gossip>(1s)) {
    for (const auto& news : gossip.news) CHECK((news.node == node(1) || news.node == node(2)));
  }
}

TEST_CASE("membership: the dead are dialled, and forgotten after their time") {
  Alone one(5);
  one.hear(2, record(3, MemberState::dead, 0, 4));
  std::size_t dials = 0;
  for (const auto& [envelope, table] : one.run<wire::MemberTable>(10min)) {
    CHECK(envelope.channel == Channel::stream);
    dials += envelope.to == node(3) && table.join ? 1 : 0;
  }
  CHECK(dials >= 15);  // Every 30 s or so.
  CHECK(dials <= 25);
  CHECK(one.membership.memory(one.now).size() == 4);
  one.now += 24h;
  one.run<wire::Ping>(1min);
  CHECK(one.membership.find(node(3)) == nullptr);
  CHECK(std::ranges::find(one.events, Event{node(3), Change::forgotten}) != one.events.end());
  // Others that are about to forget it do not bring it back.
  auto old = record(3, MemberState::dead, 0, 4);
  old.gone_seconds = 86'390;
  one.hear_table(2, {old});
  CHECK(one.membership.find(node(3)) == nullptr);
}

TEST_CASE("membership: many that are gone are each dialled within a few minutes") {
  Alone one(50);
  for (std::uint64_t i = 3; i <= 40; ++i) one.hear(2, record(i, MemberState::dead, 0, 4));
  std::set<NodeId> dialled;
  for (const auto& [envelope, table] : one.run<wire::MemberTable>(150s))
    dialled.insert(envelope.to);
  for (std::uint64_t i = 3; i <= 40; ++i) CHECK(dialled.contains(node(i)));
}

TEST_CASE("membership: a seed at which nobody present is known is asked now and then") {
  Alone one(5);
  one.membership.set_seeds(one.now, std::array{address(2), address(3)});
  const auto to_seed = [&](std::uint64_t of) {
    const auto all = one.run<wire::MemberDigest>(5min);
    return std::ranges::count_if(
        all, [&](const auto& sent) { return !sent.first.to && sent.first.address == address(of); });
  };
  CHECK(to_seed(2) == 0);
  one.membership.set_seeds(one.now, std::array{address(2), address(9)});
  const auto asked = to_seed(9);
  CHECK(asked >= 7);
  CHECK(asked <= 13);
}

TEST_CASE("membership: what is restored is dialled, all of it, and the dead stay dead") {
  Alone one(1);
  std::vector<wire::MemberRecord> remembered;
  for (std::uint64_t i = 2; i <= 200; ++i) {
    remembered.push_back(record(i, i % 2 == 0 ? MemberState::alive : MemberState::dead, 0, 2));
  }
  one.membership.restore(one.now, remembered);
  std::set<NodeId> dialled;
  for (const auto& [envelope, ping] : one.run<wire::Ping>(2s)) dialled.insert(envelope.to);
  CHECK(dialled.size() == 199);
  CHECK(one.state(3) == MemberState::dead);
  CHECK(one.membership.alive_count() == 101);
  CHECK_FALSE(one.membership.joined());
}

TEST_CASE("membership: joining goes on with backoff until a member answers") {
  Alone one(1);
  const std::array seeds{address(2), address(1)};  // Its own address is not dialled.
  one.membership.join(one.now, seeds);
  const auto dials = one.run<wire::MemberTable>(10min);
  CHECK(dials.size() >= 15);
  CHECK(dials.size() <= 30);
  for (const auto& [envelope, table] : dials) CHECK(envelope.address == address(2));
  one.membership.on_message(
      one.now, from(2, Channel::stream),
      wire::MemberTable{.records = {record(2, MemberState::alive, 0)}, .join = true});
  CHECK(one.membership.joined());
  CHECK(one.run<wire::MemberTable>(1min).empty());
}

TEST_CASE("membership: without news nothing but probes and push-pull wakes it") {
  Alone one(5);
  one.run<wire::Gossip>(20s);
  CHECK(one.run<wire::Gossip>(20s).empty());
  int wakes = 0;
  const TimePoint end = one.now + 100s;
  while (one.membership.wake_at() < end) {
    one.now = one.membership.wake_at();
    one.membership.on_time(one.now);
    one.run<wire::Ping>(0s);
    ++wakes;
  }
  CHECK(wakes <= 106);
}

TEST_CASE("membership: after a farewell a node neither probes nor refutes") {
  Alone one(5);
  one.membership.announce_stop(one.now);
  CHECK(one.membership.find(node(1))->stopped());
  CHECK(sent<wire::Gossip>(one.membership.take_output()).size() == 4);
  one.hear(2, record(1, MemberState::dead, 0, 2));
  CHECK(one.membership.incarnation().counter == 0);
  CHECK(one.run<wire::Ping>(1min).empty());
  CHECK(one.membership.farewell_sent());
  CHECK(one.membership.wake_at() == kNever);
}

TEST_CASE("membership: a forgotten member has left for all, until it comes with more") {
  Alone one(5);
  one.hear(2, record(3, MemberState::dead, 0, 4));
  one.membership.forget(one.now, node(3));
  CHECK(one.state(3) == MemberState::left);
  one.hear(3, record(3, MemberState::alive, 0));
  CHECK(one.state(3) == MemberState::left);
  one.hear(3, record(3, MemberState::alive, 1));
  CHECK(one.state(3) == MemberState::alive);
}

TEST_CASE("membership: malformed news is counted and dropped") {
  Alone one(3);
  auto nobody = record(0, MemberState::alive, 0);
  auto bare = record(4, MemberState::alive, 0);
  bare.info.reset();
  auto nowhere = record(4, MemberState::alive, 0);
  nowhere.info->address = {};
  auto wordy = record(4, MemberState::alive, 0);
  wordy.info->zone = std::string(65, 'z');
  for (const auto& bad : {nobody, bare, nowhere, wordy}) one.hear(2, bad);
  CHECK(one.membership.counters().records_rejected == 4);
  CHECK(one.membership.members().size() == 3);
  one.membership.on_message(one.now, from(2), wire::MemberDigest{.buckets = {1, 2, 3}});
  one.membership.on_message(one.now, from(2), wire::PingAck{.sequence = 5});
  one.membership.on_message(one.now, from(2), wire::PingNack{.sequence = 5});
  one.membership.on_stream_failed(one.now, node(99));
  CHECK(one.membership.take_output().messages.empty());
}

TEST_CASE("membership: the number of members is bounded") {
  MembershipConfig config;
  config.members_max = 10;
  Alone one(30, config);
  CHECK(one.membership.members().size() == 10);
  CHECK(one.membership.counters().records_rejected == 20);
}

TEST_CASE("membership: a second life of the same identity is outranked and warned of") {
  Alone one(3);
  auto other = record(1, MemberState::alive, 7);
  one.hear(2, other);
  CHECK(one.membership.incarnation() == wire::Incarnation{1, 8});
}

}  // namespace shoal::membership
