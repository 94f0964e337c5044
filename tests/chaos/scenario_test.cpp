#include "tools/chaos/scenario.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "tools/chaos/backend.hpp"

namespace shoal::chaos {
namespace {

constexpr const char* kWhole = R"(chaos = 1
name = "sample"
seed = 7
duration = "30s"
warmup = "4s"
settle = "3s"
[cluster]
nodes = 3
[load]
tasks = 900
payload = "sleep:5ms~20ms"
[[fault]]
at = "5s"
what = "kill"
scope = "host"
target = "any:1"
for = "6s"
repeat = "every 10s"
[random]
every = "1s~2s"
for = "3s"
[[random.fault]]
weight = 3
what = "pause"
target = "any"
[expect]
lost = 0
duplicates_per_10k = { max = 20 }
detect_p99 = "3s"
throughput_drop_max = "40%"
)";

std::string error_of(std::string toml) {
  const auto scenario = parse_scenario(toml, "s.toml");
  return scenario ? std::string() : scenario.error().message;
}

// `wrong` is put in the place of `right`.
std::string error_with(std::string_view right, std::string_view wrong) {
  std::string toml = kWhole;
  const std::size_t at = toml.find(right);
  REQUIRE(at != std::string::npos);
  return error_of(toml.replace(at, right.size(), wrong));
}

bool says(const std::string& message, const std::string& words) {
  CAPTURE(message);
  CAPTURE(words);
  const bool found = message.find(words) != std::string::npos;
  CHECK(found);
  return found;
}

TEST_CASE("scenario: a whole one is read, and reads the same when it is written again") {
  const auto scenario = parse_scenario(kWhole, "s.toml");
  REQUIRE(scenario);
  CHECK(scenario->name == "sample");
  CHECK(scenario->seed == 7);
  CHECK(scenario->load.tasks == 900);
  REQUIRE(scenario->faults.size() == 1);
  CHECK(scenario->faults[0].fault.word("scope") == "host");
  CHECK(scenario->faults[0].every == Ms(10'000));
  REQUIRE(scenario->random);
  CHECK(scenario->random->choices.front().weight == 3);
  CHECK(scenario->expect.at("detect_p99") == 3000);
  CHECK(scenario->expect.at("throughput_drop_max") == 40);
  const std::string again = toml_of(*scenario);
  const auto twice = parse_scenario(again, "again.toml");
  REQUIRE(twice);
  CHECK(toml_of(*twice) == again);
}

TEST_CASE("scenario: bad input is refused with its line and the reason") {
  says(error_with("seed = 7", "seed = \"many\""), "s.toml:3:");
  says(error_with("seed = 7", "seed = \"many\""), "is no seed");
  says(error_with("nodes = 3", "nodes = 300"), "s.toml:8:");
  says(error_with("nodes = 3", "noodles = 3"), "noodles");
  says(error_with("what = \"kill\"", "what = \"kil\""), "s.toml:14:");
  says(error_with("what = \"kill\"", "what = \"kil\""), "Did you mean 'kill'");
  says(error_with("target = \"any:1\"", "target = \"any:x\""), "only any takes a number");
  says(error_with("at = \"5s\"", "at = \"2s\""), "before the warm-up");
  says(error_with("payload = \"sleep:5ms~20ms\"", "payload = \"burn:5ms\""), "sleep:5ms~20ms");
  says(error_with("detect_p99 = \"3s\"", "detect_p99 = \"soon\""), "detect_p99");
  says(error_with("chaos = 1", "chaos = 2"), "version 1");
  says(error_with("[cluster]", "[cluster"), "s.toml:7:");
}

TEST_CASE("scenario: one error names all that is wrong") {
  const std::string error = error_of("chaos = 1\nseed = \"x\"\n[cluster]\nnodes = 0\n");
  says(error, ":2:");
  says(error, ":4:");
}

TEST_CASE("scenario: faults and back ends that are not there are refused by name") {
  says(error_with("what = \"kill\"", "what = \"parttion\""), "there is no fault 'parttion'");
  const auto backend = open_backend({.against = "elsewhere"});
  REQUIRE_FALSE(backend);
  CHECK(backend.error().code == ErrorCode::bad_input);
  says(backend.error().message, "there is no back end 'elsewhere'");
}

TEST_CASE("scenario: --set replaces a value, and tells of a bad one") {
  const auto scenario =
      parse_scenario(kWhole, "s.toml", {"load.tasks=100", "fault.0.for=2s", "cluster.nodes=5"});
  REQUIRE(scenario);
  CHECK(scenario->load.tasks == 100);
  CHECK(scenario->faults[0].fault.duration == Ms(2000));
  CHECK(scenario->cluster.nodes == 5);
  CHECK_FALSE(parse_scenario(kWhole, "s.toml", {"load.tasks"}));
}

TEST_CASE("scenario: every shipped one is good") {
  const std::vector<std::string> names = shipped_scenarios();
  for (const char* name : {"churn", "frozen-node", "kill-one", "kill-third", "monkey",
                           "rolling-restart", "whole-cluster"}) {
    CAPTURE(name);
    CHECK(std::ranges::find(names, name) != names.end());
  }
  for (const std::string& name : names) {
    const auto path = find_scenario(name);
    REQUIRE(path);
    const auto toml = read_text(*path);
    REQUIRE(toml);
    const auto scenario = parse_scenario(*toml, *path);
    if (!scenario) FAIL(scenario.error().message);
    CHECK(scenario->name == name);
  }
  CHECK_FALSE(find_scenario("kill-oen"));
}

}  // namespace
}  // namespace shoal::chaos
