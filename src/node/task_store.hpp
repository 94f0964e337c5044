// The records of the shards this node owns, as jobs and tasks: typed reading and writing over the
// shard layer, and a cache of what is known of each job in each shard.
//
// The cache holds the job's template and the counts of committed states; it can be dropped at any
// time and is rebuilt from the records. It is kept while the job has unfinished tasks here or
// somebody watches.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "node/context.hpp"
#include "node/token.hpp"
#include "task/record.hpp"
#include "task/record_key.hpp"

namespace shoal::node {

wire::RecordKey record_key(const task::RecordName& name);
task::RecordName record_name(const wire::RecordKey& key);
wire::RecordKey job_key(JobId job);
wire::RecordKey spec_key(JobId job);
wire::RecordKey element_key(TaskId task);
wire::RecordKey tail_key(const AttemptId& attempt, task::Stream stream);

// One job in one shard.
struct ShardJob {
  Nonce nonce;
  TaskSpec spec;
  bool has_spec = false;  // A template is here: elements may be.
  bool single = false;    // The task stands in the job's record.
  bool cancelled = false;
  std::array<std::uint32_t, 8> states{};  // Committed tasks by TaskState.
  bool changed = false;                   // Counts that the job's owner has not been sent.
  std::uint32_t creating = 0;             // Tasks proposed, not committed: not in `states` yet.
  std::uint32_t watchers = 0;
  TaskCounts counts() const;
  std::uint32_t unfinished() const { return states[0] + states[1]; }
};

class TaskStore {
 public:
  explicit TaskStore(Context& context) : context_(context) {}

  // A task as it stands.
  struct Held {
    task::TaskRecord task;
    bool single = false;
  };
  // The value last proposed: base of the next version. Absent: no such task here, or unreadable.
  std::optional<Held> proposed(ShardId shard, TaskId id) const;

  enum class Presence : std::uint8_t { absent, unsettled, present };
  struct Shown {
    Presence presence = Presence::absent;
    task::TaskRecord task;
  };
  Shown committed(ShardId shard, TaskId id) const;  // O4: what may be shown.
  // For certain and for good: this is not that node's attempt any more. An owner whose knowledge is
  // older than the attempt (it was deposed and does not know) does not judge it.
  bool past(ShardId shard, const AttemptId& attempt, NodeId node) const;

  std::optional<task::JobRecord> proposed_job(ShardId shard, JobId id) const;
  struct ShownJob {
    Presence presence = Presence::absent;
    task::JobRecord job;
  };
  ShownJob committed_job(ShardId shard, JobId id) const;
  std::optional<task::SpecRecord> proposed_spec(ShardId shard, JobId id) const;

  // O1: the next version of a task's record. The outcome of a single task also finishes its job.
  void put(Now now, ShardId shard, TaskId id, const Held& held, const Token& token);
  void put_job(Now now, ShardId shard, JobId id, const task::JobRecord& job, const Token& token);
  void put_spec(Now now, ShardId shard, JobId id, const task::SpecRecord& spec, const Token& token);
  // The same value once more, for somebody else who waits for its commit.
  void again(Now now, ShardId shard, const wire::RecordKey& key, const Token& token);
  void put_tail(Now now, ShardId shard, const AttemptId& attempt, task::Stream stream,
                std::string bytes);

  // The job's cache entry; made from the records when it is not there. nullptr: nothing of this job
  // here.
  ShardJob* job(ShardId shard, JobId id);
  // The same without making one from records.
  ShardJob* cached_job(ShardId shard, JobId id);
  ShardJob& make_job(ShardId shard, JobId id);

  // Operations whose record could not be written: too many of its copies are damaged (C5). Clears
  // them.
  std::vector<std::uint64_t> take_blocked() { return std::exchange(blocked_, {}); }

  // A task's committed change reached the counts.
  void count(ShardId shard, JobId id, const Token& token);

  // Jobs of all owned shards whose counts are to be sent. Clears their mark.
  std::vector<std::pair<ShardId, JobId>> take_changed();
  bool any_changed() const { return !changed_.empty(); }

  // Committed job records of the owned shards, oldest first: a job id begins with its mint time.
  void index_job(ShardId shard, JobId id) { index_[id] = shard; }
  const std::map<JobId, ShardId>& index() const { return index_; }

  void drop_shard(ShardId shard);
  void drop_expired(ShardId shard, std::uint64_t floor);  // E1: those records are gone.
  void sweep();                                           // Forgets jobs with nothing left to do.

 private:
  using Key = std::pair<JobId, ShardId>;
  ShardJob* load(ShardId shard, JobId id);
  void propose(Now now, ShardId shard, const wire::RecordKey& key, std::string value,
               const Token& token);
  std::optional<Held> decode_held(const std::string* element, const std::string* job) const;

  Context& context_;
  std::map<Key, ShardJob> jobs_;
  std::vector<Key> changed_;
  std::map<JobId, ShardId> index_;
  std::vector<std::uint64_t> blocked_;
};

}  // namespace shoal::node
