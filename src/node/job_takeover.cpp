// What a shard's owner makes of the records it finds when it takes the shard over, and what it
// drops when it loses it (C6, O3, O5; L3 for claims).
#include <algorithm>
#include <vector>

#include "node/job_owner.hpp"
#include "scheduling/lease.hpp"
#include "wire/persist.hpp"

namespace shoal::node {
namespace {

// More than can have been granted in the time that a lost majority was ahead of its last copy.
constexpr std::uint32_t kAttemptsPassedOver = 1000;

}  // namespace

void JobOwner::recover_task(Now now, ShardId shard, TaskId id, bool settled) {
  auto held = store_.proposed(shard, id);
  if (!held) return;
  ShardJob* job = store_.job(shard, id.job);
  if (!settled && job != nullptr) ++job->creating;
  const TaskState from = settled ? held->task.state : kNoState;
  // A creation that nobody acknowledged may come back after its job was cancelled, and even after
  // that had finished: then it is what it would have been had it come in time.
  if (job != nullptr && job->cancelled && !terminal(held->task.state)) {
    held->task.state = TaskState::cancelled;
    store_.put(now, shard, id, *held,
               {.change = Change::cancel, .from = from, .to = TaskState::cancelled});
    return;
  }
  if (!settled) {
    // The next version carries the value found; its commit says that it may be acted upon (O3).
    store_.put(now, shard, id, *held, {.change = Change::recover, .to = held->task.state});
    return;
  }
  claims_.on_recovered(now, shard, id, held->task);
}

// From a copy that an operator adopted. Attempts that it does not know of may have been granted:
// their numbers are passed over, and nothing starts before their longest lease is over.
void JobOwner::adopt_task(Now now, ShardId shard, TaskId id) {
  auto held = store_.proposed(shard, id);
  if (!held) return;
  task::TaskRecord& task = held->task;
  task.recovered = true;
  if (!terminal(task.state)) {
    task.attempt += kAttemptsPassedOver;
    const ShardJob* job = store_.job(shard, id.job);
    if (job != nullptr && job->spec.at_most_once) {
      task.state = TaskState::lost;  // It may have been started.
    } else if (task.state == TaskState::ready) {
      const auto wait = std::chrono::ceil<std::chrono::milliseconds>(
          scheduling::lease_end_at_owner({}, scheduling::kLeaseMax).time_since_epoch());
      task.not_before = std::max(task.not_before, now.wall + wait);
    }
  }
  if (ShardJob* job = store_.job(shard, id.job)) ++job->creating;
  store_.put(now, shard, id, *held, {.change = Change::recover, .to = task.state});
}

void JobOwner::on_owned(Now now, ShardId shard, bool recovered) {
  if (context_.served.size() < context_.shard_count) context_.served.resize(context_.shard_count);
  context_.served.at(static_cast<std::size_t>(shard)) = true;
  struct Found {
    task::RecordName name;
    bool settled = false;
  };
  std::vector<Found> unfinished;
  context_.shards->for_each_record(
      shard, [&](const wire::RecordKey& key, const std::string& value, bool settled) {
        const task::RecordName name = record_name(key);
        if (name.kind == task::RecordKind::element) {
          const auto task = wire::decode_task(value);
          if (task && (recovered || !settled || !terminal(task->state)))
            unfinished.push_back({name, settled});
        } else if (name.kind == task::RecordKind::job) {
          const auto job = wire::decode_job(value);
          if (settled) store_.index_job(shard, name.job);
          if (job && (recovered || !settled || job->state != JobState::finished)) {
            unfinished.push_back({name, settled});
          }
        }
      });
  for (const Found& found : unfinished) store_.job(shard, found.name.job);
  for (const Found& found : unfinished) {
    if (recovered && found.name.kind == task::RecordKind::element) {
      adopt_task(now, shard, {found.name.job, found.name.index});
      continue;
    }
    if (found.name.kind == task::RecordKind::element) {
      recover_task(now, shard, {found.name.job, found.name.index}, found.settled);
      continue;
    }
    const auto job = store_.proposed_job(shard, found.name.job);
    if (!job) continue;
    if (job->single && recovered) {
      adopt_task(now, shard, {found.name.job, 0});
    } else if (job->single) {
      recover_task(now, shard, {found.name.job, 0}, found.settled);
    } else if (found.settled) {
      tracker_.track(now, shard, found.name.job, *job);
    } else {
      store_.put_job(now, shard, found.name.job, *job, {.change = Change::job});
    }
  }
}

void JobOwner::on_lost(ShardId shard) {
  if (static_cast<std::size_t>(shard) < context_.served.size()) {
    context_.served[static_cast<std::size_t>(shard)] = false;
  }
  operations_.drop_shard(shard);
  claims_.drop_shard(shard);
  watches_.drop_shard(shard);
  tracker_.drop_shard(shard);
  store_.drop_shard(shard);
}

}  // namespace shoal::node
