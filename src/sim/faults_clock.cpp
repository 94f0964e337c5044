// What clocks do.
#include <array>
#include <span>

#include "sim/faults.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

milliseconds up_to(Faults& faults, milliseconds most) {
  return milliseconds(faults.random().below(static_cast<std::uint64_t>(most.count())));
}

milliseconds either_way(Faults& faults, milliseconds most) {
  const milliseconds offset = up_to(faults, most);
  return faults.random().chance(1, 2) ? offset : -offset;
}

bool wall_jump(Faults& faults, Duration length) {
  const NodeIndex index = faults.any_node();
  faults.world().set_wall_offset(index, either_way(faults, 1h));
  faults.later(length, [&faults, index] { faults.world().set_wall_offset(index, 0ms); });
  return true;
}

bool wall_strobe(Faults& faults, Duration length) {
  const NodeIndex index = faults.any_node();
  for (Duration at{}; at < length; at += 50ms + faults.random().below(Duration(500ms))) {
    faults.later(
        at, [&faults, index] { faults.world().set_wall_offset(index, either_way(faults, 1min)); });
  }
  faults.later(length, [&faults, index] { faults.world().set_wall_offset(index, 0ms); });
  return true;
}

bool wall_backwards(Faults& faults, Duration) {
  faults.world().set_wall_offset(faults.any_node(), -up_to(faults, 1min));
  return true;
}

bool rates(Faults& faults, Duration length, std::uint64_t most_ppm) {
  const NodeIndex index = faults.any_node();
  const std::int32_t before = faults.world().clock_rate(index);
  const auto rate = static_cast<std::int32_t>(faults.random().below(2 * most_ppm + 1)) -
                    static_cast<std::int32_t>(most_ppm);
  faults.world().set_clock_rate(index, rate);
  // Leases are longer than most faults.
  faults.later(length * 4,
               [&faults, index, before] { faults.world().set_clock_rate(index, before); });
  return true;
}

bool clock_rate(Faults& faults, Duration length) { return rates(faults, length, 40'000); }
bool clock_rate_wild(Faults& faults, Duration length) { return rates(faults, length, 100'000); }

using enum FaultFamily;

constexpr std::array kKinds = std::to_array<FaultKind>({
    {"wall-jump", "a wall clock is up to 1 h off", clock, 3, &wall_jump},
    {"wall-strobe", "a wall clock jumps to and fro", clock, 2, &wall_strobe},
    {"wall-backwards", "a wall clock steps back by up to 1 min", clock, 2, &wall_backwards},
    {"clock-rate", "a clock runs up to 4 % fast or slow", clock, 3, &clock_rate},
    {"clock-rate-10", "a clock runs up to 10 % fast or slow: beyond the promise", clock, 0,
     &clock_rate_wild},
});

}  // namespace

std::span<const FaultKind> clock_faults() { return kKinds; }

}  // namespace shoal::sim
