#include "node/task_store.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/log.hpp"
#include "wire/persist.hpp"

namespace shoal::node {
namespace {

TaskStore::Presence presence_of(shard::Committed presence) {
  switch (presence) {
    case shard::Committed::absent:
      return TaskStore::Presence::absent;
    case shard::Committed::unsettled:
      return TaskStore::Presence::unsettled;
    case shard::Committed::present:
      return TaskStore::Presence::present;
  }
  return TaskStore::Presence::absent;
}

// A committed value that does not parse is data loss: said loudly, shown as absent.
template <class T>
std::optional<T> checked(Result<T> decoded, JobId id) {
  if (decoded) return std::move(*decoded);
  log::error("node", "{}: a record does not parse: {}", to_string(id), decoded.error().message);
  return std::nullopt;
}

}  // namespace

wire::RecordKey record_key(const task::RecordName& name) {
  const task::KeyBits bits = task::key_bits(name);
  return {bits.high, bits.low};
}

task::RecordName record_name(const wire::RecordKey& key) {
  return task::record_name({key.high, key.low});
}

wire::RecordKey job_key(JobId job) {
  return record_key({.job = job, .kind = task::RecordKind::job});
}

wire::RecordKey spec_key(JobId job) {
  return record_key({.job = job, .kind = task::RecordKind::spec});
}

wire::RecordKey element_key(TaskId task) {
  return record_key({.job = task.job, .kind = task::RecordKind::element, .index = task.index});
}

wire::RecordKey tail_key(const AttemptId& attempt, task::Stream stream) {
  return record_key({.job = attempt.task.job,
                     .kind = task::RecordKind::output,
                     .sub = attempt.number * 2 + static_cast<std::uint32_t>(stream),
                     .index = attempt.task.index});
}

TaskCounts ShardJob::counts() const {
  const auto of = [this](TaskState state) { return states.at(static_cast<std::size_t>(state)); };
  TaskCounts counts;
  counts.ready = of(TaskState::ready);
  counts.claimed = of(TaskState::claimed);
  counts.succeeded = of(TaskState::succeeded);
  counts.failed = of(TaskState::failed);
  counts.cancelled = of(TaskState::cancelled);
  counts.lost = of(TaskState::lost) + of(TaskState::expired);
  counts.total = counts.ready + counts.claimed + counts.ended();
  return counts;
}

std::optional<TaskStore::Held> TaskStore::decode_held(const std::string* element,
                                                      const std::string* job) const {
  if (job != nullptr) {
    const auto decoded = wire::decode_job(*job);
    if (decoded && decoded->single) return Held{*decoded->single, true};
  }
  if (element == nullptr) return std::nullopt;
  auto decoded = wire::decode_task(*element);
  if (!decoded) return std::nullopt;
  return Held{std::move(*decoded), false};
}

std::optional<TaskStore::Held> TaskStore::proposed(ShardId shard, TaskId id) const {
  const std::string* element = context_.shards->proposed(shard, element_key(id));
  // Only a task 0 without a record of its own can stand in its job's record.
  const std::string* job = id.index == 0 && element == nullptr
                               ? context_.shards->proposed(shard, job_key(id.job))
                               : nullptr;
  return decode_held(element, job);
}

TaskStore::Shown TaskStore::committed(ShardId shard, TaskId id) const {
  const auto element = context_.shards->committed(shard, element_key(id));
  if (element.state != shard::Committed::absent) {
    Shown shown{presence_of(element.state), {}};
    if (shown.presence != Presence::present) return shown;
    auto task = checked(wire::decode_task(*element.value), id.job);
    if (!task) return {};
    shown.task = std::move(*task);
    return shown;
  }
  if (id.index != 0) return {};
  ShownJob job = committed_job(shard, id.job);
  if (job.presence == Presence::present && !job.job.single) return {};
  Shown shown{job.presence, {}};
  if (job.job.single) shown.task = std::move(*job.job.single);
  return shown;
}

bool TaskStore::past(ShardId shard, const AttemptId& attempt, NodeId node) const {
  const Shown shown = committed(shard, attempt.task);
  if (shown.presence == Presence::absent) {
    // E3: never stored here, or gone with its job's retention. Only the latter is known for good.
    return task::expiry_of(attempt.task.job) <= context_.shards->floor(shard) &&
           context_.shards->floor_settled(shard);
  }
  if (shown.presence != Presence::present) return false;
  const task::TaskRecord& task = shown.task;
  return task.attempt > attempt.number || (task.attempt == attempt.number &&
                                           (task.state != TaskState::claimed || task.node != node));
}

std::optional<task::JobRecord> TaskStore::proposed_job(ShardId shard, JobId id) const {
  const std::string* value = context_.shards->proposed(shard, job_key(id));
  if (value == nullptr) return std::nullopt;
  return checked(wire::decode_job(*value), id);
}

TaskStore::ShownJob TaskStore::committed_job(ShardId shard, JobId id) const {
  const auto held = context_.shards->committed(shard, job_key(id));
  ShownJob shown{presence_of(held.state), {}};
  if (shown.presence != Presence::present) return shown;
  auto job = checked(wire::decode_job(*held.value), id);
  if (!job) return {};
  shown.job = std::move(*job);
  return shown;
}

std::optional<task::SpecRecord> TaskStore::proposed_spec(ShardId shard, JobId id) const {
  const std::string* value = context_.shards->proposed(shard, spec_key(id));
  if (value == nullptr) return std::nullopt;
  return checked(wire::decode_spec(*value), id);
}

void TaskStore::propose(Now now, ShardId shard, const wire::RecordKey& key, std::string value,
                        const Token& token) {
  const bool taken =
      context_.shards->propose(now.steady, shard, key, std::move(value), pack(token));
  const bool waits = token.change == Change::create || token.change == Change::cancel ||
                     token.change == Change::job;
  if (!taken && waits && token.operation != 0) blocked_.push_back(token.operation);
}

void TaskStore::put(Now now, ShardId shard, TaskId id, const Held& held, const Token& token) {
  if (!held.single) {
    propose(now, shard, element_key(id), wire::encode(held.task), token);
    return;
  }
  auto job = proposed_job(shard, id.job);
  SHOAL_ASSERT(job.has_value());
  job->single = held.task;
  if (terminal(held.task.state) && job->state != JobState::finished) {
    ShardJob ended;
    ended.states.at(static_cast<std::size_t>(held.task.state)) = 1;
    job->state = JobState::finished;
    job->cancelled = held.task.state == TaskState::cancelled;
    job->ended = now.wall;
    job->counts = ended.counts();
  }
  put_job(now, shard, id.job, *job, token);
}

void TaskStore::put_job(Now now, ShardId shard, JobId id, const task::JobRecord& job,
                        const Token& token) {
  propose(now, shard, job_key(id), wire::encode(job), token);
}

void TaskStore::put_spec(Now now, ShardId shard, JobId id, const task::SpecRecord& spec,
                         const Token& token) {
  propose(now, shard, spec_key(id), wire::encode(spec), token);
}

void TaskStore::again(Now now, ShardId shard, const wire::RecordKey& key, const Token& token) {
  const std::string* value = context_.shards->proposed(shard, key);
  if (value != nullptr) propose(now, shard, key, std::string(*value), token);
}

void TaskStore::put_tail(Now now, ShardId shard, const AttemptId& attempt, task::Stream stream,
                         std::string bytes) {
  context_.shards->propose(now.steady, shard, tail_key(attempt, stream), std::move(bytes), 0);
}

ShardJob* TaskStore::cached_job(ShardId shard, JobId id) {
  const auto found = jobs_.find({id, shard});
  return found == jobs_.end() ? nullptr : &found->second;
}

ShardJob* TaskStore::job(ShardId shard, JobId id) {
  if (ShardJob* cached = cached_job(shard, id)) return cached;
  return load(shard, id);
}

ShardJob& TaskStore::make_job(ShardId shard, JobId id) { return jobs_[{id, shard}]; }

ShardJob* TaskStore::load(ShardId shard, JobId id) {
  ShardJob made;
  bool anything = false;
  if (const auto job = proposed_job(shard, id)) {
    anything = true;
    made.nonce = job->nonce;
    made.spec = job->spec;
    made.has_spec = true;
    made.single = job->single.has_value();
    made.cancelled = job->cancelled;
  } else if (const auto spec = proposed_spec(shard, id)) {
    anything = true;
    made.nonce = spec->nonce;
    made.spec = spec->spec;
    made.has_spec = spec->nonce != Nonce{};
    made.cancelled = spec->cancelled;
  }
  if (!anything) return nullptr;
  if (made.single) {
    const Shown task = committed(shard, {id, 0});
    if (task.presence == Presence::present)
      ++made.states.at(static_cast<std::size_t>(task.task.state));
  } else {
    context_.shards->for_each_record(
        shard, element_key({id, 0}), element_key({id, ~0U}),
        [&](const wire::RecordKey& key, const std::string&, bool) {
          const Shown task = committed(shard, {id, record_name(key).index});
          if (task.presence == Presence::present) {
            ++made.states.at(static_cast<std::size_t>(task.task.state));
          }
        });
  }
  return &jobs_.emplace(Key{id, shard}, std::move(made)).first->second;
}

void TaskStore::count(ShardId shard, JobId id, const Token& token) {
  ShardJob* job = cached_job(shard, id);
  if (job == nullptr) {
    load(shard, id);  // Counts committed states, this one included.
    job = cached_job(shard, id);
    if (job == nullptr) return;
  } else {
    if (token.from != kNoState && job->states.at(static_cast<std::size_t>(token.from)) > 0) {
      --job->states.at(static_cast<std::size_t>(token.from));
    }
    ++job->states.at(static_cast<std::size_t>(token.to));
    if (token.from == kNoState && job->creating > 0) --job->creating;
  }
  if (!job->changed && !job->single) {
    job->changed = true;
    changed_.emplace_back(id, shard);
  }
}

std::vector<std::pair<ShardId, JobId>> TaskStore::take_changed() {
  std::vector<std::pair<ShardId, JobId>> changed;
  changed.reserve(changed_.size());
  for (const auto& [id, shard] : changed_) {
    ShardJob* job = cached_job(shard, id);
    if (job == nullptr || !job->changed) continue;
    job->changed = false;
    changed.emplace_back(shard, id);
  }
  changed_.clear();
  return changed;
}

void TaskStore::drop_shard(ShardId shard) {
  std::erase_if(jobs_, [shard](const auto& entry) { return entry.first.second == shard; });
  std::erase_if(index_, [shard](const auto& entry) { return entry.second == shard; });
}

void TaskStore::drop_expired(ShardId shard, std::uint64_t floor) {
  std::erase_if(jobs_, [&](const auto& entry) {
    return entry.first.second == shard && task::expiry_of(entry.first.first) <= floor;
  });
  std::erase_if(index_, [&](const auto& entry) {
    return entry.second == shard && task::expiry_of(entry.first) <= floor;
  });
}

void TaskStore::sweep() {
  std::erase_if(jobs_, [](const auto& entry) {
    const ShardJob& job = entry.second;
    return job.unfinished() + job.creating == 0 && job.watchers == 0 && !job.changed;
  });
}

}  // namespace shoal::node
