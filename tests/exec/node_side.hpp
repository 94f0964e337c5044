// A node's side for tests: executors on a loop of their own, one after the other, in a data folder
// that is removed at the end.
#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "exec/clock.hpp"
#include "exec/executor.hpp"
#include "exec/supervisor.hpp"
#include "exec/tree_sweep.hpp"

namespace shoal::exec {

class NodeSide {
 public:
  explicit NodeSide(std::size_t supervisors = 1, std::chrono::milliseconds linger = kLinger) {
    std::string pattern = "/tmp/shoal-exec-XXXXXX";
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    folder = pattern;
    config = {.node = {.high = 1, .low = 2},
              .supervisors = {.data_folder = folder,
                              .program = SHOAL_SUPERVISOR_PROGRAM,
                              .count = supervisors,
                              .linger = linger}};
    begin();
  }
  ~NodeSide() {
    executor.reset();
    CHECK(end_supervisors(folder, std::chrono::seconds(5)));
    std::filesystem::remove_all(folder);
  }

  // A process of the node begins.
  void begin() {
    auto started = spawn_supervisors(config.supervisors);
    REQUIRE(started);
    supervisor_pids.clear();
    for (const StartedSupervisor& each : *started) supervisor_pids.push_back(each.pid);
    executor = std::make_unique<Executor>(
        io, config,
        Executor::Events{.on_ended =
                             [this](task::ProcessEnded report) {
                               if (on_ended) on_ended(report);
                               ended.emplace(report.attempt, std::move(report));
                             },
                         .on_recovered =
                             [this](std::vector<task::RecoveredAttempt> attempts) {
                               CHECK_FALSE(recovery_complete);
                               for (auto& each : attempts) recovered.emplace(each.attempt, each);
                             },
                         .on_recovery_complete =
                             [this] {
                               CHECK_FALSE(recovery_complete);
                               recovery_complete = true;
                             }});
    REQUIRE(executor->start(std::move(*started)));
  }
  // It dies as by kill -9: not a word more is said. What it knew is forgotten.
  void crash() {
    executor.reset();
    ended.clear();
    recovered.clear();
    recovery_complete = false;
  }
  void crash_and_recover() {
    crash();
    begin();
    REQUIRE(run_until([this] { return recovery_complete; }));
  }

  static AttemptId attempt(std::uint32_t index) {
    return {.task = {.job = {0x1234}, .index = index}, .number = 1};
  }

  AttemptId launch(TaskSpec spec, TimePoint lease_end = kNever) {
    const AttemptId id = attempt(next_index++);
    executor->launch(
        {.attempt = id, .spec = std::move(spec), .shard = ShardId{7}, .lease_end = lease_end});
    return id;
  }

  // Turns the loop until `done` holds; false when it does not within `limit`.
  bool run_until(const std::function<bool()>& done,
                 std::chrono::milliseconds limit = std::chrono::seconds(10)) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (!done()) {
      if (std::chrono::steady_clock::now() >= deadline) return false;
      io.restart();
      io.run_one_for(std::chrono::milliseconds(5));
    }
    return true;
  }
  void run_for(std::chrono::milliseconds time) {
    run_until([] { return false; }, time);
  }

  // Launches one task and waits for its end.
  task::ProcessEnded run(TaskSpec spec) {
    const AttemptId id = launch(std::move(spec));
    REQUIRE(run_until([&] { return ended.contains(id); }));
    return ended.at(id);
  }
  task::ProcessEnded shell(const std::string& script) {
    return run({.argv = {"sh", "-c", script}});
  }

  std::vector<std::string> listed() const {
    const auto supervisors = SupervisorFolder::open(folder);
    REQUIRE(supervisors);
    return supervisors->ids();
  }

  asio::io_context io;
  std::string folder;
  ExecutorConfig config;
  std::vector<pid_t> supervisor_pids;  // Of the newest process.
  std::unique_ptr<Executor> executor;
  std::function<void(const task::ProcessEnded&)> on_ended;
  std::map<AttemptId, task::ProcessEnded> ended;
  std::map<AttemptId, task::RecoveredAttempt> recovered;
  bool recovery_complete = false;
  std::uint32_t next_index = 0;
};

inline void write_file(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}
inline std::string read_whole(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Whether a process runs: a dead one that nobody waited for does not.
inline bool runs(pid_t pid) {
  const std::string text = read_whole("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t name_end = text.rfind(')');
  return name_end != std::string::npos && text.at(name_end + 2) != 'Z';
}

// Waits, without turning any loop.
inline bool eventually(const std::function<bool()>& done,
                       std::chrono::milliseconds limit = std::chrono::seconds(10)) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    usleep(2'000);
  }
  return true;
}

}  // namespace shoal::exec
