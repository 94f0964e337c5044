// SWIM with Lifeguard through whole nodes: what the profile's parameters imply, at up to 1,000
// members.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>

#include "sim/scenario.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

// One founds, the others join; few shards, since nothing is stored here.
ClusterOptions swarm(std::uint32_t nodes) {
  return {.nodes = nodes,
          .founders = 1,
          .shard_count = 8,
          .monitor = {.look_every = 1h, .held_every = 1h}};
}

// What gossip has lost of so many joins at once is found by push-pull, every 90 s for 100 members.
constexpr Duration kConvergence = 120s;

// Live members that a live member takes for dead, over all pairs.
std::size_t false_deaths(Scenario& scenario) {
  std::size_t count = 0;
  for (NodeIndex viewer = 0; viewer < scenario.nodes(); ++viewer) {
    for (const auto& [id, state] : scenario.world().node(viewer).inspect().members) {
      count += state == wire::MemberState::dead || state == wire::MemberState::left ? 1 : 0;
    }
  }
  return count;
}

bool dead_everywhere(Scenario& scenario, NodeIndex dead) {
  for (NodeIndex viewer = 0; viewer < scenario.nodes(); ++viewer) {
    if (viewer != dead && scenario.state_seen_by(viewer, dead) != wire::MemberState::dead) {
      return false;
    }
  }
  return true;
}

}  // namespace

TEST_CASE("membership: 100 members converge, and a killed one is dead everywhere within a minute") {
  Scenario hundred(swarm(100));
  hundred.start_all();
  REQUIRE(hundred.await_agreement(kConvergence));
  hundred.world().crash(42);
  CHECK(hundred.world().run_until([&] { return dead_everywhere(hundred, 42); }, 60s, 100ms));
  CHECK(hundred.verdict() == "");
}

TEST_CASE("membership: 30 % loss and slow members kill no live one of 100 in 10 minutes") {
  ClusterOptions options = swarm(100);
  Scenario hundred(options);
  hundred.start_all();
  REQUIRE(hundred.await_agreement(kConvergence));
  NetworkOptions lossy;
  lossy.loss_permille = 300;
  hundred.world().network().set_options(lossy);
  for (NodeIndex slow = 0; slow < 10; ++slow) hundred.world().slow_down(slow * 10, 10);
  for (int minute = 0; minute < 10; ++minute) {
    hundred.world().run_for(60s);
    CHECK(false_deaths(hundred) == 0);
  }
  CHECK(hundred.verdict() == "");
}

TEST_CASE("membership: a one-way cut of one link kills nobody") {
  Scenario ten(swarm(10));
  ten.start_all();
  REQUIRE(ten.await_agreement(60s));
  ten.world().network().cut(3, 7);
  for (int minute = 0; minute < 5; ++minute) {
    ten.world().run_for(60s);
    CHECK(false_deaths(ten) == 0);
  }
  CHECK(ten.verdict() == "");
}

// Whoever accused it is told of its own accusation, which is no second opinion.
TEST_CASE("membership: a restarted node that forgot a death it declared itself learns it again") {
  Scenario five({.nodes = 5});
  REQUIRE(five.found());
  five.world().run_for(10s);
  std::vector<std::string> memories;
  for (NodeIndex node = 0; node < 5; ++node) {
    memories.push_back(five.world().disk(node).image().meta.at("members"));
  }
  five.world().crash_host(3);
  five.world().abandon(3);
  five.monitor().set_faults(true);
  REQUIRE(five.world().run_until([&] { return dead_everywhere(five, 3); }, 60s));
  for (const NodeIndex forgetful : {0U, 1U, 2U, 4U}) {
    CAPTURE(forgetful);
    five.world().crash(forgetful);
    Disk::Image image = five.world().disk(forgetful).image();
    image.meta["members"] = memories[forgetful];
    five.world().load_store(forgetful, std::move(image));
    five.world().start(forgetful);
    CHECK(five.world().run_until([&] { return dead_everywhere(five, 3); }, 60s));
  }
}

TEST_CASE("membership: who missed all news of a death that it suspects learns it from a table") {
  Scenario five({.nodes = 5});
  REQUIRE(five.found());
  const NodeId missing = five.world().id(4);
  const NodeId subject = five.world().id(3);
  five.world().set_filter([&](NodeIndex, const node::Envelope& envelope) {
    return envelope.to == missing && envelope.channel == node::Channel::datagram &&
           std::visit(
               [&](const auto& message) -> bool {
                 if constexpr (requires { message.news; }) {
                   const auto about = &wire::MemberRecord::node;
                   return std::ranges::find(message.news, subject, about) != message.news.end();
                 }
                 return false;
               },
               envelope.message);
  });
  five.world().crash_host(3);
  five.world().abandon(3);
  five.monitor().set_faults(true);
  five.world().run_for(20s);
  five.world().set_filter({});
  CHECK(five.world().run_until([&] { return dead_everywhere(five, 3); }, 90s));
}

TEST_CASE("membership: two that accused the same members while split call them dead together") {
  Scenario four({.nodes = 4});
  REQUIRE(four.found());
  four.monitor().set_faults(true);
  four.world().network().split({0, 1, 2, 3});
  four.world().run_for(5min);
  for (const NodeIndex gone : {2U, 3U}) {
    four.world().crash_host(gone);
    four.world().abandon(gone);
  }
  four.world().network().heal();
  const auto both_know = [&] {
    return std::ranges::all_of(std::array{0U, 1U}, [&](NodeIndex viewer) {
      return four.state_seen_by(viewer, 2) == wire::MemberState::dead &&
             four.state_seen_by(viewer, 3) == wire::MemberState::dead;
    });
  };
  CHECK(four.world().run_until(both_know, 3min));
}

TEST_CASE("membership: a split of one hour heals by itself") {
  Scenario twenty(swarm(20));
  twenty.start_all();
  REQUIRE(twenty.await_agreement(60s));
  std::vector<std::uint32_t> groups(20, 0);
  for (std::size_t index = 10; index < 20; ++index) groups[index] = 1;
  twenty.world().network().split(groups);
  twenty.world().run_for(1h);
  CHECK(twenty.alive_seen_by(0) == 10);
  CHECK(twenty.alive_seen_by(19) == 10);
  twenty.world().network().heal();
  CHECK(twenty.await_agreement(5min));
  CHECK(twenty.verdict() == "");
}

TEST_CASE("membership: a mass restart heals") {
  Scenario twenty(swarm(20));
  twenty.start_all();
  REQUIRE(twenty.await_agreement(60s));
  for (NodeIndex index = 0; index < 20; ++index) twenty.world().crash(index);
  twenty.world().run_for(5s);
  for (NodeIndex index = 0; index < 20; ++index) twenty.world().start(index);
  CHECK(twenty.await_agreement(2min));
  CHECK(twenty.verdict() == "");
}

TEST_CASE("membership: a node that comes back at another address is found there") {
  Scenario five(swarm(5));
  five.start_all();
  REQUIRE(five.await_agreement(60s));
  five.world().crash(3);
  five.world().run_for(3s);
  five.world().move_to(3, ipv4(10, 9, 9, 9, 7461));
  five.world().start(3);
  CHECK(five.await_agreement(60s));
  CHECK(five.verdict() == "");
}

TEST_CASE("membership: two that moved at the same time find each other by their seeds") {
  Scenario three(swarm(3));
  three.start_all();
  REQUIRE(three.await_agreement(60s));
  for (NodeIndex index = 0; index < 3; ++index) three.world().crash(index);
  three.world().run_for(3s);
  three.world().abandon(2);
  for (NodeIndex index = 0; index < 2; ++index) {
    three.world().move_to(index, ipv4(10, 9, 9, static_cast<std::uint8_t>(index), 7461));
    three.world().start(index);
    three.world().run_for(index == 0 ? 10s : 0s);
  }
  CHECK(three.await_agreement(3min));
  CHECK(three.verdict() == "");
}

TEST_CASE("membership: 1,000 members learn of one that joins within some gossip rounds") {
  ClusterOptions options = swarm(1000);
  options.world.encode_one_in = 1024;
  Scenario thousand(options);
  Simulator& world = thousand.world();
  const TimePoint begun = world.now();
  thousand.start_all();
  world.crash(999);  // Before anybody heard of it: the last to join.
  // After 999 joins at once some have missed a few of the others until the next push-pull, minutes
  // later; for news to spread, most is enough.
  const auto together = [&] {
    for (NodeIndex viewer = 0; viewer < 999; ++viewer) {
      if (thousand.alive_seen_by(viewer) < 800) return false;
    }
    return true;
  };
  REQUIRE(world.run_until(together, 60s, 1s));
  MESSAGE("999 members know at least 800 of each other after ", (world.now() - begun) / 1ms, " ms");
  world.start(999);
  const TimePoint joined = world.now();
  const auto known = [&] {
    for (NodeIndex viewer = 0; viewer < 1000; ++viewer) {
      if (thousand.state_seen_by(viewer, 999) != wire::MemberState::alive) return false;
    }
    return true;
  };
  CHECK(world.run_until(known, 20s, 200ms));
  // A gossip round is 200 ms; news reaches n members in some multiple of log n rounds.
  CHECK(world.now() - joined < 8s);
  MESSAGE("999 members know of the one that joined after ", (world.now() - joined) / 1ms, " ms");
  CHECK(thousand.verdict() == "");
}

}  // namespace shoal::sim
