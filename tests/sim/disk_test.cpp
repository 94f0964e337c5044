#include "sim/disk.hpp"

#include <doctest/doctest.h>

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

constexpr ShardId kShard{5};

wire::Write put(std::uint64_t key, std::string value) {
  return wire::PutRecord{kShard, {{key, 0}, {{1, {}}, 1}, std::move(value)}};
}

std::string value_of(const Disk& disk, std::uint64_t key) {
  const auto record = disk.read(kShard, {key, 0});
  return record ? record->value : "absent";
}

Deferred waiting() {
  Deferred deferred;
  deferred.promises.emplace_back();
  return deferred;
}

}  // namespace

TEST_CASE("disk: what waits for a write is released by the sync that takes it") {
  Disk disk({});
  Random random(1);
  CHECK_FALSE(disk.add({put(1, "a")}, waiting()));
  REQUIRE(disk.begin_sync(random));
  CHECK_FALSE(disk.add({put(2, "b")}, waiting()));  // Queues behind the sync under way.
  CHECK_FALSE(disk.begin_sync(random));             // One at a time.
  CHECK(disk.end_sync().size() == 1);
  REQUIRE(disk.begin_sync(random));
  CHECK(disk.end_sync().size() == 1);
}

TEST_CASE("disk: a promise without writes waits for earlier writes, and only for those") {
  Disk disk({});
  Random random(1);
  CHECK(disk.add({}, waiting()));  // Nothing to wait for.
  CHECK_FALSE(disk.add({put(1, "a")}, {}));
  REQUIRE(disk.begin_sync(random));
  CHECK_FALSE(disk.add({}, waiting()));
  CHECK(disk.end_sync().size() == 1);
  CHECK_FALSE(disk.begin_sync(random));
}

TEST_CASE("disk: a crash keeps what is synced and a prefix of what is not") {
  bool lost_some = false;
  bool kept_some = false;
  for (std::uint64_t seed = 0; seed < 64; ++seed) {
    Disk disk({});
    Random random(seed);
    disk.add({put(1, "old")}, {});
    REQUIRE(disk.begin_sync(random));
    disk.end_sync();
    disk.add({put(1, "new")}, {});
    disk.add({put(2, "later")}, {});
    disk.crash(random);
    CHECK(value_of(disk, 1) != "absent");
    if (value_of(disk, 2) == "later") CHECK(value_of(disk, 1) == "new");
    lost_some = lost_some || value_of(disk, 1) == "old";
    kept_some = kept_some || value_of(disk, 2) == "later";
  }
  CHECK(lost_some);
  CHECK(kept_some);
}

TEST_CASE("disk: a read finds what is synced, and not what waits") {
  Disk disk({});
  Random random(1);
  disk.add({put(1, "a")}, {});
  CHECK(value_of(disk, 1) == "absent");
  REQUIRE(disk.begin_sync(random));
  disk.add({put(1, "b")}, {});
  CHECK(value_of(disk, 1) == "absent");
  disk.end_sync();
  CHECK(value_of(disk, 1) == "a");
  CHECK(value_of(disk, 9) == "absent");
}

TEST_CASE("disk: a damaged record reads as absent until it is written again") {
  Disk disk({});
  Random random(1);
  disk.add({put(1, "a"), put(2, "b")}, {});
  REQUIRE(disk.begin_sync(random));
  disk.end_sync();
  const auto place = disk.record_after({kShard, {2, 0}});
  REQUIRE(place);
  disk.damage(*place);
  CHECK(value_of(disk, 2) == "absent");
  CHECK(value_of(disk, 1) == "a");
  disk.add({put(2, "again")}, {});
  REQUIRE(disk.begin_sync(random));
  disk.end_sync();
  CHECK(value_of(disk, 2) == "again");
  CHECK(disk.image().damaged.empty());
}

TEST_CASE("disk: records are found in a circle, and an older store can be put back") {
  Disk disk({});
  Random random(1);
  CHECK_FALSE(disk.record_after({}));
  disk.add({put(5, "old")}, {});
  REQUIRE(disk.begin_sync(random));
  disk.end_sync();
  const Disk::Image before = disk.image();
  disk.add({put(5, "new")}, {});
  REQUIRE(disk.begin_sync(random));
  disk.end_sync();
  CHECK(disk.record_after({kShard, {6, 0}}) == Disk::Place{kShard, {5, 0}});
  disk.load(before);
  CHECK(value_of(disk, 5) == "old");
}

TEST_CASE("disk: an Extend reaches a launch that waits") {
  Disk disk({});
  const AttemptId attempt{.task = {JobId{1}, 0}, .number = 1};
  Random random(1);
  disk.add({put(1, "a")}, {.launches = {{.attempt = attempt, .lease_end = TimePoint(5s)}}});
  CHECK(disk.extend({attempt, TimePoint(9s)}));
  CHECK_FALSE(disk.extend({{.task = {JobId{2}, 0}, .number = 1}, TimePoint(9s)}));
  REQUIRE(disk.begin_sync(random));
  CHECK(disk.end_sync().front().launches.front().lease_end == TimePoint(9s));
}

TEST_CASE("disk: a launch that waits can be taken back, once") {
  Disk disk({});
  Random random(1);
  const auto attempt = [](std::uint64_t job) {
    return AttemptId{.task = {JobId{job}, 0}, .number = 1};
  };
  disk.add({put(1, "a")}, {.launches = {{.attempt = attempt(1)}, {.attempt = attempt(2)}}});
  REQUIRE(disk.begin_sync(random));
  disk.add({}, {.launches = {{.attempt = attempt(3)}}});
  CHECK(disk.take_back(attempt(1)));
  CHECK_FALSE(disk.take_back(attempt(1)));
  CHECK(disk.take_back(attempt(3)));
  const std::vector<Deferred> released = disk.end_sync();
  REQUIRE(released.size() == 1);
  REQUIRE(released.front().launches.size() == 1);
  CHECK(released.front().launches.front().attempt == attempt(2));
}

}  // namespace shoal::sim
