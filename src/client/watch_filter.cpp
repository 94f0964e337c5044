#include "client/watch_filter.hpp"

#include <tuple>

namespace shoal::client {
namespace {

constexpr std::uint8_t kEndedRank = 3;

std::uint8_t rank(TaskState state) {
  if (terminal(state)) return kEndedRank;
  return state == TaskState::claimed ? 2 : 1;
}

}  // namespace

bool WatchFilter::accept(const TaskStatus& status) {
  if (status.index >= kJobTasksMax) return false;
  if (status.index >= seen_.size()) seen_.resize(status.index + std::size_t{1});
  Seen& seen = seen_[status.index];
  if (seen.rank == kEndedRank) return false;
  const std::uint8_t now = rank(status.state);
  const bool ends = now == kEndedRank;
  if (!ends && std::tie(status.attempt, now) <= std::tie(seen.attempt, seen.rank)) return false;
  seen = {.attempt = status.attempt, .rank = now};
  if (ends) ++ended_;
  return true;
}

bool WatchFilter::has_ended(std::uint32_t index) const {
  return index < seen_.size() && seen_[index].rank == kEndedRank;
}

}  // namespace shoal::client
