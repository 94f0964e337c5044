#include "scheduling/pull_policy.hpp"

#include <doctest/doctest.h>

#include <array>

#include "scheduling/lease.hpp"

namespace shoal::scheduling {
namespace {

using namespace std::chrono_literals;

constexpr NodeId kA{0, 1};
constexpr NodeId kB{0, 2};
constexpr std::array kPeers{kA, kB};

PullPolicy::OpenPull pull(NodeId victim, TimePoint sent, bool hinted = false) {
  return {.victim = victim, .sent = sent, .asked = {1000, 0}, .count_max = 8, .hinted = hinted};
}

}  // namespace

TEST_CASE("pull policy: the node with the largest hinted backlog is asked first") {
  Random random(1);
  PullPolicy policy;
  policy.on_hint(kA, 3);
  policy.on_hint(kB, 30);
  CHECK(policy.choose({}, kPeers, random) == kB);
  policy.open(1, pull(kB, {}, true));  // One pull to a peer at a time.
  CHECK(policy.choose({}, kPeers, random) == kA);
}

TEST_CASE(
    "pull policy: empty answers are remembered 100 ms, doubling up to 2 s, until a hint comes") {
  Random random(1);
  PullPolicy policy;
  TimePoint now{};
  Duration pause = 100ms;
  for (int round = 0; round < 7; ++round) {
    policy.open(1, pull(kA, now));
    policy.close(now, 1, 0, 0);
    CHECK(policy.wake_at() == now + pause);
    CHECK(policy.choose(now + pause - 1ms, kPeers, random) == std::nullopt);
    now += pause;
    pause = std::min<Duration>(2s, pause * 2);
  }
  policy.open(1, pull(kA, now));
  policy.close(now, 1, 0, 0);
  policy.on_hint(kA, 1);
  CHECK(policy.choose(now, kPeers, random) == kA);
}

TEST_CASE("pull policy: an unanswered pull is repeated under its number, then given up") {
  PullPolicy policy;
  policy.open(7, pull(kA, {}));
  CHECK(policy.overdue(TimePoint{} + 999ms).empty());
  CHECK_FALSE(policy.overdue(TimePoint{} + 1s).at(0).give_up);
  CHECK_FALSE(policy.overdue(TimePoint{} + 2s).at(0).give_up);
  CHECK(policy.overdue(TimePoint{} + 3s).at(0).give_up);
  CHECK(policy.close(TimePoint{} + 4s, 7, 1, 0) == std::nullopt);  // Too late: nobody waits.
}

TEST_CASE("pull policy: what is asked for by open pulls adds up") {
  PullPolicy policy;
  policy.open(1, pull(kA, {}));
  policy.open(2, pull(kB, {}));
  CHECK(policy.asked().cpu_millis == 2000);
  policy.forget(kA);
  CHECK(policy.asked().cpu_millis == 1000);
}

TEST_CASE("pull policy: a peer that does not answer soon keeps nobody from asking others") {
  PullPolicy policy;
  Random random(1);
  policy.on_hint(kA, 9);
  policy.open(1, pull(kA, TimePoint{}));
  CHECK(policy.asked() == Resources{1000, 0});
  CHECK(policy.next_overdue() == TimePoint{kPullFresh});
  CHECK(policy.overdue(TimePoint{kPullFresh}).empty());
  CHECK(policy.asked().nothing());
  CHECK(policy.open_transfers() == std::vector<std::uint64_t>{1});
  policy.on_hint(kB, 1);
  CHECK(policy.choose(TimePoint{kPullFresh}, kPeers, random) == kB);
  CHECK(policy.next_overdue() == TimePoint{kPullTimeout});
  CHECK(policy.overdue(TimePoint{kPullTimeout}).size() == 1);
  CHECK(policy.close(TimePoint{2s}, 1, 1, 0));  // It counts when it comes after all.
}

TEST_CASE(
    "lease: the executing node gives up before the owner re-grants, at clock rates 5 % apart") {
  const Duration lease = 5s;
  const TimePoint sent{};
  const Duration executor = lease_end_at_executor(sent, lease) - sent;
  // Worst case: the owner counts from the same moment, with a clock that runs 5 % faster.
  const Duration owner = (lease_end_at_owner(sent, lease) - sent) * 100 / 105;
  CHECK(executor < owner);
}

}  // namespace shoal::scheduling
