// The end of records' time, through whole nodes (E1-E3; holes 9 and 12).
#include <doctest/doctest.h>

#include "sim/scenario.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

// A job whose hour is over `left` from now.
JobPlan dying(Scenario& scenario, std::vector<std::string> argv, std::uint32_t count,
              std::chrono::seconds left) {
  const auto wall = std::chrono::floor<std::chrono::seconds>(scenario.world().wall());
  return {.job = JobId::mint(wall - 1h + left, Retention::hour, scenario.world().random().next()),
          .spec = {.argv = std::move(argv), .cpu_millis = 100},
          .count = count};
}

// Absent: the job is shown.
std::optional<ErrorCode> show(Scenario& scenario, JobId job, NodeIndex gateway = 0) {
  std::optional<wire::ClientReplyBody> answer;
  const auto session = scenario.world().connect(
      gateway, [&](wire::ClientReply reply) { answer = std::move(reply.body); }, [] {});
  REQUIRE(session);
  scenario.world().request(*session, {1, wire::GetJob{job}});
  scenario.world().run_until([&] { return answer.has_value(); }, 40s);
  scenario.world().disconnect(*session);
  REQUIRE(answer);
  const auto* error = std::get_if<Error>(&*answer);
  return error == nullptr ? std::nullopt : std::optional(error->code);
}

std::size_t records(Scenario& scenario) {
  std::size_t count = 0;
  for (NodeIndex node = 0; node < scenario.nodes(); ++node) {
    count += scenario.world().disk(node).record_count();
  }
  return count;
}

}  // namespace

TEST_CASE("expiry: a job's records go from every disk when its time is over, and it is `gone`") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  JobPlan plan = dying(three, {"true"}, 100, 60s);
  const JobId job = plan.job;
  three.submit(std::move(plan));
  REQUIRE(three.await_workload(40s));
  CHECK(show(three, job) == std::nullopt);
  CHECK(records(three) > 300);
  three.world().run_for(60s);
  CHECK(show(three, job) == std::nullopt);  // Past its time it may still be read.
  CHECK(three.world().run_until([&] { return records(three) == 0; }, 120s, 1s));
  CHECK(show(three, job) == ErrorCode::expired);
  CHECK(show(three, job, 2) == ErrorCode::expired);
  three.world().crash(0);
  three.world().run_for(5s);
  CHECK(show(three, job, 1) == ErrorCode::expired);  // Whoever owns the shard then.
}

TEST_CASE("expiry: what has not ended by then ends as expired, and its process is killed") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  JobPlan plan = dying(three, {"sleep", "10h"}, 3, 30s);
  JobClient& client = three.submit(std::move(plan));
  three.world().run_for(20s);
  CHECK(!client.finished());
  CHECK(three.await_workload(60s));
  CHECK(three.monitor().outcomes().outcomes().at(TaskState::expired) == 3);
  three.world().run_for(5s);
  for (NodeIndex node = 0; node < 3; ++node) {
    CHECK(three.world().processes(node).running().empty());
  }
  CHECK(three.verdict() == "");
}

TEST_CASE("expiry: a home that was away past a job's time forgets it when it is back") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  JobPlan plan = dying(three, {"true"}, 60, 60s);
  const JobId job = plan.job;
  three.submit(std::move(plan));
  REQUIRE(three.await_workload(40s));
  three.monitor().set_faults(true);
  three.world().crash(2);
  three.world().run_for(200s);
  CHECK(three.world().disk(2).record_count() > 0);
  three.world().start(2);
  CHECK(three.world().run_until([&] { return records(three) == 0; }, 120s, 1s));
  CHECK(show(three, job, 2) == ErrorCode::expired);
}

TEST_CASE("expiry: a job handed in long after its id was minted ends in its time") {
  Scenario three({.nodes = 3});
  REQUIRE(three.found());
  three.world().run_for(60s);  // Every owner has looked through its empty shards.
  three.submit(dying(three, {"sleep", "10h"}, 3, 20s));
  CHECK(three.await_workload(60s));
  CHECK(three.monitor().outcomes().outcomes()[TaskState::expired] == 3);
  CHECK(three.world().run_until([&] { return records(three) == 0; }, 120s, 1s));
  CHECK(three.verdict() == "");
}

}  // namespace shoal::sim
