// A node's side for tests: an executor on a loop of its own, in a data folder that is removed at
// the end.
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
#include <string>
#include <utility>
#include <vector>

#include "exec/executor.hpp"
#include "exec/supervisor.hpp"

namespace shoal::exec {

class NodeSide {
 public:
  explicit NodeSide(std::size_t supervisors = 1) {
    std::string pattern = "/tmp/shoal-exec-XXXXXX";
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    folder = pattern;
    const ExecutorConfig config{.node = {.high = 1, .low = 2},
                                .data_folder = folder,
                                .supervisor_program = SHOAL_SUPERVISOR_PROGRAM};
    auto handles = spawn_supervisors(supervisors, config.supervisor_program);
    REQUIRE(handles);
    for (const SupervisorHandle& handle : *handles) supervisor_pids.push_back(handle.pid);
    executor = std::make_unique<Executor>(io, config, [this](task::ProcessEnded report) {
      if (on_ended) on_ended(report);
      ended.emplace(report.attempt, std::move(report));
    });
    REQUIRE(executor->adopt(std::move(*handles)));
  }
  ~NodeSide() {
    executor.reset();
    std::filesystem::remove_all(folder);
  }

  static AttemptId attempt(std::uint32_t index) {
    return {.task = {.job = {0x1234}, .index = index}, .number = 1};
  }

  AttemptId launch(TaskSpec spec) {
    const AttemptId id = attempt(next_index++);
    executor->launch({.attempt = id, .spec = std::move(spec)});
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

  asio::io_context io;
  std::string folder;
  std::vector<pid_t> supervisor_pids;
  std::unique_ptr<Executor> executor;
  std::function<void(const task::ProcessEnded&)> on_ended;
  std::map<AttemptId, task::ProcessEnded> ended;
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

}  // namespace shoal::exec
