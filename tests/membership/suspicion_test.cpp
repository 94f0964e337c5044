#include "membership/suspicion.hpp"

#include <doctest/doctest.h>

namespace shoal::membership {

using namespace std::chrono_literals;

namespace {

NodeId node(std::uint64_t number) { return {.high = 0, .low = number}; }

}  // namespace

TEST_CASE("suspicion: it starts long and shrinks with each independent accuser") {
  const TimePoint start{};
  Suspicion suspicion({.timeout_min = 1s, .timeout_max = 9s, .confirmations = 3}, start, node(1));
  CHECK(suspicion.deadline() == start + 9s);
  CHECK_FALSE(suspicion.confirm(node(1)));  // The first accuser again.
  CHECK(suspicion.deadline() == start + 9s);

  CHECK(suspicion.confirm(node(2)));  // log(2) / log(4) is half of the way.
  CHECK(suspicion.deadline() == start + 5s);
  CHECK(suspicion.confirm(node(3)));
  CHECK(suspicion.confirm(node(4)));
  CHECK(suspicion.deadline() == start + 1s);
  CHECK_FALSE(suspicion.confirm(node(5)));  // No more are needed.
}

TEST_CASE("suspicion: where nobody can confirm it, it lasts the minimum") {
  const MembershipConfig config;  // lan: two confirmations wanted.
  CHECK(suspicion_times(config, 3).confirmations == 0);
  CHECK(suspicion_times(config, 4).confirmations == 2);
  const Suspicion suspicion(suspicion_times(config, 3), TimePoint{}, node(1));
  CHECK(suspicion.deadline() == TimePoint{} + suspicion_min(config, 3));
}

TEST_CASE("suspicion: a second accuser counts even where none is waited for") {
  Suspicion suspicion({.timeout_min = 1s, .timeout_max = 6s, .confirmations = 0}, TimePoint{},
                      node(1));
  CHECK(suspicion.confirm(node(2)));
  CHECK(suspicion.accuser_count() == 2);
}

TEST_CASE("suspicion: it can be postponed, and its accusers take turns in the news") {
  Suspicion suspicion({.timeout_min = 1s, .timeout_max = 9s, .confirmations = 1}, TimePoint{},
                      node(1));
  suspicion.postpone(TimePoint{} + 20s);
  CHECK(suspicion.deadline() == TimePoint{} + 20s);
  suspicion.confirm(node(2));
  CHECK(suspicion.deadline() == TimePoint{} + 1s);
  CHECK(suspicion.accuser(0) == node(1));
  CHECK(suspicion.accuser(1) == node(2));
  CHECK(suspicion.accuser(2) == node(1));
}

TEST_CASE("config: the parameter sheet's times follow from the number of members") {
  const MembershipConfig lan = config_of(Profile::lan);
  CHECK(suspicion_min(lan, 5) == 4s);
  CHECK(suspicion_min(lan, 100) == 8s);
  CHECK(suspicion_max(lan, 100) == 48s);
  CHECK(suspicion_min(lan, 1000) == 12s);
  CHECK(transmissions(lan, 1) == 4);
  CHECK(transmissions(lan, 9) == 4);
  CHECK(transmissions(lan, 10) == 8);
  CHECK(transmissions(lan, 1000) == 16);
  CHECK(push_pull_interval(lan, 32) == 30s);
  CHECK(push_pull_interval(lan, 100) == 90s);
  CHECK(push_pull_interval(lan, 1000) == 180s);
}

TEST_CASE("config: two accusers are required from four members on") {
  CHECK(accusers_required(2) == 1);
  CHECK(accusers_required(3) == 1);
  CHECK(accusers_required(4) == 2);
  CHECK(accusers_required(1000) == 2);
}

TEST_CASE("config: a profile is named by its word") {
  for (const Profile profile : {Profile::local, Profile::lan, Profile::wan}) {
    CHECK(parse_profile(to_string(profile)) == profile);
    const MembershipConfig config = config_of(profile);
    CHECK(config.probe_timeout < config.probe_interval);
    CHECK(confirmations_wanted(config, 100) == config.suspicion_mult - 2);
  }
  CHECK_FALSE(parse_profile("LAN ").has_value());
  CHECK(parse_profile("moon").error().code == ErrorCode::bad_input);
}

}  // namespace shoal::membership
