#include <doctest/doctest.h>

#include <cstdlib>

#include "schedule.hpp"

namespace shoal::shard::test {
namespace {

constexpr int kSteps = 400;

// SHOAL_SCHEDULES: how many seeds; SHOAL_SCHEDULE_SEED: the first, to replay one.
std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace

TEST_CASE("schedules: whatever the network and the crashes do, shown values form one chain") {
  const std::uint64_t first = from_environment("SHOAL_SCHEDULE_SEED", 1);
  const std::uint64_t count = from_environment("SHOAL_SCHEDULES", 3000);
  std::uint64_t shown = 0;
  std::uint64_t takeovers = 0;
  std::uint64_t changes = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const ScheduleResult result = run_schedule(seed, {}, kSteps);
    shown += result.shown;
    takeovers += result.takeovers;
    changes += result.changes;
    INFO("replay: SHOAL_SCHEDULES=1 SHOAL_SCHEDULE_SEED=", seed);
    REQUIRE(result.failure == "");
    REQUIRE(result.converged);
  }
  MESSAGE(count, " schedules, ", shown, " values shown, ", takeovers, " takeovers, ", changes,
          " home changes");
}

TEST_CASE("schedules: the same seed gives the same schedule") {
  const ScheduleResult a = run_schedule(42, {}, kSteps);
  const ScheduleResult b = run_schedule(42, {}, kSteps);
  CHECK(a.shown == b.shown);
  CHECK(a.takeovers == b.takeovers);
}

}  // namespace shoal::shard::test
