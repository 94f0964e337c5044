#include "node/claims.hpp"

#include <doctest/doctest.h>

#include "owner_world.hpp"
#include "scheduling/transfer.hpp"

namespace shoal::node {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kBoot = 4;  // Of the executing nodes.

std::uint64_t transfer(std::uint64_t counter, std::uint64_t boot = kBoot) {
  return scheduling::transfer_id(boot, counter);
}

wire::HeldAttempt attempt(TaskId task, std::uint32_t number, bool running = true) {
  return {{task, number}, ShardId{0}, running};
}

// A renewal that names these, when pulls up to the 5th are closed.
wire::Renew renewal(std::vector<wire::HeldAttempt> items, bool complete = true) {
  return {.items = std::move(items),
          .last_transfer = transfer(5),
          .boot_epoch = kBoot,
          .complete = complete};
}

wire::Outcomes outcome(TaskId task, std::uint32_t number, AttemptResult result,
                       std::uint64_t node = 2) {
  return {{{{task, number}, ShardId{0}, OwnerWorld::id(node), std::move(result), {}}}};
}

bool ready(const OwnerWorld& world, TaskId task) {
  return world.task(task).state == TaskState::ready;
}

const AttemptResult kFailed{.exit_status = 1};

TaskSpec once() { return {.argv = {"work"}, .at_most_once = true}; }

}  // namespace

TEST_CASE("claims: a grant leaves when its claim is on disk, with the lease of its record") {
  OwnerWorld world;
  const TaskId task = world.submit();
  const TaskId careful = world.submit(once());
  world.hold_disk();
  CHECK_FALSE(world.pull(2, transfer(1)));
  world.release_disk();
  const auto first = world.last<wire::Grant>(2);
  REQUIRE(first);
  REQUIRE(first->items.size() == 1);  // Half of the backlog.
  const auto second = world.pull(3, transfer(1));
  REQUIRE(second);
  REQUIRE(second->items.size() == 1);
  for (const wire::GrantItem& item : {first->items[0], second->items[0]}) {
    CHECK(item.lease_ms == (item.attempt.task == careful ? 30'000 : 5'000));
  }
  CHECK(world.task(task).state == TaskState::claimed);
}

TEST_CASE("claims: an attempt missing in a complete renewal is granted anew at once (hole 15)") {
  OwnerWorld world;
  const TaskId task = world.submit();
  REQUIRE(world.pull(2, transfer(3)));
  world.renew(2, renewal({}));
  CHECK(ready(world, task));
  const auto again = world.pull(2, transfer(6));
  REQUIRE(again);
  CHECK(again->items.at(0).attempt == AttemptId{task, 2});
}

TEST_CASE("claims: one committed after its grant left calls its node, and is granted anew") {
  OwnerWorld world;
  const TaskId task = world.submit(once());
  world.hold_disk();
  CHECK_FALSE(world.pull(2, transfer(3)));
  world.pass(2s);
  const auto empty = world.last<wire::Grant>(2);
  REQUIRE(empty);
  CHECK(empty->items.empty());
  CHECK_FALSE(world.last<wire::RenewCall>(2));
  world.release_disk();
  CHECK(world.task(task).state == TaskState::claimed);
  CHECK(world.last<wire::RenewCall>(2));
  world.renew(2, renewal({}));
  CHECK(ready(world, task));  // Not lost: it was never started.
}

TEST_CASE("claims: a missing attempt may still come: by an open or a newer pull, or be unknown") {
  OwnerWorld world;
  const TaskId task = world.submit();
  REQUIRE(world.pull(2, transfer(3)));
  wire::Renew open = renewal({});
  open.open_transfers = {transfer(3)};
  world.renew(2, open);  // The Grant is on its way.
  CHECK_FALSE(ready(world, task));
  wire::Renew before = renewal({});
  before.last_transfer = transfer(2);
  world.renew(2, before);  // Sent before the pull, by another stream.
  CHECK_FALSE(ready(world, task));
  world.renew(2, renewal({}, false));  // Not all that it holds.
  CHECK_FALSE(ready(world, task));
  wire::Renew former = renewal({});
  former.boot_epoch = kBoot - 1;
  former.last_transfer = transfer(5, kBoot - 1);
  world.renew(2, former);  // Of an earlier process, late.
  CHECK_FALSE(ready(world, task));
  world.renew(3, renewal({}));  // Another node.
  CHECK_FALSE(ready(world, task));
}

TEST_CASE("claims: a higher boot epoch proves nothing, the restarted node's report does") {
  OwnerWorld world;
  const TaskId task = world.submit();
  const TaskId careful = world.submit(once());
  REQUIRE(world.pull(2, transfer(3)));
  REQUIRE(world.pull(2, transfer(4)));
  wire::Renew restarted = renewal({attempt(task, 1)}, false);
  restarted.boot_epoch = kBoot + 1;
  restarted.last_transfer = transfer(0, kBoot + 1);
  const auto answer = world.renew(2, restarted);  // Not all its supervisors have answered.
  REQUIRE(answer);
  CHECK(answer->items.size() == 1);
  CHECK(world.task(careful).state == TaskState::claimed);
  restarted.sent = {};
  restarted.complete = true;
  world.renew(2, restarted);
  CHECK(world.task(task).state == TaskState::claimed);
  CHECK(world.task(careful).state == TaskState::lost);  // It may have been started.
}

TEST_CASE("claims: a lease grows with its attempt, and is promised when it is committed") {
  OwnerWorld world;
  const TaskId task = world.submit();
  REQUIRE(world.pull(2, transfer(1)));
  const auto lease_at = [&](Duration age) {
    std::uint32_t lease = 0;
    for (const TimePoint end = world.now.steady + age; world.now.steady < end;) {
      world.pass(1s);
      const auto answer = world.renew(2, renewal({attempt(task, 1)}));
      REQUIRE(answer);
      REQUIRE(answer->items.size() == 1);
      CHECK(answer->items[0].lease_ms >= lease);
      lease = answer->items[0].lease_ms;
    }
    return lease;
  };
  CHECK(lease_at(54s) == 5'000);
  world.hold_disk();
  CHECK(lease_at(10s) == 5'000);
  world.release_disk();
  CHECK(lease_at(2s) > 5'000);
  CHECK(lease_at(34s) >= 9'000);
  CHECK(lease_at(300s) == 30'000);
}

TEST_CASE("claims: a node that stops is answered with the longest lease, once it is committed") {
  OwnerWorld world;
  const TaskId task = world.submit();
  REQUIRE(world.pull(2, transfer(1)));
  wire::Renew last = renewal({attempt(task, 1)});
  last.longest = true;
  world.hold_disk();
  CHECK_FALSE(world.renew(2, last));
  world.pass(200ms);
  last.sent = world.now.steady;
  const auto early = world.renew(2, last);  // Asked again: not committed yet, so not promised.
  REQUIRE(early);
  CHECK(early->items.empty());
  world.release_disk();
  const auto answer = world.last<wire::Renewed>(2);
  REQUIRE(answer);
  CHECK(answer->items.at(0).lease_ms == 30'000);
  world.pass(25s);
  CHECK(world.task(task).attempt == 1);
  CHECK_FALSE(ready(world, task));
}

TEST_CASE("claims: at_most_once is ready again only if it surely was not started") {
  OwnerWorld world;
  const auto granted = [&](std::uint64_t counter) {
    const TaskId task = world.submit(once());
    REQUIRE(world.pull(2, transfer(counter)));
    return task;
  };
  const TaskId unstarted = granted(1);
  world.from(2, wire::GiveBack{{attempt(unstarted, 1, false)}});
  CHECK(ready(world, unstarted));
  REQUIRE(world.pull(2, transfer(2)));  // Takes it out of the way.
  const TaskId lost_grant = granted(3);
  world.renew(2, renewal({attempt(unstarted, 2)}));
  CHECK(ready(world, lost_grant));
  REQUIRE(world.pull(2, transfer(4)));
  const TaskId started = granted(6);
  world.from(2, wire::GiveBack{{attempt(started, 1)}});
  CHECK(world.task(started).state == TaskState::lost);
  const TaskId failed = granted(7);
  world.from(2, outcome(failed, 1, kFailed));
  CHECK(world.task(failed).state == TaskState::failed);
  const TaskId silent = granted(8);
  world.pass(31s);
  CHECK(world.task(silent).state == TaskState::lost);
}

TEST_CASE("claims: a give-back is acknowledged when the release is on disk, and again later") {
  OwnerWorld world;
  const TaskId task = world.submit();
  REQUIRE(world.pull(2, transfer(1)));
  world.hold_disk();
  world.from(2, wire::GiveBack{{attempt(task, 1)}});
  CHECK_FALSE(world.last<wire::GiveBackAck>(2));
  world.release_disk();
  CHECK(world.last<wire::GiveBackAck>(2));
  world.from(2, wire::GiveBack{{attempt(task, 1)}});
  CHECK(world.last<wire::GiveBackAck>(2));
  CHECK(world.task(task).attempt == 1);
}

TEST_CASE("claims: a lease that runs out is over for good, and three deaths in a row are enough") {
  OwnerWorld world;
  const TaskId task = world.submit();
  for (std::uint32_t number = 1; number <= 3; ++number) {
    CAPTURE(number);
    if (number == 3) {
      CHECK(world.pull(2, transfer(9))->items.empty());  // Hole 24: not at once.
      world.pass(1s);
    }
    const auto grant = world.pull(2, transfer(number));
    REQUIRE(grant);
    REQUIRE(grant->items.size() == 1);
    CHECK(grant->items[0].attempt.number == number);
    REQUIRE(world.renew(2, renewal({attempt(task, number)})));
    world.pass(5040ms);
    CHECK(world.task(task).state == TaskState::claimed);
    world.pass(400ms);
    CHECK(world.task(task).state == (number < 3 ? TaskState::ready : TaskState::lost));
    const auto late = world.renew(2, renewal({attempt(task, number)}));  // L4.
    REQUIRE(late);
    CHECK(late->over == std::vector{AttemptId{task, number}});
  }
}

TEST_CASE("claims: deaths are counted across restarts of the owner, an outcome ends the count") {
  OwnerWorld world;
  const TaskId task = world.submit({.argv = {"work"}, .retries = 1});
  const auto die = [&](std::uint32_t number) {
    REQUIRE(world.pull(2, transfer(number)));
    REQUIRE(world.renew(2, renewal({attempt(task, number)})));
    world.pass(5500ms);
  };
  die(1);
  world.restart();
  world.pass(6s);  // Nobody heard from its node: it waits once more (L3).
  die(2);
  world.pass(1s);
  REQUIRE(world.pull(2, transfer(3)));
  world.from(2, outcome(task, 3, kFailed));
  world.pass(2s);
  die(4);
  CHECK(ready(world, task));
  world.restart();
  world.pass(6s);
  die(5);
  CHECK(ready(world, task));
  world.restart();
  world.pass(6s);
  die(6);
  CHECK(world.task(task).state == TaskState::lost);
}

TEST_CASE("claims: a restarted owner calls the nodes of its claims and waits a lease (L3)") {
  OwnerWorld world;
  const TaskId renewed = world.submit();
  const TaskId missing = world.submit();
  const TaskId silent = world.submit();
  REQUIRE(world.pull(2, transfer(1))->items.size() == 2);
  REQUIRE(world.pull(3, transfer(1))->items.size() == 1);
  std::vector<AttemptId> on_second;
  for (const TaskId task : {renewed, missing, silent}) {
    if (world.task(task).node == OwnerWorld::id(2)) on_second.push_back({task, 1});
  }
  REQUIRE(on_second.size() == 2);
  world.restart();
  CHECK(world.last<wire::RenewCall>(2));
  CHECK(world.last<wire::RenewCall>(3));
  world.renew(2, renewal({{on_second[0], ShardId{0}, true}}));
  CHECK(world.task(on_second[0].task).state == TaskState::claimed);
  CHECK(ready(world, on_second[1].task));  // Its node does not have it: nothing to wait for.
  world.pass(1500ms);
  CHECK(world.last<wire::RenewCall>(3));  // Not heard yet: called again.
  CHECK_FALSE(world.last<wire::RenewCall>(2));
  world.pass(3s);
  world.renew(2, renewal({{on_second[0], ShardId{0}, true}}));
  world.pass(1s);
  CHECK(world.task(on_second[0].task).state == TaskState::claimed);
  CHECK(std::ranges::count(world.node->inspect().tasks(), TaskState::ready, &HeldTask::state) == 2);
}

TEST_CASE("claims: an owner's claims for itself end with the process they were made by") {
  OwnerWorld world(1000);
  const TaskId task = world.submit();
  REQUIRE(world.launched.size() == 1);
  world.restart();  // Without supervisors: its processes are gone with it.
  REQUIRE(world.launched.size() == 2);
  CHECK(world.launched[1].attempt == AttemptId{task, 2});
  world.pass(20s);
  CHECK(world.task(task).attempt == 2);  // It renews its own lease.
  CHECK(world.task(task).state == TaskState::claimed);
}

TEST_CASE("claims: an outcome through another node counts for the one that ran it") {
  OwnerWorld world;
  const TaskId task = world.submit();
  REQUIRE(world.pull(2, transfer(1)));
  world.from(3, outcome(task, 1, {}));
  CHECK(world.task(task).state == TaskState::succeeded);
  CHECK(world.last<wire::OutcomeAck>(2));
  CHECK(world.last<wire::OutcomeAck>(3));
  world.from(3, outcome(task, 1, {}));
  CHECK(world.last<wire::OutcomeAck>(3));
  // A give-back too.
  const TaskId other = world.submit();
  REQUIRE(world.pull(2, transfer(2)));
  world.from(3, outcome(other, 1, {.reason = EndReason::node_stopped}));
  CHECK(ready(world, other));
}

TEST_CASE("claims: an outcome of an unknown task is not acknowledged away") {
  OwnerWorld world;  // It may be deposed, and the task younger than what it knows.
  const JobId job =
      JobId::mint(std::chrono::floor<std::chrono::seconds>(world.now.wall), Retention::week, 99);
  world.from(2, outcome({job, 0}, 1, {}));
  CHECK_FALSE(world.last<wire::OutcomeAck>(2));
}

TEST_CASE("claims: a node with little disk or being drained grants to others, not to itself") {
  OwnerWorld world(4000);
  const TaskSpec whole{.argv = {"work"}, .cpu_millis = 4000};
  for (int i = 0; i < 3; ++i) world.submit(whole);
  world.pass(500ms);
  REQUIRE(world.launched.size() == 1);
  world.node->on_disk_low(world.now, true);
  world.node->on_process_ended(world.now, {.attempt = world.launched[0].attempt});
  world.settle();
  world.pass(500ms);
  CHECK(world.launched.size() == 1);
  const auto grant = world.pull(2, transfer(1));
  REQUIRE(grant);
  CHECK(grant->items.size() == 1);
  world.node->on_disk_low(world.now, false);
  world.pass(500ms);
  CHECK(world.launched.size() == 2);
}

}  // namespace shoal::node
