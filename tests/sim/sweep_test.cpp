// Sweeps: what is drawn from a seed, how results travel, and what the totals say.
#include "sim/sweep.hpp"

#include <doctest/doctest.h>

#include <set>

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

}  // namespace

TEST_CASE("sweep: a seed draws the same cluster every time, others draw others") {
  const FaultOptions faults = parse_faults("all").value();
  CHECK(describe(draw_plan(7, faults)) == describe(draw_plan(7, faults)));
  std::set<std::string> plans;
  std::set<std::uint32_t> sizes;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    const RunPlan plan = draw_plan(seed, faults);
    plans.insert(describe(plan));
    sizes.insert(plan.cluster.nodes);
    CHECK(plan.duration <= 30s);
  }
  CHECK(plans.size() == 100);
  CHECK(sizes.size() == 7);
}

TEST_CASE("sweep: few seeds have what is rare, and none when it was not asked for") {
  const FaultOptions all = parse_faults("all,rare").value();
  std::set<std::string_view> planned;
  std::uint32_t expiring = 0;
  std::uint32_t rare = 0;
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    const RunPlan plan = draw_plan(seed, all);
    for (const PlannedFault& each : plan.faults.planned) {
      planned.insert(each.kind->name);
      CHECK(each.at < plan.duration);
    }
    expiring += plan.load.expiring_percent > 0 ? 1 : 0;
    rare += plan.faults.planned.empty() ? 0 : 1;
    CHECK(draw_plan(seed, parse_faults("all").value()).faults.planned.empty());
  }
  CHECK(planned == std::set<std::string_view>{"rolled-back", "cloned", "majority-lost"});
  CHECK(expiring > 5);
  CHECK(expiring < 60);
  CHECK(rare > 15);
  CHECK(rare < 100);
}

TEST_CASE("sweep: a result comes out of its lines as it went in") {
  SeedResult result{.seed = 42, .virtual_time = 5s};
  result.marks.counts.at(3) = 17;
  result.sites.at(2) = 5;
  result.violations = {"at 1.0 s: two things\nat once", "another"};
  result.plan = "3 nodes";
  const auto decoded = decode_seed_result(encode(result));
  REQUIRE(decoded);
  CHECK(decoded->seed == 42);
  CHECK(decoded->virtual_time == 5s);
  CHECK(decoded->marks.counts == result.marks.counts);
  CHECK(decoded->sites == result.sites);
  CHECK(decoded->plan == "3 nodes");
  REQUIRE(decoded->violations.size() == 2);
  CHECK(decoded->violations.front() == "at 1.0 s: two things;at once");
  CHECK_FALSE(decode_seed_result("nonsense 1 2\n"));
  CHECK_FALSE(decode_seed_result(""));
}

TEST_CASE("sweep: totals count bad seeds and name what was never reached") {
  SweepTotals totals;
  SeedResult good{.seed = 1, .virtual_time = 30min};
  good.marks.counts.fill(1);
  good.marks.counts.at(static_cast<std::size_t>(probes::Mark::duel)) = 0;
  good.sites.fill(1);
  totals.add(good);
  SeedResult bad{.seed = 2, .virtual_time = 30min};
  bad.violations = {"something"};
  totals.add(bad);
  CHECK(totals.seeds() == 2);
  CHECK(totals.bad_seeds() == 1);
  CHECK(totals.summary(36) ==
        "2 seeds, 1 with violations; 1.0 virtual hours in 36 s, 100 times as fast; marks never "
        "reached: duel; sites that never failed: none");
}

TEST_CASE("sweep: a seed runs twice alike and says what it reached") {
  const SeedResult once = run_seed(5, "all", 1);
  CHECK(once.violations == std::vector<std::string>{});
  CHECK(once.virtual_time > 1s);
  const SeedResult again = run_seed(5, "all", 0);
  CHECK(once.marks.counts == again.marks.counts);
}

}  // namespace shoal::sim
