#include "base/probes.hpp"

#include <doctest/doctest.h>

namespace shoal::probes {

TEST_CASE("probes: a mark counts while somebody listens, and is nothing otherwise") {
  mark(Mark::duel);
  Marks marks;
  listener = &marks;
  mark(Mark::duel);
  mark(Mark::duel);
  listener = nullptr;
  mark(Mark::duel);
  CHECK(marks[Mark::duel] == 2);
  CHECK(marks[Mark::refuted] == 0);
}

TEST_CASE("probes: a site fails as often as it is armed to, alike for one seed") {
  CHECK_FALSE(fails(Site::hint_lost));
  const auto run = [](std::uint64_t seed) {
    Sites sites(seed);
    sites.arm(Site::hint_lost, 250);
    armed = &sites;
    std::uint64_t pattern = 0;
    for (int i = 0; i < 64; ++i) pattern = pattern << 1 | (fails(Site::hint_lost) ? 1U : 0U);
    CHECK_FALSE(fails(Site::grant_lost));
    armed = nullptr;
    CHECK(sites.fired(Site::hint_lost) > 0);
    CHECK(sites.fired(Site::grant_lost) == 0);
    return pattern;
  };
  CHECK(run(1) == run(1));
  CHECK(run(1) != run(2));
}

TEST_CASE("probes: sites are armed by the seed, and disarmed all at once") {
  Sites sites(7);
  sites.arm_some(100);
  std::uint64_t fired = 0;
  for (int i = 0; i < 1000; ++i) fired += sites.fires(Site::pull_refused) ? 1 : 0;
  CHECK(fired > 0);
  sites.disarm();
  for (int i = 0; i < 1000; ++i) CHECK_FALSE(sites.fires(Site::pull_refused));
}

TEST_CASE("probes: every probe has a phrase for people") {
  CHECK(to_string(Mark::takeover_in_joint) == "takeover in joint config");
  CHECK(to_string(Site::owner_anew) == "owner begins anew");
}

}  // namespace shoal::probes
