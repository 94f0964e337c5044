#include "node/claims.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/format.hpp"
#include "base/log.hpp"
#include "base/probes.hpp"
#include "node/watches.hpp"

namespace shoal::node {
namespace {

constexpr Duration kLapseInterval = std::chrono::milliseconds(250);
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

// The task is past this attempt of that node. An owner whose knowledge is older than the attempt
// (it was deposed and does not know) must not judge it.
bool past(const task::TaskRecord& task, std::uint32_t attempt, NodeId node) {
  return task.attempt > attempt ||
         (task.attempt == attempt && (task.state != TaskState::claimed || task.node != node));
}

Duration lease_of(const task::TaskRecord& task) { return std::chrono::milliseconds(task.lease_ms); }

}  // namespace

bool Claims::claim_at_creation(Now now, TaskId id, const TaskSpec& spec) {
  if (context_.stopping) return false;
  if (spec.kind == TaskKind::noop) return true;
  const scheduling::Resources need = scheduling::need_of(spec);
  if (!queue_.empty() || !runner_.takes_more() || !scheduling::fits(need, runner_.free())) {
    return false;
  }
  runner_.reserve(need);
  proposed_[id] = {now.steady, need};
  return true;
}

void Claims::on_ready(Now now, ShardId shard, TaskId id, const task::TaskRecord& task) {
  const ShardJob* job = store_.job(shard, id.job);
  if (job == nullptr) return;
  if (task.not_before > now.wall) {
    const Duration wait = task.not_before - now.wall;
    delayed_.emplace(now.steady + wait, Delayed{now.steady + wait, shard, id});
    return;
  }
  queue_.push({id, shard}, scheduling::need_of(job->spec), job->spec.priority);
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

void Claims::claim(Now now, const scheduling::ReadyTask& ready, TaskStore::Held held, NodeId node,
                   std::uint64_t operation) {
  held.task.state = TaskState::claimed;
  ++held.task.attempt;
  held.task.node = node;
  held.task.not_before = {};
  held.task.lease_ms = static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(context_.config.lease).count());
  store_.put(now, ready.shard, ready.task, held,
             {.change = Change::claim,
              .from = TaskState::ready,
              .to = TaskState::claimed,
              .operation = operation});
}

void Claims::pump(Now now) {
  enqueue_delayed(now);
  if (!context_.stopping) {
    for (std::size_t claimed = 0; claimed < kSelfClaimsMax && !queue_.empty(); ++claimed) {
      if (!runner_.takes_more()) break;
      auto popped = queue_.pop_first(runner_.room());
      // Room that was asked for elsewhere is better filled from here.
      if (!popped) popped = queue_.pop_first(runner_.free());
      if (!popped) break;
      auto ready = still_ready(popped->task);
      if (!ready) continue;
      runner_.reserve(popped->need);
      proposed_[popped->task.task] = {now.steady, popped->need};
      claim(now, popped->task, std::move(ready->held), context_.self(), 0);
    }
  }
  if (!queue_.empty() && now.steady >= next_hint_) hint(now);
}

void Claims::hint(Now now) {
  next_hint_ = now.steady + kHintInterval;
  std::vector<NodeId> hungry;
  std::vector<NodeId> roomy;
  std::vector<NodeId> others;
  for (const auto& [node, member] : context_.membership->members()) {
    if (node == context_.self() || member.state != wire::MemberState::alive) continue;
    const auto asked = hungry_.find(node);
    const scheduling::Resources room{member.load.cpu_millis_free, member.load.memory_bytes_free};
    if (asked != hungry_.end() && now.steady - asked->second.at < kHungryMemory &&
        queue_.any_fits(asked->second.room)) {
      hungry.push_back(node);
    } else if (member.load_at != TimePoint{} && queue_.any_fits(room)) {
      roomy.push_back(node);
    } else {
      others.push_back(node);
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
  // And any one beside the promising ones: loads are stale, and a lone idle node must be found.
  std::ranges::copy(hungry, std::back_inserter(others));
  std::ranges::copy(roomy, std::back_inserter(others));
  choose(others, chosen.size() + 1);
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
    if (held) {
      claims_[id] = {attempt, shard, task.node, lease_of(task),
                     scheduling::lease_end_at_owner(now.steady, lease_of(task))};
    }
    const auto found = grants_.find(operation);
    if (found == grants_.end()) return;
    if (held && task.node == found->second.to) found->second.items.push_back({attempt, shard});
    if (--found->second.waiting == 0) send_grant(now, operation);
    return;
  }
  TimePoint begun = now.steady;
  if (const auto proposed = proposed_.find(id); proposed != proposed_.end()) {
    begun = proposed->second.at;
    runner_.unreserve(proposed->second.need);
    proposed_.erase(proposed);
  }
  const ShardJob* job = store_.job(shard, id.job);
  if (job == nullptr || task.state != TaskState::claimed || task.node != context_.self()) return;
  const AttemptId attempt{id, task.attempt};
  // A built-in noop is over before anybody could ask after its lease.
  if (job->spec.kind != TaskKind::noop) {
    claims_[id] = {attempt, shard, task.node, lease_of(task),
                   scheduling::lease_end_at_owner(now.steady, lease_of(task))};
  }
  runner_.accept(now,
                 {.attempt = attempt,
                  .shard = shard,
                  .owner = context_.self(),
                  .lease_end = scheduling::lease_end_at_executor(begun, lease_of(task))},
                 job->spec, task.argument);
}

void Claims::on_recovered_claim(Now now, ShardId shard, TaskId id, const task::TaskRecord& task) {
  probes::mark(probes::Mark::claim_found);
  claims_[id] = {{id, task.attempt},
                 shard,
                 task.node,
                 lease_of(task),
                 scheduling::lease_end_at_owner(now.steady, lease_of(task))};
  std::vector<ShardId>& shards = calls_[task.node];
  if (shards.empty() || shards.back() != shard) shards.push_back(shard);
}

void Claims::on_ended(TaskId id) { claims_.erase(id); }

void Claims::on_recorded(TaskId id, const task::TaskRecord& task) {
  if (task.state == TaskState::claimed || !task.node) return;  // Claimed anew in the same moment.
  outcome_acks_[task.node].push_back({id, task.attempt});
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
  PendingGrant pending{.to = from, .transfer = pull.transfer, .pull_sent = pull.sent};
  std::size_t bytes = 0;
  while (pending.waiting < most && bytes < kListBytesMax) {
    const auto popped = queue_.pop_last(room);
    if (!popped) break;
    auto ready = still_ready(popped->task);
    if (!ready) continue;
    room -= popped->need;
    bytes += ready->held.task.argument.size() + task::spec_bytes(ready->job->spec);
    ++pending.waiting;
    pending.shards.push_back(popped->task.shard);
    claim(now, popped->task, std::move(ready->held), from, operation);
  }
  transfers_[key] = std::move(transfer);
  if (pending.waiting < pull.count_max) hungry_[from] = {now.steady, room};
  const bool empty = pending.waiting == 0;
  grants_[operation] = std::move(pending);
  if (empty) send_grant(now, operation);
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
    if (context_.serves(item.shard)) record_outcome(now, from, item);
  }
}

void Claims::record_outcome(Now now, NodeId from, wire::OutcomeItem& item) {
  const TaskId id = item.attempt.task;
  auto held = store_.proposed(item.shard, id);
  const bool current = held && held->task.state == TaskState::claimed &&
                       held->task.attempt == item.attempt.number && held->task.node == from;
  if (!current) {
    // Recorded already, or never wanted: say so once that is certain.
    const auto shown = store_.committed(item.shard, id);
    const bool certain = shown.presence == TaskStore::Presence::absent
                             ? !held
                             : shown.presence == TaskStore::Presence::present &&
                                   past(shown.task, item.attempt.number, from);
    probes::mark(probes::Mark::old_outcome_ignored);
    if (certain) outcome_acks_[from].push_back(item.attempt);
    return;
  }
  if (item.result.reason == EndReason::node_stopped) {
    release(now, item.shard, id, std::move(*held), false);
    give_back_acks_[from].push_back(item.attempt);
    return;
  }
  const ShardJob* job = store_.job(item.shard, id.job);
  task::TaskRecord& task = held->task;
  task.deaths = 0;
  task.result = std::move(item.result);
  const AttemptResult& result = *task.result;
  if (result.good()) {
    task.state = TaskState::succeeded;
  } else if (result.reason == EndReason::cancelled) {
    task.state = TaskState::cancelled;
  } else if (++task.failures <= (job == nullptr ? 0 : job->spec.retries)) {
    task.state = TaskState::ready;
    task.not_before = now.wall + back_off(task.failures);
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

void Claims::release(Now now, ShardId shard, TaskId id, TaskStore::Held held, bool death) {
  task::TaskRecord& task = held.task;
  task.state = TaskState::ready;
  if (death && ++task.deaths >= kDeathsMax) {
    probes::mark(probes::Mark::task_lost);
    // A task that outlives no node must not eat the cluster.
    task.state = TaskState::lost;
    log::warn("node", "{} is lost: its node went silent {} times in a row", to_string(id),
              task.deaths);
  }
  task.node = {};
  store_.put(now, shard, id, held,
             {.change = Change::release, .from = TaskState::claimed, .to = task.state});
}

void Claims::on_give_back(Now now, NodeId from, const wire::GiveBack& back) {
  for (const wire::HeldAttempt& item : back.items) {
    if (!context_.serves(item.shard)) continue;
    auto held = store_.proposed(item.shard, item.attempt.task);
    if (held && held->task.state == TaskState::claimed && held->task.node == from &&
        held->task.attempt == item.attempt.number) {
      release(now, item.shard, item.attempt.task, std::move(*held), false);
    }
    give_back_acks_[from].push_back(item.attempt);
  }
}

void Claims::on_renew(Now now, NodeId from, wire::Renew renew) {
  PendingRenewal pending{.from = from, .answer = {.sent = renew.sent}};
  std::set<ShardId> shards;
  for (const wire::HeldAttempt& item : renew.items) {
    if (!context_.serves(item.shard)) continue;
    const auto held = store_.proposed(item.shard, item.attempt.task);
    const bool theirs = held && held->task.state == TaskState::claimed && held->task.node == from &&
                        held->task.attempt == item.attempt.number;
    if (theirs) {
      shards.insert(item.shard);
      pending.candidates.push_back(item);
      continue;
    }
    // Over only once that is committed: a change under way may yet be lost with this owner.
    const auto shown = store_.committed(item.shard, item.attempt.task);
    if (shown.presence == TaskStore::Presence::present &&
        past(shown.task, item.attempt.number, from)) {
      pending.answer.over.push_back(item.attempt);
    }
  }
  if (shards.empty()) {
    if (!pending.answer.over.empty()) context_.send(from, std::move(pending.answer));
    return;
  }
  const std::uint64_t ticket =
      context_.shards->confirm(now.steady, std::vector<ShardId>(shards.begin(), shards.end()));
  renewals_[ticket] = std::move(pending);
}

void Claims::on_confirmed(Now now, const shard::ConfirmDone& done) {
  const auto found = renewals_.find(done.ticket);
  if (found == renewals_.end()) return;
  PendingRenewal pending = std::move(found->second);
  renewals_.erase(found);
  const std::set<ShardId> confirmed(done.confirmed.begin(), done.confirmed.end());
  for (const wire::HeldAttempt& item : pending.candidates) {
    const auto claim = claims_.find(item.attempt.task);
    if (!confirmed.contains(item.shard) || claim == claims_.end() ||
        claim->second.attempt != item.attempt) {
      probes::mark(probes::Mark::late_renewal);
      continue;  // L4: what was released meanwhile stays released.
    }
    claim->second.until = scheduling::lease_end_at_owner(now.steady, claim->second.lease);
    claim->second.heard = true;
    const auto lease = static_cast<std::uint32_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(claim->second.lease).count());
    pending.answer.items.push_back({item.attempt, lease});
  }
  context_.send(pending.from, std::move(pending.answer));
}

void Claims::lapse(Now now) {
  next_lapse_ = now.steady + kLapseInterval;
  std::erase_if(transfers_,
                [&](const auto& entry) { return entry.second.forget_at <= now.steady; });
  std::vector<Claim> over;
  for (const auto& [id, claim] : claims_) {
    if (claim.until <= now.steady) over.push_back(claim);
  }
  for (const Claim& claim : over) {
    const TaskId id = claim.attempt.task;
    claims_.erase(id);
    auto held = store_.proposed(claim.shard, id);
    if (!context_.serves(claim.shard) || !held || held->task.state != TaskState::claimed ||
        held->task.attempt != claim.attempt.number) {
      continue;
    }
    probes::mark(probes::Mark::lease_lapsed);
    log::info("node", "{}: the lease of attempt {} on {} ran out", to_string(id),
              claim.attempt.number, short_text(claim.node));
    const membership::Member* member = context_.membership->find(claim.node);
    const bool death = claim.heard || member == nullptr || member->gone();
    release(now, claim.shard, id, std::move(*held), death);
  }
}

void Claims::on_time(Now now) {
  if (now.steady >= next_lapse_) lapse(now);
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
  for (auto& [node, shards] : calls_) {
    context_.send_list(node, std::move(shards),
                       [](std::vector<ShardId> part) { return wire::RenewCall{std::move(part)}; });
  }
  calls_.clear();
}

void Claims::drop_shard(ShardId shard) {
  queue_.drop_shard(shard);
  std::erase_if(delayed_, [shard](const auto& entry) { return entry.second.shard == shard; });
  std::erase_if(claims_, [shard](const auto& entry) { return entry.second.shard == shard; });
  for (auto entry = proposed_.begin(); entry != proposed_.end();) {
    if (task::shard_of(entry->first, context_.shard_count) != shard) {
      ++entry;
      continue;
    }
    runner_.unreserve(entry->second.need);
    entry = proposed_.erase(entry);
  }
  // Grants that wait for this shard cannot know which of their claims were committed: those leases
  // run out. Their nodes hear that they get nothing, so that their room is not kept for this.
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
    entry = grants_.erase(entry);
  }
}

TimePoint Claims::wake_at() const {
  TimePoint at = kNever;
  if (!claims_.empty() || !transfers_.empty()) at = std::min(at, next_lapse_);
  if (!queue_.empty()) at = std::min(at, next_hint_);
  if (!delayed_.empty()) at = std::min(at, delayed_.begin()->first);
  return at;
}

}  // namespace shoal::node
