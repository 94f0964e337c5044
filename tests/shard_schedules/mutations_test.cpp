// With a rule switched off the checker must notice: otherwise it checks nothing.
#include <doctest/doctest.h>

#include "../shard/small_world.hpp"
#include "schedule.hpp"

namespace shoal::shard::test {
namespace {

// The first seed whose schedule fails, 0 if none up to `most` does.
std::uint64_t first_failure(const Mutations& mutations, std::uint64_t most) {
  for (std::uint64_t seed = 1; seed <= most; ++seed) {
    const ScheduleResult result = run_schedule(seed, mutations, 400);
    if (!result.failure.empty()) {
      MESSAGE("seed ", seed, ": ", result.failure);
      return seed;
    }
  }
  return 0;
}

// Node 1 has taken over and shown a newer value; node 0 has not heard of it and is asked.
std::string ask_a_deposed_owner(const Mutations& mutations) {
  World world(3, 1, mutations, 1);
  world.take_over(0);
  world.settle();
  world.change(0, 0);
  world.settle();
  world.take_over(1);
  world.settle({1, 2});
  world.change(1, 0);
  world.settle({1, 2});
  REQUIRE(world.at(0).owns({}));
  REQUIRE(world.deepest(0) == 2);
  world.ask(0, 0);
  world.settle();
  return world.failure();
}

}  // namespace

TEST_CASE("mutations: an owner that counts itself unsynced loses a shown value") {
  CHECK(first_failure({.count_own_unsynced = true}, 1000) > 0);
}
TEST_CASE("mutations: a home that takes writes below its promise loses a shown value") {
  CHECK(first_failure({.no_promise_check = true}, 2000) > 0);
}
TEST_CASE("mutations: a write that does not raise the promise lets two owners write") {
  CHECK(first_failure({.no_promise_raise = true}, 30'000) > 0);
}
TEST_CASE("mutations: a home that takes older versions loses a shown value") {
  CHECK(first_failure({.no_record_order = true}, 1000) > 0);
}
TEST_CASE("mutations: a takeover by one promise loses a shown value") {
  CHECK(first_failure({.one_promise_enough = true}, 200) > 0);
}
TEST_CASE("mutations: a merge that ignores ballots loses a shown value") {
  CHECK(first_failure({.merge_by_version_only = true}, 10'000) > 0);
}
TEST_CASE("mutations: what is shown before it is committed is lost") {
  CHECK(first_failure({.show_uncommitted = true}, 200) > 0);
}
TEST_CASE("mutations: a version used twice has two values") {
  CHECK(first_failure({.reuse_version = true}, 200) > 0);
}
TEST_CASE("mutations: an owner that resumes its ballot after a restart loses a shown value") {
  CHECK(first_failure({.resume_ballot_after_restart = true}, 1000) > 0);
}
TEST_CASE("mutations: a deposed owner that answers without a round shows the past") {
  CHECK(ask_a_deposed_owner({}) == "");
  CHECK(ask_a_deposed_owner({.skip_confirm = true}) != "");
}

}  // namespace shoal::shard::test
