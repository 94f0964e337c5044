#include "sim/links.hpp"

#include <doctest/doctest.h>

#include "sim/network.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kStart{1h};

Flight flight(std::uint64_t sequence) { return {{}, wire::PingAck{.sequence = sequence}}; }

std::uint32_t arriving(Network& network, NodeIndex from, NodeIndex to, std::size_t bytes = 0) {
  std::uint32_t arrived = 0;
  for (int i = 0; i < 1000; ++i) arrived += network.datagram(kStart, from, to, bytes).count;
  return arrived;
}

}  // namespace

TEST_CASE("links: troubles add up where they meet, and each ends alone") {
  Links links;
  const auto everywhere = links.begin({}, {.loss_permille = 100, .slow_factor = 2});
  const auto one = links.begin({{0, 1}}, {.loss_permille = 50, .slow_factor = 3});
  CHECK(links.at(0, 1).slow_factor == 6);
  CHECK(links.at(0, 1).loss_permille == 100);  // The worst of both.
  CHECK(links.at(1, 0).slow_factor == 2);
  CHECK(links.at(7, 9).slow_factor == 2);  // Nodes nobody named.
  links.end(everywhere);
  CHECK(links.at(0, 1).slow_factor == 3);
  CHECK(links.at(7, 9).slow_factor == 1);
  links.end(one);
  links.end(one);
  CHECK(links.quiet());
}

TEST_CASE("links: two cuts of one link are mended when both are over") {
  Network network({}, 7);
  const auto first = network.links().begin({{0, 1}}, kCut);
  const auto second = network.links().begin({{0, 1}}, kCut);
  network.links().end(first);
  CHECK(network.blocked(0, 1));
  network.links().end(second);
  CHECK_FALSE(network.blocked(0, 1));
}

TEST_CASE("links: datagrams may be dead while streams live, and the other way round") {
  Network network({}, 7);
  const auto dead = network.links().begin({{0, 1}}, {.datagrams_cut = true});
  CHECK(arriving(network, 0, 1) == 0);
  const auto sent = network.send(kStart, 0, 1, false, flight(1));
  CHECK(network.arrive(sent.at, sent.lane).flight);
  network.links().end(dead);
  network.links().begin({{0, 1}}, {.streams_cut = true});
  CHECK(arriving(network, 0, 1) == 1000);
  const auto later = network.send(kStart + 1s, 0, 1, false, flight(2));
  CHECK(network.arrive(later.at, later.lane).again);
}

TEST_CASE("links: what is corrupted arrives as nothing") {
  Network network({}, 7);
  network.links().begin({{0, 1}}, {.corrupt_permille = 1000});
  const auto arrivals = network.datagram(kStart, 0, 1);
  CHECK(arrivals.corrupted);
  CHECK(arrivals.count == 0);
}

TEST_CASE("links: a capped link carries so many bytes a second and drops what queues too long") {
  Network network({}, 7);
  network.links().begin({{0, 1}}, {.bytes_per_second = 100'000});
  CHECK(network.capped(0, 1));
  CHECK_FALSE(network.capped(1, 0));
  // Half a second's worth, and the one that was under way.
  const std::uint32_t arrived = arriving(network, 0, 1, 1000);
  CHECK(arrived >= 50);
  CHECK(arrived <= 52);
}

TEST_CASE("links: a heavy tail delays some datagrams by much more than the scale") {
  Network network({}, 7);
  network.links().begin({{0, 1}}, {.heavy_tail = 1ms});
  int beyond_scale = 0;
  int beyond_sixteen = 0;
  for (int i = 0; i < 10'000; ++i) {
    const Duration took = network.datagram(kStart, 0, 1).at[0] - kStart;
    beyond_scale += took > 2ms ? 1 : 0;
    beyond_sixteen += took > 16ms ? 1 : 0;
  }
  CHECK(beyond_scale > 1000);
  CHECK(beyond_sixteen > 50);
  CHECK(beyond_sixteen < beyond_scale / 2);
}

TEST_CASE("links: a stalled stream delivers in order once the stall is over, and never breaks") {
  Network network({}, 7);
  const auto stall = network.links().begin({{0, 1}}, {.streams_stalled = true});
  const auto first = network.send(kStart, 0, 1, false, flight(1));
  const auto second = network.send(kStart, 0, 1, false, flight(2));
  TimePoint at = first.at;
  for (int i = 0; i < 100; ++i) {
    const auto arrival = network.arrive(at, first.lane);
    CHECK_FALSE(arrival.broken);
    REQUIRE(arrival.again);
    at = *arrival.again;
  }
  network.links().end(stall);
  const auto arrived = network.arrive(at, first.lane).flight;
  REQUIRE(arrived);
  CHECK(std::get<wire::PingAck>(arrived->message).sequence == 1);
  CHECK(network.arrive(at, second.lane).flight);
}

TEST_CASE("links: a reset loses what was in flight, and the next message dials anew") {
  Network network({}, 7);
  const auto lost = network.send(kStart, 0, 1, false, flight(1));
  CHECK(network.reset(kStart, 0, 1, false));
  CHECK_FALSE(network.reset(kStart, 0, 1, false));  // Nothing is open.
  CHECK_FALSE(network.arrive(lost.at, lost.lane).flight);
  const auto next = network.send(kStart + 1s, 1, 0, false, flight(2));
  CHECK_FALSE(next.closed);
  CHECK(network.arrive(next.at, next.lane).flight);
}

TEST_CASE("links: the unaware side of a half-open stream learns it when it sends") {
  Network network({}, 7);
  const auto opened = network.send(kStart, 0, 1, false, flight(1));
  REQUIRE(network.arrive(opened.at, opened.lane).flight);
  CHECK(network.reset(opened.at, 0, 1, true));
  const auto sent = network.send(opened.at + 1s, 1, 0, false, flight(2));
  CHECK(sent.closed);
  const auto again = network.send(sent.at, 1, 0, false, flight(3));
  CHECK_FALSE(again.closed);
  CHECK(network.arrive(again.at, again.lane).flight);
}

TEST_CASE("links: the aware side of a half-open stream may dial anew first") {
  Network network({}, 7);
  network.send(kStart, 0, 1, false, flight(1));
  CHECK(network.reset(kStart, 0, 1, true));
  const auto anew = network.send(kStart + 1s, 0, 1, false, flight(2));
  CHECK(network.arrive(anew.at, anew.lane).flight);
  CHECK_FALSE(network.send(anew.at, 1, 0, false, flight(3)).closed);
}

}  // namespace shoal::sim
