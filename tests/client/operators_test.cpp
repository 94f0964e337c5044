// Operators' commands, and listings that lack something or are not confirmed.
#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "fake_node.hpp"
#include "fixture.hpp"

namespace shoal {
namespace {

using client::FakeNode;
using client::Fixture;
using client::quick;
using client::World;

constexpr NodeId kNode{.high = 5, .low = 6};

JobStatus open_job(std::uint64_t id) {
  JobStatus job{.id = {id}, .state = JobState::open, .count = 10};
  job.spec.argv = {"short"};
  return job;
}

}  // namespace

TEST_CASE("client: a command goes to the node it names, and its answer is not asked for twice") {
  Fixture f;
  const auto node = FakeNode::start(f.context, f.world);
  std::vector<wire::CommandNode> told;
  f.world.hook = [&](std::uint16_t, const wire::ClientRequestBody& body, const World::Send& send) {
    const auto* command = std::get_if<wire::CommandNode>(&body);
    if (command == nullptr) return false;
    told.push_back(*command);
    if (std::holds_alternative<wire::SetDraining>(command->body)) {
      send(wire::Done{}, true);
    } else {
      send(Error{ErrorCode::unavailable, "it did not answer in time"}, true);
    }
    return true;
  };
  Client client(f.context, quick({node->address()}));
  CHECK(f.run(client.drain(kNode, true)));
  REQUIRE(told.size() == 1);
  CHECK(told[0].node == kNode);
  CHECK(std::get<wire::SetDraining>(told[0].body).on);
  const auto recovered = f.run(client.recover(kNode, ShardId{3}, {NodeId{1, 1}, NodeId{2, 2}}));
  REQUIRE_FALSE(recovered);
  CHECK(recovered.error().message == "it did not answer in time");
  REQUIRE(told.size() == 2);
  CHECK(std::get<wire::RecoverShard>(told[1].body).lost.size() == 2);
}

TEST_CASE("client: a command whose gateway dies is passed on by another one, to the same node") {
  Fixture f;
  const auto first = FakeNode::start(f.context, f.world);
  const auto second = FakeNode::start(f.context, f.world);
  f.world.hook = [&](std::uint16_t port, const wire::ClientRequestBody& body,
                     const World::Send& send) {
    const auto* command = std::get_if<wire::CommandNode>(&body);
    if (command == nullptr) return false;
    CHECK(command->node == kNode);
    if (port == first->port()) {
      first->die();
    } else {
      send(wire::Done{}, true);
    }
    return true;
  };
  Client client(f.context, quick({first->address(), second->address()}));
  CHECK(f.run(client.leave(kNode, false)));
  CHECK(client.gateway() == second->address());
}

TEST_CASE("client: a copy of a shard is shown as its node tells it, or is missed in time") {
  Fixture f;
  const auto node = FakeNode::start(f.context, f.world);
  bool silent = false;
  f.world.hook = [&](std::uint16_t, const wire::ClientRequestBody& body, const World::Send& send) {
    if (!std::holds_alternative<wire::CommandNode>(body)) return false;
    wire::ShardCopy copy{.known = true, .floor = 1'700'000'000, .records = 9, .bad = 1};
    copy.promised = {4, kNode};
    copy.config = {.id = {{3, kNode}, 2}, .home = {kNode}, .next = {kNode, NodeId{1, 1}}};
    copy.state = wire::Ownership::candidate;
    if (!silent) send(copy, true);
    return true;
  };
  Client client(f.context, quick({node->address()}));
  const auto copy = f.run(client.shard_copy(kNode, ShardId{3}, std::chrono::seconds(2)));
  REQUIRE(copy);
  CHECK(copy->role == ShardRole::candidate);
  CHECK(copy->promised == BallotView{4, kNode});
  CHECK(copy->ballot == BallotView{3, kNode});
  CHECK(copy->seq == 2);
  CHECK(copy->next.size() == 2);
  CHECK(copy->floor == std::chrono::sys_seconds(std::chrono::seconds(1'700'000'000)));
  silent = true;
  const auto begun = std::chrono::steady_clock::now();
  const auto none = f.run(client.shard_copy(kNode, ShardId{3}, std::chrono::milliseconds(200)));
  CHECK_FALSE(none);
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(2));
}

TEST_CASE("client: pages are read on from where they end, and gaps name the tasks they hold") {
  Fixture f;
  const auto node = FakeNode::start(f.context, f.world);
  constexpr std::uint32_t kShards = 8;
  const JobId id{77};
  const ShardId away = shard_of(TaskId{id, 64}, kShards);
  std::vector<std::uint32_t> asked;
  f.world.hook = [&](std::uint16_t, const wire::ClientRequestBody& body, const World::Send& send) {
    if (std::holds_alternative<wire::ListMembers>(body)) {
      send(wire::MemberList{.serving = true, .shard_count = kShards}, true);
      return true;
    }
    const auto* show = std::get_if<wire::ShowTasks>(&body);
    if (show == nullptr) return false;
    CHECK(show->local);
    asked.push_back(show->from);
    wire::TasksReply page{.more = show->from < 96, .next = show->from + 96};
    // Nobody answered for anything of the first page's end.
    if (show->from == 0) page.missing = {away};
    page.tasks = {{.index = show->from}, {.index = show->from + 1}};
    if (show->from == 0) page.tasks.clear();
    send(page, true);
    return true;
  };
  Client client(f.context, quick({node->address()}));
  const auto listing = f.run(client.tasks(id, ~0U, Consistency::local));
  REQUIRE(listing);
  CHECK(asked == std::vector<std::uint32_t>{0, 96});  // Not ended by a page without tasks.
  CHECK(listing->tasks.size() == 2);
  REQUIRE(listing->missing.size() == 1);
  CHECK(listing->missing[0].shard == away);
  for (const TaskRange& range : listing->missing[0].tasks) {
    CHECK(range.last < 96);
    for (std::uint32_t index = range.first; index <= range.last; ++index) {
      CHECK(shard_of(TaskId{id, index}, kShards) == away);
    }
  }
}

TEST_CASE("client: a strong listing confirms its open rows, and keeps what nobody confirms") {
  Fixture f;
  const auto node = FakeNode::start(f.context, f.world);
  std::vector<std::uint64_t> confirmed;
  f.world.hook = [&](std::uint16_t, const wire::ClientRequestBody& body, const World::Send& send) {
    if (std::holds_alternative<wire::ListJobs>(body)) {
      JobStatus over = open_job(1);
      over.state = JobState::finished;
      send(wire::JobList{.jobs = {over, open_job(2), open_job(3), open_job(4)}}, true);
      return true;
    }
    const auto* get = std::get_if<wire::GetJob>(&body);
    if (get == nullptr) return false;
    confirmed.push_back(get->job.value);
    if (get->job.value == 2) {
      JobStatus now = open_job(2);
      now.state = JobState::finished;
      now.spec.argv = {"a", "much", "longer", "one"};
      send(wire::JobReply{.status = now}, true);
    } else if (get->job.value == 3) {
      send(Error{ErrorCode::not_found, "no such job"}, true);
    }  // Nobody answers for job 4.
    return true;
  };
  ClientOptions options = quick({node->address()});
  options.timeout = std::chrono::milliseconds(600);
  Client client(f.context, options);
  const auto listing = f.run(client.list({}));
  REQUIRE(listing);
  std::ranges::sort(confirmed);
  CHECK(confirmed == std::vector<std::uint64_t>{2, 3, 4});
  REQUIRE(listing->jobs.size() == 3);
  CHECK(listing->jobs[1].state == JobState::finished);
  CHECK(listing->jobs[1].spec.argv.size() == 1);
  CHECK(listing->unconfirmed == std::vector<JobId>{{4}});

  confirmed.clear();
  const auto local = f.run(client.list({.consistency = Consistency::local}));
  REQUIRE(local);
  CHECK(local->jobs.size() == 4);
  CHECK(confirmed.empty());
}

TEST_CASE("client: when time is up the last refusal is told, not that time is up") {
  Fixture f;
  const auto node = FakeNode::start(f.context, f.world);
  int asked = 0;
  f.world.hook = [&](std::uint16_t, const wire::ClientRequestBody& body, const World::Send& send) {
    if (!std::holds_alternative<wire::GetJob>(body)) return false;
    if (++asked == 1) send(Error{ErrorCode::unavailable, "2 of 3 homes are dead"}, true);
    return true;  // The second one is not answered.
  };
  ClientOptions options = quick({node->address()});
  options.timeout = std::chrono::milliseconds(700);
  Client client(f.context, options);
  const auto job = f.run(client.job({77}));
  REQUIRE_FALSE(job);
  CHECK(asked == 2);
  CHECK(job.error().message == "2 of 3 homes are dead");
}

TEST_CASE("client: members that drain or leave are told apart") {
  Fixture f;
  const auto node = FakeNode::start(f.context, f.world);
  f.world.hook = [&](std::uint16_t, const wire::ClientRequestBody& body, const World::Send& send) {
    if (!std::holds_alternative<wire::ListMembers>(body)) return false;
    wire::MemberList list{.serving = true};
    list.members.resize(2);
    list.members[0].info.name = "a";
    list.members[0].info.draining = true;
    list.members[1].info.name = "b";
    list.members[1].info.leaving = true;
    send(list, true);
    return true;
  };
  Client client(f.context, quick({node->address()}));
  const auto view = f.run(client.members());
  REQUIRE(view);
  CHECK(view->members[0].draining);
  CHECK_FALSE(view->members[0].leaving);
  CHECK(view->members[1].leaving);
}

}  // namespace shoal
