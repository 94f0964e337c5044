// Attempts end with their leases, whoever is frozen.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "exec/lease_guard.hpp"
#include "node_side.hpp"

namespace shoal::exec {

using namespace std::chrono_literals;

namespace {

// The machine of a test is busy; a lease's margins are 11 % of five seconds.
constexpr auto kLate = 500ms;

// A shell and a child that has left its session; both pids are its first two lines.
const std::vector<std::string> kTree{"sh", "-c",
                                     "echo $$; setsid sh -c 'echo $$; exec sleep 60' & sleep 60"};

bool in_group(pid_t pid) {
  return read_whole("/proc/" + std::to_string(pid) + "/cgroup").find("/shoal-") !=
         std::string::npos;
}

std::vector<pid_t> await_pids(NodeSide& node, const AttemptId& id) {
  std::string text;
  REQUIRE(node.run_until([&] {
    text = node.executor->read_output({.attempt = id}).bytes;
    return std::ranges::count(text, '\n') == 2;
  }));
  return {std::stoi(text), std::stoi(text.substr(text.find('\n') + 1))};
}

}  // namespace

TEST_CASE("lease: at its end the whole tree is killed, and given back rather than failed") {
  NodeSide node;
  const TimePoint lease_end = boot_now() + 600ms;
  const AttemptId id = node.launch({.argv = kTree}, lease_end);
  const auto pids = await_pids(node, id);
  REQUIRE(node.run_until([&] { return node.ended.contains(id); }, 3s));
  CHECK(boot_now() >= lease_end);
  CHECK(boot_now() < lease_end + kLate);
  for (const pid_t pid : pids) CHECK_FALSE(runs(pid));
  CHECK(node.ended.at(id).result.reason == EndReason::node_stopped);
  CHECK(node.ended.at(id).result.message.find("lease") != std::string::npos);
  // What comes after it is not hit by the same kill.
  for (int i = 0; i < 3; ++i) CHECK(node.shell("echo fine").tails[0] == "fine\n");
}

TEST_CASE("lease: it is enforced while the node does not turn, by the moment it ends") {
  NodeSide node;
  const TimePoint lease_end = boot_now() + 800ms;
  const AttemptId id = node.launch({.argv = kTree}, lease_end);
  const auto pids = await_pids(node, id);
  const auto gone = [&] { return std::ranges::none_of(pids, runs); };
  // Nobody turns the node's loop: the same to a supervisor as a node that is stopped by a signal.
  REQUIRE(eventually(gone, 3s));
  CHECK(boot_now() >= lease_end);
  CHECK(boot_now() < lease_end + kLate);
}

TEST_CASE("lease: extensions move it on, never back") {
  NodeSide node;
  const AttemptId id = node.launch({.argv = kTree}, boot_now() + 500ms);
  await_pids(node, id);
  for (int i = 0; i < 8; ++i) {
    node.executor->extend({.attempt = id, .lease_end = boot_now() + 500ms});
    node.executor->extend({.attempt = id, .lease_end = boot_now() + 10ms});
    node.run_for(150ms);
    REQUIRE_FALSE(node.ended.contains(id));
  }
  REQUIRE(node.run_until([&] { return node.ended.contains(id); }, 2s));
  CHECK(node.ended.at(id).result.reason == EndReason::node_stopped);
}

TEST_CASE("lease: one that is over before the start starts nothing") {
  NodeSide node;
  const AttemptId id = node.launch({.argv = {"touch", node.folder + "/touched"}}, boot_now() - 1ms);
  REQUIRE(node.run_until([&] { return node.ended.contains(id); }));
  CHECK(node.ended.at(id).result.reason == EndReason::node_stopped);
  CHECK_FALSE(std::filesystem::exists(node.folder + "/touched"));
}

TEST_CASE("lease: a task that was stopped by a signal is killed as well") {
  NodeSide node;
  const AttemptId id = node.launch({.argv = kTree}, boot_now() + 500ms);
  const auto pids = await_pids(node, id);
  for (const pid_t pid : pids) kill(pid, SIGSTOP);
  REQUIRE(node.run_until([&] { return node.ended.contains(id); }, 3s));
  for (const pid_t pid : pids) CHECK_FALSE(runs(pid));
}

TEST_CASE("lease: a kill with grace does not outlast it") {
  NodeSide node;
  const AttemptId id =
      node.launch({.argv = {"sh", "-c", "trap '' TERM; echo up; while :; do sleep 9; done"}},
                  boot_now() + 600ms);
  REQUIRE(
      node.run_until([&] { return !node.executor->read_output({.attempt = id}).bytes.empty(); }));
  node.executor->kill({.attempt = id, .reason = EndReason::cancelled, .grace = 30s});
  REQUIRE(node.run_until([&] { return node.ended.contains(id); }, 3s));
  CHECK(node.ended.at(id).result.reason == EndReason::cancelled);
}

TEST_CASE("lease: without a node they end all the same, and the next process hears of it") {
  NodeSide node;
  const TimePoint lease_end = boot_now() + 700ms;
  const AttemptId id = node.launch({.argv = kTree}, lease_end);
  const auto pids = await_pids(node, id);
  node.crash();
  REQUIRE(eventually([&] { return std::ranges::none_of(pids, runs); }, 3s));
  CHECK(boot_now() < lease_end + kLate);
  node.begin();
  REQUIRE(node.run_until([&] { return node.recovery_complete; }));
  CHECK(node.recovered.empty());
  REQUIRE(node.ended.contains(id));
  CHECK(node.ended.at(id).result.reason == EndReason::node_stopped);
}

TEST_CASE("lease: a supervisor held up by a disk does not hold up the ends of leases") {
  NodeSide node;
  const TimePoint lease_end = boot_now() + 900ms;
  const AttemptId id = node.launch({.argv = kTree}, lease_end);
  const auto pids = await_pids(node, id);
  const bool grouped = in_group(pids.front());
  // An output file that cannot be opened until somebody reads from it, like a disk that does not
  // answer: the supervisor waits inside the kernel.
  const AttemptId loud = NodeSide::attempt(node.next_index);
  const std::string output = node.executor->output_files().file(loud, task::Stream::out);
  REQUIRE(mkfifo(output.c_str(), 0600) == 0);
  node.launch({.argv = {"echo", "loud"}});
  node.run_for(200ms);
  CHECK_FALSE(node.ended.contains(loud));
  REQUIRE(eventually([&] { return !runs(pids.front()); }, 3s));
  CHECK(boot_now() >= lease_end);
  // A control group is killed as a whole; without one, only what is in the process group.
  CHECK((!grouped || eventually([&] { return !runs(pids.back()); }, 100ms)));
  CHECK(boot_now() < lease_end + kLate);
  const int reader = open(output.c_str(), O_RDONLY | O_NONBLOCK);
  REQUIRE(node.run_until([&] { return node.ended.size() == 2; }));
  close(reader);
  CHECK(node.ended.at(id).result.reason == EndReason::node_stopped);
  for (const pid_t pid : pids) CHECK_FALSE(runs(pid));
}

TEST_CASE("lease: the guard kills who is due, in time, and nobody else") {
  const auto sleeper = [] {
    const pid_t pid = fork();
    if (pid == 0) {
      setsid();
      execlp("sleep", "sleep", "60", nullptr);
      _exit(1);
    }
    return pid;
  };
  const pid_t due = sleeper();
  const pid_t later = sleeper();
  const pid_t removed = sleeper();
  LeaseGuard guard;
  guard.add(later, -1, boot_now() + 60s);
  guard.add(due, -1, boot_now() + 200ms);
  guard.add(removed, -1, boot_now() + 100ms);
  CHECK_FALSE(guard.remove(removed));
  CHECK(eventually([&] { return !runs(due); }, 2s));
  CHECK(guard.remove(due));
  CHECK(runs(later));
  CHECK(runs(removed));
  CHECK_FALSE(guard.remove(later));
  for (const pid_t pid : {due, later, removed}) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
}

}  // namespace shoal::exec
