// A node's own steady clock: starts anywhere and runs a little fast or slow, so that a time of one
// node means nothing on another.
#pragma once

#include <cstdint>

#include "base/time.hpp"

namespace shoal::sim {

class NodeClock {
 public:
  NodeClock() = default;
  // REQUIRES: |rate_ppm| <= 100,000 (10 %).
  NodeClock(Duration offset, std::int32_t rate_ppm) : offset_(offset), rate_ppm_(rate_ppm) {}

  TimePoint local(TimePoint world) const;

  // The first moment of the world at which local() is at least `local`; kNever stays kNever.
  TimePoint world(TimePoint local) const;

 private:
  Duration offset_{};
  std::int32_t rate_ppm_ = 0;
};

}  // namespace shoal::sim
