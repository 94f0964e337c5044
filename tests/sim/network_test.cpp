#include "sim/network.hpp"

#include <doctest/doctest.h>

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kStart{1h};

Flight flight(std::uint64_t sequence) { return {{}, wire::PingAck{.sequence = sequence}}; }

std::uint64_t sequence_of(const Flight& flight) {
  return std::get<wire::PingAck>(flight.message).sequence;
}

}  // namespace

TEST_CASE("network: datagrams are lost as often as the options say") {
  Network network({.loss_permille = 300}, 7);
  std::uint32_t arrived = 0;
  for (int i = 0; i < 10'000; ++i) arrived += network.datagram(kStart, 0, 1).count;
  CHECK(arrived > 6'800);
  CHECK(arrived < 7'200);
}

TEST_CASE("network: a datagram may arrive twice, at different times") {
  Network network({}, 7);
  network.links().begin({}, {.duplicate_permille = 1000});
  const auto arrivals = network.datagram(kStart, 0, 1);
  REQUIRE(arrivals.count == 2);
  CHECK(arrivals.at[0] != arrivals.at[1]);
}

TEST_CASE("network: a stream keeps order, whatever the latencies") {
  Network network({.latency_tail = 5ms}, 7);
  std::vector<Network::Sent> sent;
  for (std::uint64_t i = 0; i < 100; ++i)
    sent.push_back(network.send(kStart, 3, 1, false, flight(i)));
  TimePoint last = kStart;
  for (std::uint64_t i = 0; i < 100; ++i) {
    CHECK(sent[i].at > last);
    last = sent[i].at;
    auto arrival = network.arrive(sent[i].at, sent[i].lane);
    REQUIRE(arrival.flight);
    CHECK(arrival.to == 1);
    CHECK(sequence_of(*arrival.flight) == i);
  }
}

TEST_CASE("network: a one-way cut stops one direction only") {
  Network network({}, 7);
  network.cut(0, 1);
  CHECK(network.datagram(kStart, 0, 1).count == 0);
  CHECK(network.datagram(kStart, 1, 0).count == 1);
  network.heal();
  CHECK(network.datagram(kStart, 0, 1).count == 1);
}

TEST_CASE("network: a stream over a cut stalls, and goes on in order when the cut heals soon") {
  Network network({}, 7);
  const auto opened = network.send(kStart, 0, 1, false, flight(0));
  REQUIRE(network.arrive(opened.at, opened.lane).flight);

  network.cut(0, 1);
  const auto first = network.send(opened.at, 0, 1, false, flight(1));
  const auto second = network.send(opened.at, 0, 1, false, flight(2));
  const auto stalled = network.arrive(first.at, first.lane);
  REQUIRE(stalled.again);
  network.mend(0, 1);
  // The later message's event comes first: the earlier message must still leave first.
  CHECK(sequence_of(*network.arrive(second.at, second.lane).flight) == 1);
  CHECK(sequence_of(*network.arrive(*stalled.again, first.lane).flight) == 2);
}

TEST_CASE("network: a stream over a cut that stays breaks, and what was in flight is lost") {
  Network network({}, 7);
  const auto opened = network.send(kStart, 0, 1, false, flight(0));
  REQUIRE(network.arrive(opened.at, opened.lane).flight);

  network.cut(0, 1);
  const auto sent = network.send(opened.at, 0, 1, false, flight(1));
  auto arrival = network.arrive(sent.at, sent.lane);
  TimePoint at = sent.at;
  while (arrival.again) {
    at = *arrival.again;
    arrival = network.arrive(at, sent.lane);
  }
  CHECK(arrival.broken);
  CHECK(at - sent.at <= 4200ms);
  network.heal();
  CHECK_FALSE(network.arrive(at + 1s, sent.lane).flight);
}

TEST_CASE("network: the peers of a node that is gone hear of it") {
  Network network({}, 7);
  const auto opened = network.send(kStart, 0, 1, false, flight(0));
  REQUIRE(network.arrive(opened.at, opened.lane).flight);
  const auto closed = network.close_all(opened.at, 1);
  REQUIRE(closed.size() == 1);
  CHECK(closed[0].peer == 0);
  CHECK(closed[0].at > opened.at);
}

TEST_CASE("network: a host without power tells nobody, and a dial to it takes its full time") {
  Network network({}, 7);
  const auto opened = network.send(kStart, 0, 1, false, flight(0));
  REQUIRE(network.arrive(opened.at, opened.lane).flight);
  network.set_power(1, false);
  const auto closed = network.close_all(opened.at, 1);
  REQUIRE(closed.size() == 1);
  CHECK(closed[0].at == kNever);
  CHECK(network.refuse(opened.at, 0, 1, false) == opened.at + network.options().dial_timeout);
  network.set_power(1, true);
  CHECK(network.datagram(opened.at, 0, 1).count == 1);
}

TEST_CASE("network: many messages to a dead peer are one failed dial") {
  Network network({}, 7);
  CHECK(network.refuse(kStart, 0, 1, false));
  CHECK_FALSE(network.refuse(kStart, 0, 1, false));
  CHECK(network.refuse(kStart + 1s, 0, 1, false));
}

TEST_CASE("network: a split separates its groups and no others") {
  Network network({}, 7);
  network.split({0, 0, 1, 1});
  CHECK_FALSE(network.blocked(0, 1));
  CHECK(network.blocked(1, 2));
  CHECK_FALSE(network.blocked(2, 3));
}

}  // namespace shoal::sim
