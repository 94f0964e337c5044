// Control groups: where they are made, what escapes, and what is left of them.
#include <dirent.h>
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "exec/control_groups.hpp"
#include "exec/small_file.hpp"
#include "node_side.hpp"

namespace shoal::exec {

using namespace std::chrono_literals;

namespace {

constexpr std::string_view kHybrid =
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

// What this machine allows.
std::string grouping() {
  const ControlGroups groups(make_supervisor_id());
  return groups.description();
}

// The folders of supervisors that are there.
std::set<std::string> folders_of(const NodeSide& node) {
  std::set<std::string> found;
  const auto folder = SupervisorFolder::open(node.folder);
  REQUIRE(folder);
  for (const std::string& id : folder->ids()) {
    const auto facts = folder->facts(id);
    if (!facts) continue;
    for (const std::string& path : facts->groups) {
      if (std::filesystem::exists(path)) found.insert(path);
    }
  }
  return found;
}

// A process that has left session, environment and parents behind. Prints its pid. `before` ends
// first.
std::string escapee(const std::string& before = "") {
  return before + "env -i setsid sh -c 'env -i setsid sleep 60 & echo $!' & wait; ";
}

}  // namespace

TEST_CASE("groups: the own folder is found below its mount, whatever part of the tree is mounted") {
  const auto v2 = own_group_folder(kHybrid, "4:memory:/a/b\n0::/user.slice/x\n", "");
  CHECK(v2 == "/sys/fs/cgroup/unified/user.slice/x");
  CHECK(own_group_folder(kHybrid, "4:memory:/a/b\n0::/\n", "memory") ==
        "/sys/fs/cgroup/memory/a/b");
  CHECK(own_group_folder(kHybrid, "0::/\n", "") == "/sys/fs/cgroup/unified");
  CHECK(own_group_folder(kHybrid, "3:cpu,cpuacct:/c\n", "cpuacct") ==
        "/sys/fs/cgroup/cpu,cpuacct/c");
  // A container that sees its own group as the mount's root, by its path on the host.
  const std::string container =
      "9 8 0:27 /docker/cafe /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n";
  CHECK(own_group_folder(container, "0::/docker/cafe\n", "") == "/sys/fs/cgroup");
  CHECK(own_group_folder(container, "0::/docker/cafe/below\n", "") == "/sys/fs/cgroup/below");
  CHECK_FALSE(own_group_folder(container, "0::/docker/cafeteria\n", ""));
}

TEST_CASE("groups: a hierarchy that is not mounted, or garbage, is none") {
  CHECK_FALSE(own_group_folder(kHybrid, "5:freezer:/\n", "freezer"));
  CHECK_FALSE(own_group_folder(kHybrid, "0::/\n", "memory"));
  CHECK_FALSE(own_group_folder("", "0::/\n", ""));
  CHECK_FALSE(own_group_folder("- - -\n1 2 3 - \n", "::\n:\n\n0:", ""));
}

TEST_CASE("groups: escapees end with their task, beside another task that runs on") {
  NodeSide node;
  const AttemptId other = node.launch({.argv = {"sleep", "60"}});
  const auto ended = node.shell(escapee() + "sleep 0.1");
  CHECK(ended.result.good());
  const pid_t escaped = std::stoi(ended.tails[0]);
  if (grouping().starts_with("cgroup")) {
    CHECK_FALSE(runs(escaped));
  } else {
    // The stated residue: it ends when no other task of its supervisor runs.
    node.executor->kill({.attempt = other});
    CHECK(node.run_until([&] { return node.ended.contains(other); }));
    CHECK_FALSE(runs(escaped));
  }
}

TEST_CASE("groups: daemons in many generations end with their task") {
  NodeSide node;
  const auto ended = node.shell(
      "for i in 1 2 3 4 5; do setsid sh -c '(setsid sh -c \"(setsid sleep 60 & echo \\$!)\" &)' ; "
      "done; sleep 0.3");
  CHECK(ended.result.good());
  std::istringstream lines(ended.tails[0]);
  std::size_t count = 0;
  for (pid_t pid = 0; lines >> pid; ++count) CHECK_FALSE(runs(pid));
  CHECK(count == 5);
}

TEST_CASE("groups: what keeps forking is killed to the last") {
  NodeSide node;
  const AttemptId id = node.launch(
      {.argv = {"sh", "-c", "echo up; f() { while :; do (setsid sleep 0.05 &); done; }; f & f & f"},
       .working_folder = node.folder});
  REQUIRE(
      node.run_until([&] { return !node.executor->read_output({.attempt = id}).bytes.empty(); }));
  node.run_for(200ms);
  node.executor->kill({.attempt = id});
  REQUIRE(node.run_until([&] { return node.ended.contains(id); }, 5s));
  CHECK(node.ended.at(id).result.reason == EndReason::cancelled);
  CHECK(node.shell("echo after").tails[0] == "after\n");
}

TEST_CASE("groups: a group is used again after a good end, and tasks start well after a kill") {
  NodeSide node;
  const std::string where = "cat /proc/self/cgroup";
  const std::string first = node.shell(where).tails[0];
  CHECK(node.shell(where).tails[0] == first);
  for (int i = 0; i < 3; ++i) {
    const AttemptId id = node.launch({.argv = {"sleep", "60"}});
    node.run_for(50ms);
    node.executor->kill({.attempt = id});
    REQUIRE(node.run_until([&] { return node.ended.contains(id); }));
    CHECK(node.shell("echo fine").result.good());
  }
  // By its own hand, too.
  const auto suicide = node.shell(
      "group=$(sed -n 's/^0:://p' /proc/self/cgroup); "
      "for root in /sys/fs/cgroup /sys/fs/cgroup/unified; do "
      "test -e $root$group/cgroup.kill && echo 1 > $root$group/cgroup.kill; done; sleep 0.1");
  CHECK((suicide.result.signal == SIGKILL) == grouping().starts_with("cgroup v2"));
  for (int i = 0; i < 3; ++i) CHECK(node.shell("echo fine").result.good());
}

TEST_CASE("groups: nothing is left of them when the supervisor has ended, or was killed") {
  std::set<std::string> folders;
  {
    NodeSide node;
    CHECK(node.shell("sleep 0.01").result.good());
    folders = folders_of(node);
  }
  for (const std::string& path : folders) CHECK_FALSE(std::filesystem::exists(path));

  NodeSide node;
  node.launch({.argv = {"sh", "-c", "setsid sleep 60 & sleep 60"}});
  CHECK(node.shell("sleep 0.01").result.good());
  folders = folders_of(node);
  kill(node.supervisor_pids.front(), SIGKILL);
  REQUIRE(node.run_until([&] { return node.ended.size() == 2; }));
  for (const std::string& path : folders) CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("groups: folders that a crash left without any listing are removed by the next one") {
  const std::string mounts = read_small_file("/proc/self/mountinfo");
  const auto own = own_group_folder(mounts, read_small_file("/proc/self/cgroup"), "");
  if (!grouping().starts_with("cgroup v2")) return;  // The folder is another then.
  REQUIRE(own);
  const std::string left = *own + "/shoal-" + make_supervisor_id();
  REQUIRE(std::filesystem::create_directories(left + "/t1"));
  // One in use is not touched: a process is in it.
  const std::string used = *own + "/shoal-" + make_supervisor_id();
  REQUIRE(std::filesystem::create_directories(used + "/self"));
  const pid_t user = fork();
  if (user == 0) {
    write_file(used + "/self/cgroup.procs", "0");
    execlp("sleep", "sleep", "60", nullptr);
    _exit(1);
  }
  REQUIRE(eventually([&] { return !read_whole(used + "/self/cgroup.procs").empty(); }));
  {
    NodeSide node;
    CHECK(node.shell("true").result.good());
  }
  CHECK_FALSE(std::filesystem::exists(left));
  CHECK(std::filesystem::exists(used + "/self"));
  kill(user, SIGKILL);
  waitpid(user, nullptr, 0);
  CHECK(remove_group_at(used));
}

TEST_CASE(
    "groups: a task that needs more than its memory is ended and told so, where it is limited") {
  NodeSide node;
  const TaskSpec greedy{
      .argv = {"sh", "-c", "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo ${#x}"},
      .memory_bytes = 64 << 20};
  const auto ended = node.run(greedy);
  if (grouping().find("limited by") == std::string::npos) {
    CHECK(ended.result.good());
    return;
  }
  CHECK(ended.result.reason == EndReason::signalled);
  CHECK(ended.result.signal == SIGKILL);
  CHECK(ended.result.message.find("memory") != std::string::npos);
  TaskSpec modest = greedy;
  modest.argv = {"sh", "-c", "head -c 1000 /dev/zero | wc -c"};
  const auto good = node.run(modest);
  CHECK(good.tails[0] == "1000\n");
  CHECK(good.result.message.empty());
}

}  // namespace shoal::exec
