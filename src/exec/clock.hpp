// The clocks of execution: boot time for leases, the wall for people.
#pragma once

#include <ctime>

#include "base/time.hpp"

namespace shoal::exec {

inline TimePoint boot_now() {
  timespec time{};
  ::clock_gettime(CLOCK_BOOTTIME, &time);
  return TimePoint(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
}

inline WallTime wall_now() {
  return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

}  // namespace shoal::exec
