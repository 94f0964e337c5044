// From a scenario and a seed to the list of what will be done, when, to whom.
//
// A pure function: the same scenario, seed and nodes give the same list. Each fault of the scenario
// draws from a stream of its own. What depends on the running cluster (owner, busiest...) is left
// open here and settled when it is due.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tools/chaos/scenario.hpp"

namespace shoal::chaos {

struct Planned {
  Ms at{0};
  Ms until{0};          // Healed then; not after the scenario's `duration`.
  Injection injection;  // `nodes` is empty while `lookup`.
  bool lookup = false;
};

struct Schedule {
  std::vector<Planned> faults;     // By time; ids count up from 1.
  std::vector<std::string> notes;  // What was left out, and why.
};

// Why the back end cannot make a fault; absent when it can.
using Cannot = std::function<std::optional<std::string>(const Fault&)>;

// An error names every fault of the scenario that the back end cannot make. Of a random list those
// are left out, unless nothing would be left.
Result<Schedule> plan_schedule(const Scenario& scenario, std::uint64_t seed,
                               const std::vector<std::string>& nodes, const Cannot& cannot);

// What was drawn, as a scenario that draws nothing.
Scenario fixed(const Scenario& scenario, const Schedule& schedule, std::uint64_t seed);

// "  20.0s  kill n2 for 15s"
std::string text_of(const Planned& planned);

}  // namespace shoal::chaos
