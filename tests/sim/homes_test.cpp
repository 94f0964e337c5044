// Homes that grow, shrink and move while work goes on (G1-G5; design, section 6), and operators'
// commands: drain, leave, forget, recover.
#include <doctest/doctest.h>

#include <algorithm>

#include "sim/scenario.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kShards = 16;

// Every shard has one owner with a finished config of `size` distinct homes, all among `members`.
bool settled(Scenario& scenario, std::size_t size, const std::vector<NodeIndex>& members) {
  std::vector<std::uint32_t> owners(kShards, 0);
  for (NodeIndex index = 0; index < scenario.world().node_count(); ++index) {
    if (!scenario.world().up(index)) continue;
    const auto inspection = scenario.world().node(index).inspect();
    for (const ShardId shard : inspection.owned) {
      const wire::ShardConfig* config = inspection.config(shard);
      if (config == nullptr || !config->next.empty() || !config->learners.empty()) return false;
      if (config->home.size() != size) return false;
      for (const NodeId home : config->home) {
        const bool among = std::ranges::any_of(
            members, [&](NodeIndex node) { return scenario.world().id(node) == home; });
        if (!among) return false;
      }
      ++owners[static_cast<std::size_t>(shard)];
    }
  }
  return std::ranges::all_of(owners, [](std::uint32_t count) { return count == 1; });
}

bool await_homes(Scenario& scenario, std::size_t size, std::vector<NodeIndex> members,
                 Duration deadline = 60s) {
  return scenario.world().run_until([&] { return settled(scenario, size, members); }, deadline,
                                    100ms);
}

// What the node answers; nothing when it does not in time.
std::optional<wire::ClientReplyBody> command(Scenario& scenario, NodeIndex gateway,
                                             wire::CommandNode body, Duration deadline = 20s) {
  std::optional<wire::ClientReplyBody> answer;
  const auto session = scenario.world().connect(
      gateway, [&](wire::ClientReply reply) { answer = std::move(reply.body); }, [] {});
  REQUIRE(session);
  scenario.world().request(*session, {1, std::move(body)});
  scenario.world().run_until([&] { return answer.has_value(); }, deadline);
  scenario.world().disconnect(*session);
  return answer;
}

bool done(const std::optional<wire::ClientReplyBody>& answer) {
  return answer && std::holds_alternative<wire::Done>(*answer);
}

std::string error_of(const std::optional<wire::ClientReplyBody>& answer) {
  if (!answer) return "no answer";
  const auto* error = std::get_if<Error>(&*answer);
  return error == nullptr ? "" : error->message;
}

JobPlan some_tasks(std::uint32_t count) {
  return {.spec = {.argv = {"sleep", "50ms"}, .cpu_millis = 100}, .count = count};
}

ClusterOptions cluster(std::uint32_t nodes, std::uint32_t founders) {
  return {.nodes = nodes, .founders = founders, .shard_count = kShards};
}

}  // namespace

TEST_CASE("homes: one node becomes three, then five, under work, and copies follow (G1-G3)") {
  Scenario five(cluster(5, 1));
  five.monitor().begin();
  five.world().start(0);
  REQUIRE(five.world().run_until([&] { return five.world().node(0).serving(); }, 5s));
  five.submit(some_tasks(300));
  REQUIRE(await_homes(five, 1, {0}));
  five.world().start(1);
  five.world().run_for(5s);
  CHECK(await_homes(five, 1, {0, 1}));  // A majority of two is both: worse than one.
  five.world().start(2);
  CHECK(await_homes(five, 3, {0, 1, 2}));
  five.submit(some_tasks(300));
  five.world().start(3);
  five.world().start(4);
  five.world().run_for(3s);
  CHECK(await_homes(five, 3, {0, 1, 2, 3, 4}));
  five.settle();
  CHECK(five.verdict() == "");
  for (NodeIndex node = 0; node < 5; ++node) CHECK(five.world().disk(node).record_count() > 0);
}

TEST_CASE("homes: members leave one after the other, down to one, and nothing is lost") {
  Scenario four(cluster(4, 4));
  REQUIRE(four.found());
  four.submit(some_tasks(400));
  four.world().run_for(500ms);
  std::vector<NodeIndex> members{0, 1, 2, 3};
  for (const NodeIndex leaver : {NodeIndex{3}, NodeIndex{2}, NodeIndex{1}}) {
    REQUIRE(done(command(four, 0, {four.world().id(leaver), wire::LeaveCluster{}})));
    CHECK(four.world().run_until([&] { return !four.world().up(leaver); }, 90s, 100ms));
    members.pop_back();
    CHECK(await_homes(four, members.size() >= 3 ? 3 : 1, members));
  }
  CHECK(four.await_workload(120s));
  four.monitor().check_held(true);
  CHECK(four.verdict() == "");
  CHECK(error_of(command(four, 0, {{}, wire::LeaveCluster{}})) != "");  // Who would keep it?
}

TEST_CASE("homes: a member stopped while it leaves has not left, and comes back") {
  Scenario four(cluster(4, 4));
  REQUIRE(four.found());
  four.submit(some_tasks(100));
  four.world().run_for(500ms);
  REQUIRE(done(command(four, 0, {four.world().id(3), wire::LeaveCluster{}})));
  four.world().stop(3, true);  // Before any shard has moved.
  REQUIRE(four.world().run_until([&] { return !four.world().up(3); }, 30s, 100ms));
  four.world().run_for(500ms);
  for (const auto& [id, state] : four.world().node(0).inspect().members) {
    if (id == four.world().id(3)) CHECK(state == wire::MemberState::dead);
  }
  four.settle();  // Starts it again.
  CHECK(await_homes(four, 3, {0, 1, 2, 3}));
  CHECK(four.verdict() == "");
}

TEST_CASE("homes: a member that is asked to leave moves no shard by its former view") {
  Scenario three(cluster(3, 1));
  three.world().config_at_next_start(0).moves_per_second = 5;
  three.monitor().begin();
  three.world().start(0);
  REQUIRE(three.world().run_until([&] { return three.world().node(0).serving(); }, 5s));
  three.world().start(1);
  three.world().start(2);
  const auto moved = [&] {
    std::size_t count = 0;
    const auto seen = three.world().node(0).inspect();
    for (std::uint32_t shard = 0; shard < kShards; ++shard) {
      const wire::ShardConfig* config = seen.config(ShardId{shard});
      if (config != nullptr && config->home.size() == 3) ++count;
    }
    return count;
  };
  REQUIRE(three.world().run_until([&] { return moved() > 0; }, 10s));
  REQUIRE(done(command(three, 1, {three.world().id(0), wire::LeaveCluster{}})));
  three.world().run_for(200ms);  // What had begun is carried on.
  const std::size_t before = moved();
  REQUIRE(before < kShards);
  three.world().run_for(600ms);
  CHECK(moved() == before);
  CHECK(three.world().run_until([&] { return !three.world().up(0); }, 90s, 100ms));
  CHECK(three.verdict() == "");
}

TEST_CASE("homes: a dead member is replaced when its time is over, and returns to no harm") {
  ClusterOptions options = cluster(5, 5);
  Scenario five(options);
  for (NodeIndex node = 0; node < 5; ++node) {
    five.world().config_at_next_start(node).dead_after = 20s;
  }
  REQUIRE(five.found());
  five.submit(some_tasks(200));
  five.monitor().set_faults(true);
  five.world().crash(4);
  five.world().run_for(15s);
  CHECK(!settled(five, 3, {0, 1, 2, 3}));  // Not yet: it may come back.
  CHECK(await_homes(five, 3, {0, 1, 2, 3}, 60s));
  five.world().start(4);
  five.settle();
  CHECK(await_homes(five, 3, {0, 1, 2, 3, 4}));
  CHECK(five.verdict() == "");
}

TEST_CASE("homes: a death never lowers the number of copies, and three members keep waiting") {
  Scenario three(cluster(3, 3));
  for (NodeIndex node = 0; node < 3; ++node) {
    three.world().config_at_next_start(node).dead_after = 5s;
  }
  REQUIRE(three.found());
  three.monitor().set_faults(true);
  three.world().crash(2);
  three.world().run_for(40s);
  CHECK(settled(three, 3, {0, 1, 2}));
  three.world().start(2);
  three.settle();
  CHECK(three.verdict() == "");
}

TEST_CASE("homes: an owner dies at some moment of every shard's move, and the moves end (G5)") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    ClusterOptions options = cluster(5, 3);
    options.seed = seed;
    Scenario five(options);
    REQUIRE(five.found());
    five.submit(some_tasks(200));
    five.monitor().set_faults(true);
    five.world().run_for(900ms + 20ms * seed);
    five.world().crash(static_cast<NodeIndex>(seed % 3));
    five.world().run_for(5s);
    five.settle();
    CHECK(await_homes(five, 3, {0, 1, 2, 3, 4}));
    CHECK(five.verdict() == "");
  }
}

TEST_CASE("homes: rank 0 takes its shards back just when it asks after their owners") {
  // Every second look of a node at the owners falls together with its taking back. An answer that
  // was under way must not stop the candidate that deposes who gave it.
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    CAPTURE(seed);
    Scenario three({.nodes = 3, .seed = seed, .shard_count = kShards});
    REQUIRE(three.found());
    three.monitor().set_faults(true);
    three.world().run_for(1s);
    three.world().crash(0);
    three.world().run_for(4s);
    three.world().start(0);
    REQUIRE(three.await_serving(10s));
    Duration ownerless{};
    for (Duration passed{}; passed < 40s; passed += 10ms) {
      three.world().run_for(10ms);
      if (!settled(three, 3, {0, 1, 2})) ownerless += 10ms;
    }
    CHECK(ownerless <= 200ms);
    three.settle();
    CHECK(three.verdict() == "");
  }
}

TEST_CASE("drain: a node starts nothing new and keeps its records, through a restart too") {
  Scenario three(cluster(3, 3));
  REQUIRE(three.found());
  REQUIRE(done(command(three, 0, {three.world().id(2), wire::SetDraining{true}})));
  three.world().run_for(1s);
  three.submit(some_tasks(60));
  REQUIRE(three.await_workload(60s));
  CHECK(three.world().disk(2).record_count() > 0);
  const auto ran_there = [&] { return three.world().node(2).inspect().tasks_run(); };
  CHECK(ran_there() == 0);
  three.world().crash(2);
  three.world().run_for(1s);
  three.world().start(2);
  three.settle();
  three.submit(some_tasks(60));
  REQUIRE(three.await_workload(60s));
  CHECK(ran_there() == 0);
  REQUIRE(done(command(three, 0, {three.world().id(2), wire::SetDraining{false}})));
  three.submit(some_tasks(600));
  REQUIRE(three.await_workload(120s));
  CHECK(ran_there() > 0);
  CHECK(three.verdict() == "");
}

TEST_CASE("forget: only a member that is gone, and its copies are made anew at once") {
  Scenario four(cluster(4, 4));
  REQUIRE(four.found());
  four.submit(some_tasks(100));
  CHECK(error_of(command(four, 0, {{}, wire::ForgetNode{four.world().id(3)}})) != "");
  four.monitor().set_faults(true);
  four.world().crash(3);
  const auto dead = [&] { return four.state_seen_by(0, 3) == wire::MemberState::dead; };
  REQUIRE(four.world().run_until(dead, 60s));
  REQUIRE(done(command(four, 0, {{}, wire::ForgetNode{four.world().id(3)}})));
  CHECK(await_homes(four, 3, {0, 1, 2}, 30s));
  CHECK(four.await_workload(60s));
  four.monitor().check_held(true);
  CHECK(four.verdict() == "");
}

TEST_CASE("recover: two of three homes are lost for good, the last copy is adopted, and said so") {
  Scenario three(cluster(3, 3));
  REQUIRE(three.found());
  three.submit(some_tasks(100));
  REQUIRE(three.await_workload(60s));
  three.monitor().set_faults(true);
  const std::vector<NodeId> lost{three.world().id(1), three.world().id(2)};
  CHECK(error_of(command(three, 0, {{}, wire::RecoverShard{ShardId{0}, lost}})) != "");
  three.world().crash(1);
  three.world().crash(2);
  const auto dead = [&] {
    return three.state_seen_by(0, 1) == wire::MemberState::dead &&
           three.state_seen_by(0, 2) == wire::MemberState::dead;
  };
  REQUIRE(three.world().run_until(dead, 120s));
  three.monitor().shards().lost(lost);
  for (std::uint32_t shard = 0; shard < kShards; ++shard) {
    CHECK(done(command(three, 0, {{}, wire::RecoverShard{ShardId{shard}, lost}})));
  }
  CHECK(await_homes(three, 1, {0}));
  const auto copy = command(three, 0, {{}, wire::ShowShard{ShardId{3}}});
  REQUIRE(copy);
  CHECK(std::get<wire::ShardCopy>(*copy).state == wire::Ownership::owner);
  std::size_t recovered = 0;
  for (const node::HeldTask& task : three.world().node(0).inspect().tasks()) {
    recovered += task.recovered ? 1 : 0;
  }
  CHECK(recovered == 100);
  // A lost node that comes back all the same is not listened to, and ends.
  three.world().start(1);
  CHECK(three.world().run_until([&] { return !three.world().up(1); }, 60s, 100ms));
  three.submit(some_tasks(50));
  CHECK(three.await_workload(60s));
  CHECK(three.verdict() == "");
}

// One alone calls nobody of three others dead: it suspects them for ever.
TEST_CASE("recover: the last of four adopts its copies, though it cannot call the others dead") {
  Scenario four(cluster(4, 4));
  REQUIRE(four.found());
  four.submit(some_tasks(100));
  REQUIRE(four.await_workload(60s));
  four.monitor().set_faults(true);
  for (const NodeIndex node : {1U, 2U, 3U}) four.world().crash_host(node);
  const std::vector<NodeId> lost{four.world().id(1), four.world().id(2), four.world().id(3)};
  four.world().run_for(20s);
  CHECK(four.state_seen_by(0, 1) == wire::MemberState::suspect);
  std::uint32_t kept = 0;
  std::uint32_t recovered = 0;
  four.world().run_for(40s);
  for (std::uint32_t shard = 0; shard < kShards; ++shard) {
    const wire::ShardConfig* config = four.world().node(0).inspect().config(ShardId{shard});
    if (config == nullptr ||
        std::ranges::find(config->home, four.world().id(0)) == config->home.end()) {
      continue;
    }
    ++kept;
    recovered += done(command(four, 0, {{}, wire::RecoverShard{ShardId{shard}, lost}})) ? 1 : 0;
  }
  CHECK(kept > 0);
  CHECK(recovered == kept);
  CHECK(four.verdict() == "");
}

}  // namespace shoal::sim
