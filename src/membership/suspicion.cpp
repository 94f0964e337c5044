#include "membership/suspicion.hpp"

#include <algorithm>
#include <array>

#include "base/assert.hpp"

namespace shoal::membership {
namespace {

// log(c + 1) / log(k + 1) in thousandths, for k wanted confirmations (row k - 1) of which c came.
constexpr std::array<std::array<int, kConfirmationsMax + 1>, kConfirmationsMax> kShrink{{
    {0, 1000, 1000, 1000, 1000},
    {0, 631, 1000, 1000, 1000},
    {0, 500, 792, 1000, 1000},
    {0, 431, 683, 861, 1000},
}};

}  // namespace

SuspicionTimes suspicion_times(const MembershipConfig& config, std::size_t n) {
  return {.timeout_min = suspicion_min(config, n),
          .timeout_max = suspicion_max(config, n),
          .confirmations = confirmations_wanted(config, n)};
}

Suspicion::Suspicion(const SuspicionTimes& times, TimePoint started, NodeId accuser)
    : times_(times), started_(started), accusers_{accuser} {
  SHOAL_ASSERT(times.timeout_min <= times.timeout_max);
  SHOAL_ASSERT(times.confirmations <= kConfirmationsMax);
  deadline_ = started + (times.confirmations == 0 ? times.timeout_min : times.timeout_max);
}

bool Suspicion::confirm(NodeId accuser) {
  const std::size_t accusers_max = std::max<std::size_t>(2, times_.confirmations + 1);
  if (accusers_.size() >= accusers_max) return false;
  if (std::ranges::find(accusers_, accuser) != accusers_.end()) return false;
  accusers_.push_back(accuser);
  if (times_.confirmations > 0) {
    const int shrink = kShrink.at(times_.confirmations - 1).at(accusers_.size() - 1);
    const Duration saved = (times_.timeout_max - times_.timeout_min) / 1000 * shrink;
    deadline_ = std::min(deadline_, started_ + times_.timeout_max - saved);
  } else {
    deadline_ = std::min(deadline_, started_ + times_.timeout_min);
  }
  return true;
}

void Suspicion::postpone(TimePoint deadline) { deadline_ = std::max(deadline_, deadline); }

}  // namespace shoal::membership
