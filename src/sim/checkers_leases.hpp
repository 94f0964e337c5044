// Who may run an attempt, on a clock that nobody in the cluster has.
//
//   LeaseChecker  I6   at most one unexpired lease of a task
//                 I10  no process of an older attempt runs when the next one is granted
//   OnceChecker   I9   at_most_once tasks start at most once
//
// A lease is what the executing node takes for one: the looks inside it tell. A grant that is on
// its way is a lease too, while its node waits for it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "sim/checkers.hpp"
#include "wire/work_messages.hpp"

namespace shoal::sim {

class LeaseChecker {
 public:
  // When the lease of an attempt ends as this node counts it, on the world's clock; absent when it
  // does not hold the attempt.
  using Look = std::function<std::optional<TimePoint>(NodeId, const AttemptId&)>;
  // Whether the node still waits for this transfer: it starts nothing from others.
  using Waits = std::function<bool(NodeId, std::uint64_t)>;

  LeaseChecker(Violations& violations, const AttemptChecker& attempts, Look look, Waits waits)
      : violations_(violations),
        attempts_(attempts),
        look_(std::move(look)),
        waits_(std::move(waits)) {}

  // A Grant left for another node; `ends` as that node will count it at the latest.
  void granted(TimePoint now, NodeId to, const AttemptId& attempt, std::uint64_t transfer,
               TimePoint ends);
  // It arrived: from here on the node itself knows.
  void delivered(NodeId to, const wire::Grant& grant);
  void started(TimePoint now, NodeId at, const AttemptId& attempt);
  // It was seen there; built-in tasks start without a process.
  void holds(NodeId node, const AttemptId& attempt) { add_holder(attempt, node); }
  // While clocks break the bound they are trusted to keep, only numbers must still rise.
  void set_judged(bool judged) { judged_ = judged; }

 private:
  struct Holder {
    NodeId node;
    std::uint32_t attempt = 0;
  };
  struct Flying {
    NodeId to;
    std::uint32_t attempt = 0;
    std::uint64_t transfer = 0;
    TimePoint ends;
  };
  void check(TimePoint now, const AttemptId& attempt);
  void erase_flying(const TaskId& task, const std::function<bool(const Flying&)>& gone);
  void add_holder(const AttemptId& attempt, NodeId node);

  Violations& violations_;
  const AttemptChecker& attempts_;
  Look look_;
  Waits waits_;
  std::map<TaskId, std::vector<Holder>> holders_;  // Who may hold an attempt, one entry each.
  std::map<TaskId, std::vector<Flying>> flying_;   // None is empty.
  bool judged_ = true;
};

class OnceChecker {
 public:
  explicit OnceChecker(Violations& violations) : violations_(violations) {}
  void started(TimePoint now, const AttemptId& attempt, const TaskSpec& spec);

 private:
  Violations& violations_;
  std::map<TaskId, std::uint32_t> started_;  // Of at_most_once tasks: which attempt.
};

}  // namespace shoal::sim
