// The simulated processes of one node: how long a command runs and how it ends, told by its argv.
//
//   sleep S        runs S seconds             true, anything else   a seeded duration, exit 0
//   exit N         a seeded duration, exit N  false                 a seeded duration, exit 1
//   flaky N        exit 1 before attempt N    missing               not found, exit 127
//
// A node that crashes takes its processes with it; a host that is suspended freezes them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/random.hpp"
#include "base/time.hpp"
#include "task/process.hpp"

namespace shoal::sim {

struct ProcessOptions {
  Duration duration_mean = std::chrono::milliseconds(100);  // Of commands that do not say.
  Duration kill_delay = std::chrono::milliseconds(2);       // From a kill to the end of the tree.
  // A mutation, for the checkers' own tests: kills are not heard.
  bool deaf = false;
};

// What a host has, or what its processes use.
struct Capacity {
  std::uint64_t cpu_millis = 0;
  std::uint64_t memory_bytes = 0;  // 0: not counted.
};

class Processes {
 public:
  explicit Processes(const ProcessOptions& options) : options_(options) {}

  ProcessOptions& options() { return options_; }

  // When end() is due. A later Ending of the same attempt makes an earlier one void.
  struct Ending {
    AttemptId attempt;
    std::uint64_t token = 0;
    TimePoint at;
  };
  Ending launch(TimePoint now, WallTime wall, const task::Launch& launch, Random& random);
  std::optional<Ending> kill(TimePoint now, const task::Kill& kill);
  std::optional<task::ProcessEnded> end(const AttemptId& attempt, std::uint64_t token,
                                        WallTime wall);

  void freeze(TimePoint now);
  std::vector<Ending> thaw(TimePoint now);
  std::vector<AttemptId> clear();  // All end at once, unheard. Returns what ran.

  task::OutputPiece read(const task::OutputRead& read) const;

  // What the running ones need together.
  std::uint64_t cpu_millis() const { return cpu_millis_; }
  std::uint64_t memory_bytes() const { return memory_bytes_; }
  std::vector<AttemptId> running() const;
  bool frozen() const { return frozen_; }

 private:
  struct Process {
    std::uint32_t cpu_millis = 0;
    std::uint64_t memory_bytes = 0;
    std::uint64_t token = 0;
    TimePoint ends;
    Duration left{};  // While frozen.
    AttemptResult result;
  };

  ProcessOptions options_;
  std::map<AttemptId, Process> running_;
  std::map<AttemptId, bool> outputs_;  // Files on this node; true once the attempt is over.
  std::uint64_t cpu_millis_ = 0;
  std::uint64_t memory_bytes_ = 0;
  std::uint64_t token_ = 0;
  bool frozen_ = false;
};

}  // namespace shoal::sim
