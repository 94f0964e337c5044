// Operators' commands against three members that are not there: what they ask, say and exit with.
#include <doctest/doctest.h>

#include <algorithm>
#include <asio/executor_work_guard.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "../client/fake_node.hpp"
#include "harness.hpp"
#include "shoal/cluster.hpp"

namespace shoal::cli {
namespace {

using client::FakeNode;
using client::World;
using Json = nlohmann::json;

constexpr std::uint32_t kShards = 4;

// The members n1 (which answers), n2, n3; every shard at home on all three and owned by n1.
class Trio {
 public:
  Trio() : node_(FakeNode::start(context_, world_)) {
    for (std::uint64_t number = 1; number <= 3; ++number) {
      wire::MemberRow row{
          .node = id(number), .stats = wire::NodeStats{.running = 2}, .self = number == 1};
      row.info.name = "n" + std::to_string(number);
      members.push_back(row);
    }
    for (std::uint32_t shard = 0; shard < kShards; ++shard) {
      for (std::uint64_t number = 1; number <= 3; ++number) {
        wire::ShardCopy copy{.known = true, .records = 7};
        copy.promised = copy.config.id.ballot = {2, id(1)};
        copy.config.home = {id(1), id(2), id(3)};
        if (number == 1) copy.state = wire::Ownership::owner;
        copies[{number, shard}] = copy;
      }
    }
    world_.hook = [this](std::uint16_t, const wire::ClientRequestBody& body,
                         const World::Send& send) { return on_request(body, send); };
    thread_ = std::thread([this] {
      const auto work = asio::make_work_guard(context_);
      context_.run();
    });
  }
  ~Trio() {
    context_.stop();
    thread_.join();
  }

  static NodeId id(std::uint64_t number) { return {.high = number << 60, .low = number}; }
  std::string address() const { return node_->address(); }
  void kill(std::uint64_t number) { members[number - 1].state = wire::MemberState::dead; }
  template <class Command>
  std::vector<std::pair<NodeId, Command>> told() const {
    std::vector<std::pair<NodeId, Command>> found;
    for (const auto& [node, body] : commands) {
      if (const auto* one = std::get_if<Command>(&body)) found.emplace_back(node, *one);
    }
    return found;
  }

  // Before and after a command these belong to the test.
  std::vector<wire::MemberRow> members;
  std::map<std::pair<std::uint64_t, std::uint32_t>, wire::ShardCopy> copies;
  std::vector<std::pair<NodeId, wire::NodeCommandBody>> commands;  // But ShowShard.
  std::function<void()> on_members;                                // At each list of members.
  std::function<std::optional<Error>(const wire::RecoverShard&)> on_recover;
  std::optional<JobStatus> job;
  std::optional<wire::TasksReply> tasks;
  std::uint32_t local_questions = 0;
  std::string waiting_for;  // Not empty: the node does not serve yet.

 private:
  void obey(const wire::CommandNode& command, const World::Send& send) {
    if (const auto* show = std::get_if<wire::ShowShard>(&command.body)) {
      send(copies.at({command.node.low, static_cast<std::uint32_t>(show->shard)}), true);
      return;
    }
    commands.emplace_back(command.node, command.body);
    if (const auto* recover = std::get_if<wire::RecoverShard>(&command.body)) {
      const auto refused = on_recover ? on_recover(*recover) : std::nullopt;
      if (refused) return send(*refused, true);
    }
    if (std::holds_alternative<wire::LeaveCluster>(command.body)) {
      members[command.node.low - 1].info.leaving = true;
    }
    send(wire::Done{}, true);
  }

  bool on_request(const wire::ClientRequestBody& body, const World::Send& send) {
    if (std::holds_alternative<wire::ListMembers>(body)) {
      if (on_members) on_members();
      send(wire::MemberList{.serving = waiting_for.empty(),
                            .shard_count = kShards,
                            .waiting_for = waiting_for,
                            .members = members},
           true);
    } else if (std::holds_alternative<wire::GetRing>(body)) {
      wire::Ring ring{.shard_count = kShards};
      for (std::uint32_t shard = 0; shard < kShards; ++shard) {
        ring.rows.push_back({ShardId{shard}, {id(1), id(2), id(3)}, id(1), 2});
      }
      send(ring, true);
    } else if (const auto* command = std::get_if<wire::CommandNode>(&body)) {
      obey(*command, send);
    } else if (const auto* get = std::get_if<wire::GetJob>(&body); get != nullptr && job) {
      local_questions += get->local ? 1 : 0;
      send(wire::JobReply{.status = *job, .owner = id(1), .home = {id(1)}}, true);
    } else if (const auto* show = std::get_if<wire::ShowTasks>(&body); show != nullptr && tasks) {
      local_questions += show->local ? 1 : 0;
      send(*tasks, true);
    } else if (std::holds_alternative<wire::ListJobs>(body)) {
      wire::JobList list;
      if (job) list.jobs.push_back(*job);
      send(list, true);
    } else {
      return false;
    }
    return true;
  }

  asio::io_context context_{1};
  World world_;
  std::shared_ptr<FakeNode> node_;
  std::thread thread_;
};

bool holds(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("drain: the node is told, and undrain and --off tell it the opposite") {
  Trio trio;
  const Folder folder;
  CHECK(shoal(folder, trio.address(), {"drain", "n2"}) == 0);
  CHECK(holds(folder.read("stderr"), "n2 starts nothing new; 2 tasks run on there"));
  CHECK(folder.read("stdout").empty());
  CHECK(shoal(folder, trio.address(), {"undrain", "n2"}) == 0);
  CHECK(shoal(folder, trio.address(), {"drain", "n2", "--off"}) == 0);
  CHECK(shoal(folder, trio.address(), {"drain", "n3", "--json"}) == 0);
  CHECK(Json::parse(folder.read("stdout"))["draining"] == true);
  const auto told = trio.told<wire::SetDraining>();
  REQUIRE(told.size() == 4);
  CHECK(told[0].first == Trio::id(2));
  CHECK(told[0].second.on);
  CHECK_FALSE(told[1].second.on);
  CHECK_FALSE(told[2].second.on);
  trio.kill(3);
  CHECK(shoal(folder, trio.address(), {"drain", "n3"}) == kExitConflict);
  CHECK(holds(folder.read("stderr"), "n3 is dead"));
  CHECK(shoal(folder, trio.address(), {"drain", "nn2"}) == kExitNotFound);
  CHECK(holds(folder.read("stderr"), "Did you mean n2?"));
}

TEST_CASE("nodes: what drains or leaves is shown as that, and named in JSON") {
  Trio trio;
  const Folder folder;
  trio.members[1].info.draining = true;
  trio.members[2].info.leaving = true;
  CHECK(shoal(folder, trio.address(), {"nodes"}) == 0);
  CHECK(holds(folder.read("stdout"), "draining"));
  CHECK(holds(folder.read("stdout"), "leaving"));
  CHECK(holds(folder.read("stderr"), "1 alive, 1 draining, 1 leaving"));
  CHECK(shoal(folder, trio.address(), {"nodes", "--json"}) == 0);
  const Json nodes = Json::parse(folder.read("stdout"))["nodes"];
  CHECK(nodes[1]["state"] == "alive");
  CHECK(nodes[1]["draining"] == true);
  CHECK(nodes[2]["leaving"] == true);
}

TEST_CASE("health: a node that serves is healthy, one that waits says what for") {
  Trio trio;
  const Folder folder;
  CHECK(shoal(folder, trio.address(), {"health"}) == 0);
  CHECK(folder.read("stdout") == "healthy: n1 serves; 3 of 3 members alive\n");
  CHECK(folder.read("stderr").empty());
  trio.kill(3);
  CHECK(shoal(folder, trio.address(), {"health", "--json"}) == 0);
  CHECK(Json::parse(folder.read("stdout"))["healthy"] == true);
  trio.waiting_for = "1 of 3 nodes is here";
  CHECK(shoal(folder, trio.address(), {"health"}) == kExitFailed);
  CHECK(folder.read("stdout") == "not healthy: n1 does not serve yet: 1 of 3 nodes is here\n");
  CHECK(shoal(folder, trio.address(), {"health", "-q"}) == kExitFailed);
  CHECK(folder.read("stdout").empty());
}

TEST_CASE("health: another member is healthy while it answers") {
  Trio trio;
  const Folder folder;
  CHECK(shoal(folder, trio.address(), {"health", "n2"}) == 0);
  CHECK(holds(folder.read("stdout"), "healthy: n2 is alive, owns 0 shards, runs 2 tasks"));
  trio.members[1].stats.reset();
  CHECK(shoal(folder, trio.address(), {"health", "n2"}) == kExitFailed);
  CHECK(holds(folder.read("stdout"), "n2 counts as alive and did not answer"));
  trio.kill(3);
  CHECK(shoal(folder, trio.address(), {"health", "n3"}) == kExitFailed);
  CHECK(holds(folder.read("stdout"), "not healthy: n3 is dead"));
  CHECK(shoal(folder, trio.address(), {"health", "nn2"}) == kExitNotFound);
}

TEST_CASE("health: where nothing listens it is not healthy, in one line") {
  const Folder folder;
  CHECK(shoal(folder, "127.0.0.1:1", {"health"}) == kExitFailed);
  CHECK(folder.read("stdout").starts_with("not healthy: "));
  const std::string said = folder.read("stdout");
  CHECK(std::ranges::count(said, '\n') == 1);
}

TEST_CASE("leave: it is followed until the others know that the node has left") {
  Trio trio;
  const Folder folder;
  int looks = 0;
  trio.on_members = [&] {
    if (!trio.members[1].info.leaving) return;
    ++looks;
    trio.members[1].stats->shards_home = looks < 2 ? 3 : 0;
    if (looks == 3) trio.members[1].state = wire::MemberState::left;
  };
  CHECK(shoal(folder, trio.address(), {"leave", "n2"}) == 0);
  const auto told = trio.told<wire::LeaveCluster>();
  REQUIRE(told.size() == 1);
  CHECK(told[0].first == Trio::id(2));
  CHECK_FALSE(told[0].second.now);
  CHECK(looks == 3);
  const std::string said = folder.read("stderr");
  CHECK(holds(said, "n2 leaves: 3 shards to move, 2 tasks running"));
  CHECK(holds(said, "each shard is kept in one copy"));
  CHECK(holds(said, "n2 has left the cluster"));
}

TEST_CASE("leave: without a name it is the node that is asked, named so that no other obeys") {
  Trio trio;
  const Folder folder;
  CHECK(shoal(folder, trio.address(), {"leave", "--no-wait", "--json"}) == 0);
  CHECK(trio.told<wire::LeaveCluster>().front().first == Trio::id(1));
  CHECK(Json::parse(folder.read("stdout"))["left"] == false);
}

TEST_CASE("leave: at once, and shards would stop: it asks, and --yes answers") {
  Trio trio;
  const Folder folder;
  CHECK(shoal(folder, trio.address(), {"leave", "n2", "--now", "--no-wait"}) == 0);
  trio.members[1].info.leaving = false;
  trio.kill(3);
  CHECK(shoal(folder, trio.address(), {"leave", "n2", "--now", "--no-wait"}) == kExitUsage);
  CHECK(holds(folder.read("stderr"), "4 shards have no majority of their homes without n2"));
  CHECK(holds(folder.read("stderr"), "--yes"));
  CHECK(trio.told<wire::LeaveCluster>().size() == 1);
  CHECK(shoal(folder, trio.address(), {"leave", "n2", "--now", "--no-wait", "--yes"}) == 0);
  CHECK(trio.told<wire::LeaveCluster>().size() == 2);
}

TEST_CASE("leave: a node that is started again takes it back, and one that dies is told of") {
  Trio trio;
  const Folder folder;
  trio.members[1].stats->shards_home = 3;
  trio.on_members = [&] { trio.members[1].info.leaving = false; };
  CHECK(shoal(folder, trio.address(), {"leave", "n2"}) == kExitConflict);
  CHECK(holds(folder.read("stderr"), "it was started again"));
  trio.on_members = [&] {
    if (trio.members[1].info.leaving) trio.kill(2);
  };
  CHECK(shoal(folder, trio.address(), {"leave", "n2"}) == kExitUnreachable);
  CHECK(holds(folder.read("stderr"), "died with 3 shards still to move"));
}

TEST_CASE("forget: a dead member is struck off, and shards that cannot move are named") {
  Trio trio;
  const Folder folder;
  trio.kill(3);
  CHECK(shoal(folder, trio.address(), {"forget", "n3"}) == 0);
  CHECK(holds(folder.read("stderr"), "n3 is forgotten; it kept a copy of 4 shards"));
  REQUIRE(trio.told<wire::ForgetNode>().size() == 1);
  CHECK(trio.told<wire::ForgetNode>()[0].second.node == Trio::id(3));
  trio.kill(2);
  CHECK(shoal(folder, trio.address(), {"forget", "n3", "--json"}) == 0);
  CHECK(Json::parse(folder.read("stdout"))["stuck"] == 4);
}

TEST_CASE("shard ls: owners, and only what is not as it should be") {
  Trio trio;
  const Folder folder;
  CHECK(shoal(folder, trio.address(), {"shard", "ls"}) == 0);
  CHECK(holds(folder.read("stdout"), "KEEPS"));
  CHECK_FALSE(holds(folder.read("stdout"), "TROUBLE"));
  CHECK(holds(folder.read("stderr"), "4 shards: 4 healthy"));
  trio.copies.at({1, 2}).config.next = {Trio::id(1), Trio::id(2)};
  trio.copies.at({1, 3}).state = wire::Ownership::none;
  CHECK(shoal(folder, trio.address(), {"shard", "ls"}) == 0);
  CHECK(holds(folder.read("stdout"), "joint: it moves to n1, n2"));
  CHECK(holds(folder.read("stdout"), "nobody says that it owns it"));
  CHECK(holds(folder.read("stderr"), "2 healthy, 2 not, 1 changing their home"));
  CHECK(shoal(folder, trio.address(), {"shard", "ls", "-q"}) == 0);
  CHECK(folder.read("stdout") == "2\n3\n");
  trio.kill(2);
  trio.kill(3);
  CHECK(shoal(folder, trio.address(), {"shard", "ls", "--json"}) == 0);
  const Json all = Json::parse(folder.read("stdout"));
  CHECK(all["shards"].size() == 4);
  CHECK(all["complete"] == true);
  CHECK(all["shards"][0]["stuck"] == true);
  CHECK(all["shards"][0]["owner"] == "n1");
}

TEST_CASE("shard ls: many shards with one trouble are one line, unless all are asked for") {
  Trio trio;
  const Folder folder;
  trio.kill(3);
  CHECK(shoal(folder, trio.address(), {"shard", "ls"}) == 0);
  CHECK(holds(folder.read("stdout"), "4 shards (0, 1, 2, ...): 1 of 3 homes is gone (n3 dead)"));
  CHECK_FALSE(holds(folder.read("stdout"), "TROUBLE"));
  CHECK(holds(folder.read("stderr"), "0 healthy, 4 not. A line for each: --all"));
  CHECK(shoal(folder, trio.address(), {"shard", "ls", "--all"}) == 0);
  CHECK(holds(folder.read("stdout"), "TROUBLE"));
}

TEST_CASE("shard show: the copies stand side by side, and who does not answer is named") {
  Trio trio;
  const Folder folder;
  trio.copies.at({2, 1}).bad = 5;
  trio.copies.at({1, 1}).floor = 1'767'225'600;
  trio.kill(3);
  CHECK(shoal(folder, trio.address(), {"shard", "show", "1"}) == 0);
  const std::string text = folder.read("stdout");
  CHECK(holds(text, "shard 1 of 4   owner n1 (round 2)"));
  CHECK(holds(text, "2026-01-01T00:00:00"));
  CHECK(holds(text, "(2, n1) seq 0"));
  CHECK(holds(text, "n1, n2, n3"));
  CHECK(holds(folder.read("stderr"), "n3 does not answer: dead"));
  CHECK(shoal(folder, trio.address(), {"shard", "show", "1", "--strict"}) == kExitUnreachable);
  CHECK(shoal(folder, trio.address(), {"shard", "show", "1", "--json"}) == 0);
  const Json shown = Json::parse(folder.read("stdout"));
  CHECK(shown["copies"][1]["bad"] == 5);
  CHECK(shown["copies"][0]["floor"] == "2026-01-01T00:00:00.000Z");
  CHECK(shown["copies"][2]["answered"] == false);
  CHECK(shown["missing"] == Json{"n3"});
  CHECK(shoal(folder, trio.address(), {"shard", "show", "99"}) == kExitNotFound);
  CHECK(holds(folder.read("stderr"), "numbered 0 to 3"));
}

TEST_CASE("shard recover: only with a word of agreement, from the survivor, for each shard") {
  Trio trio;
  const Folder folder;
  const Words command{"shard", "recover", "1", "3", "--lost", "n2", "n3"};
  CHECK(shoal(folder, trio.address(), command) == kExitConflict);
  CHECK(holds(folder.read("stderr"), "n2 is alive, not lost"));
  trio.kill(2);
  trio.kill(3);
  CHECK(shoal(folder, trio.address(), command) == kExitUsage);
  CHECK(holds(folder.read("stderr"), "What only the lost copies knew is given up"));
  CHECK(holds(folder.read("stderr"), "shard 3  from n1  7 records"));
  CHECK(trio.told<wire::RecoverShard>().empty());
  Words agreed = command;
  agreed.push_back("--yes");
  CHECK(shoal(folder, trio.address(), agreed) == 0);
  const auto told = trio.told<wire::RecoverShard>();
  REQUIRE(told.size() == 2);
  CHECK(told[0].first == Trio::id(1));
  CHECK(told[0].second.lost == std::vector<NodeId>{Trio::id(2), Trio::id(3)});
  CHECK(holds(folder.read("stdout"), "shard 1 recovered from n1, 7 records"));
  CHECK(holds(folder.read("stderr"), "2 of 2 shards recovered"));
}

TEST_CASE("shard recover: all that are stuck, and a refusal that came after it was done") {
  Trio trio;
  const Folder folder;
  trio.kill(2);
  trio.kill(3);
  // Shard 0 moved to n1 alone: nothing to recover there.
  trio.copies.at({1, 0}).config = {.id = {{5, Trio::id(1)}, 0}, .home = {Trio::id(1)}};
  trio.on_recover = [&](const wire::RecoverShard& recover) -> std::optional<Error> {
    if (recover.shard == ShardId{2}) return Error{ErrorCode::unavailable, "it is under way"};
    if (recover.shard != ShardId{1}) return std::nullopt;
    trio.copies.at({1, 1}).config.home = {Trio::id(1)};
    return Error{ErrorCode::unavailable, "too late"};
  };
  CHECK(shoal(folder, trio.address(),
              {"shard", "recover", "--all-stuck", "--lost", "n2,n3", "--yes", "--json"}) ==
        kExitUnreachable);
  CHECK(trio.told<wire::RecoverShard>().size() == 3);
  const Json done = Json::parse(folder.read("stdout"));
  REQUIRE(done["shards"].size() == 3);
  CHECK(done["shards"][0]["recovered"] == true);  // Shard 1: found to be done.
  CHECK(done["shards"][1]["error"] == "it is under way");
  CHECK(shoal(folder, trio.address(), {"shard", "recover", "--lost", "n2", "--yes"}) == kExitUsage);
  CHECK(shoal(folder, trio.address(), {"shard", "recover", "3", "--lost", "n2", "--yes"}) ==
        kExitConflict);
  CHECK(holds(folder.read("stderr"), "serves again when n3 is back"));
  CHECK(shoal(folder, trio.address(), {"shard"}) == kExitUsage);
}

TEST_CASE("show: local answers say so, recovered tasks are marked, gaps are named") {
  Trio trio;
  const Folder folder;
  trio.job = JobStatus{.id = {77}, .name = "many", .state = JobState::closed, .count = 96};
  trio.job->counts.total = 96;
  wire::TasksReply page{.missing = {shard_of(TaskId{{77}, 32}, kShards)}, .next = 96};
  for (std::uint32_t i = 0; i < 96; ++i) {
    if (shard_of(TaskId{{77}, i}, kShards) == page.missing.front()) continue;
    page.tasks.push_back({.index = i, .state = TaskState::succeeded, .recovered = i == 0});
  }
  trio.tasks = page;
  const std::string id = to_string(JobId{77});
  CHECK(shoal(folder, trio.address(), {"show", "--tasks", id, "--consistency", "local"}) == 0);
  CHECK(trio.local_questions == 2);
  CHECK(holds(folder.read("stderr"), "not confirmed; may be outdated"));
  CHECK(holds(folder.read("stderr"), "1 shard did not answer"));
  CHECK(holds(folder.read("stderr"), "may be missing"));
  CHECK(holds(folder.read("stdout"), "done recovered"));
  CHECK(shoal(folder, trio.address(), {"show", "--tasks", id, "--json", "--strict"}) ==
        kExitUnreachable);
  const Json shown = Json::parse(folder.read("stdout"));
  CHECK(shown["consistency"] == "strong");
  CHECK(shown["complete"] == false);
  CHECK(shown["missing"][0]["shard"] == static_cast<std::uint32_t>(page.missing.front()));
  CHECK(shown["task_list"][0]["recovered"] == true);
  CHECK(shoal(folder, trio.address(), {"show", id + "[32]"}) == kExitUnreachable);
  CHECK(holds(folder.read("stderr"), "which holds task 32"));
}

TEST_CASE("ps: rows are confirmed unless local answers will do") {
  Trio trio;
  const Folder folder;
  trio.job = JobStatus{.id = {77}, .state = JobState::closed, .count = 1};
  CHECK(shoal(folder, trio.address(), {"ps", "--json"}) == 0);
  CHECK(Json::parse(folder.read("stdout"))["consistency"] == "strong");
  CHECK(folder.read("stderr").empty());
  CHECK(shoal(folder, trio.address(), {"ps", "--json", "--consistency", "local"}) == 0);
  CHECK(Json::parse(folder.read("stdout"))["consistency"] == "local");
  CHECK(holds(folder.read("stderr"), "not confirmed"));
}

}  // namespace shoal::cli
