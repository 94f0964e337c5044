#include "node/watch_relay.hpp"

#include <doctest/doctest.h>

#include <map>
#include <set>
#include <vector>

#include "gateway_world.hpp"
#include "task/record_key.hpp"

namespace shoal::node {
namespace {

using namespace std::chrono_literals;

const JobId kJob{0x1234568};  // Its first two runs lie in different shards.

JobStatus status(JobState state, std::uint32_t succeeded, std::uint32_t count = 64) {
  JobStatus made{.id = kJob, .state = state, .count = count};
  made.counts = {.total = count, .ready = count - succeeded, .succeeded = succeeded};
  return made;
}

wire::TaskEvents ended(std::uint64_t watch, std::uint32_t from, std::uint32_t to) {
  wire::TaskEvents events{.watch = watch};
  for (std::uint32_t i = from; i < to; ++i) {
    events.events.push_back({.status = {.index = i, .state = TaskState::succeeded, .attempt = 1}});
  }
  return events;
}

struct WatchWorld : GatewayWorld {
  // Opens a watch of 64 tasks and gives the number under which the owners know it.
  std::uint64_t open(wire::WatchJob ask) {
    client(1, ask);
    answer_all<wire::GetJob>(wire::JobReply{.status = status(JobState::closed, 0)});
    const auto subscriptions = asked<wire::WatchShard>();
    REQUIRE_FALSE(subscriptions.empty());
    for (const auto& one : subscriptions) answer(one, wire::Done{});
    answer_all<wire::GetJob>(wire::JobReply{.status = status(JobState::closed, 0)});
    shard_count = subscriptions.size();
    heard.clear();
    return std::get<wire::WatchShard>(subscriptions[0].request.body).watch;
  }
  void events(const wire::TaskEvents& told) {
    gateway.on_events(now, told);
    settle();
  }
  void job_event(std::uint64_t watch, const JobStatus& told) {
    gateway.on_job_event(now, {watch, told});
    settle();
  }
  // Lets time pass while all owners answer.
  void pass_answered(Duration time, const JobStatus& job) {
    for (Duration step = 0ms; step < time; step += 100ms) {
      pass(100ms);
      answer_all<wire::GetJob>(wire::JobReply{.status = job});
      for (const auto& one : asked<wire::WatchShard>()) {
        const auto& watch = std::get<wire::WatchShard>(one.request.body);
        if (watch.stop) continue;
        ++renewals[watch.watch];
        answer(one, wire::Done{});
      }
    }
  }
  std::size_t shard_count = 0;
  std::map<std::uint64_t, std::size_t> renewals;  // By number.
};

}  // namespace

TEST_CASE("watch: an unknown job is refused") {
  GatewayWorld world;
  world.client(1, wire::WatchJob{.job = kJob});
  world.answer_all<wire::GetJob>(Error{ErrorCode::not_found, "no job"});
  REQUIRE(world.refusal());
  CHECK(world.refusal()->code == ErrorCode::not_found);
  CHECK(world.gateway.open_count() == 0);
}

TEST_CASE("watch: it ends when the job is finished and every task's end was told") {
  WatchWorld world;
  const std::uint64_t watch = world.open({.job = kJob, .tasks = true});
  CHECK(world.shard_count == 2);  // 64 tasks are two runs.
  world.events(ended(watch, 0, 60));
  world.events(ended(watch, 10, 40));  // Repeats are dropped.
  REQUIRE(world.heard.size() == 1);
  world.job_event(watch, status(JobState::finished, 64));
  CHECK_FALSE(world.heard.back().last);  // Four ends are missing.
  world.events(ended(watch, 60, 64));
  CHECK(world.heard.back().last);
  const auto& end = std::get<wire::WatchEvent>(world.heard.back().body);
  REQUIRE(end.job);
  CHECK(end.job->counts.succeeded == 64);
  CHECK(world.gateway.open_count() == 0);
  CHECK(world.asked<wire::WatchShard>().size() == world.shard_count);  // The owners may forget it.
}

TEST_CASE("watch: without tasks only the job's shard is subscribed and its end is enough") {
  WatchWorld world;
  const std::uint64_t watch = world.open({.job = kJob});
  CHECK(world.shard_count == 1);
  world.events(ended(watch, 0, 10));
  CHECK(world.heard.empty());
  world.pass_answered(1s, status(JobState::closed, 12));  // Progress, by asking.
  CHECK(world.heard.size() == 1);
  world.job_event(watch, status(JobState::finished, 64));
  CHECK(world.heard.back().last);
}

TEST_CASE("watch: events lost on the way are told by a new snapshot") {
  WatchWorld world;
  const std::uint64_t watch = world.open({.job = kJob, .tasks = true});
  world.events(ended(watch, 0, 32));
  world.job_event(watch, status(JobState::finished, 64));
  world.pass_answered(2100ms, status(JobState::finished, 64));
  REQUIRE_FALSE(world.renewals.empty());
  const std::uint64_t fresh = world.renewals.rbegin()->first;
  CHECK(fresh != watch);
  world.events(ended(watch, 32, 64));  // Of the former number: nobody's.
  CHECK_FALSE(world.heard.back().last);
  world.events(ended(fresh, 0, 64));
  CHECK(world.heard.back().last);
}

TEST_CASE("watch: what complete snapshots do not hold is not waited for") {
  WatchWorld world;
  std::uint64_t watch = world.open({.job = kJob, .tasks = true});
  const auto job = status(JobState::finished, 64);
  world.job_event(watch, job);
  for (int turn = 0; turn < 10 && world.gateway.open_count() > 0; ++turn) {
    for (std::uint32_t shard = 0; shard < GatewayWorld::kShards; ++shard) {
      world.events({.watch = watch, .shard = ShardId{shard}, .snapshot_end = true});
    }
    world.pass_answered(2s, job);
    if (!world.renewals.empty()) watch = world.renewals.rbegin()->first;
  }
  CHECK(world.heard.back().last);
}

TEST_CASE("watch: subscriptions are renewed, and begun anew when the owner's stream closed") {
  WatchWorld world;
  const std::uint64_t watch = world.open({.job = kJob, .tasks = true});
  world.pass_answered(6s, status(JobState::closed, 0));
  CHECK(world.renewals[watch] >= 2 * world.shard_count);
  world.asked<wire::WatchShard>();

  world.gateway.on_peer_closed(world.now, world.id(2));
  world.pass(100ms);
  std::size_t stops = 0;
  std::size_t starts = 0;
  for (const auto& one : world.asked<wire::WatchShard>()) {
    const auto& request = std::get<wire::WatchShard>(one.request.body);
    CHECK(request.watch == watch);
    request.stop ? ++stops : ++starts;
  }
  CHECK(stops == world.shard_count);  // So that the owner tells all again.
  CHECK(starts == world.shard_count);
}

TEST_CASE("watch: a new owner is subscribed as soon as the table names it") {
  WatchWorld world;
  world.open({.job = kJob, .tasks = true});
  const ShardId shard = task::shard_of(kJob, GatewayWorld::kShards);
  world.set_owner(shard, 5, world.id(3));
  world.pass(500ms);
  const auto asked = world.asked<wire::WatchShard>();
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].to == world.id(3));
  CHECK(asked[0].request.shard == shard);
}

TEST_CASE("watch: a client that lost interest leaves nothing behind") {
  WatchWorld world;
  world.open({.job = kJob, .tasks = true});
  world.gateway.on_forget(world.now, GatewayWorld::kClient, 1);
  world.settle();
  CHECK(world.asked<wire::WatchShard>().size() == world.shard_count);
  world.pass(10s);
  CHECK(world.asked<wire::WatchShard>().empty());
  CHECK(world.asked<wire::GetJob>().empty());
}

TEST_CASE("watch: at most 16 snapshots are on their way at once, and all come in turn") {
  WatchWorld world;
  constexpr std::uint32_t kMany = 64;
  world.context.shard_count = kMany;
  world.table = shard::ShardTable(kMany);
  for (std::uint32_t shard = 0; shard < kMany; ++shard) {
    world.set_owner(ShardId{shard}, 2, world.id(2));
  }
  const std::uint32_t tasks = 200 * task::kRunLength;
  world.client(1, wire::WatchJob{.job = kJob, .tasks = true});
  world.answer_all<wire::GetJob>(wire::JobReply{.status = status(JobState::closed, 0, tasks)});
  std::set<ShardId> subscribed;
  std::vector<ShardId> coming;
  std::uint64_t watch = 0;
  const auto take = [&] {
    for (const auto& one : world.asked<wire::WatchShard>()) {
      watch = std::get<wire::WatchShard>(one.request.body).watch;
      CHECK(subscribed.insert(one.request.shard).second);
      coming.push_back(one.request.shard);
      world.answer(one, wire::Done{});
    }
  };
  take();
  CHECK(coming.size() == kSnapshotsMax);
  CHECK(subscribed.contains(task::shard_of(kJob, kMany)));  // The job's own comes first.
  while (!coming.empty()) {
    world.events({.watch = watch, .shard = coming.back(), .snapshot_end = true});
    coming.pop_back();
    take();
    CHECK(coming.size() <= kSnapshotsMax);
  }
  CHECK(subscribed.size() > 50);  // All that hold runs of the job: nearly all of 64.
}

TEST_CASE("watch: a snapshot that stops coming is asked for anew") {
  WatchWorld world;
  const std::uint64_t watch = world.open({.job = kJob, .tasks = true});
  const ShardId told = task::shard_of(kJob, GatewayWorld::kShards);
  world.events({.watch = watch, .shard = told, .snapshot_end = true});
  std::size_t stops = 0;
  for (int i = 0; i < 60; ++i) {
    world.pass(100ms);
    for (const auto& one : world.asked<wire::WatchShard>()) {
      if (std::get<wire::WatchShard>(one.request.body).stop) {
        CHECK(one.request.shard != told);
        ++stops;
      } else {
        world.answer(one, wire::Done{});
      }
    }
  }
  CHECK(stops == 1);
}

}  // namespace shoal::node
