// When a suspected member is declared dead: SWIM's suspicion (Das et al., DSN 2002, section 4.2)
// with Lifeguard's shrinking timeout (Dadgar et al., 2018).
//
// Sans I/O: starts no timer, reads no clock. The caller declares the member dead when its own `now`
// reaches deadline() and enough accusers speak, and drops this object if the member refutes first.
//
// Departure from Lifeguard: the deadline alone kills nobody. With too few accusers the caller looks
// for itself and calls postpone(): one half-connected member cannot kill the healthy ones.
#pragma once

#include <cstdint>
#include <vector>

#include "base/time.hpp"
#include "membership/config.hpp"
#include "shoal/id.hpp"

namespace shoal::membership {

struct SuspicionTimes {
  Duration timeout_min{};
  Duration timeout_max{};
  std::uint32_t confirmations = 0;  // This many bring the timeout down to its minimum.
};

// For a cluster of `n` members that are alive or suspect.
SuspicionTimes suspicion_times(const MembershipConfig& config, std::size_t n);

class Suspicion {
 public:
  // REQUIRES: timeout_min <= timeout_max, confirmations <= kConfirmationsMax.
  Suspicion(const SuspicionTimes& times, TimePoint started, NodeId accuser);

  // Another member suspects the same node. True if that is news: gossip repeats itself, and what is
  // beyond the confirmations wanted is not needed.
  bool confirm(NodeId accuser);

  // Falls with each confirmation, from started + timeout_max to started + timeout_min. Only
  // postpone() raises it.
  TimePoint deadline() const { return deadline_; }
  void postpone(TimePoint deadline);

  // The accuser named by the `turn`-th copy of the news: copies take turns, so that one pending
  // item spreads all accusers.
  NodeId accuser(std::uint32_t turn) const { return accusers_[turn % accusers_.size()]; }
  std::size_t accuser_count() const { return accusers_.size(); }

 private:
  SuspicionTimes times_;
  TimePoint started_;
  TimePoint deadline_;
  std::vector<NodeId> accusers_;  // Distinct; at most max(2, confirmations + 1).
};

}  // namespace shoal::membership
