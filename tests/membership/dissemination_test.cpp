#include "membership/dissemination.hpp"

#include <doctest/doctest.h>

namespace shoal::membership {

using wire::MemberState;

namespace {

NodeId node(std::uint64_t number) { return {.high = 0, .low = number}; }

// News without content: only the subject, as large as the smallest record.
wire::MemberRecord bare(NodeId subject, std::uint32_t) { return {.node = subject}; }

std::vector<std::uint64_t> subjects(const std::vector<Dissemination::News>& packets) {
  std::vector<std::uint64_t> numbers;
  for (const auto& packet : packets) {
    for (const auto& record : packet) numbers.push_back(record.node.low);
  }
  return numbers;
}

}  // namespace

TEST_CASE("dissemination: alive goes before suspect before dead, and the newest first") {
  Dissemination queue(100);
  queue.add(node(1), MemberState::dead, 4);
  queue.add(node(2), MemberState::alive, 4);
  queue.add(node(3), MemberState::suspect, 4);
  queue.add(node(4), MemberState::left, 4);
  queue.add(node(5), MemberState::alive, 4);
  CHECK(subjects(queue.take(1, 10'000, bare)) == std::vector<std::uint64_t>{5, 2, 3, 4, 1});
}

TEST_CASE("dissemination: one item for each subject, the latest") {
  Dissemination queue(100);
  queue.add(node(1), MemberState::alive, 1);
  queue.add(node(2), MemberState::alive, 1);
  queue.add(node(1), MemberState::dead, 1);
  CHECK(queue.size() == 2);
  CHECK(subjects(queue.take(1, 10'000, bare)) == std::vector<std::uint64_t>{2, 1});
  CHECK(queue.empty());
}

TEST_CASE("dissemination: each item is sent the given number of times, naming its turn") {
  Dissemination queue(100);
  queue.add(node(1), MemberState::suspect, 3);
  for (std::uint32_t expected = 0; expected < 3; ++expected) {
    std::uint32_t seen = 99;
    queue.take(1, 1000, [&](NodeId subject, std::uint32_t turn) {
      seen = turn;
      return bare(subject, turn);
    });
    CHECK(seen == expected);
  }
  CHECK(queue.empty());
  CHECK(queue.take(1, 1000, bare).empty());
}

TEST_CASE("dissemination: the queue is capped at insertion, and the least urgent is dropped") {
  Dissemination queue(3);
  queue.add(node(1), MemberState::dead, 1);
  queue.add(node(2), MemberState::suspect, 1);
  queue.add(node(3), MemberState::alive, 1);
  queue.add(node(4), MemberState::alive, 1);
  CHECK(subjects(queue.take(1, 10'000, bare)) == std::vector<std::uint64_t>{4, 3, 2});
}

TEST_CASE("dissemination: no packet is larger than allowed, and no item is in two") {
  Dissemination queue(100);
  for (std::uint64_t i = 1; i <= 40; ++i) queue.add(node(i), MemberState::dead, 1);
  const auto packets = queue.take(2, 1000, bare);
  REQUIRE(packets.size() == 2);
  CHECK(packets[0].size() == 1000 / kRecordBytes);
  CHECK(packets[1].size() == 1000 / kRecordBytes);
  CHECK(queue.size() == 40 - 2 * (1000 / kRecordBytes));
}

}  // namespace shoal::membership
