#include "sim/checkers_history.hpp"

#include <algorithm>

#include "base/format.hpp"
#include "sim/checkers_records.hpp"
#include "task/record.hpp"
#include "task/record_key.hpp"

namespace shoal::sim {

std::uint64_t HistoryChecker::rank_of(TaskState state, std::uint32_t attempt) {
  if (terminal(state)) return ~std::uint64_t{0};
  const std::uint64_t twice = 2ULL * attempt;
  return state == TaskState::claimed && twice > 0 ? twice - 1 : twice;
}

void HistoryChecker::reach(TimePoint now, const TaskId& task, std::uint64_t rank) {
  std::vector<Step>& steps = tasks_[task];
  if (steps.empty() || steps.back().rank < rank) steps.push_back({now, rank});
}

const HistoryChecker::Step* HistoryChecker::reached(TimePoint by, const TaskId& task) const {
  const auto known = tasks_.find(task);
  if (known == tasks_.end()) return nullptr;
  const auto& steps = known->second;
  const auto after = std::ranges::upper_bound(steps, by, {}, &Step::at);
  return after == steps.begin() ? nullptr : &*std::prev(after);
}

void HistoryChecker::shown(TimePoint now, const TaskId& task, TaskState state,
                           std::uint32_t attempt) {
  reach(now, task, rank_of(state, attempt));
}

void HistoryChecker::read(TimePoint asked, TimePoint now, const TaskId& task, TaskState state,
                          std::uint32_t attempt) {
  const std::uint64_t rank = rank_of(state, attempt);
  const Step* before = reached(asked, task);
  if (before != nullptr && rank < before->rank) {
    violations_.add(now, format("{} is read as {} (attempt {}), older than what was shown before "
                                "the question (I2)",
                                to_string(task), to_string(state), attempt));
  }
  reach(now, task, rank);
}

void HistoryChecker::absent(TimePoint asked, TimePoint now, const TaskId& task) {
  if (reached(asked, task) == nullptr) return;
  violations_.add(
      now, format("{} is read as absent after it was acknowledged or shown (I2)", to_string(task)));
}

void HistoryChecker::job_shown(TimePoint now, JobId job, JobState state) {
  reach(now, whole(job), static_cast<std::uint64_t>(state));
}

void HistoryChecker::job_read(TimePoint asked, TimePoint now, JobId job, JobState state) {
  const auto rank = static_cast<std::uint64_t>(state);
  const Step* before = reached(asked, whole(job));
  if (before != nullptr && rank < before->rank) {
    violations_.add(now, format("job {} is read as {}, older than what was shown before the "
                                "question (I2)",
                                to_string(job), to_string(state)));
  }
  reach(now, whole(job), rank);
}

void SubmissionChecker::accepted(TimePoint now, JobId job, const Nonce& nonce,
                                 const TaskSpec& spec) {
  const auto [known, fresh] = submissions_.try_emplace(job, Submission{nonce, spec});
  const auto started = commands_.find(job);
  if (started != commands_.end() && !spec.substitute && started->second != spec.argv) {
    violations_.add(now, format("job {} runs another submission's command (I8)", to_string(job)));
  }
  if (fresh || known->second.nonce == nonce) return;
  violations_.add(now,
                  format("two submissions under the id {} are acknowledged (I8)", to_string(job)));
}

void SubmissionChecker::started(TimePoint now, const AttemptId& attempt, const TaskSpec& spec) {
  const auto [started, first] = commands_.try_emplace(attempt.task.job, spec.argv);
  const auto known = submissions_.find(attempt.task.job);
  const bool accepted = known != submissions_.end() && !known->second.spec.substitute;
  const bool other = accepted && spec.argv != known->second.spec.argv;
  if (!other && (first || started->second == spec.argv)) return;
  violations_.add(now,
                  format("{} runs another submission's command (I8)", to_string(attempt.task)));
}

void ExpiryChecker::dropped(TimePoint now, NodeId disk, const wire::DropRecords& drop) {
  const wire::ShardState* state = shards_.state(drop.shard, disk);
  if (drop.all) {
    // H5: only who left the home.
    const bool listed = state != nullptr && [&] {
      const auto in = [&](const std::vector<NodeId>& nodes) {
        return std::ranges::find(nodes, disk) != nodes.end();
      };
      const wire::ShardConfig& config = state->config;
      return in(config.home) || in(config.next) || in(config.learners);
    }();
    if (!listed) return;
    violations_.add(now, format("shard {}: {} drops all records and is one of its home (H5)",
                                static_cast<std::uint32_t>(drop.shard), short_text(disk)));
    return;
  }
  const std::uint64_t floor = state == nullptr ? 0 : state->floor;
  for (const wire::RecordKey& key : drop.keys) {
    const auto expiry = task::expiry_of(task::KeyBits{key.high, key.low});
    if (expiry && *expiry <= floor) continue;
    violations_.add(now, format("{}: {} drops it above its floor (I11, E1)", record_text(key),
                                short_text(disk)));
  }
}

void ExpiryChecker::durable(TimePoint now, NodeId disk, ShardId shard, const wire::RecordKey& key) {
  const wire::ShardState* state = shards_.state(shard, disk);
  if (state == nullptr || state->floor == 0) return;
  const auto expiry = task::expiry_of(task::KeyBits{key.high, key.low});
  if (!expiry || *expiry > state->floor) return;
  violations_.add(now, format("{}: {} stores it at or below its floor (I11)", record_text(key),
                              short_text(disk)));
}

bool ExpiryChecker::floor_on_quorum(JobId job, ShardId shard) const {
  const std::uint64_t expiry = task::expiry_of(job);
  return shards_.on_quorum(shard, [&](NodeId node) {
    const wire::ShardState* state = shards_.state(shard, node);
    return state != nullptr && expiry <= state->floor;
  });
}

bool ExpiryChecker::may_be_gone(const TaskId& task) const {
  if (shard_count_ == 0) return false;
  const std::uint64_t expiry = task::expiry_of(task.job);
  const auto past = [&](ShardId shard) {
    return std::ranges::any_of(shards_.homes(shard), [&](const ShardBook::Home& home) {
      return expiry <= home.state.floor;
    });
  };
  return past(task::shard_of(task, shard_count_)) || past(task::shard_of(task.job, shard_count_));
}

void ExpiryChecker::told_gone(TimePoint now, JobId job) {
  gone_.try_emplace(job, now);
  if (shard_count_ == 0 || floor_on_quorum(job, task::shard_of(job, shard_count_))) return;
  violations_.add(
      now, format("job {} is called gone before a quorum has the floor (E3)", to_string(job)));
}

void ExpiryChecker::read(TimePoint asked, TimePoint now, JobId job) {
  const auto gone = gone_.find(job);
  if (gone == gone_.end() || asked <= gone->second) return;
  violations_.add(now, format("job {} is shown after it was called gone (I11)", to_string(job)));
}

void ExpiryChecker::started(TimePoint now, const TaskId& task) {
  if (shard_count_ == 0) return;
  if (!floor_on_quorum(task.job, task::shard_of(task, shard_count_))) return;
  violations_.add(now, format("{} starts after it is gone (I11)", to_string(task)));
}

}  // namespace shoal::sim
