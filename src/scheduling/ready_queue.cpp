#include "scheduling/ready_queue.hpp"

#include <iterator>

#include "base/assert.hpp"

namespace shoal::scheduling {

void ReadyQueue::push(const ReadyTask& task, const Resources& need, std::int32_t priority) {
  lanes_[{-std::int64_t{priority}, need}].push_back({task, ++arrivals_});
  ++size_;
}

ReadyQueue::Popped ReadyQueue::take(Lanes::iterator lane, bool front) {
  SHOAL_ASSERT(!lane->second.empty() && size_ > 0);
  const Popped popped{front ? lane->second.front().task : lane->second.back().task,
                      lane->first.need};
  if (front) {
    lane->second.pop_front();
  } else {
    lane->second.pop_back();
  }
  if (lane->second.empty()) lanes_.erase(lane);
  --size_;
  return popped;
}

std::optional<ReadyQueue::Popped> ReadyQueue::pop_first(const Resources& room) {
  auto best = lanes_.end();
  for (auto lane = lanes_.begin(); lane != lanes_.end(); ++lane) {
    if (best != lanes_.end() && lane->first.negative_priority > best->first.negative_priority)
      break;
    if (!fits(lane->first.need, room)) continue;
    if (best == lanes_.end() || lane->second.front().arrival < best->second.front().arrival) {
      best = lane;
    }
  }
  if (best == lanes_.end()) return std::nullopt;
  return take(best, true);
}

std::optional<ReadyQueue::Popped> ReadyQueue::pop_last(const Resources& room) {
  auto best = lanes_.end();
  for (auto lane = lanes_.end(); lane != lanes_.begin();) {
    --lane;
    if (best != lanes_.end() && lane->first.negative_priority < best->first.negative_priority)
      break;
    if (!fits(lane->first.need, room)) continue;
    if (best == lanes_.end() || lane->second.back().arrival > best->second.back().arrival) {
      best = lane;
    }
  }
  if (best == lanes_.end()) return std::nullopt;
  return take(best, false);
}

bool ReadyQueue::any_fits(const Resources& room) const {
  for (const auto& [key, lane] : lanes_) {
    if (fits(key.need, room)) return true;
  }
  return false;
}

std::vector<Resources> ReadyQueue::needs(std::size_t most) const {
  std::vector<Resources> found;
  for (const auto& [key, lane] : lanes_) {
    if (found.size() == most) break;
    found.push_back(key.need);
  }
  return found;
}

void ReadyQueue::drop_shard(ShardId shard) {
  for (auto lane = lanes_.begin(); lane != lanes_.end();) {
    size_ -= std::erase_if(lane->second,
                           [shard](const Entry& entry) { return entry.task.shard == shard; });
    lane = lane->second.empty() ? lanes_.erase(lane) : std::next(lane);
  }
}

}  // namespace shoal::scheduling
