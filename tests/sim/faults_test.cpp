// The fault catalogue: its names, what a seed draws from it, that each kind happens at all, and
// that healing undoes it.
#include "sim/faults.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "sim/scenario.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

std::vector<std::string_view> names(const std::vector<const FaultKind*>& kinds) {
  std::vector<std::string_view> all;
  for (const FaultKind* kind : kinds) all.push_back(kind->name);
  return all;
}

bool contains(const std::vector<const FaultKind*>& kinds, std::string_view name) {
  return std::ranges::find(kinds, name, &FaultKind::name) != kinds.end();
}

FaultOptions often(std::string_view text) {
  FaultOptions options = parse_faults(text).value();
  options.swarm = false;
  options.gap_max = 500ms;
  options.length_max = 1s;
  return options;
}

// Everything that a fault may leave behind on a host or between hosts.
void check_whole(Scenario& cluster, const Faults& faults) {
  Simulator& world = cluster.world();
  CHECK(world.network().links().quiet());
  CHECK(faults.core().size() >= 3);
  for (const NodeIndex index : faults.core()) {
    CHECK(world.up(index));
    CHECK_FALSE(world.paused(index));
    CHECK(world.disk(index).options().slow_factor == 1);
    CHECK(world.disk(index).options().stall == Duration::zero());
    CHECK(std::abs(world.clock_rate(index)) <= 1000);
  }
}

}  // namespace

TEST_CASE("faults: names are distinct, and an unknown one says which there are") {
  const auto all = names(all_faults());
  CHECK(std::set(all.begin(), all.end()).size() == all.size());
  CHECK_FALSE(parse_faults("none").value().any());
  const auto error = parse_faults("fire").error().message;
  CHECK(error.find("kill -9") != std::string::npos);
  CHECK(error.find("swizzle-clog") != std::string::npos);
}

TEST_CASE("faults: families and single names are taken together") {
  const FaultOptions some = parse_faults("net,bit-flips").value();
  CHECK(contains(some.kinds, "isolate"));
  CHECK(contains(some.kinds, "bit-flips"));
  CHECK_FALSE(contains(some.kinds, "slow-disk"));
  CHECK(names(some.named) == std::vector<std::string_view>{"bit-flips"});
  CHECK(contains(parse_faults("crash").value().kinds, "kill"));  // The old word.
}

TEST_CASE("faults: `all` stays inside the promise, what is outside comes only by name") {
  const FaultOptions all = parse_faults("all").value();
  CHECK_FALSE(contains(all.kinds, "clock-rate-10"));
  CHECK(contains(parse_faults("clock-rate-10").value().kinds, "clock-rate-10"));
  for (const FaultKind* kind : all.kinds) CHECK(available(kind->needs));
}

TEST_CASE("faults: each seed draws another part of the catalogue") {
  std::map<std::string_view, int> drawn;
  const FaultOptions options = parse_faults("all").value();
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    Simulator world({});
    for (const std::string_view name : Faults(world, options, seed).drawn()) ++drawn[name];
  }
  CHECK(drawn.size() == options.kinds.size());
  for (const auto& [name, count] : drawn) {
    CAPTURE(name);
    CHECK(count > 25);
    CHECK(count < 75);
  }
}

TEST_CASE("faults: every kind of the catalogue happens, and its end leaves a whole cluster") {
  for (const FaultKind* kind : all_faults()) {
    if (!available(kind->needs) || kind->planned_one_in > 0) continue;
    CAPTURE(kind->name);
    Scenario five({.nodes = 5, .seed = 3});
    REQUIRE(five.found());
    five.add_workload({.tasks = 200});
    Faults& faults = five.add_faults(often(kind->name));
    five.world().run_for(10s);
    CHECK(faults.count() > 0);
    faults.heal();
    check_whole(five, faults);
    five.settle();
    if (kind->weight > 0) CHECK(five.verdict() == "");
  }
}

TEST_CASE("faults: what is planned comes once, and the cluster gets over it") {
  for (const FaultKind* kind : all_faults()) {
    if (kind->planned_one_in == 0) continue;
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
      CAPTURE(kind->name);
      CAPTURE(seed);
      Scenario five({.nodes = 5, .seed = seed, .shard_count = 8});
      REQUIRE(five.found());
      five.add_workload({.tasks = 300, .jobs_at_once = 4, .array_max = 20, .pause_max = 2s});
      FaultOptions options = parse_faults("quick-kill").value();
      options.planned = {{kind, 2s, 3s}};
      Faults& faults = five.add_faults(options);
      five.world().run_for(15s);
      CHECK(faults.kinds().at(std::string(kind->name)) == 1);
      five.settle();
      CHECK(five.verdict() == "");
    }
  }
}

TEST_CASE("faults: a core with a majority of every home is enough") {
  std::size_t left_broken = 0;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    CAPTURE(seed);
    Scenario five({.nodes = 5, .seed = seed, .shard_count = 8});
    REQUIRE(five.found());
    five.add_workload({.tasks = 300});
    Faults& faults = five.add_faults(parse_faults("net,process,disk").value());
    five.world().run_for(20s);
    faults.heal_core();
    left_broken += 5 - faults.core().size();
    for (NodeIndex index = 0; index < 5; ++index) {
      const bool in_core = std::ranges::find(faults.core(), index) != faults.core().end();
      CHECK(in_core != five.world().abandoned(index));
    }
    five.settle();
    CHECK(five.verdict() == "");
  }
  CHECK(left_broken > 5);
}

TEST_CASE("faults: the same seed does the same, another something else") {
  const auto hash = [](std::uint64_t seed) {
    const auto report =
        run({.nodes = 3, .tasks = 100, .seed = seed, .faults = "all", .duration = 10s});
    return report->trace_hash;
  };
  CHECK(hash(5) == hash(5));
  CHECK(hash(5) != hash(6));
}

}  // namespace shoal::sim
