// Whole process trees: timeouts, kills, and the death of either side.
#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include "node_side.hpp"

namespace shoal::exec {

using namespace std::chrono_literals;

namespace {

// A tree of three: the shell, a child in its group, and a grandchild in a session of its own. Each
// writes its pid into the working folder.
TaskSpec tree(const NodeSide& node, std::chrono::milliseconds timeout = 0ms) {
  return {.argv = {"sh", "-c",
                   "echo $$ > a.tmp; sleep 60 & echo $! > b.tmp; "
                   "setsid sh -c 'echo $$ > c.tmp; mv c.tmp c; exec sleep 60' & "
                   "mv a.tmp a; mv b.tmp b; wait"},
          .working_folder = node.folder,
          .timeout = timeout};
}

std::vector<pid_t> await_tree(NodeSide& node) {
  std::vector<pid_t> pids;
  for (const char* name : {"/a", "/b", "/c"}) {
    const std::string path = node.folder + name;
    REQUIRE(node.run_until([&] { return std::filesystem::exists(path); }));
    pids.push_back(std::stoi(read_whole(path)));
  }
  return pids;
}

}  // namespace

TEST_CASE("tree: a timeout ends every process, one in another session included") {
  NodeSide node;
  const AttemptId id = node.launch(tree(node, 300ms));
  const auto pids = await_tree(node);
  REQUIRE(node.run_until([&] { return node.ended.contains(id); }));
  for (const pid_t pid : pids) CHECK_FALSE(runs(pid));
  CHECK(node.ended.at(id).result.reason == EndReason::timed_out);
  CHECK(node.ended.at(id).result.exit_status == 143);  // SIGTERM was enough.
}

TEST_CASE("tree: what ignores SIGTERM is killed after the grace") {
  NodeSide node;
  const AttemptId id =
      node.launch({.argv = {"sh", "-c", "trap '' TERM; echo up; while :; do sleep 9; done"}});
  REQUIRE(
      node.run_until([&] { return !node.executor->read_output({.attempt = id}).bytes.empty(); }));
  const auto before = std::chrono::steady_clock::now();
  node.executor->kill({.attempt = id, .reason = EndReason::cancelled, .grace = 200ms});
  REQUIRE(node.run_until([&] { return node.ended.contains(id); }));
  CHECK(std::chrono::steady_clock::now() - before >= 200ms);
  CHECK(node.ended.at(id).result.reason == EndReason::cancelled);
  CHECK(node.ended.at(id).result.signal == SIGKILL);
}

TEST_CASE("tree: a kill without grace ends the tree at once, with the reason it was given") {
  NodeSide node;
  const AttemptId id = node.launch(tree(node));
  const auto pids = await_tree(node);
  node.executor->kill({.attempt = NodeSide::attempt(99)});  // Unknown: ignored.
  node.executor->kill({.attempt = id, .reason = EndReason::node_stopped});
  REQUIRE(node.run_until([&] { return node.ended.contains(id); }, 1s));
  for (const pid_t pid : pids) CHECK_FALSE(runs(pid));
  CHECK(node.ended.at(id).result.reason == EndReason::node_stopped);
  CHECK(node.ended.at(id).result.exit_status == 137);
}

TEST_CASE("tree: a task may tidy up on SIGTERM, and keeps the status it exits with") {
  NodeSide node;
  const AttemptId id = node.launch(
      {.argv = {"sh", "-c",
                "trap 'echo tidy; exit 3' TERM; echo up; while :; do sleep 0.05; done"}});
  REQUIRE(
      node.run_until([&] { return !node.executor->read_output({.attempt = id}).bytes.empty(); }));
  node.executor->kill({.attempt = id, .reason = EndReason::cancelled, .grace = 5s});
  REQUIRE(node.run_until([&] { return node.ended.contains(id); }));
  CHECK(node.ended.at(id).tails[0] == "up\ntidy\n");
  CHECK(node.ended.at(id).result.exit_status == 3);
  CHECK(node.ended.at(id).result.reason == EndReason::cancelled);
}

TEST_CASE("tree: what a task leaves in the background ends with it, also beside another task") {
  NodeSide node;
  const AttemptId other = node.launch({.argv = {"sh", "-c", "(setsid sleep 61 &); sleep 60"}});
  node.run_for(100ms);
  const auto ended = node.shell("setsid sleep 60 & echo $!; sleep 60 & echo $!; sleep 0.1");
  CHECK(ended.result.good());
  const std::size_t line = ended.tails[0].find('\n');
  CHECK_FALSE(runs(std::stoi(ended.tails[0])));
  CHECK_FALSE(runs(std::stoi(ended.tails[0].substr(line + 1))));
  CHECK_FALSE(node.ended.contains(other));
  CHECK(node.executor->running() == 1);
}

TEST_CASE(
    "tree: a process without session, environment and parent is found when no other task runs") {
  NodeSide node;
  const auto ended =
      node.shell("setsid env -i sh -c 'env -i setsid sleep 60 & echo $!' & wait; sleep 0.1");
  CHECK(ended.result.good());
  CHECK_FALSE(runs(std::stoi(ended.tails[0])));
}

TEST_CASE("tree: many orphans at the end of a task are all collected") {
  NodeSide node;
  const auto ended =
      node.shell("i=0; while [ $i -lt 60 ]; do setsid sleep 60 & i=$((i+1)); done; echo $!");
  CHECK(ended.result.good());
  CHECK_FALSE(runs(std::stoi(ended.tails[0])));
}

TEST_CASE("tree: whoever ends everything leaves nothing behind") {
  std::vector<pid_t> pids;
  NodeSide node;
  node.launch(tree(node));
  pids = await_tree(node);
  pids.push_back(node.supervisor_pids.front());
  node.executor->end_all();
  for (const pid_t pid : pids) CHECK_FALSE(runs(pid));
  CHECK(node.listed().empty());
}

TEST_CASE(
    "tree: a supervisor's death is reported as node_stopped, leaves nothing, and is made good") {
  NodeSide node;
  const AttemptId id = node.launch(tree(node));
  const auto pids = await_tree(node);
  kill(node.supervisor_pids.front(), SIGKILL);
  REQUIRE(node.run_until([&] { return node.ended.contains(id); }, 3s));
  CHECK(node.ended.at(id).result.reason == EndReason::node_stopped);
  CHECK_FALSE(node.ended.at(id).result.message.empty());
  for (const pid_t pid : pids) CHECK_FALSE(runs(pid));
  REQUIRE(node.run_until([&] { return node.executor->supervisors() == 1; }, 3s));
  CHECK(node.shell("echo again").tails[0] == "again\n");
}

TEST_CASE("tree: what is said to a supervisor that has just died does no harm") {
  NodeSide node;
  kill(node.supervisor_pids.front(), SIGKILL);
  usleep(20'000);
  const AttemptId id = node.launch({.argv = {"true"}});  // Its death is not noticed yet.
  node.executor->kill({.attempt = id, .grace = -5ms});
  REQUIRE(node.run_until([&] { return node.ended.contains(id); }, 3s));
  CHECK(node.ended.at(id).result.reason == EndReason::node_stopped);
}

TEST_CASE("tree: without any supervisor a launch is given back, never failed") {
  NodeSide node;
  kill(node.supervisor_pids.front(), SIGKILL);
  REQUIRE(node.run_until([&] { return node.executor->supervisors() == 0; }, 3s));
  CHECK(node.run({.argv = {"true"}}).result.reason == EndReason::node_stopped);
}

}  // namespace shoal::exec
