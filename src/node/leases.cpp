#include "node/leases.hpp"

#include <algorithm>
#include <iterator>
#include <span>

#include "base/assert.hpp"
#include "base/format.hpp"
#include "base/log.hpp"
#include "base/probes.hpp"
#include "scheduling/lease.hpp"
#include "scheduling/transfer.hpp"

namespace shoal::node {
namespace {

constexpr Duration kLapseInterval = std::chrono::milliseconds(250);
constexpr std::chrono::milliseconds kDeathDelay{1000};  // Doubles with each death after the second.

std::uint32_t in_millis(Duration lease) {
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(lease).count());
}

Duration lease_of(const task::TaskRecord& task) { return std::chrono::milliseconds(task.lease_ms); }

// Hole 24: what may be a poison task does not go straight on to the next node, but the first death
// costs no delay: most are a machine's, not the task's.
std::chrono::milliseconds death_delay(std::uint32_t deaths) {
  return deaths < 2 ? std::chrono::milliseconds(0) : kDeathDelay * (1 << std::min(deaths - 2, 8U));
}

}  // namespace

Duration Leases::first(const TaskSpec& spec) const {
  const NodeConfig& config = context_.config;
  return spec.at_most_once ? std::max(config.lease, config.lease_max) : config.lease;
}

bool Leases::release(Now now, ShardId shard, TaskId id, TaskStore::Held held, End end) {
  const ShardJob* job = store_.job(shard, id.job);
  if (job == nullptr) return false;
  task::TaskRecord& task = held.task;
  task.state = TaskState::ready;
  const bool by_its_word = end != End::lapsed && end != End::died;
  const bool death = end == End::vanished || end == End::died;
  if (death) {
    ++task.deaths;
    task.not_before = now.wall + death_delay(task.deaths);
  }
  if (job->spec.at_most_once && end != End::unstarted) {
    task.state = TaskState::lost;
    log::info("node",
              "{} is lost: attempt {} on {} may have been started, and it is to run at most once",
              to_string(id), task.attempt, short_text(task.node));
  } else if (task.deaths >= kDeathsMax && !context_.config.mutations.deaths_unlimited) {
    // A task that outlives no node must not eat the cluster.
    probes::mark(probes::Mark::task_lost);
    task.state = TaskState::lost;
    log::warn("node", "{} is lost: its node went silent {} times in a row", to_string(id),
              task.deaths);
  }
  if (by_its_word) task.lease_ms = 0;
  task.transfer = 0;
  task.node = {};
  store_.put(now, shard, id, held,
             {.change = Change::release, .from = TaskState::claimed, .to = task.state});
  return true;
}

void Leases::add(TaskId id, Claim claim) {
  drop(id);
  by_node_[claim.node].insert(id);
  claims_.emplace(id, std::move(claim));
}

void Leases::hold(Now now, ShardId shard, TaskId id, const task::TaskRecord& task) {
  const Duration lease = lease_of(task);
  add(id, {.attempt = {id, task.attempt},
           .shard = shard,
           .node = task.node,
           .transfer = task.transfer,
           .lease = lease,
           .since = now.steady,
           .held_at = now.steady,
           .until = scheduling::lease_end_at_owner(now.steady, lease)});
}

void Leases::hold_recovered(Now now, ShardId shard, TaskId id, const task::TaskRecord& task) {
  const Duration lease = lease_of(task);
  probes::mark(probes::Mark::claim_found);
  const TimePoint promised = quorum_at(now, shard, lease);
  add(id, {.attempt = {id, task.attempt},
           .shard = shard,
           .node = task.node,
           .transfer = task.transfer,
           .lease = lease,
           .since = promised - scheduling::age_shown(lease, context_.config.lease),
           .held_at = now.steady,
           .until = scheduling::lease_end_at_owner(promised, lease),
           .called = true});
  calls_[task.node].insert(shard);
}

// L3: a new owner's waiting begins when its promises are a quorum.
TimePoint Leases::quorum_at(Now now, ShardId shard, Duration lease) const {
  const Mutations& mutations = context_.config.mutations;
  if (mutations.no_lease_wait) return now.steady - 2 * lease;
  if (mutations.lease_wait_from_prepare) return context_.shards->prepared_at(shard);
  return std::min(now.steady, context_.shards->promised_at(shard));
}

// L3 for a task whose release was not its node's word: the owner that wrote it may have been
// deposed already, and its successor may have renewed the attempt.
TimePoint Leases::ready_at(ShardId shard, const task::TaskRecord& task) const {
  if (task.lease_ms == 0) return {};
  return scheduling::lease_end_at_owner(context_.shards->promised_at(shard), lease_of(task));
}

void Leases::call(TaskId id) {
  const auto claim = claims_.find(id);
  if (claim == claims_.end()) return;
  claim->second.called = true;
  calls_[claim->second.node].insert(claim->second.shard);
}

void Leases::drop(TaskId id) {
  const auto found = claims_.find(id);
  if (found == claims_.end()) return;
  const auto node = by_node_.find(found->second.node);
  node->second.erase(id);
  if (node->second.empty()) by_node_.erase(node);
  claims_.erase(found);
}

void Leases::drop_shard(ShardId shard) {
  std::vector<TaskId> gone;
  for (const auto& [id, claim] : claims_) {
    if (claim.shard == shard) gone.push_back(id);
  }
  for (const TaskId id : gone) drop(id);
  // Its commits will not come. Whoever asked asks again.
  std::erase_if(waiting_, [shard](const auto& entry) {
    return std::ranges::find(entry.second.shards, shard) != entry.second.shards.end();
  });
}

bool Leases::theirs(const wire::HeldAttempt& item, NodeId node) const {
  const auto held = store_.proposed(item.shard, item.attempt.task);
  return held && held->task.state == TaskState::claimed && held->task.node == node &&
         held->task.attempt == item.attempt.number;
}

void Leases::on_renew(Now now, NodeId from, const wire::Renew& renew) {
  Pending pending{.from = from, .longest = renew.longest, .answer = {.sent = renew.sent}};
  std::set<ShardId> shards;
  for (const wire::HeldAttempt& item : renew.items) {
    if (!context_.serves(item.shard)) continue;
    if (theirs(item, from)) {
      shards.insert(item.shard);
      pending.candidates.push_back(item);
    } else if (store_.past(item.shard, item.attempt, from)) {
      pending.answer.over.push_back(item.attempt);
    }
  }
  if (context_.config.mutations.renew_unlisted) {
    const auto held = by_node_.find(from);
    for (const TaskId id : held == by_node_.end() ? std::set<TaskId>{} : held->second) {
      const Claim& claim = claims_.at(id);
      shards.insert(claim.shard);
      pending.candidates.push_back({claim.attempt, claim.shard});
    }
  } else {
    release_absent(now, from, renew);
  }
  pending.shards.assign(shards.begin(), shards.end());
  const std::uint64_t operation = ++last_operation_;
  for (const wire::HeldAttempt& item : pending.candidates) {
    const auto claim = claims_.find(item.attempt.task);
    if (claim == claims_.end() || claim->second.attempt != item.attempt) continue;
    claim->second.heard = true;
    const Duration most = context_.config.lease_max;
    if (!renew.longest || claim->second.lease >= most) continue;
    if (grow(now, claim->second, most, operation)) ++pending.writes;
  }
  if (pending.writes > 0) {
    waiting_[operation] = std::move(pending);
  } else {
    confirm(now, std::move(pending));
  }
}

void Leases::confirm(Now now, Pending pending) {
  if (pending.shards.empty()) {
    context_.send(pending.from, std::move(pending.answer));
    return;
  }
  if (context_.config.mutations.renew_without_confirm) {
    const std::vector<ShardId> shards = pending.shards;
    confirming_[0] = std::move(pending);
    return on_confirmed(now, {.ticket = 0, .confirmed = shards, .failed = {}});
  }
  const std::uint64_t ticket = context_.shards->confirm(now.steady, pending.shards);
  confirming_[ticket] = std::move(pending);
}

void Leases::on_confirmed(Now now, const shard::ConfirmDone& done) {
  const auto found = confirming_.find(done.ticket);
  if (found == confirming_.end()) return;
  Pending pending = std::move(found->second);
  confirming_.erase(found);
  const std::set<ShardId> confirmed(done.confirmed.begin(), done.confirmed.end());
  for (const wire::HeldAttempt& item : pending.candidates) {
    const auto entry = claims_.find(item.attempt.task);
    if (!confirmed.contains(item.shard) || entry == claims_.end() ||
        entry->second.attempt != item.attempt) {
      probes::mark(probes::Mark::late_renewal);
      continue;  // L4: what was released meanwhile stays released.
    }
    Claim& claim = entry->second;
    claim.until = std::max(claim.until, scheduling::lease_end_at_owner(now.steady, claim.lease));
    const Duration most = context_.config.lease_max;
    // Who asked for the longest lease waits for it: this one's is not committed yet.
    if (pending.longest && claim.lease < most) continue;
    pending.answer.items.push_back({item.attempt, in_millis(claim.lease)});
    const Duration lease = scheduling::grown_lease(claim.lease, now.steady - claim.since, most);
    if (lease <= claim.lease || claim.growing) continue;
    if (now.steady >= growths_until_) {
      growths_until_ = now.steady + std::chrono::seconds(1);
      growths_ = 0;
    }
    if (++growths_ <= kGrowthsMax) grow(now, claim, lease, 0);
  }
  context_.send(pending.from, std::move(pending.answer));
}

// False when this length is proposed already. REQUIRES: the task is claimed for this attempt.
bool Leases::grow(Now now, Claim& claim, Duration lease, std::uint64_t operation) {
  const TaskId id = claim.attempt.task;
  auto held = store_.proposed(claim.shard, id);
  if (!held || held->task.lease_ms >= in_millis(lease)) return false;
  claim.growing = true;
  held->task.lease_ms = in_millis(lease);
  store_.put(now, claim.shard, id, *held,
             {.change = Change::lease,
              .from = TaskState::claimed,
              .to = TaskState::claimed,
              .operation = operation});
  return true;
}

void Leases::on_grown(Now now, ShardId shard, TaskId id, std::uint64_t operation) {
  const auto claim = claims_.find(id);
  const auto shown = store_.committed(shard, id);
  if (claim != claims_.end() && shown.presence == TaskStore::Presence::present &&
      shown.task.state == TaskState::claimed &&
      shown.task.attempt == claim->second.attempt.number) {
    claim->second.growing = false;
    probes::mark(probes::Mark::lease_lengthened);
    claim->second.lease = std::max(claim->second.lease, lease_of(shown.task));
  }
  const auto waits = waiting_.find(operation);
  if (waits == waiting_.end() || --waits->second.writes > 0) return;
  Pending pending = std::move(waits->second);
  waiting_.erase(waits);
  confirm(now, std::move(pending));
}

bool Leases::closed(const Claim& claim, NodeId from, const wire::Renew& renew) const {
  if (scheduling::closed(claim.transfer, renew)) return true;
  if (context_.config.mutations.release_open_transfer) return true;
  // What this node claims for itself is in its hands the moment it is committed.
  return from == context_.self() && scheduling::self_granted(claim.transfer) &&
         scheduling::transfer_epoch(claim.transfer) == context_.boot_epoch &&
         claim.held_at < renew.sent;
}

// Hole 15: the node does not hold these, and nothing can bring them to it any more. What it started
// under this boot epoch it names until the end is recorded.
void Leases::release_absent(Now now, NodeId from, const wire::Renew& renew) {
  const auto node = by_node_.find(from);
  const Mutations& mutations = context_.config.mutations;
  const bool complete = renew.complete || mutations.incomplete_as_complete;
  if (node == by_node_.end() || (!complete && !mutations.boot_epoch_proves)) return;
  std::set<AttemptId> named;
  for (const wire::HeldAttempt& item : renew.items) named.insert(item.attempt);
  const std::vector<TaskId> all(node->second.begin(), node->second.end());
  for (const TaskId id : all) {
    const Claim claim = claims_.at(id);
    const bool former = scheduling::transfer_epoch(claim.transfer) != renew.boot_epoch;
    const bool proved = former && mutations.boot_epoch_proves;
    const bool absent = complete && !named.contains(claim.attempt) && closed(claim, from, renew);
    if (!proved && !absent) continue;
    if (!context_.serves(claim.shard) || !theirs({claim.attempt, claim.shard}, from)) continue;
    auto held = store_.proposed(claim.shard, id);
    if (!release(now, claim.shard, id, std::move(*held), former ? End::vanished : End::unstarted)) {
      continue;
    }
    probes::mark(probes::Mark::absent_claim_released);
    log::info("node", "{}: attempt {} is not on {}; it is granted anew", to_string(id),
              claim.attempt.number, short_text(from));
    drop(id);
  }
}

void Leases::lapse(Now now) {
  next_lapse_ = now.steady + kLapseInterval;
  std::vector<Claim> over;
  for (const auto& [id, claim] : claims_) {
    if (claim.until <= now.steady) over.push_back(claim);
  }
  for (const Claim& claim : over) {
    const TaskId id = claim.attempt.task;
    if (!context_.serves(claim.shard) || !theirs({claim.attempt, claim.shard}, claim.node)) {
      drop(id);
      continue;
    }
    const membership::Member* member = context_.membership->find(claim.node);
    // Who died while owners changed was not heard by this one: its silence as a member tells.
    const bool silent = member == nullptr || member->state != wire::MemberState::alive;
    const bool death = claim.heard || silent;
    auto held = store_.proposed(claim.shard, id);
    if (!release(now, claim.shard, id, std::move(*held), death ? End::died : End::lapsed)) continue;
    probes::mark(probes::Mark::lease_lapsed);
    log::info("node", "{}: the lease of attempt {} on {} ran out", to_string(id),
              claim.attempt.number, short_text(claim.node));
    drop(id);
  }
}

// A call may be lost, and until its node is heard such a claim only waits for its end.
void Leases::call_again(Now now) {
  next_call_ = now.steady + kCallInterval;
  for (const auto& [id, claim] : claims_) {
    if (claim.called && !claim.heard) calls_[claim.node].insert(claim.shard);
  }
}

void Leases::on_member_alive(NodeId node) {
  const auto found = by_node_.find(node);
  if (found == by_node_.end()) return;
  for (const TaskId id : found->second) calls_[node].insert(claims_.at(id).shard);
}

void Leases::on_time(Now now) {
  if (claims_.empty() || now.steady < next_lapse_) return;
  if (now.steady >= next_call_) call_again(now);
  lapse(now);
}

void Leases::flush() {
  for (auto& [node, shards] : std::exchange(calls_, {})) {
    context_.send_list(node, std::vector<ShardId>(shards.begin(), shards.end()),
                       [](std::vector<ShardId> part) { return wire::RenewCall{std::move(part)}; });
  }
}

void Leases::check_invariants() const {
  std::size_t indexed = 0;
  for (const auto& [node, ids] : by_node_) {
    indexed += ids.size();
    for (const TaskId id : ids) SHOAL_ASSERT(claims_.at(id).node == node);
  }
  SHOAL_ASSERT(indexed == claims_.size());
  for (const auto& [id, claim] : claims_) {
    if (!context_.serves(claim.shard)) continue;
    const auto shown = store_.committed(claim.shard, id);
    if (shown.presence != TaskStore::Presence::present || shown.task.state != TaskState::claimed ||
        shown.task.attempt != claim.attempt.number) {
      continue;
    }
    SHOAL_ASSERT(claim.lease <= lease_of(shown.task));
  }
}

}  // namespace shoal::node
