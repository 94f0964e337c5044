// What becomes of attempts when owners, executing nodes, their hosts or the links between them
// fail: one short scenario each, named by topology and fault.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <optional>

#include "sim/scenario.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

// Three nodes keep the records and have no room; two that joined have room for four tasks each.
constexpr NodeIndex kKeepers[] = {0, 1, 2};
constexpr NodeIndex kWorkers[] = {3, 4};

ClusterOptions keepers_and_workers(std::uint64_t seed = 1) {
  return {.nodes = 5, .seed = seed, .founders = 3};
}

struct Cluster : Scenario {
  explicit Cluster(const ClusterOptions& options) : Scenario(options) {
    if (options.founders == 3 && options.nodes == 5) {
      for (const NodeIndex keeper : kKeepers) world().config_at_next_start(keeper).cpu_millis = 100;
    }
    // Homes stay where they were founded.
    for (NodeIndex node = 0; node < options.nodes; ++node) {
      world().config_at_next_start(node).move_delay = 10h;
    }
    REQUIRE(found());
    monitor().set_faults(true);
  }

  std::vector<AttemptId> running(NodeIndex node) { return world().processes(node).running(); }
  std::size_t running() {
    std::size_t all = 0;
    for (NodeIndex node = 0; node < world().node_count(); ++node) all += running(node).size();
    return all;
  }
  bool await_running(std::size_t count, Duration deadline) {
    return world().run_until([&] { return running() == count; }, deadline);
  }
  // `count` tasks of one job, and so of one shard, that run for `duration`.
  void begin(std::uint32_t count, std::string_view duration, bool at_most_once = false) {
    submit({.spec = {.argv = {"sleep", std::string(duration)},
                     .cpu_millis = 1000,
                     .at_most_once = at_most_once},
            .count = count,
            .gateway = 0});
    REQUIRE(await_running(count, 5s));
  }
  NodeIndex busy() { return running(kWorkers[0]).empty() ? kWorkers[1] : kWorkers[0]; }
  // Who owns the shard of what runs.
  std::optional<NodeIndex> owner() {
    for (const Observation& node : monitor().observe()) {
      if (!node.inspection.tasks().empty()) return node.index;
    }
    return std::nullopt;
  }
  std::vector<node::HeldTask> held() {
    std::vector<node::HeldTask> all;
    for (const Observation& node : monitor().observe()) {
      std::ranges::copy(node.inspection.tasks(), std::back_inserter(all));
    }
    return all;
  }
  void isolate(NodeIndex node) {
    std::vector<std::uint32_t> groups(world().node_count(), 0);
    groups[node] = 1;
    world().network().split(groups);
  }
  std::uint64_t attempts() { return monitor().attempts().count(); }
  // Power loss of `node`; how long until all it ran is running elsewhere.
  Duration elsewhere_after(NodeIndex node, bool host, Duration deadline) {
    const std::size_t all = running();
    const TimePoint from = world().now();
    if (host) {
      world().crash_host(node);
    } else {
      world().crash(node);
    }
    const auto whole = [&] {
      std::size_t others = 0;
      for (NodeIndex each = 0; each < world().node_count(); ++each) {
        if (each != node) others += running(each).size();
      }
      return others == all;
    };
    CHECK(world().run_until(whole, deadline));
    return world().now() - from;
  }
  void finish() {
    settle();
    CHECK(verdict() == "");
  }
};

}  // namespace

TEST_CASE("attempts: an owner is killed while attempts run elsewhere, none runs again") {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    CAPTURE(seed);
    Cluster five(keepers_and_workers(seed));
    five.begin(6, "25s");
    five.world().run_for(Duration(1s) + Duration(137ms) * seed);
    REQUIRE(five.owner());
    const NodeIndex killed = *five.owner();
    five.world().crash(killed);
    CHECK(five.await_workload(60s));
    CHECK(five.attempts() == 6);
    five.world().start(killed);
    five.finish();
  }
}

TEST_CASE("attempts: an executing node is lost with its supervisors, elsewhere within 6 s") {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    CAPTURE(seed);
    Cluster five(keepers_and_workers(seed));
    five.begin(4, "60s");
    five.world().run_for(Duration(1s) + Duration(213ms) * seed);
    CHECK(five.elsewhere_after(five.busy(), true, 20s) <= 6s);
    five.finish();
  }
}

TEST_CASE("attempts: owner and executing node are one and lost, elsewhere within 9 s, host 12 s") {
  for (const bool host : {false, true}) {
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
      CAPTURE(seed);
      CAPTURE(host);
      // Without supervisors, so that kill -9 takes the processes too.
      Cluster three({.nodes = 3, .seed = seed, .world = {.processes = {.supervised = false}}});
      three.begin(3, "60s");
      three.world().run_for(Duration(1s) + Duration(171ms) * seed);
      REQUIRE(three.owner());
      const NodeIndex owner = *three.owner();
      if (three.running(owner).empty()) continue;  // Others were faster.
      CHECK(three.elsewhere_after(owner, host, 30s) <= (host ? 12s : 9s));
      three.world().start(owner);
      three.finish();
    }
  }
}

TEST_CASE("attempts: those older than 70 s run on when their owner's host is cut off") {
  for (const bool power : {false, true}) {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      CAPTURE(power);
      CAPTURE(seed);
      Cluster five(keepers_and_workers(seed));
      five.begin(6, "110s");
      five.world().run_for(Duration(70s) + Duration(137ms) * seed);
      REQUIRE(five.owner());
      const NodeIndex cut = *five.owner();
      if (power) {
        five.world().crash_host(cut);
      } else {
        five.isolate(cut);
      }
      CHECK(five.await_workload(90s));
      CHECK(five.attempts() == 6);
      five.world().network().heal();
      if (power) five.world().start(cut);
      five.finish();
    }
  }
}

TEST_CASE("attempts: an executing node is killed and back within 3 s, nothing runs again") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    CAPTURE(seed);
    ClusterOptions options = keepers_and_workers(seed);
    options.world.processes.report_late_percent = 0;
    Cluster five(options);
    five.begin(6, "30s");
    five.world().run_for(Duration(2s) + Duration(97ms) * seed);
    for (const NodeIndex worker : kWorkers) {
      five.world().crash(worker);
      five.world().run_for(2900ms);
      five.world().start(worker);
      five.world().run_for(4s);
    }
    CHECK(five.running() == 6);
    CHECK(five.await_workload(60s));
    CHECK(five.attempts() == 6);
    five.finish();
  }
}

TEST_CASE(
    "attempts: owner and executing node are one, killed and back in 3 s, nothing runs again") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    CAPTURE(seed);
    Cluster three({.nodes = 3, .seed = seed, .world = {.processes = {.report_late_percent = 0}}});
    three.begin(9, "30s");
    three.world().run_for(Duration(2s) + Duration(97ms) * seed);
    for (NodeIndex node = 0; node < 3; ++node) {
      three.world().crash(node);
      three.world().run_for(2900ms);
      three.world().start(node);
      three.world().run_for(5s);
    }
    CHECK(three.await_workload(60s));
    CHECK(three.attempts() == 9);
    three.finish();
  }
}

TEST_CASE("attempts: a node is stopped and back within 25 s, its tasks run through") {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    CAPTURE(seed);
    ClusterOptions options = keepers_and_workers(seed);
    options.world.processes.report_late_percent = 0;
    Cluster five(options);
    five.begin(6, "60s");
    five.world().run_for(Duration(1s) + Duration(137ms) * seed);
    const NodeIndex stopped = five.busy();
    const TimePoint from = five.world().now();
    five.world().stop(stopped);
    REQUIRE(five.world().run_until([&] { return !five.world().up(stopped); }, 5s));
    CHECK(five.world().now() - from < 2s);
    five.world().run_for(25s - (five.world().now() - from));
    five.world().start(stopped);
    CHECK(five.await_workload(90s));
    CHECK(five.attempts() == 6);
    five.finish();
  }
}

TEST_CASE("attempts: what ended while its node was away is recorded when it is back") {
  Cluster five(keepers_and_workers());
  five.begin(6, "12s");
  five.world().run_for(1s);
  const NodeIndex stopped = five.busy();
  five.world().stop(stopped);
  five.world().run_for(20s);
  CHECK(five.running(stopped).empty());
  five.world().start(stopped);
  CHECK(five.await_workload(10s));
  CHECK(five.attempts() == 6);
  CHECK(five.world().processes(stopped).kept_count() == 0);  // Its supervisors may forget them.
  five.finish();
}

TEST_CASE("attempts: a node stays stopped, its tasks run elsewhere once the long lease is over") {
  Cluster five(keepers_and_workers());
  five.begin(4, "60s");
  five.world().run_for(1s);
  const NodeIndex stopped = five.busy();
  const std::size_t had = five.running(stopped).size();
  five.world().stop(stopped);
  five.world().run_for(20s);
  CHECK(five.attempts() == 4);
  CHECK(five.world().run_until([&] { return five.attempts() == 4 + had; }, 20s));
  five.world().start(stopped);
  five.finish();
}

TEST_CASE("attempts: a frozen node's supervisors end them before they begin elsewhere (hole 14)") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    CAPTURE(seed);
    Cluster five(keepers_and_workers(seed));
    five.begin(4, "60s");
    five.world().run_for(Duration(1s) + Duration(171ms) * seed);
    const NodeIndex frozen = five.busy();
    const std::size_t had = five.running(frozen).size();
    five.world().pause(frozen);
    CHECK(five.world().run_until([&] { return five.running(frozen).empty(); }, 5s));
    CHECK(five.world().run_until([&] { return five.attempts() == 4 + had; }, 6s));
    five.world().run_for(10s);
    five.world().resume(frozen);
    CHECK(five.await_workload(90s));
    CHECK(five.attempts() == 4 + had);
    five.finish();
  }
}

TEST_CASE("attempts: an outcome that cannot reach its owner goes through its home (hole 27)") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    CAPTURE(seed);
    Cluster five(keepers_and_workers(seed));
    five.begin(6, "2s");
    REQUIRE(five.owner());
    const NodeIndex owner = *five.owner();
    for (const NodeIndex worker : kWorkers) five.world().network().cut(worker, owner);
    CHECK(five.await_workload(5s));
    CHECK(five.owner() == owner);  // It is well: others reach it.
    CHECK(five.attempts() == 6);
    five.finish();
  }
}

TEST_CASE("attempts: an owner dies with the outcome on its way, another home node records it") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    CAPTURE(seed);
    Cluster five(keepers_and_workers(seed));
    five.begin(6, "3s");
    five.world().run_for(2500ms);
    REQUIRE(five.owner());
    const NodeIndex owner = *five.owner();
    five.world().crash_host(owner);
    CHECK(five.await_workload(10s));
    CHECK(five.attempts() == 6);
    five.world().start(owner);
    five.finish();
  }
}

TEST_CASE(
    "attempts: whole cluster killed and back, what ran runs on, the rest of it begins again") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    CAPTURE(seed);
    ClusterOptions options = keepers_and_workers(seed);
    options.world.processes.report_late_percent = 0;
    Cluster five(options);
    five.begin(6, "40s");
    five.world().run_for(2s);
    for (NodeIndex node = 0; node < 5; ++node) five.world().crash(node);
    five.world().run_for(1s);
    for (NodeIndex node = 0; node < 5; ++node) five.world().start(node);
    REQUIRE(five.await_serving(10s));
    five.world().run_for(10s);
    CHECK(five.running() == 6);
    CHECK(five.attempts() == 6);
    for (NodeIndex node = 0; node < 5; ++node) five.world().crash_host(node);
    five.world().run_for(1s);
    const TimePoint from = five.world().now();
    for (NodeIndex node = 0; node < 5; ++node) five.world().start(node);
    // Nothing has to be waited for: each node says that it holds nothing.
    CHECK(five.world().run_until([&] { return five.running() == 6; }, 20s));
    CHECK(five.world().now() - from < 4s);
    CHECK(five.attempts() == 12);
    five.finish();
  }
}

TEST_CASE("attempts: a deposed owner's release surfaces late, its attempt ends before the next") {
  // Records as two owners in a row left them: the first was cut off and let the lease lapse on its
  // own disk, while the second renewed it; the third finds the first one's version.
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    CAPTURE(seed);
    Cluster five(keepers_and_workers(seed));
    five.begin(1, "60s");
    five.world().run_for(1s);
    REQUIRE(five.owner());
    const NodeIndex first = *five.owner();
    five.isolate(first);
    five.world().run_for(12s);
    const auto others = five.monitor().observe();
    const auto second = std::ranges::find_if(others, [&](const Observation& node) {
      return node.index != first && !node.inspection.tasks().empty();
    });
    REQUIRE(second != others.end());
    CHECK(five.attempts() == 1);
    five.world().network().heal();
    five.world().crash_host(second->index);
    five.world().run_for(20s);
    five.world().start(second->index);
    five.finish();
  }
}

TEST_CASE("attempts: claims that cannot be committed in a split leave room for those that can") {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    CAPTURE(seed);
    Cluster five({.nodes = 5, .seed = seed, .founders = 5, .cpu_millis = 1000});
    five.submit(
        {.spec = {.argv = {"sleep", "200ms"}, .cpu_millis = 500}, .count = 2000, .gateway = 2});
    REQUIRE(five.world().run_until([&] { return five.attempts() > 100; }, 30s));
    five.world().network().split({0, 0, 1, 1, 1});
    for (int look = 0; look < 3; ++look) {
      five.world().run_for(6s);
      const std::uint64_t before = five.attempts();
      five.world().run_for(3s);
      CHECK(five.attempts() > before + 30);  // The side of three has room for 30 a second.
    }
    five.world().network().heal();
    CHECK(five.await_workload(5min));
    five.finish();
  }
}

TEST_CASE("attempts: a poison task that takes its node along is lost after three deaths") {
  Cluster five(keepers_and_workers());
  five.begin(1, "1000s");
  for (int death = 1; death <= 3; ++death) {
    CAPTURE(death);
    REQUIRE(five.await_running(1, 20s));
    five.world().run_for(1500ms);
    const NodeIndex node = five.busy();
    five.world().crash_host(node);
    if (death == 2) {  // The owner forgets nothing of it when it is replaced.
      const NodeIndex owner = five.owner().value();
      five.world().crash(owner);
      five.world().run_for(10s);
      five.world().start(owner);
    }
    five.world().run_for(2s);
    five.world().start(node);
  }
  CHECK(five.await_workload(30s));
  CHECK(five.held().at(0).state == TaskState::lost);
  CHECK(five.attempts() == 3);
  five.finish();
}

TEST_CASE("attempts: at_most_once is never started twice, whatever fails") {
  for (std::uint64_t seed = 1; seed <= 25; ++seed) {
    CAPTURE(seed);
    ClusterOptions options{.nodes = 5, .seed = seed, .founders = 5};
    options.world.processes.supervised = seed % 3 != 0;
    Cluster five(options);
    five.submit(
        {.spec = {.argv = {"sleep", "4s"}, .cpu_millis = 500, .at_most_once = true}, .count = 200});
    five.add_faults(parse_faults("net,process,disk").value());
    five.world().run_for(40s);
    five.finish();
    std::map<TaskState, std::size_t> ends;
    for (const node::HeldTask& task : five.held()) {
      ++ends[task.state];
      std::size_t started = 0;
      for (std::uint32_t attempt = 1; attempt <= task.attempt; ++attempt) {
        for (NodeIndex node = 0; node < 5; ++node) {
          const auto file = five.world().processes(node).read({.attempt = {task.task, attempt}});
          started += file.known ? 1 : 0;
        }
      }
      CHECK(started <= 1);
      CHECK((started == 1 || task.state != TaskState::succeeded));
    }
    CHECK(ends[TaskState::succeeded] > 20);
    CHECK(ends[TaskState::succeeded] + ends[TaskState::lost] == 200);
  }
}

TEST_CASE("attempts: long tasks through random faults, none overlap and each has its outcome") {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    CAPTURE(seed);
    ClusterOptions options{.nodes = 5, .seed = seed, .founders = 5};
    options.world.processes.supervised = seed % 4 != 0;
    Cluster five(options);
    five.submit({.spec = {.argv = {"sleep", "45s"}, .cpu_millis = 500}, .count = 30});
    five.submit({.spec = {.argv = {"sleep", "3s"}, .cpu_millis = 500}, .count = 100});
    five.add_faults(parse_faults("net,process,disk").value());
    five.world().run_for(90s);
    five.finish();
  }
}

}  // namespace shoal::sim
