// The world itself: determinism, clocks, and that rare inputs reach a node at all.
#include "sim/simulator.hpp"

#include <doctest/doctest.h>

#include "sim/scenario.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

std::uint64_t trace_of(std::uint64_t seed) {
  Scenario three({.nodes = 3, .seed = seed});
  three.found();
  three.add_workload({.tasks = 200});
  three.add_faults(parse_faults("all").value());
  three.world().run_for(15s);
  return three.world().trace().hash();
}

}  // namespace

TEST_CASE("sim: the same seed gives the same run, another seed another") {
  const std::uint64_t once = trace_of(1);
  CHECK(once == trace_of(1));
  CHECK(once != trace_of(2));
}

TEST_CASE("sim: a node's clock and the world's convert back and forth") {
  for (const std::int32_t rate : {-200'000, -50'000, -999, 0, 1, 50'000, 200'000}) {
    const NodeClock clock({}, 1234567ns, rate);
    for (const Duration at :
         {Duration(0), Duration(1), Duration(999'999'999), Duration(90 * 24h)}) {
      const TimePoint local = clock.local(TimePoint(at));
      const TimePoint world = clock.world(local);
      CHECK(clock.local(world) >= local);
      CHECK(world <= TimePoint(at) + 1ns);
    }
  }
  CHECK(NodeClock({}, 1s, 100).world(kNever) == kNever);
}

TEST_CASE("sim: a clock whose rate changes goes on from what it shows") {
  NodeClock clock({}, 1s, 0);
  clock.set_rate(TimePoint(100s), 100'000);
  CHECK(clock.local(TimePoint(100s)) == TimePoint(101s));
  CHECK(clock.local(TimePoint(110s)) == TimePoint(112s));
  CHECK(clock.world(TimePoint(112s)) == TimePoint(110s));
}

TEST_CASE("sim: events of one moment leave in the order in which they came") {
  EventQueue<int> queue;
  const TimePoint at(1s);
  for (int i = 0; i < 100; ++i) queue.push(at, i);
  queue.push(TimePoint(500ms), -1);
  CHECK(queue.pop() == -1);
  for (int i = 0; i < 100; ++i) CHECK(queue.pop() == i);
  CHECK(queue.empty());
}

}  // namespace shoal::sim
