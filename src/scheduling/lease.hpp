// The arithmetic of leases (rules L1-L4): both ends count with their own clock and a margin for
// clocks that run at rates up to 5 % apart, so the executing node always gives up before the owner
// re-grants.
//
// A lease grows with its attempt: what is cheap to repeat moves fast when its node dies, and what
// took hours is not thrown away for a hiccup.
#pragma once

#include <algorithm>

#include "base/time.hpp"

namespace shoal::scheduling {

inline constexpr Duration kLeaseMax = std::chrono::seconds(30);

// The executing node may run an attempt until here. `sent`: when it sent the pull, or the last
// renewal that was answered (L1).
constexpr TimePoint lease_end_at_executor(TimePoint sent, Duration lease) {
  return sent + lease - lease / 10;
}

// The owner may re-grant from here on. `answered`: when its claim was committed, its last renewal
// answered, or, for a new owner, when its promises were a quorum (L3).
constexpr TimePoint lease_end_at_owner(TimePoint answered, Duration lease) {
  return answered + lease + lease / 100;
}

// The lease that an attempt of this age should have: a tenth of it, at most `most`. The recorded
// one while that is not worth a committed write: less than a tenth more, so that an attempt costs
// at most twenty such writes on its way from 5 s to 30 s.
constexpr Duration grown_lease(Duration recorded, Duration age, Duration most) {
  const Duration target = std::min(age / 10, most);
  const bool worth = target >= recorded + recorded / 10 || target == most;
  return worth ? std::max(recorded, target) : recorded;
}

// The age that a lease found in a record shows: one longer than the first has grown with it.
constexpr Duration age_shown(Duration recorded, Duration first) {
  return recorded > first ? recorded * 10 : Duration::zero();
}

// Whether a supervisor should hear that its attempt may run until `granted` instead of `told`: in
// each case before a node that crashes has less than kCrashMargin to come back, and else only when
// a quarter of the lease is used up.
inline constexpr Duration kCrashMargin = std::chrono::seconds(4);
constexpr bool extension_due(TimePoint now, TimePoint told, TimePoint granted) {
  if (granted <= told) return false;
  return told - now < std::max(kCrashMargin, (granted - now) * 3 / 4);
}

}  // namespace shoal::scheduling
