// The rules of home changes, identities and expiry, each switched off: the explorer must notice
// within a number of seeds a few times what it takes today. What only ever blocks a shard shows
// itself by not converging after the healing.
#include <doctest/doctest.h>

#include "schedule.hpp"

namespace shoal::shard::test {
namespace {

enum class Shows { violation, stuck };

bool noticed(const Mutations& mutations, std::uint64_t most, Shows shows) {
  for (std::uint64_t seed = 1; seed <= most; ++seed) {
    const ScheduleResult result = run_schedule(seed, mutations, 400);
    const bool found = shows == Shows::violation ? !result.failure.empty() : !result.converged;
    if (!found) continue;
    MESSAGE("seed ", seed, ": ", result.failure.empty() ? "stuck" : result.failure);
    return true;
  }
  return false;
}

bool violated(const Mutations& mutations, std::uint64_t most) {
  return noticed(mutations, most, Shows::violation);
}

}  // namespace

TEST_CASE("home mutations: no joint config at all (G2, G3)") {
  CHECK(violated({.no_joint = true}, 1000));
}
TEST_CASE("home mutations: joint counted by the old majority only") {
  CHECK(violated({.joint_counts_old_only = true}, 20'000));
}
TEST_CASE("home mutations: joint counted by the new majority only") {
  CHECK(violated({.joint_counts_new_only = true}, 20'000));
}
TEST_CASE("home mutations: the old home commits until the final config is held (O3)") {
  CHECK(violated({.joint_commits_old_only = true}, 20'000));
}
TEST_CASE("home mutations: final before all is settled, without learners (G3)") {
  CHECK(violated({.no_learners = true, .final_unsettled = true}, 1000));
}
TEST_CASE("home mutations: no learner stage blocks a shard for ever (G2, hole 7)") {
  CHECK(noticed({.no_learners = true}, 20'000, Shows::stuck));
}
TEST_CASE("home mutations: Acks from before a node left are counted (O2, G1, hole 6)") {
  CHECK(violated({.count_old_acks = true}, 5000));
}
TEST_CASE("home mutations: a leaver forgets promise and config (H5, hole 10)") {
  CHECK(violated({.stub_forgets = true}, 60'000));
}
TEST_CASE("home mutations: a Retire is obeyed whatever config it names (H5)") {
  CHECK(violated({.retire_any = true}, 60'000));
}
TEST_CASE("home mutations: a lost disk comes back under its old identity (F2)") {
  CHECK(violated({.same_identity = true}, 30'000));
}
TEST_CASE("home mutations: and promises while it is blank (F2)") {
  CHECK(violated({.blank_promises = true, .same_identity = true}, 10'000));
}
TEST_CASE("home mutations: newer configs in answers are ignored: no owner for ever (C3)") {
  CHECK(noticed({.ignore_newer_config = true}, 1000, Shows::stuck));
}
TEST_CASE("home mutations: newer configs ignored by candidates and homes (C3, H1)") {
  CHECK(violated({.ignore_newer_config = true, .no_config_check = true}, 80'000));
}
TEST_CASE("home mutations: the own promise is no part of the quorum (C2)") {
  CHECK(violated({.own_promise_left_out = true}, 60'000));
}
TEST_CASE("home mutations: homes repair each other (H7, hole 11)") {
  CHECK(violated({.homes_repair = true}, 10'000));
}
TEST_CASE("home mutations: homes drop records by their own clocks (E1, hole 9)") {
  CHECK(violated({.drop_by_own_clock = true}, 2000));
}
TEST_CASE("home mutations: a floor far ahead of all other clocks is taken (E2)") {
  CHECK(violated({.no_floor_check = true}, 1000));
}
TEST_CASE("home mutations: gone is said before a quorum has the floor (E3)") {
  CHECK(violated({.gone_before_quorum = true}, 20'000));
}

}  // namespace shoal::shard::test
