// Time as protocol code sees it: an argument, never a clock that is read.
#pragma once

#include <chrono>

#include "shoal/job.hpp"

namespace shoal {

using Duration = std::chrono::nanoseconds;

// A moment of a node's own steady clock (boot time: it runs on while the machine is suspended). Has
// no meaning on another node.
struct BootClock {
  using rep = Duration::rep;
  using period = Duration::period;
  using duration = Duration;
  using time_point = std::chrono::time_point<BootClock, Duration>;
  static constexpr bool is_steady = true;
};
using TimePoint = BootClock::time_point;

inline constexpr TimePoint kNever = TimePoint::max();

// What a driver reads once per turn of its loop. `wall` is for people and retention only: no
// decision about leases, ballots or liveness rests on it.
struct Now {
  TimePoint steady;
  WallTime wall;
};

}  // namespace shoal
