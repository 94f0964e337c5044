// What an owner may say of something that it does not have, when copies are damaged (C5).
#include <doctest/doctest.h>

#include <algorithm>

#include "sim/scenario.hpp"
#include "task/record_key.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kShards = 64;

// A new job whose record is in a shard that this node owns.
JobId job_owned_by(Scenario& cluster, NodeIndex owner) {
  const auto owned = cluster.world().node(owner).inspect().owned;
  const auto seconds = std::chrono::floor<std::chrono::seconds>(cluster.world().wall());
  for (;;) {
    const JobId job = JobId::mint(seconds, Retention::week, cluster.world().random().next());
    if (std::ranges::find(owned, task::shard_of(job, kShards)) != owned.end()) return job;
  }
}

// The answer of one node as a gateway; absent when there is none within `patience`.
std::optional<wire::ClientReply> ask(Scenario& cluster, NodeIndex gateway,
                                     wire::ClientRequestBody body, Duration patience) {
  std::optional<wire::ClientReply> answer;
  const auto session = cluster.world().connect(
      gateway, [&](wire::ClientReply reply) { answer = std::move(reply); }, [] {});
  REQUIRE(session);
  cluster.world().request(*session, {1, std::move(body)});
  cluster.world().run_until([&] { return answer.has_value(); }, patience);
  cluster.world().disconnect(*session);
  return answer;
}

bool done(const std::optional<wire::ClientReply>& answer) {
  return answer && std::holds_alternative<wire::Done>(answer->body);
}

bool refused_as(const std::optional<wire::ClientReply>& answer, ErrorCode code) {
  const Error* error = answer ? std::get_if<Error>(&answer->body) : nullptr;
  return error != nullptr && error->code == code;
}

wire::CreateJob open_job(JobId job) {
  return {.job = job, .nonce = {1, 2}, .name = "open", .spec = {.argv = {"true"}}, .count = 2};
}

}  // namespace

TEST_CASE("absence: a job whose copies are damaged is not denied either") {
  Scenario three({.nodes = 3, .shard_count = kShards});
  REQUIRE(three.found());
  three.monitor().set_faults(true);
  const JobId job = job_owned_by(three, 0);
  REQUIRE(done(ask(three, 0, open_job(job), 5s)));
  three.world().run_for(1s);
  const auto bits = task::key_bits({.job = job, .kind = task::RecordKind::job});
  for (NodeIndex node = 0; node < 3; ++node) three.world().crash(node);
  three.world().damage(0, {task::shard_of(job, kShards), {bits.high, bits.low}});
  // Too few good copies: one is damaged, one is away.
  three.world().start(0);
  three.world().start(1);
  three.world().run_for(10s);
  for (const NodeIndex gateway : {0U, 1U}) {
    CHECK_FALSE(done(ask(three, gateway, wire::CloseJob{job, {1, 2}}, 1s)));
    CHECK_FALSE(refused_as(ask(three, gateway, wire::CancelRequest{.job = job}, 20s),
                           ErrorCode::not_found));
  }
  three.world().start(2);
  three.world().run_for(5s);
  CHECK(done(ask(three, 0, wire::CloseJob{job, {1, 2}}, 3s)));
}

// A task may be tried twice, and twice it runs into its time limit.
TEST_CASE("absence: a failure is not final while the task's description is damaged") {
  Scenario three({.nodes = 3, .shard_count = 2, .cpu_millis = 64'000});
  REQUIRE(three.found());
  JobPlan plan{.spec = {.argv = {"sleep", "1h"}, .cpu_millis = 100, .timeout = 10s, .retries = 1},
               .count = 4 * task::kRunLength};
  const JobClient& client = three.submit(std::move(plan));
  REQUIRE(
      three.world().run_until([&] { return client.acknowledged() == client.plan().count; }, 4s));
  three.world().run_for(4s);
  // An array's description stands beside its elements where its job's record is not.
  const auto bits = task::key_bits({.job = client.plan().job, .kind = task::RecordKind::spec});
  const ShardId shard{1 - static_cast<std::uint32_t>(task::shard_of(client.plan().job, 2))};
  const Disk::Place place{shard, {bits.high, bits.low}};
  REQUIRE(three.world().disk(0).image().records.contains(place));
  three.monitor().set_faults(true);
  three.world().crash(0);
  three.world().crash(1);
  three.world().damage(0, place);
  three.world().start(0);      // Node 2 alone has a good copy of it, which is too few (C5).
  three.world().run_for(12s);  // The first attempts have failed by now.
  CHECK(three.monitor().outcomes().outcomes()[TaskState::failed] == 0);
  three.world().start(1);
  three.settle();
  CHECK(three.verdict() == "");
  CHECK(three.monitor().outcomes().outcomes()[TaskState::failed] == 4 * task::kRunLength);
  std::uint32_t once = 0;
  for (const Observation& node : three.monitor().observe()) {
    for (const node::HeldTask& task : node.inspection.tasks()) once += task.attempt == 1 ? 1 : 0;
  }
  CHECK(once == 0);
}

}  // namespace shoal::sim
