// Supervisors that outlive their node: its next process finds what runs and what has ended.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "node_side.hpp"

namespace shoal::exec {

using namespace std::chrono_literals;

namespace {

// Begins, waits for `release` in the data folder, and ends.
TaskSpec patient(const NodeSide& node, const std::string& more = "echo end") {
  return {.argv = {"sh", "-c", "echo begun; while ! test -e release; do sleep 0.02; done; " + more},
          .working_folder = node.folder,
          .cpu_millis = 250,
          .memory_bytes = 0};
}

bool has_begun(NodeSide& node, const AttemptId& id) {
  return node.run_until(
      [&] { return node.executor->read_output({.attempt = id}).bytes.starts_with("begun\n"); });
}

void release(const NodeSide& node) { write_file(node.folder + "/release", ""); }

}  // namespace

TEST_CASE("recovery: without former supervisors it is complete at once, and nothing is reported") {
  NodeSide node;
  REQUIRE(node.run_until([&] { return node.recovery_complete; }, 1s));
  CHECK(node.recovered.empty());
  CHECK(node.executor->former() == 0);
}

TEST_CASE("recovery: a task runs through the death of its node and ends at the next process") {
  NodeSide node;
  const TimePoint lease_end = boot_now() + 60s;
  const AttemptId id = node.launch(patient(node), lease_end);
  REQUIRE(has_begun(node, id));
  const pid_t supervisor = node.supervisor_pids.front();
  node.crash();
  usleep(50'000);
  CHECK(runs(supervisor));
  node.begin();
  REQUIRE(node.run_until([&] { return node.recovery_complete; }));
  REQUIRE(node.recovered.contains(id));
  const task::RecoveredAttempt& found = node.recovered.at(id);
  CHECK(found.shard == ShardId{7});
  CHECK(found.cpu_millis == 250);
  CHECK(found.lease_end == lease_end);
  CHECK(found.started <= wall_now());
  CHECK(node.executor->running() == 1);
  // Its output goes on, and is read as if nothing had happened.
  CHECK(node.executor->read_output({.attempt = id}).bytes == "begun\n");
  CHECK_FALSE(node.executor->read_output({.attempt = id, .offset = 6}).ended);
  release(node);
  REQUIRE(node.run_until([&] { return node.ended.contains(id); }));
  CHECK(node.ended.at(id).result.good());
  CHECK(node.ended.at(id).tails[0] == "begun\nend\n");
  CHECK(node.executor->read_output({.attempt = id, .offset = 6}).bytes == "end\n");
  CHECK(node.executor->read_output({.attempt = id, .offset = 6}).ended);
}

TEST_CASE("recovery: what ended while nobody listened is told, until it is settled") {
  NodeSide node;
  const AttemptId good = node.launch(patient(node));
  const AttemptId bad = node.launch(patient(node, "exit 3"));
  REQUIRE(has_begun(node, good));
  REQUIRE(has_begun(node, bad));
  node.crash();
  release(node);
  usleep(300'000);
  node.begin();
  REQUIRE(node.run_until([&] { return node.recovery_complete; }));
  CHECK(node.recovered.empty());
  REQUIRE(node.ended.size() == 2);
  CHECK(node.ended.at(good).tails[0] == "begun\nend\n");
  CHECK(node.ended.at(bad).result.exit_status == 3);
  node.executor->settled(good);
  REQUIRE(node.run_until([&] { return node.executor->idle(); }));
  node.crash_and_recover();
  CHECK_FALSE(node.ended.contains(good));
  REQUIRE(node.ended.contains(bad));
  // Silent streams of an attempt that this process never launched are known to be empty.
  CHECK(node.executor->read_output({.attempt = bad, .stream = task::Stream::err}).known);
  CHECK(node.executor->former() == 1);
  node.executor->settled(bad);
  // Nothing is left for it to do.
  REQUIRE(node.run_until([&] { return node.listed().size() == 1; }));
  CHECK(node.executor->former() == 0);
}

TEST_CASE("recovery: many attempts on several supervisors, some over, survive three crashes") {
  NodeSide node(2);
  std::vector<AttemptId> patient_ones;
  std::vector<AttemptId> short_ones;
  for (int i = 0; i < 20; ++i) {
    patient_ones.push_back(node.launch(patient(node)));
    short_ones.push_back(node.launch({.argv = {"sh", "-c", "exit " + std::to_string(i)}}));
  }
  for (const AttemptId& id : patient_ones) REQUIRE(has_begun(node, id));
  REQUIRE(node.run_until([&] { return node.ended.size() == short_ones.size(); }));
  for (int crash = 0; crash < 3; ++crash) {
    node.crash_and_recover();
    CHECK(node.recovered.size() == 20);
    REQUIRE(node.ended.size() == 20);
    for (std::size_t i = 0; i < short_ones.size(); ++i) {
      CHECK(node.ended.at(short_ones[i]).result.exit_status == static_cast<int>(i));
    }
    // Of the former ones only those with something to tell remain.
    CHECK(node.run_until([&] { return node.listed().size() == 4; }));
  }
  release(node);
  REQUIRE(node.run_until([&] { return node.ended.size() == 40; }));
  for (const auto& [id, report] : node.ended) node.executor->settled(id);
  CHECK(node.run_until([&] { return node.listed().size() == 2; }));
}

TEST_CASE("recovery: a recovered attempt is killed, extended and takes no launches with it") {
  NodeSide node;
  const AttemptId id = node.launch(patient(node), boot_now() + 1500ms);
  REQUIRE(has_begun(node, id));
  node.crash_and_recover();
  node.executor->extend({.attempt = id, .lease_end = boot_now() + 60s});
  // New work goes to the new supervisor.
  const auto fresh = node.run({.argv = {"sh", "-c", "echo $SHOAL_SUPERVISOR"}});
  CHECK(node.executor->former() == 1);
  node.run_for(1700ms);
  CHECK_FALSE(node.ended.contains(id));
  node.executor->kill({.attempt = id, .reason = EndReason::cancelled});
  REQUIRE(node.run_until([&] { return node.ended.contains(id); }));
  CHECK(node.ended.at(id).result.reason == EndReason::cancelled);
  CHECK(fresh.tails[0].size() == 17);
}

TEST_CASE("recovery: a supervisor that died with its node is gone with its whole tree") {
  NodeSide node;
  const AttemptId id = node.launch(
      {.argv = {"sh", "-c",
                "setsid sh -c 'echo $$; exec sleep 60' & (setsid sleep 60 & echo $!); wait"},
       .working_folder = node.folder});
  REQUIRE(node.run_until([&] {
    return std::ranges::count(node.executor->read_output({.attempt = id}).bytes, '\n') == 2;
  }));
  const std::string output = node.executor->read_output({.attempt = id}).bytes;
  const pid_t first = std::stoi(output);
  const pid_t second = std::stoi(output.substr(output.find('\n') + 1));
  CHECK(runs(first));
  kill(node.supervisor_pids.front(), SIGKILL);
  node.crash_and_recover();
  CHECK(node.recovered.empty());
  CHECK(node.ended.empty());
  CHECK_FALSE(runs(first));
  CHECK_FALSE(runs(second));
  CHECK(node.listed().size() == 1);
}

TEST_CASE("recovery: one that hangs delays it for a while, and is killed with its tree") {
  NodeSide node;
  node.config.answer_max = 500ms;
  const AttemptId id = node.launch({.argv = {"sh", "-c", "echo $$; exec sleep 60"}});
  REQUIRE(node.run_until(
      [&] { return node.executor->read_output({.attempt = id}).bytes.ends_with("\n"); }));
  const pid_t child = std::stoi(node.executor->read_output({.attempt = id}).bytes);
  const pid_t supervisor = node.supervisor_pids.front();
  kill(supervisor, SIGSTOP);
  node.crash();
  node.begin();
  CHECK_FALSE(node.run_until([&] { return node.recovery_complete; }, 300ms));
  // Meanwhile the node works.
  CHECK(node.shell("echo works").tails[0] == "works\n");
  REQUIRE(node.run_until([&] { return node.recovery_complete; }, 3s));
  CHECK_FALSE(runs(supervisor));
  CHECK_FALSE(runs(child));
  CHECK(node.recovered.empty());
}

TEST_CASE("recovery: a supervisor that hangs beside a living node is replaced") {
  NodeSide node;
  node.crash();
  node.config.answer_max = 500ms;
  node.begin();
  const AttemptId id = node.launch({.argv = {"sleep", "60"}});
  node.run_for(100ms);
  kill(node.supervisor_pids.front(), SIGSTOP);
  REQUIRE(node.run_until([&] { return node.ended.contains(id); }, 3s));
  CHECK(node.ended.at(id).result.reason == EndReason::node_stopped);
  REQUIRE(node.run_until([&] { return node.executor->supervisors() == 1; }, 3s));
  CHECK(node.shell("echo again").tails[0] == "again\n");
}

TEST_CASE("recovery: a node that was frozen for long does not take its supervisors for hung") {
  NodeSide node;
  node.crash();
  node.config.answer_max = 250ms;
  node.begin();
  const AttemptId id = node.launch(patient(node));
  REQUIRE(has_begun(node, id));
  usleep(1'500'000);  // Its loop does not turn.
  node.run_for(300ms);
  CHECK_FALSE(node.ended.contains(id));
  CHECK(node.executor->supervisors() == 1);
}

TEST_CASE("recovery: a pid on file that another program has by now is left alone") {
  NodeSide node;
  const pid_t bystander = fork();
  if (bystander == 0) {
    execlp("sleep", "sleep", "60", nullptr);
    _exit(1);
  }
  const pid_t supervisor = node.supervisor_pids.front();
  const auto folder = SupervisorFolder::open(node.folder);
  REQUIRE(folder);
  REQUIRE(node.run_until([&] { return folder->facts(node.listed().front()).has_value(); }));
  const std::string id = node.listed().front();
  SupervisorFacts facts = *folder->facts(id);
  CHECK(facts.pid == supervisor);
  facts.pid = bystander;
  facts.groups.emplace_back("/sys/fs/cgroup");  // Nor is a group of another name touched.
  kill(supervisor, SIGKILL);
  waitpid(supervisor, nullptr, 0);
  node.crash();
  REQUIRE(folder->write_facts(id, facts));
  node.begin();
  REQUIRE(node.run_until([&] { return node.recovery_complete; }));
  CHECK(runs(bystander));
  kill(bystander, SIGKILL);
  waitpid(bystander, nullptr, 0);
  CHECK(node.listed() != std::vector{id});
}

TEST_CASE("recovery: a socket whose supervisor never came to life is cleared away") {
  NodeSide node;
  const auto folder = SupervisorFolder::open(node.folder);
  REQUIRE(folder);
  const std::string id = make_supervisor_id();
  const auto socket = folder->listen(id);
  REQUIRE(socket);
  close(*socket);  // As when the node dies before it can start the process.
  node.crash_and_recover();
  CHECK_FALSE(folder->listed(id));
}

TEST_CASE("recovery: a supervisor of another build is heard, drained and succeeded") {
  setenv("SHOAL_TEST_BUILD", "old build", 1);
  NodeSide node;
  unsetenv("SHOAL_TEST_BUILD");
  const AttemptId id = node.launch(patient(node));
  REQUIRE(has_begun(node, id));
  const auto folder = SupervisorFolder::open(node.folder);
  REQUIRE(folder);
  const std::string old = node.listed().front();
  CHECK(folder->facts(old)->build == "old build");
  node.crash_and_recover();
  CHECK(node.recovered.contains(id));
  CHECK(node.executor->former() == 1);
  CHECK(node.shell("echo $SHOAL_SUPERVISOR").tails[0] != old + "\n");
  release(node);
  REQUIRE(node.run_until([&] { return node.ended.contains(id); }));
  CHECK(folder->listed(old));
  node.executor->settled(id);
  REQUIRE(node.run_until([&] { return !folder->listed(old); }));
}

TEST_CASE(
    "recovery: without a node a supervisor exits a while after its last task, without traces") {
  NodeSide node(1, 300ms);
  const AttemptId id = node.launch(patient(node));
  REQUIRE(has_begun(node, id));
  const pid_t supervisor = node.supervisor_pids.front();
  node.crash();
  usleep(700'000);
  CHECK(runs(supervisor));  // Its task runs.
  release(node);
  CHECK(eventually([&] { return !runs(supervisor); }, 3s));
  CHECK(node.listed().empty());
  node.begin();
  REQUIRE(node.run_until([&] { return node.recovery_complete; }));
}

TEST_CASE(
    "recovery: a node that leaves for a while dismisses the supervisors that have nothing to do") {
  NodeSide node(2);
  const AttemptId id = node.launch(patient(node));
  REQUIRE(has_begun(node, id));
  node.executor->dismiss_idle();
  REQUIRE(node.run_until([&] { return node.executor->idle(); }));
  node.crash();
  CHECK(eventually([&] { return node.listed().size() == 1; }, 3s));
  node.begin();
  REQUIRE(node.run_until([&] { return node.recovery_complete; }));
  CHECK(node.recovered.contains(id));
}

TEST_CASE("recovery: a supervisor whose folder was removed ends its tasks") {
  NodeSide node;
  const AttemptId id = node.launch({.argv = {"sh", "-c", "echo $$; exec sleep 60"}});
  REQUIRE(node.run_until(
      [&] { return node.executor->read_output({.attempt = id}).bytes.ends_with("\n"); }));
  const pid_t child = std::stoi(node.executor->read_output({.attempt = id}).bytes);
  const pid_t supervisor = node.supervisor_pids.front();
  node.crash();
  std::filesystem::remove_all(node.folder);
  CHECK(eventually([&] { return !runs(supervisor) && !runs(child); }, 5s));
}

TEST_CASE("recovery: signals that end a terminal's programs do not end a supervisor") {
  NodeSide node;
  CHECK(node.shell("echo first").result.good());
  for (const int signal : {SIGHUP, SIGINT, SIGTERM, SIGQUIT}) {
    kill(node.supervisor_pids.front(), signal);
  }
  node.run_for(50ms);
  CHECK(getsid(node.supervisor_pids.front()) == node.supervisor_pids.front());
  CHECK(node.shell("echo second").tails[0] == "second\n");
  CHECK(node.executor->supervisors() == 1);
}

}  // namespace shoal::exec
