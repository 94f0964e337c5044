#include "node/gateway.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "gateway_world.hpp"
#include "task/record_key.hpp"

namespace shoal::node {
namespace {

using namespace std::chrono_literals;

const JobId kJob{0x1234567};

wire::CreateTasks tasks(std::uint32_t count) {
  wire::CreateTasks create{.job = kJob, .nonce = {1, 2}};
  for (std::uint32_t i = 0; i < count; ++i) create.elements.push_back({i, "a"});
  return create;
}

}  // namespace

TEST_CASE("gateway: before the node serves it says what it waits for") {
  GatewayWorld world;
  world.context.shard_count = 0;
  world.gateway.set_waiting_for("2 of 3 expected nodes are here");
  world.client(1, wire::GetJob{kJob});
  REQUIRE(world.refusal());
  CHECK(world.refusal()->code == ErrorCode::unavailable);
  CHECK(world.refusal()->message.find("2 of 3 expected nodes") != std::string::npos);

  world.client(2, wire::ListMembers{});
  const auto* list = std::get_if<wire::MemberList>(&world.heard.back().body);
  REQUIRE(list != nullptr);
  CHECK_FALSE(list->serving);
  CHECK(list->members.size() == 3);
}

TEST_CASE("gateway: new tasks go to the owner of each shard, and stand on the fewest copies") {
  GatewayWorld world;
  world.client(1, tasks(320));
  const auto asked = world.asked<wire::CreateTasks>();
  std::set<ShardId> shards;
  std::size_t elements = 0;
  for (const auto& one : asked) {
    CHECK(shards.insert(one.request.shard).second);  // One part for each shard.
    const auto& part = std::get<wire::CreateTasks>(one.request.body);
    elements += part.elements.size();
    for (const auto& element : part.elements) {
      CHECK(task::shard_of(TaskId{kJob, element.index}, GatewayWorld::kShards) ==
            one.request.shard);
    }
  }
  CHECK(elements == 320);
  REQUIRE(asked.size() > 1);
  for (std::size_t i = 0; i < asked.size(); ++i) {
    CHECK(world.heard.empty());
    world.answer(asked[i], wire::Done{i == 0 ? 1U : 2U});
    world.answer(asked[i], wire::Done{0});  // A repeated answer is nobody's.
  }
  REQUIRE(world.heard.size() == 1);
  CHECK(std::get<wire::Done>(world.heard[0].body).copies == 1);
  CHECK(world.gateway.open_count() == 0);
}

TEST_CASE("gateway: the first refusal that no retry mends is the answer") {
  GatewayWorld world;
  world.client(1, tasks(320));
  const auto asked = world.asked<wire::CreateTasks>();
  world.answer(asked[0], wire::Done{2});
  world.answer(asked[1], Error{ErrorCode::conflict, "id taken"});
  REQUIRE(world.refusal());
  CHECK(world.refusal()->code == ErrorCode::conflict);
  CHECK(world.gateway.open_count() == 0);
  world.pass(5s);
  CHECK(world.asked<wire::CreateTasks>().empty());
}

TEST_CASE("gateway: a large template is at the owners a few parts at a time, and all parts go") {
  GatewayWorld world;
  wire::CreateTasks create = tasks(16 * 32 * 4);
  create.spec.argv = {std::string(250'000, 'x')};
  create.spec.environment.push_back({"A", std::string(1'000, 'x')});
  for (auto& element : create.elements) element.argument = std::string(200, 'y');
  std::size_t elements = 0;
  world.client(1, create);
  for (int turn = 0; turn < 50 && world.heard.empty(); ++turn) {
    const auto asked = world.asked<wire::CreateTasks>();
    CHECK(asked.size() <= 18);
    for (const auto& one : asked) {
      elements += std::get<wire::CreateTasks>(one.request.body).elements.size();
      world.answer(one, wire::Done{2});
    }
  }
  CHECK(elements == 16 * 32 * 4);
  REQUIRE(world.heard.size() == 1);
  CHECK(std::holds_alternative<wire::Done>(world.heard[0].body));
}

TEST_CASE("gateway: a newer owner is asked at once, the same ids again after silence") {
  GatewayWorld world;
  world.client(1, wire::CreateJob{.job = kJob, .nonce = {1, 2}});
  auto asked = world.asked<wire::CreateJob>();
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].to == world.id(2));

  const ShardId shard = asked[0].request.shard;
  world.answer(asked[0], wire::WrongOwner{world.entry(shard, 2, world.id(3))});
  auto again = world.asked<wire::CreateJob>();
  REQUIRE(again.size() == 1);
  CHECK(again[0].to == world.id(3));
  CHECK(again[0].request.id == asked[0].request.id);
  CHECK(std::get<wire::CreateJob>(again[0].request.body).nonce == Nonce{1, 2});

  // The new one says that it is not: no ping-pong, but after 200 ms.
  world.answer(again[0], wire::WrongOwner{world.entry(shard, 2, world.id(3))});
  CHECK(world.asked<wire::CreateJob>().empty());
  world.pass(199ms);
  CHECK(world.asked<wire::CreateJob>().empty());
  world.pass(1ms);
  CHECK(world.asked<wire::CreateJob>().size() == 1);

  world.pass(1s);  // Silence.
  CHECK(world.asked<wire::CreateJob>().size() == 1);

  world.gateway.on_peer_closed(world.now, world.id(3));
  world.pass(100ms);
  again = world.asked<wire::CreateJob>();
  REQUIRE(again.size() == 1);
  world.answer(again[0], wire::Done{2});
  CHECK(std::holds_alternative<wire::Done>(world.heard.back().body));
}

TEST_CASE("gateway: an owner that cannot answer now is asked again after 200 ms") {
  GatewayWorld world;
  world.client(1, wire::GetJob{kJob});
  const auto asked = world.asked<wire::GetJob>();
  world.answer(asked[0], Error{ErrorCode::unavailable, "being settled"});
  CHECK(world.heard.empty());
  world.pass(200ms);
  const auto again = world.asked<wire::GetJob>();
  REQUIRE(again.size() == 1);
  world.answer(again[0], wire::JobReply{.status = {.id = kJob}});
  CHECK(std::get<wire::JobReply>(world.heard.back().body).status.id == kJob);
}

TEST_CASE("gateway: while the owner is dead its home is asked, and who took over is found") {
  GatewayWorld world;
  world.kill(2);
  world.client(1, wire::GetJob{kJob});
  auto asked = world.asked<wire::GetJob>();
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].to != world.id(2));
  world.answer(asked[0], wire::WrongOwner{world.entry(asked[0].request.shard, 2, world.id(3))});
  if (asked[0].to != world.id(3)) asked = world.asked<wire::GetJob>();
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].to == world.id(3));
}

TEST_CASE("gateway: while the owner is suspected its home is asked, and it too at last") {
  GatewayWorld world;
  world.client(1, wire::GetJob{kJob});
  auto asked = world.asked<wire::GetJob>();
  REQUIRE(asked.size() == 1);
  REQUIRE(asked[0].to == world.id(2));
  world.suspect(2, 3);
  world.gateway.on_suspect(world.now, world.id(2));
  std::vector<NodeId> order;
  for (int turn = 0; turn < 6; ++turn) {
    world.pass(kOwnerRetry);
    for (const auto& each : world.asked<wire::GetJob>()) {
      order.push_back(each.to);
      if (each.to == world.id(2)) continue;
      // It knows no other owner yet.
      world.answer(each, wire::WrongOwner{world.entry(each.request.shard, 1, world.id(2))});
    }
  }
  REQUIRE(order.size() >= 4);
  for (const std::uint64_t node : {1U, 2U, 3U})
    CHECK(std::ranges::count(order, world.id(node)) > 0);
}

TEST_CASE("gateway: after 10 s without a majority the homes that are away are named") {
  GatewayWorld world;
  world.kill(2);
  world.kill(3);
  world.client(1, wire::CreateJob{.job = kJob});
  world.pass(9s);
  CHECK(world.heard.empty());
  world.pass(2s);
  REQUIRE(world.refusal());
  CHECK(world.refusal()->code == ErrorCode::unavailable);
  CHECK(world.refusal()->message.find("2 of 3 homes of shard") != std::string::npos);
  CHECK(world.refusal()->message.find("n2 (dead), n3 (dead)") != std::string::npos);
  CHECK(world.refusal()->message.find("sent again safely") != std::string::npos);
  CHECK(world.gateway.open_count() == 0);
}

TEST_CASE("gateway: what a closed connection asked for is forgotten") {
  GatewayWorld world;
  world.client(1, tasks(64));
  world.client(2, wire::WatchJob{.job = kJob});
  world.client(3, wire::ListJobs{});
  world.client(4, wire::ReadLog{.task = {kJob, 3}});
  world.client(5, wire::ShowTasks{.job = kJob});
  CHECK(world.gateway.open_count() == 5);
  world.gateway.on_closed(world.now, GatewayWorld::kClient);
  CHECK(world.gateway.open_count() == 0);
  world.settle();
  world.sent.clear();
  world.pass(40s);
  CHECK(world.sent.empty());
  CHECK(world.heard.empty());
}

TEST_CASE("gateway: beyond its limit of open requests it refuses and names the limit") {
  GatewayWorld world;
  for (std::uint64_t i = 0; i < kClientRequestsMax; ++i) world.client(i, wire::GetJob{kJob});
  CHECK(world.heard.empty());
  world.client(kClientRequestsMax, wire::GetJob{kJob});
  REQUIRE(world.refusal());
  CHECK(world.refusal()->code == ErrorCode::overload);
}

TEST_CASE("tasks: a page merges the runs in index order and passes over empty windows") {
  GatewayWorld world;
  world.client(1, wire::ShowTasks{.job = kJob, .from = 10, .limit = 64, .states = 1U << 3});
  world.answer_all<wire::GetJob>(wire::JobReply{.status = {.id = kJob, .count = 200}});
  const auto first = world.asked<wire::GetTasks>();
  CHECK(first.size() == 3);  // [10, 32), [32, 64), [64, 74)
  for (const auto& one : first) world.answer(one, wire::TasksReply{});
  auto second = world.asked<wire::GetTasks>();  // [74, 96), [96, 128), [128, 138)
  REQUIRE(second.size() == 3);
  for (auto one = second.rbegin(); one != second.rend(); ++one) {
    const auto& get = std::get<wire::GetTasks>(one->request.body);
    wire::TasksReply reply;
    reply.tasks.push_back({.index = get.from + 1, .state = TaskState::failed});
    world.answer(*one, reply);
  }
  REQUIRE(world.heard.size() == 1);
  const auto& page = std::get<wire::TasksReply>(world.heard[0].body);
  REQUIRE(page.tasks.size() == 3);
  CHECK(page.tasks[0].index == 75);
  CHECK(page.tasks[2].index == 129);
  CHECK(page.more);
  CHECK(page.next == 138);
}

TEST_CASE("tasks: a page that nobody answered for names the shards, and where to go on") {
  GatewayWorld world;
  world.client(1, wire::ShowTasks{.job = kJob, .from = 40, .limit = 24});
  world.answer_all<wire::GetJob>(wire::JobReply{.status = {.id = kJob, .count = 200}});
  REQUIRE(world.asked<wire::GetTasks>().size() == 1);
  world.pass(10s);
  REQUIRE(world.heard.size() == 1);
  const auto& page = std::get<wire::TasksReply>(world.heard[0].body);
  CHECK(page.tasks.empty());
  CHECK(page.missing.size() == 1);
  CHECK(page.more);
  CHECK(page.next == 64);
}

TEST_CASE("tasks: the task of a one-task job stands in the job's record") {
  GatewayWorld world;
  world.client(1, wire::ShowTasks{.job = kJob});
  wire::JobReply job{.status = {.id = kJob, .count = 1}};
  job.single = TaskStatus{.index = 0, .state = TaskState::succeeded};
  world.answer_all<wire::GetJob>(job);
  const auto& page = std::get<wire::TasksReply>(world.heard.back().body);
  CHECK(page.tasks.size() == 1);
  CHECK_FALSE(page.more);
}

TEST_CASE("listing: rows are merged newest first, and silent members are named") {
  GatewayWorld world;
  const JobId older = JobId::mint(std::chrono::sys_days{2026y / 1 / 1}, Retention::week, 9);
  const JobId newer = JobId::mint(std::chrono::sys_days{2026y / 1 / 2}, Retention::hour, 1);
  world.own_jobs = {{.id = older, .name = "old"}};
  world.client(1, wire::ListJobs{});
  const auto queries = world.messages<wire::NodeQuery>();
  REQUIRE(queries.size() == 2);
  wire::NodeAnswer answer{.id = queries[0].second.id};
  answer.jobs = {{.id = newer}, {.id = older, .name = "old", .state = JobState::finished}};
  world.gateway.on_node_answer(world.now, world.id(2), answer);
  world.settle();
  CHECK(world.heard.empty());
  world.pass(1s);
  REQUIRE(world.heard.size() == 1);
  const auto& list = std::get<wire::JobList>(world.heard[0].body);
  REQUIRE(list.jobs.size() == 2);
  CHECK(list.jobs[0].id == newer);
  CHECK(list.jobs[1].state == JobState::finished);  // The later view of the two.
  CHECK(list.missing == std::vector<std::string>{"n3"});
}

TEST_CASE("listing: members come with figures of those that answered") {
  GatewayWorld world;
  world.client(1, wire::ListMembers{});
  const auto queries = world.messages<wire::NodeQuery>();
  REQUIRE(queries.size() == 2);
  for (const auto& [to, query] : queries) {
    world.gateway.on_node_answer(
        world.now, to, {.id = query.id, .stats = wire::NodeStats{.tasks_run = 9}, .version = "v"});
  }
  world.settle();
  REQUIRE(world.heard.size() == 1);
  const auto& list = std::get<wire::MemberList>(world.heard[0].body);
  REQUIRE(list.members.size() == 3);
  CHECK(list.members[0].info.name == "n1");
  CHECK(list.members[0].self);
  CHECK(list.members[0].stats->tasks_run == 5);
  CHECK(list.members[2].stats->tasks_run == 9);
  CHECK(list.cluster == ClusterId{1, 2});
}

TEST_CASE("listing: the ring shows the home and owner of the shard of a job") {
  GatewayWorld world;
  world.client(1, wire::GetRing{kJob});
  const auto& ring = std::get<wire::Ring>(world.heard.back().body);
  REQUIRE(ring.rows.size() == 1);
  CHECK(ring.rows[0].owner == world.id(2));
  CHECK(ring.rows[0].home.size() == 3);
}

}  // namespace shoal::node
