#include "ring/ring.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/random.hpp"

namespace shoal::ring {
namespace {

std::vector<RingMember> members(std::size_t count, std::uint64_t seed = 1) {
  Random random(seed);
  std::vector<RingMember> result;
  for (std::size_t i = 0; i < count; ++i) {
    result.push_back({.node = NodeId{random.next(), random.next()}});
  }
  return result;
}

// How many of `keys` random keys have each node among their replicas.
std::map<NodeId, std::uint64_t> load(const Ring& ring, std::size_t replicas, std::uint64_t keys) {
  Random random(7);
  std::map<NodeId, std::uint64_t> result;
  for (std::uint64_t i = 0; i < keys; ++i) {
    for (const NodeId node : ring.preference_list(random.next(), replicas)) ++result[node];
  }
  return result;
}

constexpr std::uint64_t kKeys = 20'000;

}  // namespace

TEST_CASE("ring: of ten equal nodes none keeps 15 % more than its share, nor 20 % less") {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    const Ring ring(members(10, seed));
    const std::uint64_t fair = kKeys * 3 / 10;
    for (const auto& [node, count] : load(ring, 3, kKeys)) {
      CHECK(count * 100 > fair * 80);
      CHECK(count * 100 < fair * 115);
    }
  }
}

TEST_CASE("ring: the spread of ownership over ten nodes is near one over the root of the tokens") {
  // 1/sqrt(128) is 8.8 %. The variance, over 50 clusters, in squared parts per million of a share.
  std::uint64_t squares = 0;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    for (const auto& [node, share] : Ring(members(10, seed)).shares()) {
      const std::uint64_t off = share > 100'000 ? share - 100'000 : 100'000 - share;
      squares += off * off;
    }
  }
  const std::uint64_t variance = squares / 500;
  CHECK(variance > 6'000 * 6'000);
  CHECK(variance < 10'500 * 10'500);
}

TEST_CASE("ring: shares are what lookups find, and make up the whole") {
  auto set = members(5);
  set[0].weight_eighths = 0;
  const Ring ring(set);
  auto owned = load(ring, 1, kKeys);
  std::uint64_t sum = 0;
  for (const auto& [node, share] : ring.shares()) {
    sum += share;
    const std::uint64_t found = owned[node] * 1'000'000 / kKeys;
    CHECK((found > share ? found - share : share - found) < 12'000);
  }
  CHECK(sum >= 999'995);
  CHECK(sum <= 1'000'005);
}

TEST_CASE("ring: a member's departure moves only the keys it kept") {
  auto set = members(6);
  const Ring before(set);
  const NodeId gone = set.back().node;
  set.pop_back();
  const Ring after(set);
  Random random(3);
  for (int i = 0; i < 3000; ++i) {
    const std::uint64_t key = random.next();
    auto old_home = before.preference_list(key, 3);
    const auto new_home = after.preference_list(key, 3);
    const auto place = std::ranges::find(old_home, gone);
    if (place == old_home.end()) {
      CHECK(new_home == old_home);
      continue;
    }
    // Those that stay keep their rank among themselves; one node is added at the end.
    old_home.erase(place);
    CHECK(std::ranges::equal(std::span(new_home).first(2), old_home));
  }
}

TEST_CASE("ring: a joining node takes about its share and never two places of one home") {
  const auto set = members(11);
  const Ring before(std::span(set).first(10));
  const Ring after(set);
  Random random(3);
  std::uint64_t changed = 0;
  for (std::uint64_t i = 0; i < kKeys; ++i) {
    const std::uint64_t key = random.next();
    const auto old_home = before.preference_list(key, 3);
    const auto new_home = after.preference_list(key, 3);
    const auto kept = std::ranges::count_if(
        new_home, [&](NodeId node) { return std::ranges::find(old_home, node) != old_home.end(); });
    CHECK(kept >= 2);
    changed += kept == 2;
  }
  // Three places of thirty-three at best: 27 %.
  CHECK(changed * 100 > kKeys * 22);
  CHECK(changed * 100 < kKeys * 33);
}

TEST_CASE("ring: the same members in another order make the same ring") {
  auto set = members(7);
  for (std::size_t i = 0; i < set.size(); ++i) set[i].zone = std::string(1, "abc"[i % 3]);
  set[2].weight_eighths = 20;
  const auto homes = target_homes(Ring(set), 256, 3);
  Random random(5);
  for (int i = 0; i < 5; ++i) {
    random.shuffle(std::span(set));
    CHECK(target_homes(Ring(set), 256, 3) == homes);
  }
}

TEST_CASE("ring: replicas are distinct nodes, and no more than there are members") {
  const Ring ring(members(2));
  Random random(9);
  for (int i = 0; i < 200; ++i) {
    const auto home = ring.preference_list(random.next(), 3);
    REQUIRE(home.size() == 2);
    CHECK(home[0] != home[1]);
  }
  CHECK(Ring(members(3)).preference_list(1, 0).empty());
}

TEST_CASE("ring: a ring without members or without weight keeps nothing") {
  CHECK(Ring({}).preference_list(1, 3).empty());
  auto set = members(2);
  for (RingMember& member : set) member.weight_eighths = 0;
  CHECK(Ring(set).preference_list(1, 3).empty());
  CHECK(Ring(set).shares().front().second == 0);
}

TEST_CASE("ring: a longer preference list begins with the shorter one where zones play no part") {
  const Ring ring(members(8));
  Random random(11);
  for (int i = 0; i < 200; ++i) {
    const std::uint64_t key = random.next();
    const auto three = ring.preference_list(key, 3);
    const auto five = ring.preference_list(key, 5);
    CHECK(std::ranges::equal(three, std::span(five).first(3)));
  }
}

TEST_CASE("ring: a node of double weight keeps about twice as much") {
  auto set = members(10);
  set[0].weight_eighths = 16;
  auto owned = load(Ring(set), 1, kKeys);
  // Two of eleven units: 18 %.
  CHECK(owned[set[0].node] * 100 > kKeys * 15);
  CHECK(owned[set[0].node] * 100 < kKeys * 21);
}

TEST_CASE("ring: three zones of equal weight each get one replica of everything") {
  auto set = members(9);
  std::map<NodeId, std::string> zone_of;
  for (std::size_t i = 0; i < set.size(); ++i) {
    set[i].zone = std::string(1, "abc"[i % 3]);
    zone_of[set[i].node] = set[i].zone;
  }
  for (const auto& home : target_homes(Ring(set), 1024, 3)) {
    std::set<std::string> zones;
    for (const NodeId node : home) zones.insert(zone_of[node]);
    CHECK(zones.size() == 3);
  }
}

TEST_CASE("ring: two zones share three replicas two to one, never three to none") {
  auto set = members(6);
  std::set<NodeId> in_a;
  for (std::size_t i = 0; i < set.size(); ++i) {
    set[i].zone = i % 2 == 0 ? "a" : "b";
    if (i % 2 == 0) in_a.insert(set[i].node);
  }
  for (const auto& home : target_homes(Ring(set), 1024, 3)) {
    REQUIRE(home.size() == 3);
    const auto count =
        std::ranges::count_if(home, [&](NodeId node) { return in_a.contains(node); });
    CHECK(count >= 1);
    CHECK(count <= 2);
  }
}

TEST_CASE("ring: a zone with too little weight is not given one replica of everything") {
  // 10, 10 and 2 nodes: the small zone has 9 % of the weight, under one sixth.
  auto set = members(22);
  std::set<NodeId> small;
  for (std::size_t i = 0; i < set.size(); ++i) {
    set[i].zone = i < 10 ? "a" : i < 20 ? "b" : "c";
    if (i >= 20) small.insert(set[i].node);
  }
  const Ring ring(set);
  CHECK(ring.enforced("a", 3));
  CHECK_FALSE(ring.enforced("c", 3));
  CHECK_FALSE(ring.enforced("no such zone", 3));
  std::uint64_t kept = 0;
  for (const auto& [node, count] : load(ring, 3, kKeys)) {
    if (small.contains(node)) kept += count;
  }
  // Fair would be 2/22 of all replicas. Enforced, the zone would keep 3.7 times that.
  const std::uint64_t fair = kKeys * 3 * 2 / 22;
  CHECK(kept * 10 > fair * 6);
  CHECK(kept * 10 < fair * 17);
}

TEST_CASE("ring: every shard has its target home at its own token") {
  const Ring ring(members(4));
  const auto homes = target_homes(ring, 64, 3);
  REQUIRE(homes.size() == 64);
  CHECK(homes[5] == ring.preference_list(shard_token(ShardId{5}), 3));
  CHECK(homes[5].size() == 3);
}

TEST_CASE("ring: positions never change between versions") {
  // What a running cluster agreed on must be found again by the next version of the program.
  const std::vector<RingMember> set{
      {.node = NodeId{1, 1}}, {.node = NodeId{2, 2}}, {.node = NodeId{3, 3}}};
  const auto homes = target_homes(Ring(set), 8, 1);
  std::string owners;
  for (const auto& home : homes) owners += std::to_string(home.front().high);
  CHECK(owners == "23113123");
}

}  // namespace shoal::ring
