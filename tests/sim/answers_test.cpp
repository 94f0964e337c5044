// What owners may answer when they are not owners any more and do not know it (rule O4).
#include <doctest/doctest.h>

#include <algorithm>
#include <optional>

#include "sim/scenario.hpp"
#include "task/record_key.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kShardCount = 16;

JobId job_in(Simulator& world, ShardId shard) {
  while (true) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(world.wall());
    const JobId job = JobId::mint(seconds, Retention::week, world.random().next());
    if (task::shard_of(job, kShardCount) == shard) return job;
  }
}

// The last answer of this node as gateway; nothing so far.
struct Asked {
  std::optional<wire::ClientReply> reply;
  std::optional<ErrorCode> error() const {
    if (!reply) return std::nullopt;
    const auto* error = std::get_if<Error>(&reply->body);
    return error == nullptr ? std::nullopt : std::optional(error->code);
  }
};

void ask(Simulator& world, NodeIndex gateway, Asked& asked, wire::ClientRequestBody body) {
  const auto session = world.connect(
      gateway, [&asked](wire::ClientReply reply) { asked.reply = std::move(reply); }, [] {});
  REQUIRE(session);
  world.request(*session, {1, std::move(body)});
}

}  // namespace

TEST_CASE("answers: an owner that was deposed unawares does not say that a job is not there") {
  Scenario three({.nodes = 3, .shard_count = kShardCount});
  REQUIRE(three.found());
  three.monitor().set_faults(true);
  Simulator& world = three.world();
  const NodeIndex deposed = 0;
  const ShardId shard = world.node(deposed).inspect().owned.at(0);
  world.network().split({1, 0, 0});
  const auto owned = [&](NodeIndex node) {
    const auto shards = world.node(node).inspect().owned;
    return std::ranges::find(shards, shard) != shards.end();
  };
  REQUIRE(world.run_until([&] { return owned(1) || owned(2); }, 20s));
  REQUIRE(owned(deposed));  // It has not heard of that.

  const JobId job = job_in(world, shard);
  const TaskSpec spec{.kind = TaskKind::noop, .cpu_millis = 0};
  Asked created;
  ask(world, 1, created, wire::CreateJob{.job = job, .nonce = {1, 2}, .spec = spec, .count = 2});
  REQUIRE(world.run_until([&] { return created.reply.has_value(); }, 5s));
  CHECK_FALSE(created.error());

  Asked added;
  Asked closed;
  Asked cancelled;
  Asked never;
  wire::CreateTasks tasks{.job = job, .nonce = {1, 2}, .spec = spec};
  tasks.elements = {{0, ""}, {1, ""}};
  ask(world, deposed, added, tasks);
  ask(world, deposed, closed, wire::CloseJob{job, {1, 2}});
  ask(world, deposed, cancelled, wire::CancelRequest{job, {}});
  ask(world, deposed, never, wire::CloseJob{job_in(world, shard), {1, 2}});
  world.run_for(3s);
  for (const Asked* asked : {&added, &closed, &cancelled, &never}) {
    CHECK_FALSE(asked->reply);  // It goes on trying.
  }
  world.network().heal();
  world.run_for(10s);
  CHECK(added.reply);
  CHECK(closed.reply);
  CHECK(cancelled.reply);
  for (const Asked* asked : {&added, &closed, &cancelled}) {
    CHECK(asked->error() != ErrorCode::not_found);
  }
  CHECK(never.error() == ErrorCode::not_found);
}

}  // namespace shoal::sim
