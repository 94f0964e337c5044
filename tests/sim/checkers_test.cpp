// Each checker is seen failing, on forged observations.
#include "sim/checkers.hpp"

#include <doctest/doctest.h>

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;
using enum wire::MemberState;

constexpr TimePoint kStart{1h};
const JobId kJob{77};
const TaskId kTask{kJob, 0};

Observation seen(NodeIndex index, std::vector<std::pair<NodeId, wire::MemberState>> members) {
  Observation node{.index = index, .id = {0, index + 1ULL}, .name = "n", .serving = true};
  node.inspection.members = std::move(members);
  node.inspection.cpu_millis = 1000;
  return node;
}

// Two nodes that see each other; the first holds work that the second could take.
std::vector<Observation> idle_pair() {
  const NodeId first{0, 1};
  const NodeId second{0, 2};
  std::vector<Observation> nodes{seen(0, {{first, alive}, {second, alive}}),
                                 seen(1, {{first, alive}, {second, alive}})};
  nodes[0].inspection.cpu_millis_started = 1000;
  nodes[0].inspection.ready = 3;
  nodes[0].inspection.ready_needs = {{.cpu_millis = 500}};
  return nodes;
}

}  // namespace

TEST_CASE("checkers: an acknowledged task that nobody holds is a violation") {
  Violations violations;
  OutcomeChecker checker(violations);
  checker.acknowledged(kTask);
  checker.begin_round();
  checker.held(kStart, {.task = kTask});
  checker.end_round(kStart, false);
  CHECK(violations.empty());
  checker.begin_round();
  checker.end_round(kStart, false);
  CHECK(violations.count() == 1);
}

TEST_CASE("checkers: an acknowledged task without an outcome at the end is a violation") {
  Violations violations;
  OutcomeChecker checker(violations);
  checker.acknowledged(kTask);
  checker.begin_round();
  checker.held(kStart, {.task = kTask, .state = TaskState::claimed});
  checker.end_round(kStart, true);
  CHECK(violations.count() == 1);
}

TEST_CASE("checkers: a shown outcome that changes is a violation, shown again it is none") {
  Violations violations;
  OutcomeChecker checker(violations);
  const TaskStatus good{.state = TaskState::succeeded, .attempt = 1, .result = AttemptResult{}};
  checker.shown(kStart, kJob, good);
  checker.shown(kStart, kJob, good);
  checker.shown(kStart, kJob, {.state = TaskState::claimed, .attempt = 1});  // An older state.
  CHECK(violations.empty());

  SUBCASE("another state") {
    checker.shown(kStart, kJob, {.state = TaskState::failed, .attempt = 1});
    CHECK(violations.count() == 1);
  }
  SUBCASE("another attempt") {
    checker.held(kStart, {.task = kTask, .state = TaskState::succeeded, .attempt = 2});
    CHECK(violations.count() == 1);
  }
  SUBCASE("another result") {
    TaskStatus other = good;
    other.result->exit_status = 3;
    checker.shown(kStart, kJob, other);
    CHECK(violations.count() == 1);
  }
  SUBCASE("held without an outcome") {
    checker.begin_round();
    checker.held(kStart, {.task = kTask, .state = TaskState::ready});
    checker.end_round(kStart, false);
    CHECK(violations.count() == 1);
  }
}

TEST_CASE("checkers: overlapping attempts of one task are a violation") {
  Violations violations;
  AttemptChecker checker(violations);
  checker.started(kStart, 0, {kTask, 1});
  SUBCASE("one after the other is none") {
    checker.ended(0, {kTask, 1});
    checker.started(kStart, 1, {kTask, 2});
    CHECK(violations.empty());
  }
  SUBCASE("both run") {
    checker.started(kStart, 1, {kTask, 2});
    CHECK(violations.count() == 1);
  }
  SUBCASE("a suspended one does not run until it is resumed") {
    checker.suspended(0);
    checker.started(kStart, 1, {kTask, 2});
    CHECK(violations.empty());
    checker.resumed(kStart, 0);
    CHECK(violations.count() == 1);
  }
}

TEST_CASE("checkers: attempt numbers that do not rise are a violation") {
  Violations violations;
  AttemptChecker checker(violations);
  checker.started(kStart, 0, {kTask, 2});
  checker.ended(0, {kTask, 2});
  checker.started(kStart, 1, {kTask, 2});
  CHECK(violations.count() == 1);
}

TEST_CASE("checkers: more than a node has is a violation") {
  Violations violations;
  CapacityChecker checker(violations);
  Observation node = seen(0, {});
  node.inspection.cpu_millis_started = 1000;
  node.inspection.cpu_millis_unstarted = 1000;
  checker.observe(kStart, node);
  checker.running(kStart, "n", {1000, 0}, {1000, 0});
  CHECK(violations.empty());
  SUBCASE("started, as it says") { node.inspection.cpu_millis_started = 1001; }
  SUBCASE("unstarted, as it says") { node.inspection.cpu_millis_unstarted = 1001; }
  SUBCASE("memory, as it says") {
    node.inspection.memory_bytes = 10;
    node.inspection.memory_bytes_started = 11;
  }
  SUBCASE("a queue beyond its bound") { node.inspection.bounds = {{"members", 11, 10}}; }
  SUBCASE("as its processes show") { checker.running(kStart, "n", {1001, 0}, {1000, 0}); }
  checker.observe(kStart, node);
  CHECK(violations.count() == 1);
}

TEST_CASE("checkers: views disagree when one misses a live node or keeps a dead one") {
  const NodeId first{0, 1};
  const NodeId second{0, 2};
  const NodeId third{0, 3};
  std::vector<Observation> nodes{seen(0, {{first, alive}, {second, alive}}),
                                 seen(1, {{first, alive}, {second, alive}, {third, dead}})};
  CHECK_FALSE(ViewChecker::disagreement(nodes));
  SUBCASE("missing") { nodes[1].inspection.members.erase(nodes[1].inspection.members.begin()); }
  SUBCASE("suspected") { nodes[1].inspection.members[0].second = suspect; }
  SUBCASE("kept") { nodes[1].inspection.members[2].second = alive; }
  CHECK(ViewChecker::disagreement(nodes));
}

TEST_CASE("checkers: an idle node beside work that fits it for more than 2 s is a violation") {
  Violations violations;
  IdleChecker checker(violations);
  std::vector<Observation> nodes = idle_pair();
  const auto watch = [&](Duration duration) {
    for (Duration at{}; at <= duration; at += 200ms) checker.observe(kStart + at, nodes);
  };
  SUBCASE("idle too long") {
    watch(3s);
    CHECK(violations.count() == 1);
  }
  SUBCASE("not so long") {
    watch(2s);
    CHECK(violations.empty());
  }
  SUBCASE("too small") {
    nodes[0].inspection.ready_needs = {{.cpu_millis = 1001}};
    watch(10s);
    CHECK(violations.empty());
  }
  SUBCASE("busy with grants") {
    nodes[1].inspection.cpu_millis_unstarted = 600;
    watch(10s);
    CHECK(violations.empty());
  }
  SUBCASE("on its way out") {
    nodes[1].inspection.takes_work = false;
    watch(10s);
    CHECK(violations.empty());
  }
  SUBCASE("cut off") {
    nodes[1].inspection.members[0].second = dead;
    watch(10s);
    CHECK(violations.empty());
  }
  SUBCASE("at work") {
    for (Duration at{}; at <= 10s; at += 200ms) {
      checker.progressed(kStart + at, 1);
      checker.observe(kStart + at, nodes);
    }
    CHECK(violations.empty());
  }
}

}  // namespace shoal::sim
