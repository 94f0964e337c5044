// What must hold of a cluster, whatever happens to it. Each checker is fed observations and knows
// nothing of the world they come from, so a test can feed it a forged one and see it fail.
//
// Their names (I1, live 8, ...) are those of the list of invariants.
//
//   OutcomeChecker  an acknowledged task ends in exactly one outcome or is still held; an outcome
//                   once shown never changes (I1, I7; promises 1 and 2)
//   AttemptChecker  attempts of a task do not overlap, their numbers strictly increase (I6, I10;
//                   promise 3)
//   CapacityChecker started attempts never exceed a node, unstarted grants never that much again
//                   (I16), and queues and tables keep their bounds (I17)
//   ViewChecker     members' views agree with who is there (live 2, live 7)
//   IdleChecker     no idle node beside ready work that fits it, for more than 2 s (live 8;
//                   promise 5)
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "node/inspection.hpp"
#include "sim/network.hpp"
#include "sim/processes.hpp"

namespace shoal::sim {

struct Violation {
  TimePoint at;  // Virtual time.
  std::string text;
};

// Keeps the first ones, equal ones once and a few of each kind; the first is the one to look at.
class Violations {
 public:
  void add(TimePoint at, std::string text);
  bool empty() const { return kept_.empty(); }
  std::uint64_t count() const { return count_; }
  const std::vector<Violation>& kept() const { return kept_; }

 private:
  static constexpr std::size_t kKeptMax = 20;
  static constexpr std::uint32_t kOfKindMax = 4;
  std::vector<Violation> kept_;
  std::map<std::string, std::uint32_t> kinds_;  // By the invariant named at the end of the text.
  std::uint64_t count_ = 0;
};

// One node that runs, as it is just now.
struct Observation {
  NodeIndex index = 0;
  NodeId id;
  std::string name;
  bool serving = false;
  node::Node::Inspection inspection;
};

class OutcomeChecker {
 public:
  explicit OutcomeChecker(Violations& violations) : violations_(violations) {}

  void acknowledged(const TaskId& task);
  // A client was shown this.
  void shown(TimePoint now, JobId job, const TaskStatus& status);
  // An owner holds this, committed.
  void held(TimePoint now, const node::HeldTask& task);
  // An owner has it and does not know yet what of it may be shown (O3).
  void unsettled(const TaskId& task) { tasks_[task].unsettled_now = true; }
  // Nothing is expected any more of tasks for which `gone` is true: expired, or given up.
  void forget(const std::function<bool(const TaskId&)>& gone);
  // REQUIRES: held() was called for all that any node holds, since the last begin_round().
  // `all_ended`: what was acknowledged must have its outcome.
  void begin_round();
  // Nothing that was acknowledged or shown ended is missing, and all have ended.
  bool round_complete() const;
  void end_round(TimePoint now, bool all_ended);

  std::uint64_t acknowledged_count() const { return acknowledged_; }
  std::uint64_t unfinished_count() const { return acknowledged_ - ended_; }  // As far as was seen.
  std::map<TaskState, std::uint64_t> outcomes() const;                       // As shown or held.

 private:
  struct Fate {
    bool acknowledged = false;
    bool held_now = false;                 // In this round.
    bool ended_now = false;                // In this round, and it has its outcome.
    bool unsettled_now = false;            // In this round.
    TaskState outcome = TaskState::ready;  // Terminal once an outcome was seen; then fixed.
    std::uint32_t attempt = 0;
    std::optional<AttemptResult> result;  // As shown first.
  };
  void seen(TimePoint now, const TaskId& task, TaskState state, std::uint32_t attempt,
            const std::optional<AttemptResult>& result);

  Violations& violations_;
  std::map<TaskId, Fate> tasks_;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t ended_ = 0;  // Of those.
};

class AttemptChecker {
 public:
  explicit AttemptChecker(Violations& violations) : violations_(violations) {}

  void started(TimePoint now, NodeIndex at, const AttemptId& attempt);
  void ended(NodeIndex at, const AttemptId& attempt);
  void suspended(NodeIndex at) { suspended_.insert(at); }
  void resumed(TimePoint now, NodeIndex at);
  std::uint64_t count() const { return count_; }
  // Another attempt of the same task, whose processes run and are not suspended.
  std::optional<std::pair<NodeIndex, AttemptId>> other_running(const AttemptId& attempt) const;

 private:
  struct Task {
    std::uint32_t newest = 0;                              // Highest number started so far.
    std::vector<std::pair<NodeIndex, AttemptId>> running;  // More than one only while suspended.
  };
  void check_overlap(TimePoint now, const Task& task);

  Violations& violations_;
  std::map<TaskId, Task> tasks_;
  std::set<NodeIndex> suspended_;  // Their processes exist and do not run.
  std::uint64_t count_ = 0;
};

class CapacityChecker {
 public:
  explicit CapacityChecker(Violations& violations) : violations_(violations) {}

  // What the node says of itself.
  void observe(TimePoint now, const Observation& node);
  // What really runs there.
  void running(TimePoint now, const std::string& name, const Capacity& used,
               const Capacity& capacity);

 private:
  Violations& violations_;
};

class ViewChecker {
 public:
  // Absent when all observed nodes see each other, and nobody else, alive. Else the first
  // disagreement, for people.
  static std::optional<std::string> disagreement(std::span<const Observation> nodes);
  // The part of it that is about those who run.
  static std::optional<std::string> unseen(std::span<const Observation> nodes);
};

class IdleChecker {
 public:
  static constexpr Duration kIdleMax = std::chrono::seconds(2);

  explicit IdleChecker(Violations& violations) : violations_(violations) {}

  // The node was granted or started something.
  void progressed(TimePoint now, NodeIndex node) { progressed_[node] = now; }
  // REQUIRES: called at least every 500 ms while it is to mean anything. Only nodes that serve and
  // see each other alive count.
  void observe(TimePoint now, std::span<const Observation> nodes);
  void forget() { idle_since_.clear(); }  // Faults are about: start anew after them.

 private:
  Violations& violations_;
  std::map<NodeIndex, TimePoint> progressed_;
  std::map<NodeIndex, std::vector<AttemptId>> ran_;  // At the last observation.
  std::map<NodeIndex, TimePoint> idle_since_;
};

}  // namespace shoal::sim
