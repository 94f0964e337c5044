#include "node/runner.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "base/log.hpp"
#include "base/probes.hpp"
#include "scheduling/transfer.hpp"
#include "task/record.hpp"
#include "task/record_key.hpp"

namespace shoal::node {
namespace {

constexpr Duration kCheckInterval = std::chrono::milliseconds(100);
constexpr Duration kPullInterval = std::chrono::milliseconds(20);
constexpr std::size_t kMessageBytesMax = 1024;  // Of a result, for people.
constexpr std::uint32_t kAskMax = 32;           // Tasks asked of one victim at once.
constexpr Duration kRecoveryHurry = std::chrono::seconds(2);

}  // namespace

Runner::Runner(Context& context)
    : context_(context),
      capacity_{context.config.cpu_millis, context.config.memory_bytes},
      reports_(context),
      renewals_(context) {}

scheduling::Resources Runner::free() const {
  if (!takes_work()) return {};
  return capacity_ - started_ - unstarted_ - reserved_;
}

scheduling::Resources Runner::room() const {
  if (!takes_work()) return {};
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
    if (assignment.owner != context_.self()) {
      reports_.ended(now, std::move(item), owner_of(assignment.shard, assignment.owner), false);
    } else {
      reports_.ended_at_home(std::move(item));
    }
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
                  .started_wall = now.wall,
                  .told = held.assignment.lease_end};
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
  if (running_.contains(ended.attempt)) {
    finish(now, ended.attempt, std::move(ended.result), std::move(ended.tails));
    return;
  }
  // Launched by a former process of this node; its supervisor tells it until it is settled.
  if (reports_.knows(ended.attempt) || context_.shard_count == 0) return;
  const ShardId shard = task::shard_of(ended.attempt.task, context_.shard_count);
  const bool back = ended.result.reason == EndReason::node_stopped;
  report(now,
         {ended.attempt, shard, context_.self(), std::move(ended.result), std::move(ended.tails)},
         {}, back, true);
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
  const bool back = running.give_back || result.reason == EndReason::node_stopped;
  report(now, {attempt, assignment.shard, context_.self(), std::move(result), std::move(tails)},
         assignment.owner, back, running.process);
}

void Runner::report(Now now, wire::OutcomeItem item, NodeId granted_by, bool give_back,
                    bool process) {
  const NodeId owner = owner_of(item.shard, granted_by);
  if (give_back) {
    reports_.given_back(now, {item.attempt, item.shard, true}, owner, process);
  } else {
    reports_.ended(now, std::move(item), owner, process);
  }
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

scheduling::Resources Runner::wanted() const {
  return own_ready_ ? free() - pulls_.asked() : room();
}

void Runner::pump(Now now, bool own_ready) {
  const std::size_t waiting = held_.size();
  for (std::size_t looked = 0; looked < waiting && !held_.empty(); ++looked) {
    Held held = std::move(held_.front());
    held_.pop_front();
    if (held.assignment.lease_end <= now.steady) {
      probes::mark(probes::Mark::late_grant_dropped);
      drop_held(now, std::move(held));  // L1: too late to begin.
      continue;
    }
    if (!takes_work() || !scheduling::fits(held.need, capacity_ - started_)) {
      held_.push_back(std::move(held));
      continue;
    }
    unstarted_ -= held.need;
    start(now, std::move(held));
  }
  own_ready_ = own_ready;
  wants_work_ = takes_work() && context_.shard_count != 0;
  if (wants_work_ && now.steady >= next_pull_ && now.steady >= pulls_.wake_at()) pull(now);
}

void Runner::pull(Now now) {
  while (pulls_.may_open()) {
    const scheduling::Resources ask = wanted();
    if (!takes_more() || (ask.cpu_millis == 0 && capacity_.cpu_millis > 0)) break;
    const auto victim = pulls_.choose(now.steady, context_.membership->peers(), context_.random);
    if (!victim) break;
    const std::uint64_t transfer = scheduling::transfer_id(context_.boot_epoch, ++last_transfer_);
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
  if (!pull && scheduling::transfer_epoch(grant.transfer) != context_.boot_epoch) {
    return;  // A former process pulled: it may have started these. Renewals say what became of
             // them.
  }
  for (const wire::GrantItem& item : grant.items) {
    const bool known = running_.contains(item.attempt) || reports_.knows(item.attempt) ||
                       std::ranges::any_of(held_, [&](const Held& held) {
                         return held.assignment.attempt == item.attempt;
                       });
    if (known) continue;
    // A transfer nobody waits for any more; or own work has taken the room meanwhile.
    const bool open = pull || context_.config.mutations.start_from_closed;
    const bool wanted = open && item.spec < grant.specs.size() && takes_more() &&
                        scheduling::fits(scheduling::need_of(grant.specs[item.spec]),
                                         capacity_ - unstarted_ - reserved_);
    if (!wanted) {
      if (!pull) probes::mark(probes::Mark::grant_unknown);
      reports_.given_back(now, {item.attempt, item.shard, false}, from, false);
      continue;
    }
    // L1. What the owner echoes is the first or a later try of the pull, and never in the future.
    const TimePoint sent =
        context_.config.mutations.lease_from_receipt
            ? now.steady
            : std::clamp(grant.pull_sent, pull ? pull->sent : TimePoint{}, now.steady);
    const TimePoint lease_end =
        scheduling::lease_end_at_executor(sent, std::chrono::milliseconds(item.lease_ms));
    accept(now, {item.attempt, item.shard, from, lease_end}, grant.specs[item.spec], item.argument);
  }
  next_pull_ = std::min(next_pull_, now.steady);
}

Renewals::Holdings Runner::holdings() const {
  Renewals::Holdings all{
      .open_transfers = pulls_.open_transfers(),
      .last_transfer = scheduling::transfer_id(context_.boot_epoch, last_transfer_),
      .all = recovered_,
      .longest = stopped_ != kNever};
  all.items.reserve(running_.size() + held_.size() + reports_.size());
  for (const auto& [attempt, running] : running_) {
    all.items.push_back({{attempt, running.assignment.shard, true}, running.assignment.owner});
  }
  for (const Held& held : held_) {
    const Assignment& assignment = held.assignment;
    all.items.push_back({{assignment.attempt, assignment.shard, false}, assignment.owner});
  }
  for (const wire::HeldAttempt& item : reports_.open()) all.items.push_back({item, {}});
  return all;
}

void Runner::on_renewed(Now now, NodeId from, const wire::Renewed& answer) {
  if (!renewals_.on_renewed(from, answer.sent)) return;
  const bool longest = stopped_ <= answer.sent;
  for (const wire::RenewedAttempt& item : answer.items) {
    renewed(
        now, item.attempt,
        scheduling::lease_end_at_executor(answer.sent, std::chrono::milliseconds(item.lease_ms)),
        longest);
  }
  on_end_attempts(now, {answer.over, EndReason::cancelled});
  reports_.settle(answer.over);
}

void Runner::renewed(Now now, const AttemptId& attempt, TimePoint lease_end, bool longest) {
  const auto found = running_.find(attempt);
  if (found == running_.end()) {
    const auto held =
        std::ranges::find_if(held_, [&](const Held& h) { return h.assignment.attempt == attempt; });
    if (held == held_.end()) return;
    held->assignment.lease_end = std::max(held->assignment.lease_end, lease_end);
    return;
  }
  Running& running = found->second;
  TimePoint& until = running.assignment.lease_end;
  until = std::max(until, lease_end);
  running.longest = running.longest || longest;
  const bool tell = scheduling::extension_due(now.steady, running.told, until) ||
                    (longest && running.told < until);
  if (!running.process || !tell) return;
  running.told = until;
  context_.output.extensions.push_back({attempt, until});
}

void Runner::on_renew_call(Now now, NodeId from, const wire::RenewCall& call) {
  renewals_.on_call(now, from, call.shards);
  renewals_.send_to(now, holdings(), from);
  reports_.tell_again(now, from, call.shards);
}

void Runner::on_member_gone(NodeId node) {
  pulls_.forget(node);
  renewals_.on_member_gone(node);
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

void Runner::on_recovered(Now now, std::vector<task::RecoveredAttempt> attempts) {
  for (const task::RecoveredAttempt& found : attempts) {
    if (running_.contains(found.attempt) || reports_.knows(found.attempt)) continue;
    probes::mark(probes::Mark::attempt_recovered);
    const scheduling::Resources need{found.cpu_millis, found.memory_bytes};
    started_ += need;
    running_.emplace(found.attempt, Running{.assignment = {.attempt = found.attempt,
                                                           .shard = found.shard,
                                                           .owner = {},
                                                           .lease_end = found.lease_end},
                                            .need = need,
                                            .started = now.steady,
                                            .started_wall = found.started,
                                            .told = found.lease_end,
                                            .process = true});
  }
  if (attempts.empty()) return;
  // Who owns their shards by this time is not known for certain, and there is little time.
  renewals_.owe_all(now);
  renewals_.hurry(now, kRecoveryHurry);
}

void Runner::on_recovery_complete(Now now) {
  recovered_ = true;
  if (context_.boot_epoch <= 1 && running_.empty()) return;  // It never ran before.
  renewals_.owe_all(now);
  renewals_.hurry(now, kRecoveryHurry);
}

void Runner::on_stop(Now now, bool end_tasks) {
  return_unstarted(now);
  const std::vector<AttemptId> attempts = running();
  for (const AttemptId& attempt : attempts) {
    const auto found = running_.find(attempt);
    if (found == running_.end() || (!end_tasks && found->second.process)) continue;
    end(now, attempt, found->second, EndReason::node_stopped, true, kStopGrace);
  }
  if (end_tasks) return;
  stopped_ = now.steady;
  longest_until_ = now.steady + kLongestMax;
  renewals_.hurry(now, kLongestMax);
}

bool Runner::idle(Now now) const {
  if (!held_.empty() || !reports_.empty()) return false;
  if (stopped_ == kNever) return running_.empty();
  if (now.steady >= longest_until_) return true;
  return std::ranges::all_of(
      running_, [](const auto& entry) { return entry.second.process && entry.second.longest; });
}

// The owner is told, so that what was surely not started is granted anew at once.
void Runner::drop_held(Now now, Held held) {
  unstarted_ -= held.need;
  const Assignment& assignment = held.assignment;
  reports_.given_back(now, {assignment.attempt, assignment.shard, false},
                      owner_of(assignment.shard, assignment.owner), false);
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
    in_advance_ = false;
    drop_held(now, std::move(held));
  }
}

void Runner::check_leases(Now now) {
  if (context_.config.mutations.no_fence) return;
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

// Hole 27: these owners left renewals unanswered.
void Runner::complain(Now now) {
  const std::set<NodeId> silent = renewals_.silent(now);
  if (silent.empty()) return;
  for (const auto& [attempt, running] : running_) {
    const ShardId shard = running.assignment.shard;
    const NodeId owner = owner_of(shard, running.assignment.owner);
    if (silent.contains(owner)) context_.unanswered.emplace_back(shard, owner);
  }
}

void Runner::repeat_pulls(Now now) {
  for (const auto& late : pulls_.overdue(now.steady)) {
    if (late.give_up) {
      renewals_.owe(now, late.pull.victim);  // What it granted is not on its way any more.
      continue;
    }
    if (!takes_work()) continue;
    context_.send(late.pull.victim,
                  wire::Pull{.transfer = late.transfer,
                             .sent = now.steady,
                             .cpu_millis = static_cast<std::uint32_t>(late.pull.asked.cpu_millis),
                             .memory_bytes = late.pull.asked.memory_bytes,
                             .count_max = late.pull.count_max,
                             .hinted = late.pull.hinted});
  }
}

void Runner::on_time(Now now) {
  wake_sleepers(now);
  if (now.steady >= next_check_) {
    next_check_ = now.steady + kCheckInterval;
    check_leases(now);
    return_unstarted(now);
    complain(now);
  }
  repeat_pulls(now);
  if (renewals_.due(now)) renewals_.send(now, holdings());
  reports_.on_time(now);
}

TimePoint Runner::wake_at() const {
  TimePoint at = pulls_.next_overdue();
  if (!sleepers_.empty()) at = std::min(at, sleepers_.begin()->first);
  const bool holds = !running_.empty() || !held_.empty();
  if (holds) at = std::min(at, next_check_);
  if (holds || !reports_.empty() || renewals_.owes()) at = std::min(at, renewals_.wake_at());
  at = std::min(at, reports_.wake_at());
  if (wants_work_ && wanted().cpu_millis > 0 && context_.membership->alive_count() > 1) {
    at = std::min(at, std::max(next_pull_, pulls_.wake_at()));
  }
  return at;
}

std::optional<TimePoint> Runner::lease_end(const AttemptId& attempt) const {
  const auto found = running_.find(attempt);
  if (found != running_.end()) return found->second.assignment.lease_end;
  const auto held =
      std::ranges::find_if(held_, [&](const Held& h) { return h.assignment.attempt == attempt; });
  if (held == held_.end()) return std::nullopt;
  return held->assignment.lease_end;
}

std::vector<AttemptId> Runner::running() const {
  std::vector<AttemptId> attempts;
  attempts.reserve(running_.size());
  for (const auto& [attempt, running] : running_) attempts.push_back(attempt);
  return attempts;
}

void Runner::check_invariants() const {
  scheduling::Resources started;
  scheduling::Resources unstarted;
  for (const auto& [attempt, running] : running_) {
    started += running.need;
    SHOAL_ASSERT(!reports_.knows(attempt));
    SHOAL_ASSERT(running.process || sleepers_.contains({running.sleep_until, attempt}));
    SHOAL_ASSERT(running.told <= running.assignment.lease_end);
  }
  for (const Held& held : held_) {
    unstarted += held.need;
    SHOAL_ASSERT(!running_.contains(held.assignment.attempt));
  }
  SHOAL_ASSERT(started == started_ && unstarted == unstarted_);
}

}  // namespace shoal::node
