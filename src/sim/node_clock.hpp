// A host's own boot-time clock: starts anywhere and runs a little fast or slow, so that a time of
// one node means nothing on another. Its rate may change; it never jumps and never runs backwards.
#pragma once

#include <cstdint>

#include "base/time.hpp"

namespace shoal::sim {

class NodeClock {
 public:
  NodeClock() = default;
  // Shows `shown` at the moment `since` of the world. REQUIRES: |rate_ppm| <= 200,000 (20 %).
  NodeClock(TimePoint since, Duration shown, std::int32_t rate_ppm)
      : since_(since), shown_(shown), rate_ppm_(rate_ppm) {}

  TimePoint local(TimePoint world) const;

  // The first moment of the world at which local() is at least `local`; kNever stays kNever.
  TimePoint world(TimePoint local) const;

  // Goes on from what it shows at `now`. Earlier moments are then translated by the new rate too.
  void set_rate(TimePoint now, std::int32_t rate_ppm) {
    shown_ = local(now).time_since_epoch();
    since_ = now;
    rate_ppm_ = rate_ppm;
  }
  std::int32_t rate_ppm() const { return rate_ppm_; }

 private:
  TimePoint since_;
  Duration shown_{};
  std::int32_t rate_ppm_ = 0;
};

}  // namespace shoal::sim
