#include "node/runner.hpp"

#include <algorithm>
#include <utility>

#include "base/log.hpp"
#include "base/probes.hpp"
#include "task/record.hpp"

namespace shoal::node {
namespace {

constexpr Duration kCheckInterval = std::chrono::milliseconds(100);
constexpr Duration kPullInterval = std::chrono::milliseconds(20);
constexpr Duration kRepeatInterval = std::chrono::milliseconds(200);
constexpr std::size_t kMessageBytesMax = 1024;  // Of a result, for people.
constexpr std::uint32_t kAskMax = 32;           // Tasks asked of one victim at once.

}  // namespace

Runner::Runner(Context& context)
    : context_(context), capacity_{context.config.cpu_millis, context.config.memory_bytes} {}

scheduling::Resources Runner::free() const { return capacity_ - started_ - unstarted_ - reserved_; }

scheduling::Resources Runner::room() const {
  if (context_.stopping) return {};
  // Tasks of odd sizes may leave much of the capacity unused, so what is taken in advance is
  // counted by itself: invariant 2 holds however little of it can start.
  return (in_advance_ ? capacity_ - unstarted_ - reserved_ : free()) - pulls_.asked();
}

NodeId Runner::owner_of(ShardId shard, NodeId fallback) const {
  const NodeId owner = context_.owner(shard);
  return owner ? owner : fallback;
}

void Runner::accept(Now now, const Assignment& assignment, const TaskSpec& spec,
                    const std::string& argument) {
  if (spec.kind == TaskKind::noop) {
    AttemptResult result{.started = now.wall, .ended = now.wall};
    ++context_.counters.tasks_run;
    if (assignment.owner != context_.self()) ++context_.counters.tasks_stolen;
    wire::OutcomeItem item{
        assignment.attempt, assignment.shard, context_.self(), std::move(result), {}};
    // To itself nothing is lost on the way: no need to remember it until it is acknowledged.
    if (assignment.owner != context_.self()) {
      ended_[assignment.attempt] = {item, now.steady + kOutcomeRepeat};
    }
    outcomes_[owner_of(assignment.shard, assignment.owner)].push_back(std::move(item));
    return;
  }
  Held held{assignment, spec, argument, scheduling::need_of(spec), now.steady};
  unstarted_ += held.need;
  held_.push_back(std::move(held));
}

void Runner::start(Now now, Held held) {
  const AttemptId attempt = held.assignment.attempt;
  started_ += held.need;
  Running running{.assignment = held.assignment,
                  .need = held.need,
                  .started = now.steady,
                  .started_wall = now.wall};
  if (held.spec.kind == TaskKind::sleep) {
    running.sleep_until = now.steady + held.spec.sleep;
    sleepers_.emplace(running.sleep_until, attempt);
  } else {
    running.process = true;
    context_.output.launches.push_back(
        {attempt, task::element_spec(held.spec, attempt.task.index, held.argument),
         held.assignment.shard, held.assignment.lease_end});
  }
  running_.emplace(attempt, std::move(running));
}

void Runner::on_ended(Now now, task::ProcessEnded ended) {
  if (ended.result.message.size() > kMessageBytesMax) ended.result.message.resize(kMessageBytesMax);
  for (std::string& tail : ended.tails) {
    if (tail.size() > kOutputTailBytes) tail.erase(0, tail.size() - kOutputTailBytes);
  }
  finish(now, ended.attempt, std::move(ended.result), std::move(ended.tails));
}

void Runner::finish(Now now, const AttemptId& attempt, AttemptResult result,
                    std::array<std::string, 2> tails) {
  const auto found = running_.find(attempt);
  if (found == running_.end()) return;
  const Running running = found->second;
  running_.erase(found);
  sleepers_.erase({running.sleep_until, attempt});
  started_ -= running.need;
  if (now.steady - running.started < kShortAttempt) in_advance_ = true;
  ++context_.counters.tasks_run;
  const Assignment& assignment = running.assignment;
  if (assignment.owner != context_.self()) ++context_.counters.tasks_stolen;
  if (running.give_back || result.reason == EndReason::node_stopped) {
    give_back(now, {attempt, assignment.shard});
    return;
  }
  wire::OutcomeItem item{attempt, assignment.shard, context_.self(), std::move(result),
                         std::move(tails)};
  ended_[attempt] = {item, now.steady + kOutcomeRepeat};
  outcomes_[owner_of(assignment.shard, assignment.owner)].push_back(std::move(item));
}

void Runner::give_back(Now now, const wire::HeldAttempt& item) {
  back_[item.attempt] = {item, now.steady, now.steady + context_.config.lease};
  next_repeat_ = now.steady;
}

void Runner::end(Now now, const AttemptId& attempt, Running& running, EndReason reason, bool back,
                 std::chrono::milliseconds grace) {
  running.give_back = running.give_back || back;
  if (!running.process) {
    finish(now, attempt, {.reason = reason, .started = running.started_wall, .ended = now.wall},
           {});
    return;
  }
  if (running.ending && grace.count() > 0) return;
  running.ending = true;
  context_.output.kills.push_back({attempt, reason, grace});
}

void Runner::pump(Now now, bool own_ready) {
  const std::size_t waiting = held_.size();
  for (std::size_t looked = 0; looked < waiting && !held_.empty(); ++looked) {
    Held held = std::move(held_.front());
    held_.pop_front();
    if (held.assignment.lease_end <= now.steady) {
      probes::mark(probes::Mark::late_grant_dropped);
      unstarted_ -= held.need;  // L1: too late to begin; the owner will grant it anew.
      continue;
    }
    if (context_.stopping || !scheduling::fits(held.need, capacity_ - started_)) {
      held_.push_back(std::move(held));
      continue;
    }
    unstarted_ -= held.need;
    start(now, std::move(held));
  }
  wants_work_ = !own_ready && !context_.stopping && context_.shard_count != 0;
  if (wants_work_ && now.steady >= next_pull_ && now.steady >= pulls_.wake_at()) pull(now);
}

void Runner::pull(Now now) {
  while (pulls_.open_count() < scheduling::kPullsOpenMax) {
    const scheduling::Resources ask = room();
    if (!takes_more() || (ask.cpu_millis == 0 && capacity_.cpu_millis > 0)) break;
    const auto victim = pulls_.choose(now.steady, context_.membership->peers(), context_.random);
    if (!victim) break;
    const std::uint64_t transfer = context_.boot_epoch << 40 | ++last_transfer_;
    const bool hinted = pulls_.hinted(*victim);
    pulls_.open(transfer, {.victim = *victim,
                           .sent = now.steady,
                           .asked = ask,
                           .count_max = kAskMax,
                           .hinted = hinted});
    context_.send(*victim, wire::Pull{.transfer = transfer,
                                      .sent = now.steady,
                                      .cpu_millis = static_cast<std::uint32_t>(ask.cpu_millis),
                                      .memory_bytes = ask.memory_bytes,
                                      .count_max = kAskMax,
                                      .hinted = hinted});
  }
  next_pull_ = now.steady + kPullInterval;
}

void Runner::on_hint(Now now, NodeId from, const wire::Hint& hint) {
  pulls_.on_hint(from, hint.ready);
  next_pull_ = std::min(next_pull_, now.steady);
}

void Runner::on_grant(Now now, NodeId from, const wire::Grant& grant) {
  const auto pull = pulls_.close(now.steady, grant.transfer, grant.items.size(), grant.ready);
  for (const wire::GrantItem& item : grant.items) {
    const bool known = running_.contains(item.attempt) || ended_.contains(item.attempt) ||
                       back_.contains(item.attempt) ||
                       std::ranges::any_of(held_, [&](const Held& held) {
                         return held.assignment.attempt == item.attempt;
                       });
    if (known) continue;
    if (!pull || context_.stopping || item.spec >= grant.specs.size()) {
      if (!pull) probes::mark(probes::Mark::grant_unknown);
      give_back(now, {item.attempt, item.shard});  // A transfer nobody waits for any more.
      continue;
    }
    // Own work may have taken the room meanwhile.
    const scheduling::Resources need = scheduling::need_of(grant.specs[item.spec]);
    if (!takes_more() || !scheduling::fits(need, capacity_ - unstarted_)) {
      give_back(now, {item.attempt, item.shard});
      continue;
    }
    const TimePoint lease_end = scheduling::lease_end_at_executor(
        grant.pull_sent, std::chrono::milliseconds(item.lease_ms));
    accept(now, {item.attempt, item.shard, from, lease_end}, grant.specs[item.spec], item.argument);
  }
  next_pull_ = std::min(next_pull_, now.steady);
}

void Runner::renew(Now now, NodeId only) {
  std::map<NodeId, wire::Renew> renewals;
  const auto add = [&](const AttemptId& attempt, ShardId shard, NodeId granted_by) {
    const NodeId owner = owner_of(shard, granted_by);
    if (only && owner != only) return;
    renewals[owner].items.push_back({attempt, shard});
  };
  for (const auto& [attempt, running] : running_) {
    add(attempt, running.assignment.shard, running.assignment.owner);
  }
  for (const Held& held : held_) {
    add(held.assignment.attempt, held.assignment.shard, held.assignment.owner);
  }
  for (const auto& [attempt, ended] : ended_) add(attempt, ended.item.shard, {});
  for (auto& [owner, renewal] : renewals) {
    context_.send_list(owner, std::move(renewal.items), [&](std::vector<wire::HeldAttempt> part) {
      return wire::Renew{.sent = now.steady, .items = std::move(part)};
    });
  }
}

void Runner::on_renewed(Now now, NodeId, const wire::Renewed& renewed) {
  std::map<AttemptId, TimePoint> ends;
  for (const wire::RenewedAttempt& item : renewed.items) {
    ends[item.attempt] =
        scheduling::lease_end_at_executor(renewed.sent, std::chrono::milliseconds(item.lease_ms));
  }
  const auto extend = [&](Assignment& assignment) {
    const auto end = ends.find(assignment.attempt);
    if (end == ends.end()) return;
    assignment.lease_end = std::max(assignment.lease_end, end->second);
  };
  for (auto& [attempt, running] : running_) extend(running.assignment);
  for (Held& held : held_) extend(held.assignment);
  on_end_attempts(now, {renewed.over, EndReason::cancelled});
  for (const AttemptId& attempt : renewed.over) ended_.erase(attempt);
}

void Runner::on_renew_call(Now now, NodeId from) { renew(now, from); }

void Runner::on_outcome_ack(const wire::OutcomeAck& ack) {
  for (const AttemptId& attempt : ack.items) ended_.erase(attempt);
}

void Runner::on_give_back_ack(const wire::GiveBackAck& ack) {
  for (const AttemptId& attempt : ack.items) {
    back_.erase(attempt);
    ended_.erase(attempt);
  }
}

void Runner::on_end_attempts(Now now, const wire::EndAttempts& end_message) {
  for (const AttemptId& attempt : end_message.items) {
    const auto found = running_.find(attempt);
    if (found != running_.end()) {
      end(now, attempt, found->second, end_message.reason, false, kStopGrace);
      continue;
    }
    const auto held =
        std::ranges::find_if(held_, [&](const Held& h) { return h.assignment.attempt == attempt; });
    if (held == held_.end()) continue;
    unstarted_ -= held->need;
    held_.erase(held);
  }
}

void Runner::on_recovered(Now, std::vector<task::RecoveredAttempt>) {}

void Runner::on_recovery_complete(Now) {}

void Runner::on_stop(Now now, bool) {
  return_unstarted(now);
  std::vector<AttemptId> attempts = running();
  for (const AttemptId& attempt : attempts) {
    const auto found = running_.find(attempt);
    if (found != running_.end()) {
      end(now, attempt, found->second, EndReason::node_stopped, true, kStopGrace);
    }
  }
}

void Runner::return_unstarted(Now now) {
  for (std::size_t looked = held_.size(); looked > 0; --looked) {
    Held held = std::move(held_.front());
    held_.pop_front();
    if (!context_.stopping && now.steady - held.since < kUnstartedMax) {
      held_.push_back(std::move(held));
      continue;
    }
    probes::mark(probes::Mark::unstarted_returned);
    unstarted_ -= held.need;
    in_advance_ = false;
    give_back(now, {held.assignment.attempt, held.assignment.shard});
  }
}

void Runner::check_leases(Now now) {
  std::vector<AttemptId> over;
  for (const auto& [attempt, running] : running_) {
    if (running.assignment.lease_end <= now.steady) over.push_back(attempt);
  }
  for (const AttemptId& attempt : over) {
    const auto found = running_.find(attempt);
    if (found == running_.end()) continue;
    probes::mark(probes::Mark::fence_fired);
    if (!found->second.give_back) {
      log::warn("node", "{} attempt {}: no owner renewed its lease; it is ended here",
                to_string(attempt.task), attempt.number);
    }
    end(now, attempt, found->second, EndReason::node_stopped, true, std::chrono::milliseconds(0));
  }
}

void Runner::wake_sleepers(Now now) {
  while (!sleepers_.empty() && sleepers_.begin()->first <= now.steady) {
    const AttemptId attempt = sleepers_.begin()->second;
    const auto found = running_.find(attempt);
    if (found == running_.end()) {
      sleepers_.erase(sleepers_.begin());
      continue;
    }
    finish(now, attempt, {.started = found->second.started_wall, .ended = now.wall}, {});
  }
}

void Runner::repeat(Now now) {
  if (now.steady < next_repeat_) return;
  next_repeat_ = now.steady + kRepeatInterval;
  for (auto& [attempt, ended] : ended_) {
    if (ended.repeat_at > now.steady) continue;
    probes::mark(probes::Mark::outcome_repeated);
    ended.repeat_at = now.steady + kOutcomeRepeat;
    const NodeId owner = owner_of(ended.item.shard, {});
    if (owner) outcomes_[owner].push_back(ended.item);
  }
  std::map<NodeId, wire::GiveBack> backs;
  for (auto entry = back_.begin(); entry != back_.end();) {
    Back& back = entry->second;
    if (back.until <= now.steady) {
      entry = back_.erase(entry);
      continue;
    }
    if (back.repeat_at <= now.steady) {
      back.repeat_at = now.steady + kOutcomeRepeat;
      const NodeId owner = owner_of(back.item.shard, {});
      if (owner) backs[owner].items.push_back(back.item);
    }
    ++entry;
  }
  for (auto& [owner, back] : backs) {
    context_.send_list(owner, std::move(back.items), [](std::vector<wire::HeldAttempt> part) {
      return wire::GiveBack{std::move(part)};
    });
  }
}

void Runner::on_time(Now now) {
  wake_sleepers(now);
  if (now.steady >= next_check_) {
    next_check_ = now.steady + kCheckInterval;
    check_leases(now);
    return_unstarted(now);
  }
  if (now.steady >= next_renewal_) {
    next_renewal_ = now.steady + kRenewInterval;
    if (!probes::fails(probes::Site::renewal_late)) renew(now, {});
  }
  for (const auto& late : pulls_.overdue(now.steady)) {
    if (late.give_up) continue;
    context_.send(late.pull.victim,
                  wire::Pull{.transfer = late.transfer,
                             .sent = now.steady,
                             .cpu_millis = static_cast<std::uint32_t>(late.pull.asked.cpu_millis),
                             .memory_bytes = late.pull.asked.memory_bytes,
                             .count_max = late.pull.count_max,
                             .hinted = late.pull.hinted});
  }
  repeat(now);
}

void Runner::flush(Now) {
  for (auto& [owner, items] : outcomes_) {
    if (owner != context_.self() && probes::fails(probes::Site::outcome_lost)) continue;
    wire::Outcomes message;
    std::size_t bytes = 0;
    for (wire::OutcomeItem& item : items) {
      const std::size_t size =
          200 + item.result.message.size() + item.tails[0].size() + item.tails[1].size();
      if (bytes + size > kListBytesMax && !message.items.empty()) {
        context_.send(owner, std::move(message));
        message = {};
        bytes = 0;
      }
      bytes += size;
      message.items.push_back(std::move(item));
    }
    context_.send(owner, std::move(message));
  }
  outcomes_.clear();
}

TimePoint Runner::wake_at() const {
  TimePoint at = pulls_.next_overdue();
  if (!sleepers_.empty()) at = std::min(at, sleepers_.begin()->first);
  if (!running_.empty() || !held_.empty()) at = std::min(at, next_check_);
  if (!running_.empty() || !held_.empty() || !ended_.empty()) at = std::min(at, next_renewal_);
  if (!ended_.empty() || !back_.empty()) at = std::min(at, next_repeat_);
  if (wants_work_ && room().cpu_millis > 0 && context_.membership->alive_count() > 1) {
    at = std::min(at, std::max(next_pull_, pulls_.wake_at()));
  }
  return at;
}

std::vector<AttemptId> Runner::running() const {
  std::vector<AttemptId> attempts;
  attempts.reserve(running_.size());
  for (const auto& [attempt, running] : running_) attempts.push_back(attempt);
  return attempts;
}

}  // namespace shoal::node
