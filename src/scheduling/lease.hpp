// The arithmetic of leases (rules L1-L4): both ends count with their own clock and a margin for
// clocks that run at rates up to 5 % apart, so the executing node always gives up before the owner
// re-grants.
#pragma once

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

}  // namespace shoal::scheduling
