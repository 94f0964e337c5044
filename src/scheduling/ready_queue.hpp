// The tasks of a node's owned shards that may run now, in the order policy wants them: priority
// first, then first come, first served.
//
// Tasks with the same priority and need stand in one lane, so that asking "what fits this room?"
// costs the number of distinct needs, not of tasks. The queue does not know when a task is
// cancelled or claimed elsewhere: whoever pops looks at the task's record and drops what is not
// ready any more.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "scheduling/resources.hpp"
#include "shoal/id.hpp"

namespace shoal::scheduling {

struct ReadyTask {
  TaskId task;
  ShardId shard{};
};

class ReadyQueue {
 public:
  void push(const ReadyTask& task, const Resources& need, std::int32_t priority);

  // Takes the task that policy would run next among those that fit `room`; absent when none fits.
  struct Popped {
    ReadyTask task;
    Resources need;
  };
  std::optional<Popped> pop_first(const Resources& room);

  // Takes the task that policy would run last among those that fit: what a thief is given.
  std::optional<Popped> pop_last(const Resources& room);

  bool any_fits(const Resources& room) const;
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // Distinct needs in the queue, at most `most`.
  std::vector<Resources> needs(std::size_t most) const;

  // Drops every task of `shard`: it is owned elsewhere now. Costs the whole queue.
  void drop_shard(ShardId shard);

 private:
  struct LaneKey {
    std::int64_t negative_priority = 0;  // Highest priority sorts first.
    Resources need;
    auto operator<=>(const LaneKey&) const = default;
  };
  struct Entry {
    ReadyTask task;
    std::uint64_t arrival = 0;
  };
  using Lanes = std::map<LaneKey, std::deque<Entry>>;

  Popped take(Lanes::iterator lane, bool front);

  Lanes lanes_;  // No lane is empty.
  std::uint64_t arrivals_ = 0;
  std::size_t size_ = 0;
};

}  // namespace shoal::scheduling
