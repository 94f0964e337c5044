// The end of records' time (rules E1-E3): what is past its retention gets the outcome `expired`,
// and kFloorDelay later the shard's floor goes up and the records are gone.
//
// Only the owner does this, by its own clock. It does nothing while that clock is further than
// kClockTrust from the median of its peers' (hole 12), and the homes refuse a floor beyond their
// own clocks (E2). A shard is looked through when its oldest record is due, and no more than
// kRecordsAtOnce records in one go.
#pragma once

#include <cstddef>
#include <map>

#include "node/context.hpp"
#include "node/job_tracker.hpp"
#include "node/task_store.hpp"

namespace shoal::node {

inline constexpr Duration kExpiryInterval = std::chrono::seconds(10);
inline constexpr std::chrono::milliseconds kFloorDelay{60'000};
inline constexpr std::chrono::milliseconds kClockTrust{300'000};
inline constexpr std::size_t kRecordsAtOnce = 200'000;

class Expiry {
 public:
  Expiry(Context& context, TaskStore& store, JobTracker& tracker)
      : context_(context), store_(store), tracker_(tracker) {}

  void on_owned(ShardId shard) { look_at_[shard] = WallTime{}; }
  void on_lost(ShardId shard) { look_at_.erase(shard); }

  void on_time(Now now);
  TimePoint wake_at() const { return look_at_.empty() ? kNever : next_; }

 private:
  bool clock_trusted(Now now);
  std::size_t look_through(Now now, ShardId shard);
  // Whether the task has its outcome, committed. If not, it is given `expired`.
  bool end_task(Now now, ShardId shard, TaskId id);

  Context& context_;
  TaskStore& store_;
  JobTracker& tracker_;
  std::map<ShardId, WallTime> look_at_;  // Owned shards; nothing of it expires before.
  TimePoint next_;
  bool distrusted_ = false;  // Said already.
};

}  // namespace shoal::node
