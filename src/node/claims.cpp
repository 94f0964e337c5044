#include "node/claims.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/probes.hpp"
#include "node/watches.hpp"
#include "scheduling/lease.hpp"
#include "scheduling/transfer.hpp"
#include "shard/quorum.hpp"

namespace shoal::node {
namespace {

constexpr Duration kSweepInterval = std::chrono::seconds(1);
constexpr Duration kHintInterval = std::chrono::milliseconds(100);
constexpr Duration kHungryMemory = std::chrono::seconds(3);
constexpr std::size_t kHintsAtOnce = 4;
constexpr std::chrono::milliseconds kBackOffFirst{1000};
constexpr std::chrono::milliseconds kBackOffMax{60'000};

// Full back-off of the n-th failure (n from 1): exponential from kBackOffFirst.
std::chrono::milliseconds back_off(std::uint32_t failures) {
  const std::uint32_t doublings = std::min(failures - 1, 6U);
  return std::min(kBackOffMax, kBackOffFirst * (1 << doublings));
}

// How much longer the task backs off. `not_before` is the wall clock of whoever wrote it: a wrong
// one puts no task off for longer than any back-off is.
Duration backing_off(const task::TaskRecord& task, Now now) {
  return std::clamp(task.not_before - now.wall, std::chrono::milliseconds(0), kBackOffMax);
}

}  // namespace

bool Claims::claim_at_creation(Now now, TaskId id, const TaskSpec& spec) {
  if (!runner_.takes_work()) return false;
  if (spec.kind == TaskKind::noop) return true;
  const scheduling::Resources need = scheduling::need_of(spec);
  if (!queue_.empty() || !runner_.takes_more() || !scheduling::fits(need, runner_.free())) {
    return false;
  }
  if (stalled(task::shard_of(id, context_.shard_count))) return false;
  runner_.reserve(need);
  proposed_[id] = {now.steady, need};
  return true;
}

void Claims::on_ready(Now now, ShardId shard, TaskId id, const task::TaskRecord& task) {
  const ShardJob* job = store_.job(shard, id.job);
  if (job == nullptr) return;
  const Duration wait = backing_off(task, now);
  if (wait > Duration::zero()) return wait_until(now.steady + wait, shard, id);
  queue_.push({id, shard}, scheduling::need_of(job->spec), job->spec.priority);
}

void Claims::wait_until(TimePoint at, ShardId shard, TaskId id) {
  delayed_.emplace(at, Delayed{at, shard, id});
}

void Claims::on_recovered(Now now, ShardId shard, TaskId id, const task::TaskRecord& task) {
  if (task.state == TaskState::claimed) return leases_.hold_recovered(now, shard, id, task);
  if (task.state != TaskState::ready) return;
  const TimePoint over = leases_.ready_at(shard, task);
  if (over <= now.steady) return on_ready(now, shard, id, task);
  wait_until(std::max(over, now.steady + backing_off(task, now)), shard, id);
}

void Claims::enqueue_delayed(Now now) {
  while (!delayed_.empty() && delayed_.begin()->first <= now.steady) {
    const Delayed due = delayed_.begin()->second;
    delayed_.erase(delayed_.begin());
    if (auto ready = still_ready({due.task, due.shard})) {
      queue_.push({due.task, due.shard}, scheduling::need_of(ready->job->spec),
                  ready->job->spec.priority);
    }
  }
}

std::optional<Claims::Ready> Claims::still_ready(const scheduling::ReadyTask& task) {
  auto held = store_.proposed(task.shard, task.task);
  if (!held || held->task.state != TaskState::ready) return std::nullopt;
  const ShardJob* job = store_.job(task.shard, task.task.job);
  if (job == nullptr) return std::nullopt;
  return Ready{std::move(*held), job};
}

task::TaskRecord Claims::bound(task::TaskRecord task, const TaskSpec& spec, NodeId node,
                               std::uint64_t transfer) const {
  const auto lease = std::chrono::duration_cast<std::chrono::milliseconds>(leases_.first(spec));
  task.state = TaskState::claimed;
  ++task.attempt;
  task.node = node;
  task.not_before = {};
  task.lease_ms = static_cast<std::uint32_t>(lease.count());
  task.transfer = transfer == 0 ? scheduling::transfer_id(context_.boot_epoch, 0) : transfer;
  return task;
}

void Claims::claim(Now now, const scheduling::ReadyTask& ready, Ready found, NodeId node,
                   std::uint64_t transfer, std::uint64_t operation) {
  found.held.task = bound(std::move(found.held.task), found.job->spec, node, transfer);
  store_.put(now, ready.shard, ready.task, found.held,
             {.change = Change::claim,
              .from = TaskState::ready,
              .to = TaskState::claimed,
              .operation = operation});
}

void Claims::pump(Now now) {
  enqueue_delayed(now);
  for (std::size_t claimed = 0; claimed < kSelfClaimsMax && !queue_.empty(); ++claimed) {
    if (!runner_.takes_more()) break;
    auto popped = queue_.pop_first(runner_.room());
    // Room that was asked for elsewhere is better filled from here.
    if (!popped) popped = queue_.pop_first(runner_.free());
    if (!popped) break;
    if (put_off(now, popped->task)) continue;
    auto ready = still_ready(popped->task);
    if (!ready) continue;
    runner_.reserve(popped->need);
    proposed_[popped->task.task] = {now.steady, popped->need};
    claim(now, popped->task, std::move(*ready), context_.self(), 0, 0);
  }
  if (!queue_.empty() && now.steady >= next_hint_) hint(now);
}

void Claims::hint(Now now) {
  next_hint_ = now.steady + kHintInterval;
  std::vector<NodeId> hungry;
  std::vector<NodeId> roomy;
  std::vector<NodeId> all;
  for (const auto& [node, member] : context_.membership->members()) {
    if (node == context_.self() || member.state != wire::MemberState::alive) continue;
    const auto asked = hungry_.find(node);
    const scheduling::Resources room{member.load.cpu_millis_free, member.load.memory_bytes_free};
    all.push_back(node);
    if (asked != hungry_.end() && now.steady - asked->second.at < kHungryMemory &&
        queue_.any_fits(asked->second.room)) {
      hungry.push_back(node);
    } else if (member.load_at != TimePoint{} && queue_.any_fits(room)) {
      roomy.push_back(node);
    }
  }
  std::vector<NodeId> chosen;
  const auto choose = [&](std::vector<NodeId>& from, std::size_t most) {
    while (!from.empty() && chosen.size() < most) {
      std::swap(from[context_.random.below(from.size())], from.back());
      chosen.push_back(from.back());
      from.pop_back();
    }
  };
  choose(hungry, kHintsAtOnce - 1);
  choose(roomy, kHintsAtOnce - 1);
  // And one in turn beside the promising ones: loads are stale, and a lone idle node must be found.
  auto turn = std::ranges::upper_bound(all, hint_turn_);
  for (std::size_t looked = 0; looked < all.size(); ++looked, ++turn) {
    if (turn == all.end()) turn = all.begin();
    if (std::ranges::find(chosen, *turn) != chosen.end()) continue;
    chosen.push_back(hint_turn_ = *turn);
    break;
  }
  const wire::Hint hint{static_cast<std::uint32_t>(std::min<std::size_t>(queue_.size(), ~0U))};
  for (const NodeId node : chosen) {
    hungry_.erase(node);
    if (!probes::fails(probes::Site::hint_lost)) context_.send(node, hint);
  }
}

void Claims::on_claimed(Now now, ShardId shard, TaskId id, const task::TaskRecord& task,
                        std::uint64_t operation) {
  if (operation != 0) {
    const AttemptId attempt{id, task.attempt};
    const bool held = task.state == TaskState::claimed;
    // Whatever becomes of the grant: a committed claim has a lease that can lapse.
    if (held) leases_.hold(now, shard, id, task);
    const auto found = grants_.find(operation);
    if (found == grants_.end()) {
      if (held) leases_.call(id);
      return;
    }
    if (held && task.node == found->second.to) found->second.items.push_back({attempt, shard});
    if (--found->second.waiting == 0) send_grant(now, operation);
    return;
  }
  TimePoint begun = now.steady;
  bool late = false;
  if (const auto proposed = proposed_.find(id); proposed != proposed_.end()) {
    begun = proposed->second.at;
    late = proposed->second.stalled;
    runner_.unreserve(proposed->second.need);
    proposed_.erase(proposed);
  }
  const ShardJob* job = store_.job(shard, id.job);
  if (job == nullptr || task.state != TaskState::claimed || task.node != context_.self()) return;
  const AttemptId attempt{id, task.attempt};
  // A built-in noop is over before anybody could ask after its lease.
  if (job->spec.kind != TaskKind::noop) leases_.hold(now, shard, id, task);
  // Its room was not kept so long: other work may have it.
  if (late && !runner_.may_hold(scheduling::need_of(job->spec))) {
    return on_give_back(now, context_.self(), {{{attempt, shard}}});
  }
  runner_.accept(now,
                 {.attempt = attempt,
                  .shard = shard,
                  .owner = context_.self(),
                  .lease_end = scheduling::lease_end_at_executor(
                      begun, std::chrono::milliseconds(task.lease_ms))},
                 job->spec, task.argument);
}

void Claims::on_ended(TaskId id) {
  leases_.drop(id);
  const auto back = backs_.find(id);
  if (back == backs_.end()) return;
  give_back_acks_[back->second.to].push_back(back->second.attempt);
  backs_.erase(back);
}

void Claims::on_recorded(TaskId id, const task::TaskRecord& task) {
  if (task.state == TaskState::claimed || !task.node) return;  // Claimed anew in the same moment.
  outcome_acks_[task.node].push_back({id, task.attempt});
  const auto relayed = relayed_.find(id);
  if (relayed == relayed_.end()) return;
  outcome_acks_[relayed->second.to].push_back(relayed->second.attempt);
  relayed_.erase(relayed);
}

void Claims::end_attempt(ShardId, TaskId id, const task::TaskRecord& task) {
  if (const auto proposed = proposed_.find(id); proposed != proposed_.end()) {
    runner_.unreserve(proposed->second.need);
    proposed_.erase(proposed);
  }
  if (!task.node) return;
  context_.send(task.node, wire::EndAttempts{{{id, task.attempt}}, EndReason::cancelled});
}

void Claims::on_pull(Now now, NodeId from, const wire::Pull& pull) {
  const std::pair key{from, pull.transfer};
  if (const auto known = transfers_.find(key); known != transfers_.end()) {
    probes::mark(probes::Mark::pull_repeated);
    if (known->second.sent) context_.send(from, known->second.grant);
    return;
  }
  Transfer transfer;
  transfer.grant = {.transfer = pull.transfer, .pull_sent = pull.sent};
  transfer.forget_at = now.steady + kTransferMemory;
  // At most half of the backlog, so that two nodes do not hand the same work to and fro.
  const bool none = context_.stopping || probes::fails(probes::Site::pull_refused);
  const std::size_t half = none ? 0 : (queue_.size() + 1) / 2;
  const std::size_t most =
      std::min({half, std::size_t{pull.count_max}, std::size_t{kGrantItemsMax}});
  scheduling::Resources room{pull.cpu_millis, pull.memory_bytes};
  const std::uint64_t operation = ++last_grant_;
  PendingGrant pending{
      .to = from, .transfer = pull.transfer, .pull_sent = pull.sent, .begun = now.steady};
  std::size_t bytes = 0;
  while (pending.waiting < most && bytes < kListBytesMax) {
    const auto popped = queue_.pop_last(room);
    if (!popped) break;
    if (put_off(now, popped->task)) continue;
    auto ready = still_ready(popped->task);
    if (!ready) continue;
    room -= popped->need;
    bytes += ready->held.task.argument.size() + task::spec_bytes(ready->job->spec);
    ++pending.waiting;
    pending.shards.push_back(popped->task.shard);
    const AttemptId attempt{popped->task.task, ready->held.task.attempt + 1};
    if (context_.config.mutations.grant_before_commit) {
      pending.items.push_back({attempt, popped->task.shard});
    }
    claim(now, popped->task, std::move(*ready), from, pull.transfer, operation);
  }
  transfers_[key] = std::move(transfer);
  if (pending.waiting < pull.count_max) hungry_[from] = {now.steady, room};
  const bool empty = pending.waiting == 0;
  grants_[operation] = std::move(pending);
  if (empty || context_.config.mutations.grant_before_commit) send_grant(now, operation);
}

void Claims::send_grant(Now, std::uint64_t operation) {
  const auto found = grants_.find(operation);
  PendingGrant pending = std::move(found->second);
  grants_.erase(found);
  const auto transfer = transfers_.find({pending.to, pending.transfer});
  if (transfer == transfers_.end()) return;
  wire::Grant& grant = transfer->second.grant;
  std::map<JobId, std::uint32_t> specs;
  for (const wire::HeldAttempt& item : pending.items) {
    const auto held = store_.proposed(item.shard, item.attempt.task);
    const ShardJob* job = store_.job(item.shard, item.attempt.task.job);
    if (!held || job == nullptr || held->task.state != TaskState::claimed ||
        held->task.attempt != item.attempt.number) {
      probes::mark(probes::Mark::grant_claim_gone);
      continue;  // Cancelled meanwhile.
    }
    const auto [spec, added] =
        specs.emplace(item.attempt.task.job, static_cast<std::uint32_t>(grant.specs.size()));
    if (added) grant.specs.push_back(job->spec);
    grant.items.push_back(
        {item.attempt, spec->second, held->task.argument, item.shard, held->task.lease_ms});
  }
  grant.ready = static_cast<std::uint32_t>(std::min<std::size_t>(queue_.size(), ~0U));
  transfer->second.sent = true;
  context_.counters.tasks_given += grant.items.size();
  if (!probes::fails(probes::Site::grant_lost)) context_.send(pending.to, grant);
}

void Claims::on_outcomes(Now now, NodeId from, wire::Outcomes outcomes) {
  for (wire::OutcomeItem& item : outcomes.items) {
    if (context_.serves(item.shard)) {
      record_outcome(now, from, item);
    } else if (from == item.node) {  // What another node passes on is not passed on again.
      relay_.take(now, std::move(item));
    }
  }
}

void Claims::record_outcome(Now now, NodeId from, wire::OutcomeItem& item) {
  const TaskId id = item.attempt.task;
  auto held = store_.proposed(item.shard, id);
  const bool current = held && held->task.state == TaskState::claimed &&
                       held->task.attempt == item.attempt.number && held->task.node == item.node;
  if (!current) {
    // Recorded already, or never wanted: say so once that is certain.
    probes::mark(probes::Mark::old_outcome_ignored);
    if (store_.past(item.shard, item.attempt, item.node))
      outcome_acks_[from].push_back(item.attempt);
    return;
  }
  if (item.result.reason == EndReason::node_stopped) {
    return give_back(now, item.node, {item.attempt, item.shard, true});
  }
  const ShardJob* job = store_.job(item.shard, id.job);
  const bool plain = item.result.good() || item.result.reason == EndReason::cancelled;
  // Whether a failure is tried again stands in the description, which is being mended: the outcome
  // is reported again.
  if (job == nullptr && !plain) return;
  if (from != item.node) relayed_[id] = {item.attempt, from};
  task::TaskRecord& task = held->task;
  task.deaths = 0;
  task.result = std::move(item.result);
  const AttemptResult& result = *task.result;
  if (result.good()) {
    task.state = TaskState::succeeded;
  } else if (result.reason == EndReason::cancelled) {
    task.state = TaskState::cancelled;
  } else if (++task.failures <= (job->spec.at_most_once ? 0 : job->spec.retries)) {
    task.state = TaskState::ready;
    task.not_before = now.wall + back_off(task.failures);
    task.lease_ms = 0;  // It is over: nobody has to wait for it.
  } else {
    task.state = TaskState::failed;
  }
  for (std::size_t stream = 0; stream < 2; ++stream) {
    if (item.tails.at(stream).empty()) continue;
    store_.put_tail(now, item.shard, item.attempt, static_cast<task::Stream>(stream),
                    item.tails.at(stream));
  }
  if (watches_.wants_output(item.shard, id.job)) {
    watches_.note_tails(item.attempt, std::move(item.tails));
  }
  const Token token{.change = Change::outcome, .from = TaskState::claimed, .to = task.state};
  store_.put(now, item.shard, id, *held, token);
}

void Claims::on_give_back(Now now, NodeId from, const wire::GiveBack& back) {
  for (const wire::HeldAttempt& item : back.items) {
    if (!context_.serves(item.shard)) continue;
    const auto held = store_.proposed(item.shard, item.attempt.task);
    if (held && held->task.state == TaskState::claimed && held->task.node == from &&
        held->task.attempt == item.attempt.number) {
      give_back(now, from, item);
    } else if (store_.past(item.shard, item.attempt, from)) {
      give_back_acks_[from].push_back(item.attempt);
    }
  }
}

// REQUIRES: the task is claimed for this attempt of that node.
void Claims::give_back(Now now, NodeId node, const wire::HeldAttempt& item) {
  const TaskId id = item.attempt.task;
  const auto end = item.running ? Leases::End::given_back : Leases::End::unstarted;
  if (!leases_.release(now, item.shard, id, *store_.proposed(item.shard, id), end)) return;
  backs_[id] = {item.attempt, node};
}

// Liveness only steers: what is put off is looked at again.
bool Claims::stalled(ShardId shard) const {
  if (stalled_.contains(shard)) return true;
  const wire::ShardConfig* config = context_.shards->config(shard);
  return config != nullptr && !shard::quorum({}, *config, [&](NodeId node) {
           if (node == context_.self()) return true;
           const membership::Member* member = context_.membership->find(node);
           return member != nullptr && !member->gone();
         });
}

bool Claims::put_off(Now now, const scheduling::ReadyTask& task) {
  if (!stalled(task.shard)) return false;
  wait_until(now.steady + kStalledPause, task.shard, task.task);
  return true;
}

void Claims::note_stalled(Now now) {
  for (auto& [id, proposed] : proposed_) {
    if (proposed.stalled || now.steady - proposed.at < kStalledAfter) continue;
    probes::mark(probes::Mark::claim_stalled);
    runner_.unreserve(std::exchange(proposed.need, {}));
    proposed.stalled = true;
    stalled_.insert(task::shard_of(id, context_.shard_count));
  }
  std::vector<std::uint64_t> due;
  for (const auto& [operation, pending] : grants_) {
    if (now.steady - pending.begun >= kStalledAfter) due.push_back(operation);
  }
  for (const std::uint64_t operation : due) {
    // What is committed later is not in it: its node is called.
    send_grant(now, operation);
  }
}

void Claims::on_time(Now now) {
  if (now.steady < next_sweep_) return;
  next_sweep_ = now.steady + kSweepInterval;
  note_stalled(now);
  std::erase_if(transfers_,
                [&](const auto& entry) { return entry.second.forget_at <= now.steady; });
}

void Claims::flush() {
  for (auto& [node, items] : outcome_acks_) {
    if (node != context_.self() && probes::fails(probes::Site::outcome_ack_lost)) continue;
    context_.send_list(node, std::move(items), [](std::vector<AttemptId> part) {
      return wire::OutcomeAck{std::move(part)};
    });
  }
  outcome_acks_.clear();
  for (auto& [node, items] : give_back_acks_) {
    context_.send_list(node, std::move(items), [](std::vector<AttemptId> part) {
      return wire::GiveBackAck{std::move(part)};
    });
  }
  give_back_acks_.clear();
}

void Claims::drop_shard(ShardId shard) {
  queue_.drop_shard(shard);
  stalled_.erase(shard);
  std::erase_if(delayed_, [shard](const auto& entry) { return entry.second.shard == shard; });
  leases_.drop_shard(shard);
  const auto there = [&](const auto& entry) {
    return task::shard_of(entry.first, context_.shard_count) == shard;
  };
  std::erase_if(backs_, there);
  std::erase_if(relayed_, there);
  for (auto entry = proposed_.begin(); entry != proposed_.end();) {
    if (task::shard_of(entry->first, context_.shard_count) != shard) {
      ++entry;
      continue;
    }
    runner_.unreserve(entry->second.need);
    entry = proposed_.erase(entry);
  }
  // Grants that wait for this shard cannot know which of their claims were committed. Their nodes
  // hear that they get nothing, so that their room is not kept for this, and are called for what
  // was.
  for (auto entry = grants_.begin(); entry != grants_.end();) {
    const PendingGrant& pending = entry->second;
    if (std::ranges::find(pending.shards, shard) == pending.shards.end()) {
      ++entry;
      continue;
    }
    const auto transfer = transfers_.find({pending.to, pending.transfer});
    if (transfer != transfers_.end()) {
      transfer->second.sent = true;
      context_.send(pending.to, transfer->second.grant);
    }
    for (const wire::HeldAttempt& item : pending.items) leases_.call(item.attempt.task);
    entry = grants_.erase(entry);
  }
}

TimePoint Claims::wake_at() const {
  TimePoint at = kNever;
  const bool sweeps = !transfers_.empty() || !proposed_.empty() || !grants_.empty();
  if (sweeps) at = std::min(at, next_sweep_);
  if (!queue_.empty()) at = std::min(at, next_hint_);
  if (!delayed_.empty()) at = std::min(at, delayed_.begin()->first);
  return at;
}

}  // namespace shoal::node
