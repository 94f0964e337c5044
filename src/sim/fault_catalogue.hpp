// The faults there are, by name: what `--faults` takes, and what a run draws from.
//
// Everything that comes under `all` or under the name of a family is inside what the design
// promises to survive; what is not comes only when it is named itself.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.hpp"
#include "shoal/result.hpp"

namespace shoal::sim {

class Faults;

enum class FaultFamily : std::uint8_t { network, process, disk, clock, membership, sites };

// What a node must be able to do for a fault to be fair.
enum class Feature : std::uint8_t {
  none,
  finds_tasks,     // A restarted node takes up what its supervisors still run.
  home_changes,    // Shards move to other homes when members come and go.
  commands,        // Leave, forget.
  identity_guard,  // A rolled-back or cloned store refuses to vote.
  low_disk,        // A node stops taking work before its disk is full.
};
bool available(Feature feature);

struct FaultKind {
  std::string_view name;
  std::string_view words;  // For people: what happens.
  FaultFamily family = FaultFamily::network;
  std::uint32_t weight = 0;  // Against the others; 0: only when named, or planned.
  // Begins one, which ends by itself after about `length`. False: not possible just now.
  bool (*begin)(Faults& faults, Duration length) = nullptr;
  Feature needs = Feature::none;
  // One drawn run in so many has it once, beside what it draws of the others; 0: none.
  std::uint32_t planned_one_in = 0;
};

// Of one family, each in its own source.
std::span<const FaultKind> network_faults();
std::span<const FaultKind> process_faults();
std::span<const FaultKind> disk_faults();
std::span<const FaultKind> clock_faults();
std::span<const FaultKind> membership_faults();
std::span<const FaultKind> operator_faults();

std::vector<const FaultKind*> all_faults();

// A fault that comes once, at about that time after begin(): as soon as it is possible from then
// on.
struct PlannedFault {
  const FaultKind* kind = nullptr;
  Duration at{};
  Duration length{};
};

struct FaultOptions {
  std::vector<const FaultKind*> kinds;  // Sorted as all_faults() is.
  std::vector<const FaultKind*> named;  // Among them: always, whatever the seed.
  std::vector<PlannedFault> planned;
  // The seed takes a part of `kinds` and shrinks the rest of these (swarm testing).
  bool swarm = true;
  Duration gap_max = std::chrono::seconds(4);      // From the beginning of one to that of the next.
  Duration length_max = std::chrono::seconds(12);  // Of one fault.
  std::uint32_t nodes_more_max = 3;                // That join in the course of a run.
  std::uint32_t core_percent = 0;                  // So often heal() heals a core only.
  bool any() const { return !kinds.empty(); }
};

// none, all, families (net, process, disk, clock, membership, sites), names of single faults, or
// several with commas. `crash` stands for process.
Result<FaultOptions> parse_faults(std::string_view text);

}  // namespace shoal::sim
