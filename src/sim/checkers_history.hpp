// What clients were told, against what they had been told before.
//
//   HistoryChecker     I2   all that was shown of a task lies on one chain, in the order of real
//   time SubmissionChecker  I8   one submission for each job id ExpiryChecker      I11  what is
//   gone stays gone; nothing is dropped above the floor (E1), and
//                           nobody is told "gone" before a quorum has the floor (E3)
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "sim/books.hpp"
#include "sim/checkers.hpp"

namespace shoal::sim {

class HistoryChecker {
 public:
  explicit HistoryChecker(Violations& violations) : violations_(violations) {}

  // By a watch, which may be late: it counts for reads that begin later, and may itself be old.
  void shown(TimePoint now, const TaskId& task, TaskState state, std::uint32_t attempt);
  void acknowledged(TimePoint now, const TaskId& task) { reach(now, task, 0); }
  // The answer to a question asked at `asked`: not older than anything shown before that.
  void read(TimePoint asked, TimePoint now, const TaskId& task, TaskState state,
            std::uint32_t attempt);
  void absent(TimePoint asked, TimePoint now, const TaskId& task);
  // The same of a job: open, closed, finished.
  void job_shown(TimePoint now, JobId job, JobState state);
  void job_read(TimePoint asked, TimePoint now, JobId job, JobState state);
  void job_absent(TimePoint asked, TimePoint now, JobId job) { absent(asked, now, whole(job)); }

 private:
  struct Step {
    TimePoint at;
    std::uint64_t rank = 0;
  };
  // Orders what one record goes through: ready 0, claimed 1, ready 1, claimed 2, ..., the end.
  static std::uint64_t rank_of(TaskState state, std::uint32_t attempt);
  static TaskId whole(JobId job) { return {job, ~0U}; }  // Stands for the job itself.
  void reach(TimePoint now, const TaskId& task, std::uint64_t rank);
  // The highest shown up to then; absent when nothing was.
  const Step* reached(TimePoint by, const TaskId& task) const;

  Violations& violations_;
  std::map<TaskId, std::vector<Step>> tasks_;  // Each rises in time and rank.
};

class SubmissionChecker {
 public:
  explicit SubmissionChecker(Violations& violations) : violations_(violations) {}
  // A client's creation of this job was acknowledged.
  void accepted(TimePoint now, JobId job, const Nonce& nonce, const TaskSpec& spec);
  void started(TimePoint now, const AttemptId& attempt, const TaskSpec& spec);

 private:
  struct Submission {
    Nonce nonce;
    TaskSpec spec;
  };
  Violations& violations_;
  std::map<JobId, Submission> submissions_;
  std::map<JobId, std::vector<std::string>> commands_;  // That were started.
};

class ExpiryChecker {
 public:
  ExpiryChecker(Violations& violations, const ShardBook& shards)
      : violations_(violations), shards_(shards) {}

  void set_shard_count(std::uint32_t count) { shard_count_ = count; }

  void dropped(TimePoint now, NodeId disk, const wire::DropRecords& drop);
  void durable(TimePoint now, NodeId disk, ShardId shard, const wire::RecordKey& key);
  // A client asked for the job and was told that it is gone.
  void told_gone(TimePoint now, JobId job);
  // The answer to a question asked at `asked`.
  void read(TimePoint asked, TimePoint now, JobId job);
  void started(TimePoint now, const TaskId& task);
  // Some disk has dropped the task's record, or its job's, or may (E1).
  bool may_be_gone(const TaskId& task) const;

 private:
  bool floor_on_quorum(JobId job, ShardId shard) const;

  Violations& violations_;
  const ShardBook& shards_;
  std::uint32_t shard_count_ = 0;
  std::map<JobId, TimePoint> gone_;  // When it was told first.
};

}  // namespace shoal::sim
