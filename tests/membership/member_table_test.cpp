#include "membership/member_table.hpp"

#include <doctest/doctest.h>

#include <span>

#include "base/random.hpp"

namespace shoal::membership {

using namespace std::chrono_literals;
using wire::MemberState;

namespace {

const TimePoint kNow{100h};

wire::MemberRecord record(std::uint64_t number, MemberState state, wire::Incarnation incarnation) {
  return {.node = {.high = 0, .low = number},
          .state = state,
          .incarnation = incarnation,
          .accuser = {.high = 0, .low = 77},
          .info = wire::MemberInfo{.address = ipv4(10, 0, 0, 1, 7461), .name = "a", .zone = "z"}};
}

}  // namespace

TEST_CASE("member table: the same news in any order makes the same table") {
  std::vector<wire::MemberRecord> news;
  for (std::uint64_t number = 1; number <= 5; ++number) {
    for (const MemberState state : {MemberState::alive, MemberState::suspect, MemberState::dead}) {
      for (std::uint64_t counter = 0; counter < 3; ++counter) {
        news.push_back(record(number, state, {.boot_epoch = 1, .counter = counter}));
      }
    }
  }
  MemberTable first;
  for (const auto& item : news) first.merge(kNow, item);
  Random random(1);
  for (int i = 0; i < 20; ++i) {
    random.shuffle(std::span(news));
    MemberTable other;
    for (const auto& item : news) other.merge(kNow, item);
    CHECK(other.digest() == first.digest());
    CHECK(other.present_count() == 0);
  }
}

TEST_CASE("member table: at one incarnation left outranks dead, suspect and alive") {
  MemberTable table;
  const wire::Incarnation one{.boot_epoch = 1, .counter = 1};
  CHECK(table.merge(kNow, record(1, MemberState::alive, one)) == MemberTable::Merge::added);
  CHECK(table.alive_count() == 1);
  CHECK(table.merge(kNow, record(1, MemberState::alive, one)) == MemberTable::Merge::same);
  CHECK(table.merge(kNow, record(1, MemberState::suspect, one)) == MemberTable::Merge::changed);
  CHECK(table.alive_count() == 0);
  CHECK(table.present_count() == 1);
  CHECK(table.merge(kNow, record(1, MemberState::dead, one)) == MemberTable::Merge::changed);
  CHECK(table.merge(kNow, record(1, MemberState::alive, one)) == MemberTable::Merge::stale);
  CHECK(table.merge(kNow, record(1, MemberState::left, one)) == MemberTable::Merge::changed);
  CHECK(table.present_count() == 0);
}

TEST_CASE("member table: a higher boot epoch outranks any counter of the former life") {
  MemberTable table;
  table.merge(kNow, record(1, MemberState::dead, {.boot_epoch = 1, .counter = 100}));
  const auto reborn = record(1, MemberState::alive, {.boot_epoch = 2, .counter = 0});
  CHECK(table.merge(kNow, reborn) == MemberTable::Merge::changed);
  CHECK(table.alive_count() == 1);
}

TEST_CASE("member table: news without info applies only to the incarnation that is known") {
  MemberTable table;
  table.merge(kNow, record(1, MemberState::alive, {.boot_epoch = 1, .counter = 1}));
  auto bare = record(1, MemberState::dead, {.boot_epoch = 1, .counter = 2});
  bare.info.reset();
  CHECK(table.merge(kNow, bare) == MemberTable::Merge::stale);
  bare.incarnation.counter = 1;
  CHECK(table.merge(kNow, bare) == MemberTable::Merge::changed);
  CHECK(table.find(bare.node)->info.name == "a");
}

TEST_CASE("member table: what is erased leaves no trace in the digest") {
  MemberTable table;
  table.merge(kNow, record(1, MemberState::alive, {.boot_epoch = 1}));
  const auto before = table.digest();
  table.merge(kNow, record(2, MemberState::dead, {.boot_epoch = 1}));
  CHECK(table.digest() != before);
  table.erase({.high = 0, .low = 2});
  CHECK(table.digest() == before);
  CHECK(table.members().size() == 1);
}

TEST_CASE("member table: the age of a death travels with the record") {
  MemberTable table, other;
  table.merge(kNow, record(1, MemberState::dead, {.boot_epoch = 1}));
  const auto records = table.records(kNow + 10h, ~std::uint64_t{0});
  REQUIRE(records.size() == 1);
  CHECK(records[0].gone_seconds == 36'000);
  other.merge(kNow, records[0]);
  CHECK(other.find(records[0].node)->changed_at == kNow - 10h);
}

TEST_CASE("member table: records of a mask are those of its buckets") {
  MemberTable table;
  for (std::uint64_t i = 1; i <= 200; ++i) {
    table.merge(kNow, record(i, MemberState::alive, {.boot_epoch = 1}));
  }
  const std::uint32_t bucket = MemberTable::bucket_of({.high = 0, .low = 7});
  const auto some = table.records(kNow, std::uint64_t{1} << bucket);
  CHECK(some.size() < 20);
  for (const auto& item : some) CHECK(MemberTable::bucket_of(item.node) == bucket);
  CHECK(table.records(kNow, ~std::uint64_t{0}).size() == 200);
}

}  // namespace shoal::membership
