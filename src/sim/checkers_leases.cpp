#include "sim/checkers_leases.hpp"

#include <algorithm>

#include "base/format.hpp"

namespace shoal::sim {
void LeaseChecker::erase_flying(const TaskId& task,
                                const std::function<bool(const Flying&)>& gone) {
  const auto found = flying_.find(task);
  if (found == flying_.end()) return;
  std::erase_if(found->second, gone);
  if (found->second.empty()) flying_.erase(found);
}

void LeaseChecker::check(TimePoint now, const AttemptId& attempt) {
  const TaskId& task = attempt.task;
  erase_flying(task, [&](const Flying& flying) {
    return flying.ends <= now || !waits_(flying.to, flying.transfer);
  });
  if (!judged_) return;
  const auto violated = [&](std::uint32_t number, NodeId node, TimePoint ends) {
    violations_.add(now, format("{} attempt {} is granted while the lease of attempt {} on {} has "
                                "{} ms to go (I6)",
                                to_string(task), attempt.number, number, short_text(node),
                                (ends - now) / std::chrono::milliseconds(1)));
  };
  if (const auto found = flying_.find(task); found != flying_.end()) {
    for (const Flying& flying : found->second) {
      if (flying.attempt != attempt.number) violated(flying.attempt, flying.to, flying.ends);
    }
  }
  std::erase_if(holders_[task], [&](const Holder& holder) {
    if (holder.attempt == attempt.number) return false;
    const auto ends = look_(holder.node, {task, holder.attempt});
    if (ends && *ends > now) violated(holder.attempt, holder.node, *ends);
    return !ends;
  });
  if (const auto runs = attempts_.other_running(attempt)) {
    violations_.add(now, format("{} attempt {} is granted while attempt {} runs on node {} (I10)",
                                to_string(task), attempt.number, runs->second.number, runs->first));
  }
}

void LeaseChecker::granted(TimePoint now, NodeId to, const AttemptId& attempt,
                           std::uint64_t transfer, TimePoint ends) {
  // An old grant, sent again: too late to be a lease, or to a node that gave its transfer up.
  if (ends <= now || !waits_(to, transfer)) return;
  check(now, attempt);
  std::vector<Flying>& flying = flying_[attempt.task];
  // A repeated pull is answered alike.
  const bool again = std::ranges::any_of(flying, [&](const Flying& each) {
    return each.transfer == transfer && each.to == to && each.attempt == attempt.number;
  });
  if (!again) flying.push_back({to, attempt.number, transfer, ends});
}

void LeaseChecker::add_holder(const AttemptId& attempt, NodeId node) {
  std::vector<Holder>& holders = holders_[attempt.task];
  const bool known = std::ranges::any_of(holders, [&](const Holder& holder) {
    return holder.node == node && holder.attempt == attempt.number;
  });
  if (!known) holders.push_back({node, attempt.number});
}

void LeaseChecker::delivered(NodeId to, const wire::Grant& grant) {
  for (const wire::GrantItem& item : grant.items) {
    erase_flying(item.attempt.task, [&](const Flying& flying) {
      return flying.to == to && flying.transfer == grant.transfer;
    });
    add_holder(item.attempt, to);
  }
}

void LeaseChecker::started(TimePoint now, NodeId at, const AttemptId& attempt) {
  check(now, attempt);
  add_holder(attempt, at);
}

void OnceChecker::started(TimePoint now, const AttemptId& attempt, const TaskSpec& spec) {
  if (!spec.at_most_once) return;
  const auto [known, fresh] = started_.try_emplace(attempt.task, attempt.number);
  if (fresh) return;
  violations_.add(now, format("{}, to be started at most once, starts as attempt {} after {} (I9)",
                              to_string(attempt.task), attempt.number, known->second));
}

}  // namespace shoal::sim
