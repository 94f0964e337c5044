// The rules of a job's life and of a cluster's beginning, one short scenario each, named by
// topology and fault.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "sim/scenario.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

// Three nodes keep the records and have no room; two that joined have room for four tasks each.
constexpr ClusterOptions kKeepersAndWorkers{.nodes = 5, .founders = 3};
constexpr NodeIndex kWorkers[] = {3, 4};

bool found_workers(Scenario& cluster) {
  for (NodeIndex keeper = 0; keeper < 3; ++keeper) {
    cluster.world().config_at_next_start(keeper).cpu_millis = 100;
  }
  return cluster.found();
}

JobPlan sleepers(std::uint32_t count, std::string_view duration) {
  return {.spec = {.argv = {"sleep", std::string(duration)}, .cpu_millis = 1000}, .count = count};
}

std::vector<AttemptId> running_at(Scenario& cluster, NodeIndex node) {
  if (!cluster.world().up(node)) return {};
  return cluster.world().processes(node).running();
}

std::size_t running_anywhere(Scenario& cluster) {
  std::size_t running = 0;
  for (NodeIndex node = 0; node < cluster.world().node_count(); ++node) {
    running += running_at(cluster, node).size();
  }
  return running;
}

std::vector<node::HeldTask> held(Scenario& cluster) {
  std::vector<node::HeldTask> all;
  for (const Observation& node : cluster.monitor().observe()) {
    std::ranges::copy(node.inspection.tasks(), std::back_inserter(all));
  }
  return all;
}

std::size_t held_as(Scenario& cluster, TaskState state) {
  return static_cast<std::size_t>(std::ranges::count(held(cluster), state, &node::HeldTask::state));
}

std::set<ClusterId> clusters_served(Scenario& cluster) {
  std::set<ClusterId> served;
  for (NodeIndex node = 0; node < cluster.world().node_count(); ++node) {
    if (!cluster.world().up(node) || !cluster.world().node(node).serving()) continue;
    served.insert(cluster.world().node(node).cluster());
  }
  return served;
}

NodeIndex smallest_id(Scenario& cluster) {
  NodeIndex smallest = 0;
  for (NodeIndex node = 1; node < cluster.world().node_count(); ++node) {
    if (cluster.world().id(node) < cluster.world().id(smallest)) smallest = node;
  }
  return smallest;
}

}  // namespace

TEST_CASE("scenarios: a node that writes on while it stops comes back with a disk that works") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  three.add_workload({.tasks = 8000, .jobs_at_once = 40, .array_max = 20, .pause_max = 10ms});
  three.monitor().set_faults(true);
  for (NodeIndex node = 0; node < 3; ++node) {
    three.world().disk(node).options().slow_factor = 20;  // Nearly always in a sync.
    three.world().run_for(500ms);
    three.world().stop(node);
    REQUIRE(three.world().run_until([&] { return !three.world().up(node); }, 30s));
    CHECK_FALSE(three.world().disk(node).syncing());
    three.world().start(node);
    CHECK(three.await_agreement(30s));
  }
  three.settle(2min);
  CHECK(three.verdict() == "");
}

TEST_CASE("scenarios: one node, it crashes and restarts, it finds all its records") {
  Scenario one({.nodes = 1});
  REQUIRE(one.found());
  JobClient& job = one.submit(sleepers(50, "20s"));
  REQUIRE(one.world().run_until([&] { return job.acknowledged() == 50; }, 5s));
  one.world().run_for(3s);
  const std::size_t before = held(one).size();
  one.world().crash(0);
  one.world().start(0);
  REQUIRE(one.await_serving(5s));
  CHECK(before == 50);
  CHECK(held(one).size() == before);
  one.settle();
  CHECK(one.verdict() == "");
}

TEST_CASE("scenarios: three nodes, an owner is back at once, its shards and records too") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  JobClient& job = three.submit(sleepers(200, "2s"));
  REQUIRE(three.world().run_until([&] { return job.acknowledged() == 200; }, 5s));
  const auto owned = three.world().node(1).inspect().owned;
  CHECK_FALSE(owned.empty());
  three.world().crash(1);
  three.world().start(1);
  REQUIRE(three.await_serving(5s));
  CHECK(three.world().node(1).inspect().owned == owned);
  CHECK(held(three).size() == 200);
  three.settle();
  CHECK(three.verdict() == "");
}

TEST_CASE("scenarios: a worker dies, its tasks run again elsewhere, once their leases are over") {
  Scenario five(kKeepersAndWorkers);
  REQUIRE(found_workers(five));
  five.submit(sleepers(4, "30s"));
  five.monitor().set_faults(true);
  REQUIRE(five.world().run_until([&] { return running_anywhere(five) == 4; }, 5s));
  five.world().run_for(3s);
  const NodeIndex dies = running_at(five, kWorkers[0]).empty() ? kWorkers[1] : kWorkers[0];
  const std::size_t died = running_at(five, dies).size();
  five.world().crash_host(dies);  // Its processes too: supervisors would let them run through.
  five.world().run_for(3s);
  CHECK(running_anywhere(five) == 4 - died);  // It might still run.
  CHECK(five.world().run_until([&] { return running_anywhere(five) == 4; }, 6s));
  CHECK(five.await_workload(60s));
  CHECK(five.monitor().attempts().count() == 4 + died);
  five.settle();
  CHECK(five.verdict() == "");  // Attempts did not overlap.
}

TEST_CASE("scenarios: a worker falls silent, its attempts end before those elsewhere begin") {
  Scenario five(kKeepersAndWorkers);
  REQUIRE(found_workers(five));
  five.submit(sleepers(4, "30s"));
  five.monitor().set_faults(true);
  REQUIRE(five.world().run_until([&] { return running_anywhere(five) == 4; }, 5s));
  const NodeIndex cut = running_at(five, kWorkers[0]).empty() ? kWorkers[1] : kWorkers[0];
  const std::size_t had = running_at(five, cut).size();
  std::vector<std::uint32_t> groups(5, 0);
  groups[cut] = 1;
  five.world().network().split(groups);
  CHECK(five.world().run_until([&] { return running_at(five, cut).empty(); }, 6s));
  CHECK(five.world().run_until([&] { return running_anywhere(five) == 4; }, 6s));
  CHECK(five.monitor().attempts().count() == 4 + had);
  five.settle();
  CHECK(five.verdict() == "");
}

TEST_CASE("scenarios: a Grant is lost, the repeated Pull is granted the same attempts") {
  Scenario five(kKeepersAndWorkers);
  REQUIRE(found_workers(five));
  std::set<AttemptId> lost;
  five.world().set_filter([&](NodeIndex, const node::Envelope& envelope) {
    const auto* grant = std::get_if<wire::Grant>(&envelope.message);
    if (grant == nullptr || grant->items.empty() || !lost.empty()) return false;
    for (const wire::GrantItem& item : grant->items) lost.insert(item.attempt);
    return true;
  });
  five.submit(sleepers(4, "3s"));
  CHECK(five.await_workload(60s));
  CHECK_FALSE(lost.empty());
  CHECK(five.monitor().attempts().count() == 4);  // Each ran once, as its first attempt.
  CHECK(std::ranges::all_of(held(five), [](const auto& task) { return task.attempt == 1; }));
  five.settle();
  CHECK(five.verdict() == "");
}

TEST_CASE("scenarios: a client whose gateway dies at any moment submits nothing twice") {
  for (const Duration moment : {150us, 400us, 900us, 1500us, 2500us, 4000us, 8000us}) {
    CAPTURE(moment / 1us);
    Scenario three({.nodes = 3});
    REQUIRE(three.found());
    JobPlan plan = sleepers(100, "10ms");
    plan.gateway = 1;
    const JobClient& job = three.submit(plan);
    three.monitor().set_faults(true);
    three.world().run_for(moment);
    three.world().crash(1);
    three.world().run_for(3s);
    three.world().start(1);
    three.settle(2min);
    CHECK(job.retries() > 0);
    CHECK(held(three).size() == 100);
    CHECK(held_as(three, TaskState::succeeded) == 100);
    CHECK(three.verdict() == "");
  }
}

TEST_CASE("scenarios: an owner whose clock was an hour ahead put off a retry by seconds only") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  for (NodeIndex node = 0; node < 3; ++node) three.world().set_wall_offset(node, 55min);
  three.submit({.spec = {.argv = {"flaky", "2"}, .retries = 1}, .count = 1});
  REQUIRE(three.world().run_until([&] { return three.monitor().attempts().count() == 1; }, 5s));
  REQUIRE(three.world().run_until([&] { return held_as(three, TaskState::ready) == 1; }, 5s));
  three.monitor().set_faults(true);
  for (NodeIndex node = 0; node < 3; ++node) {
    three.world().crash(node);
    three.world().set_wall_offset(node, 0min);
    three.world().start(node);
  }
  CHECK(three.await_workload(2min));
  CHECK(held_as(three, TaskState::succeeded) == 1);
}

TEST_CASE("scenarios: a cancel reaches tasks that run on other nodes than their owners") {
  Scenario five(kKeepersAndWorkers);
  REQUIRE(found_workers(five));
  JobPlan plan = sleepers(6, "3000s");
  plan.cancel_after = 3s;
  five.submit(plan);
  REQUIRE(five.world().run_until([&] { return running_anywhere(five) == 6; }, 3s));
  five.world().run_for(2s);
  CHECK(five.await_workload(20s));
  CHECK(running_anywhere(five) == 0);
  CHECK(held_as(five, TaskState::cancelled) == 6);
  CHECK(five.monitor().attempts().count() == 6);
  five.settle();
  CHECK(five.verdict() == "");
}

TEST_CASE("scenarios: a worker is stopped by SIGTERM, what it gives back is not a failure") {
  Scenario five(kKeepersAndWorkers);
  REQUIRE(found_workers(five));
  five.submit(sleepers(8, "5s"));  // Without retries: a failure would be the end.
  five.monitor().set_faults(true);
  REQUIRE(five.world().run_until([&] { return running_anywhere(five) == 8; }, 5s));
  five.world().stop(3);
  CHECK(five.world().run_until([&] { return !five.world().up(3); }, 15s));
  CHECK(five.await_workload(60s));
  CHECK(held_as(five, TaskState::succeeded) == 8);
  CHECK(five.monitor().attempts().count() == 12);
  five.settle();
  CHECK(five.verdict() == "");
}

TEST_CASE("scenarios: a node that joins a busy cluster pulls work within seconds") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  three.submit(sleepers(300, "2s"));
  three.world().run_for(3s);
  const NodeIndex joiner = three.world().add_node({.join = true}, {0, 1, 2});
  three.world().start(joiner);
  CHECK(three.world().run_until([&] { return !running_at(three, joiner).empty(); }, 5s));
  CHECK(three.await_workload(5min));
  three.settle();
  CHECK(three.verdict() == "");
}

TEST_CASE("scenarios: a client leaves a gateway that was cut off for good before it had joined") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  const NodeIndex joiner = three.world().add_node({.join = true}, {0, 1, 2});
  std::vector<Link> links;
  for (NodeIndex member = 0; member < 3; ++member) {
    links.emplace_back(joiner, member);
    links.emplace_back(member, joiner);
  }
  three.world().network().links().begin(std::move(links), kCut);
  three.world().start(joiner);
  REQUIRE(three.world().run_until([&] { return three.world().up(joiner); }, 5s));
  JobPlan plan = sleepers(3, "10ms");
  plan.gateway = joiner;
  const JobClient& client = three.submit(plan);
  REQUIRE(three.world().run_until([&] { return client.retries() > 2; }, 5s));
  three.world().abandon(joiner);
  CHECK(three.await_workload(1min));
  CHECK(three.verdict() == "");
}

TEST_CASE("scenarios: five of six workers are too small, hints find the one that is not") {
  Scenario nine({.nodes = 9, .founders = 3});
  for (NodeIndex node = 0; node < 8; ++node) {
    nine.world().config_at_next_start(node).cpu_millis = 900;
  }
  REQUIRE(nine.found());
  for (std::uint64_t task = 1; task <= 10; ++task) {
    JobPlan plan = sleepers(1, "10ms");
    plan.single = true;
    nine.submit(plan);
    CHECK(nine.world().run_until([&] { return nine.monitor().attempts().count() == task; }, 1s));
    nine.world().run_for(5s);  // It has given up asking often.
  }
  CHECK(nine.await_workload(1min));
  CHECK(nine.verdict() == "");
}

TEST_CASE("scenarios: the founder dies at any moment of founding and comes back") {
  for (Duration moment = 1ms; moment < 700ms; moment = moment + moment / 3) {
    CAPTURE(moment / 1us);
    Scenario three({.nodes = 3});
    const NodeIndex founder = smallest_id(three);
    three.monitor().set_faults(true);
    three.start_all();
    three.world().run_for(moment);
    three.world().crash(founder);
    three.world().run_for(2s);
    three.world().start(founder);
    CHECK(three.await_serving(30s));
    CHECK(three.await_agreement(30s));
    CHECK(clusters_served(three).size() == 1);
    CHECK(three.verdict() == "");
  }
}

TEST_CASE(
    "scenarios: a founder dies and comes back second to a smaller id, nobody waits for ever") {
  for (Duration moment = 250ms; moment < 350ms; moment += 1ms) {
    CAPTURE(moment / 1us);
    Scenario four({.nodes = 4, .founders = 3});
    node::NodeConfig& fourth = four.world().config_at_next_start(3);
    fourth.join = false;
    fourth.expect = 3;
    std::vector<NodeIndex> order{0, 1, 2, 3};
    std::ranges::sort(order, {}, [&](NodeIndex node) { return four.world().id(node); });
    four.monitor().set_faults(true);
    for (const NodeIndex node : {order[1], order[2], order[3]}) {
      four.world().disk(node).options().slow_factor = 30;  // Words are given for a while.
      four.world().start(node);
    }
    four.world().run_for(moment);
    four.world().crash(order[1]);
    four.world().start(order[0]);
    four.world().run_for(1s);
    four.world().start(order[1]);
    CHECK(four.await_serving(30s));
    CHECK(clusters_served(four).size() == 1);
    CHECK(four.verdict() == "");
  }
}

TEST_CASE(
    "scenarios: four blank nodes that expect three, no two of them found different clusters") {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    Scenario four({.nodes = 4, .seed = seed, .founders = 3});
    node::NodeConfig& fourth = four.world().config_at_next_start(3);
    fourth.join = false;
    fourth.expect = 3;
    four.monitor().set_faults(true);
    FaultOptions options = parse_faults("net,process").value();
    options.gap_max = 300ms;
    options.length_max = 2s;
    Faults& faults = four.add_faults(options);
    for (NodeIndex node = 0; node < 4; ++node) four.world().start(node);
    CHECK_FALSE(four.world().run_until([&] { return clusters_served(four).size() > 1; }, 20s));
    faults.heal();
    CHECK(four.await_serving(60s));
    CHECK(four.await_agreement(60s));
    CHECK(clusters_served(four).size() == 1);
    CHECK(four.verdict() == "");
  }
}

}  // namespace shoal::sim
