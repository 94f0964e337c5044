// Network faults as links: who does not hear whom.
#include "tools/chaos/links.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "tools/chaos/schedule.hpp"

namespace shoal::chaos {
namespace {

const std::vector<std::string> kNodes{"n1", "n2", "n3", "n4", "n5"};

Injection cut(std::vector<std::string> nodes, std::map<std::string, Value> parameters) {
  return {.fault = {.kind = FaultKind::partition, .parameters = std::move(parameters)},
          .nodes = std::move(nodes)};
}

std::string words_of(const Result<std::vector<Link>>& links) {
  if (!links) return "error: " + links.error().message;
  std::string words;
  for (const Link& each : *links) words += text(words.empty() ? "" : " ", each.from, each.to);
  return words;
}

std::string words_of(const Injection& injection) { return words_of(links_of(injection, kNodes)); }

// How many nodes each one hears and is heard by, itself included; absent when that differs.
std::map<std::string, std::size_t> seen(const std::vector<Link>& links) {
  std::map<std::string, std::size_t> counts;
  for (const std::string& node : kNodes) {
    const auto from = std::ranges::count(links, node, &Link::from);
    REQUIRE(from == std::ranges::count(links, node, &Link::to));
    counts[node] = kNodes.size() - static_cast<std::size_t>(from);
  }
  return counts;
}

TEST_CASE("links: a split parts two sides, isolation each target, one way only the senders") {
  CHECK(words_of(cut({"n1", "n2"}, {})) ==
        "n1n3 n1n4 n1n5 n2n3 n2n4 n2n5 n3n1 n3n2 n4n1 n4n2 n5n1 n5n2");
  CHECK(words_of(cut({"n1"}, {{"way", "out"}})) == "n1n2 n1n3 n1n4 n1n5");
  CHECK(words_of(cut({"n1"}, {{"way", "in"}})) == "n2n1 n3n1 n4n1 n5n1");
  CHECK(words_of(cut({"n1"}, {{"to", "n[2-3]"}})) == "n1n2 n1n3 n2n1 n3n1");
  const auto alone = links_of(cut({"n1", "n2"}, {{"shape", "isolate"}}), kNodes);
  REQUIRE(alone);
  CHECK(std::ranges::find(*alone, Link{"n1", "n2"}) != alone->end());
  CHECK(seen(*alone) ==
        std::map<std::string, std::size_t>{{"n1", 1}, {"n2", 1}, {"n3", 3}, {"n4", 3}, {"n5", 3}});
}

TEST_CASE("links: a bridge alone sees both halves") {
  std::set<std::string> different;
  for (double draw = 1; draw <= 20; ++draw) {
    const Injection bridge = cut({"n3"}, {{"shape", "bridge"}, {"draw", draw}});
    const auto links = links_of(bridge, kNodes);
    REQUIRE(links);
    CHECK(words_of(links) == words_of(bridge));
    for (const auto& [node, count] : seen(*links)) CHECK(count == (node == "n3" ? 5 : 3));
    different.insert(words_of(links));
  }
  CHECK(different.size() == 3);  // Four nodes in two pairs.
}

TEST_CASE("links: in a ring each node sees a majority, and no two the same one") {
  const auto links = links_of(cut(kNodes, {{"shape", "ring"}, {"draw", 7.0}}), kNodes);
  REQUIRE(links);
  std::set<std::set<std::string>> majorities;
  for (const auto& [node, count] : seen(*links)) {
    CHECK(count == 3);
    std::set<std::string> sees(kNodes.begin(), kNodes.end());
    for (const Link& each : *links) {
      if (each.from == node) sees.erase(each.to);
    }
    majorities.insert(sees);
  }
  CHECK(majorities.size() == 5);
}

TEST_CASE("links: what comes to nothing is refused with the reason") {
  const auto says = [](const Injection& injection, const std::string& words) {
    const std::string is = words_of(injection);
    CAPTURE(is);
    CHECK(is.find(words) != std::string::npos);
  };
  says(cut(kNodes, {}), "comes to no link");
  says(cut({"n1"}, {{"to", "n1"}}), "comes to no link");
  says(cut({"n1"}, {{"to", "n9"}}), "there is no node 'n9'");
  says(cut({"n1", "n2", "n3"}, {{"shape", "ring"}}), "a ring needs 4 nodes");
  says(cut({"n1"}, {{"shape", "bridge"}, {"way", "in"}}), "cut both ways");
}

TEST_CASE("links: a planned ring is drawn from the seed, and its replay is the same") {
  const auto scenario = parse_scenario(R"(chaos = 1
duration = "60s"
[[fault]]
at = "10s"
what = "partition"
target = "all"
shape = "ring"
repeat = "every 10s"
)",
                                       "ring.toml");
  REQUIRE(scenario);
  const auto plan = [](const Scenario& of, std::uint64_t seed) {
    const auto schedule =
        plan_schedule(of, seed, kNodes, [](const Fault&) { return std::nullopt; });
    REQUIRE(schedule);
    return *schedule;
  };
  const auto words = [](const Schedule& schedule) {
    std::vector<std::string> all;
    for (const Planned& each : schedule.faults) all.push_back(words_of(each.injection));
    return all;
  };
  const Schedule first = plan(*scenario, 3);
  REQUIRE(first.faults.size() == 5);
  CHECK(words(first) == words(plan(*scenario, 3)));
  CHECK(words(first) != words(plan(*scenario, 4)));
  CHECK(words(first).front() != words(first).back());
  const auto replay = parse_scenario(toml_of(fixed(*scenario, first, 3)), "replay.toml");
  REQUIRE(replay);
  CHECK(words(first) == words(plan(*replay, 99)));
}

}  // namespace
}  // namespace shoal::chaos
