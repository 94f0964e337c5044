#include "sim/checkers.hpp"

#include <algorithm>
#include <utility>

#include "base/format.hpp"
#include "membership/config.hpp"

namespace shoal::sim {
namespace {

std::string attempt_text(const AttemptId& attempt) {
  return format("{} attempt {}", to_string(attempt.task), attempt.number);
}

bool sees_alive(const Observation& viewer, NodeId node) {
  const auto& members = viewer.inspection.members;
  const auto found =
      std::ranges::lower_bound(members, node, {}, &std::pair<NodeId, wire::MemberState>::first);
  return found != members.end() && found->first == node &&
         found->second == wire::MemberState::alive;
}

bool fits(const node::Node::Inspection& node, const node::ReadyNeed& need) {
  const std::uint64_t cpu_used = std::uint64_t{node.cpu_millis_started} + node.cpu_millis_unstarted;
  const std::uint64_t memory_used = node.memory_bytes_started + node.memory_bytes_unstarted;
  return cpu_used + need.cpu_millis <= node.cpu_millis &&
         (need.memory_bytes == 0 || memory_used + need.memory_bytes <= node.memory_bytes);
}

}  // namespace

void Violations::add(TimePoint at, std::string text) {
  ++count_;
  const bool new_text = std::ranges::find(kept_, text, &Violation::text) == kept_.end();
  if (!new_text || kept_.size() >= kKeptMax) return;
  const std::size_t mark = text.rfind('(');
  const std::string kind = mark == std::string::npos ? text.substr(0, 0) : text.substr(mark);
  if (kinds_[kind]++ < kOfKindMax || kind.empty()) kept_.push_back({at, std::move(text)});
}

void OutcomeChecker::seen(TimePoint now, const TaskId& task, TaskState state, std::uint32_t attempt,
                          const std::optional<AttemptResult>& result) {
  if (!terminal(state)) return;  // An older state may be shown late; it says nothing of the end.
  Fate& fate = tasks_[task];
  if (!terminal(fate.outcome)) {
    if (fate.acknowledged) ++ended_;
    fate.outcome = state;
    fate.attempt = attempt;
  } else if (fate.outcome != state || fate.attempt != attempt ||
             (fate.result && result && fate.result != result)) {
    violations_.add(
        now, format("{} has two outcomes: {} (attempt {}), then {} (attempt {})", to_string(task),
                    to_string(fate.outcome), fate.attempt, to_string(state), attempt));
  }
  if (result && !fate.result) fate.result = result;
}

void OutcomeChecker::shown(TimePoint now, JobId job, const TaskStatus& status) {
  seen(now, {job, status.index}, status.state, status.attempt, status.result);
}

void OutcomeChecker::held(TimePoint now, const node::HeldTask& task) {
  seen(now, task.task, task.state, task.attempt, std::nullopt);
  Fate& fate = tasks_[task.task];
  fate.held_now = true;
  fate.ended_now = fate.ended_now || terminal(task.state);
}

void OutcomeChecker::begin_round() {
  for (auto& [task, fate] : tasks_) fate.held_now = fate.ended_now = fate.unsettled_now = false;
}

void OutcomeChecker::forget(const std::function<bool(const TaskId&)>& gone) {
  std::erase_if(tasks_, [&](const auto& entry) {
    const auto& [task, fate] = entry;
    if (!gone(task)) return false;
    if (fate.acknowledged) --acknowledged_;
    if (fate.acknowledged && terminal(fate.outcome)) --ended_;
    return true;
  });
}

bool OutcomeChecker::round_complete() const {
  return std::ranges::all_of(tasks_, [](const auto& entry) {
    const Fate& fate = entry.second;
    return fate.ended_now || !(fate.acknowledged || fate.held_now || terminal(fate.outcome));
  });
}

void OutcomeChecker::end_round(TimePoint now, bool all_ended) {
  for (const auto& [task, fate] : tasks_) {
    if (!fate.held_now && !fate.unsettled_now) {
      if (fate.acknowledged || terminal(fate.outcome)) {
        violations_.add(now, format("{} was {} and no owner holds it", to_string(task),
                                    fate.acknowledged ? "acknowledged" : "shown ended"));
      }
    } else if (terminal(fate.outcome) && !fate.ended_now && !fate.unsettled_now) {
      violations_.add(now, format("{} was shown as {} and is held without an outcome",
                                  to_string(task), to_string(fate.outcome)));
    } else if (all_ended && fate.acknowledged && !fate.ended_now) {
      violations_.add(now, format("{} was acknowledged and has not ended", to_string(task)));
    }
  }
}

void OutcomeChecker::acknowledged(const TaskId& task) {
  Fate& fate = tasks_[task];
  if (std::exchange(fate.acknowledged, true)) return;
  ++acknowledged_;
  if (terminal(fate.outcome)) ++ended_;
}

std::map<TaskState, std::uint64_t> OutcomeChecker::outcomes() const {
  std::map<TaskState, std::uint64_t> counts;
  for (const auto& [task, fate] : tasks_) {
    if (terminal(fate.outcome)) ++counts[fate.outcome];
  }
  return counts;
}

void AttemptChecker::check_overlap(TimePoint now, const Task& task) {
  const std::pair<NodeIndex, AttemptId>* first = nullptr;
  for (const auto& running : task.running) {
    if (suspended_.contains(running.first)) continue;
    if (first != nullptr) {
      violations_.add(now,
                      format("{} (node {}) overlaps {} (node {})", attempt_text(running.second),
                             running.first, attempt_text(first->second), first->first));
    }
    first = &running;
  }
}

void AttemptChecker::started(TimePoint now, NodeIndex at, const AttemptId& attempt) {
  ++count_;
  Task& task = tasks_[attempt.task];
  if (attempt.number <= task.newest) {
    violations_.add(now, format("{} started on node {} after attempt {}", attempt_text(attempt), at,
                                task.newest));
  }
  task.newest = std::max(task.newest, attempt.number);
  task.running.emplace_back(at, attempt);
  check_overlap(now, task);
}

void AttemptChecker::ended(NodeIndex at, const AttemptId& attempt) {
  std::erase(tasks_[attempt.task].running, std::pair{at, attempt});
}

std::optional<std::pair<NodeIndex, AttemptId>> AttemptChecker::other_running(
    const AttemptId& attempt) const {
  const auto found = tasks_.find(attempt.task);
  if (found == tasks_.end()) return std::nullopt;
  for (const auto& running : found->second.running) {
    if (running.second != attempt && !suspended_.contains(running.first)) return running;
  }
  return std::nullopt;
}

void AttemptChecker::resumed(TimePoint now, NodeIndex at) {
  if (suspended_.erase(at) == 0) return;
  for (const auto& [id, task] : tasks_) {
    const bool here = std::ranges::any_of(
        task.running, [at](const auto& running) { return running.first == at; });
    if (here) check_overlap(now, task);
  }
}

void CapacityChecker::observe(TimePoint now, const Observation& node) {
  const auto& inspection = node.inspection;
  const auto check = [&](const char* what, const char* unit, std::uint64_t used,
                         std::uint64_t limit) {
    if (used > limit) {
      violations_.add(
          now, format("{} holds {} {} of {} and has {}", node.name, used, unit, what, limit));
    }
  };
  for (const node::Bound& bound : inspection.bounds) {
    if (bound.size > bound.most) {
      violations_.add(now, format("{} has {} {}; at most {} are allowed (I17)", node.name,
                                  bound.size, bound.what, bound.most));
    }
  }
  check("started attempts", "cpu millis", inspection.cpu_millis_started, inspection.cpu_millis);
  check("unstarted grants", "cpu millis", inspection.cpu_millis_unstarted, inspection.cpu_millis);
  if (inspection.memory_bytes == 0) return;
  check("started attempts", "bytes", inspection.memory_bytes_started, inspection.memory_bytes);
  check("unstarted grants", "bytes", inspection.memory_bytes_unstarted, inspection.memory_bytes);
}

void CapacityChecker::running(TimePoint now, const std::string& name, const Capacity& used,
                              const Capacity& capacity) {
  if (used.cpu_millis > capacity.cpu_millis) {
    violations_.add(now, format("processes on {} use {} cpu millis; it has {}", name,
                                used.cpu_millis, capacity.cpu_millis));
  }
  if (capacity.memory_bytes != 0 && used.memory_bytes > capacity.memory_bytes) {
    violations_.add(now, format("processes on {} use {} bytes of memory; it has {}", name,
                                used.memory_bytes, capacity.memory_bytes));
  }
}

std::optional<std::string> ViewChecker::unseen(std::span<const Observation> nodes) {
  for (const Observation& viewer : nodes) {
    for (const Observation& other : nodes) {
      if (!sees_alive(viewer, other.id)) {
        return format("{} does not see {} alive", viewer.name, other.name);
      }
    }
  }
  return std::nullopt;
}

std::optional<std::string> ViewChecker::disagreement(std::span<const Observation> nodes) {
  if (auto missing = unseen(nodes)) return missing;
  std::vector<NodeId> there;
  there.reserve(nodes.size());
  for (const Observation& node : nodes) there.push_back(node.id);
  std::ranges::sort(there);
  for (const Observation& viewer : nodes) {
    // Fewer than it takes to call somebody dead suspect him for ever, or doubt themselves.
    const auto present = static_cast<std::size_t>(
        std::ranges::count_if(viewer.inspection.members, [](const auto& member) {
          return member.second == wire::MemberState::alive ||
                 member.second == wire::MemberState::suspect;
        }));
    if (nodes.size() < membership::accusers_required(present)) continue;
    for (const auto& [id, state] : viewer.inspection.members) {
      const bool alive = state == wire::MemberState::alive || state == wire::MemberState::suspect;
      if (alive && !std::ranges::binary_search(there, id)) {
        return format("{} takes {} for alive, which does not run", viewer.name, short_text(id));
      }
    }
  }
  return std::nullopt;
}

void IdleChecker::observe(TimePoint now, std::span<const Observation> nodes) {
  for (const Observation& idle : nodes) {
    // Built-in tasks start inside a node: they show as another running set.
    if (ran_[idle.index] != idle.inspection.running) {
      ran_[idle.index] = idle.inspection.running;
      progressed_[idle.index] = now;
    }
    const Observation* holder = nullptr;
    for (const Observation& other : nodes) {
      if (!idle.serving || !idle.inspection.takes_work || !other.serving ||
          other.inspection.ready_needs.empty())
        continue;
      const bool connected =
          idle.index == other.index || (sees_alive(idle, other.id) && sees_alive(other, idle.id));
      const bool takes = std::ranges::any_of(other.inspection.ready_needs, [&](const auto& need) {
        return fits(idle.inspection, need);
      });
      if (connected && takes) holder = &other;
    }
    if (holder == nullptr) {
      idle_since_.erase(idle.index);
      continue;
    }
    TimePoint& since = idle_since_.try_emplace(idle.index, now).first->second;
    const auto progressed = progressed_.find(idle.index);
    if (progressed != progressed_.end()) since = std::max(since, progressed->second);
    if (now - since <= kIdleMax) continue;
    violations_.add(now, format("{} idles beside {} ready tasks at {} that fit it, for {} ms",
                                idle.name, holder->inspection.ready, holder->name,
                                (now - since) / std::chrono::milliseconds(1)));
    since = now;
  }
}

}  // namespace shoal::sim
