#include "sim/node_clock.hpp"

namespace shoal::sim {

TimePoint NodeClock::local(TimePoint world) const {
  const Duration::rep elapsed = (world - since_).count();
  // In two parts: the product of the whole would overflow after some hours.
  const Duration::rep drift =
      elapsed / 1'000'000 * rate_ppm_ + elapsed % 1'000'000 * rate_ppm_ / 1'000'000;
  return TimePoint(shown_ + Duration(elapsed + drift));
}

TimePoint NodeClock::world(TimePoint local_time) const {
  if (local_time == kNever) return kNever;
  TimePoint guess = since_ + (local_time.time_since_epoch() - shown_);
  if (guess < TimePoint{}) return TimePoint{};
  // Each step leaves at most a fifth of the error, and at last one nanosecond of rounding.
  for (int step = 0; step < 30; ++step) {
    const Duration error = local_time - local(guess);
    if (error == Duration::zero()) break;
    guess += error;
  }
  while (local(guess) < local_time) guess += Duration(1);
  return guess;
}

}  // namespace shoal::sim
