// Whom a fault hits: the words of a scenario or a command line, and the nodes they come to.
//
//   n2   n1,n4   n[1-3]   re:^n        by name
//   all  any  any:2                    any: drawn, those first that no other fault holds
//   half  minority  third  majority    drawn; minority and third leave every shard its majority
//                                      unless they hit two homes of it
//   owner(JOB)  replica(JOB)           who owns, or keeps a copy of, the job's record; JOB may be
//                                      `load`: the load's newest job
//   busiest  idlest                    by running and waiting tasks
//
// What is drawn is settled before the run begins, from the seed. What must be looked up in the
// running cluster (looked_up() below) is settled, and told, when the fault is due.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tools/chaos/random.hpp"
#include "tools/chaos/text.hpp"

namespace shoal::chaos {

enum class TargetKind : std::uint8_t {
  names,
  pattern,
  all,
  any,
  half,
  minority,
  third,
  majority,
  owner,
  replica,
  busiest,
  idlest,
};

struct Target {
  TargetKind kind = TargetKind::names;
  std::vector<std::string> names;
  std::string argument;     // The pattern, the job.
  std::uint32_t count = 1;  // Of `any`.
  std::string words;        // As it was written.
  bool operator==(const Target&) const = default;
};

Result<Target> parse_target(std::string_view words);

bool looked_up(const Target& target);

// What stands still while targets are drawn.
struct Choice {
  std::vector<std::string> nodes;  // All of the cluster, in order.
  std::vector<std::string> held;   // By other faults at that time: drawn last.
};

// In the order of the nodes; never empty. REQUIRES: not looked_up(target).
Result<std::vector<std::string>> choose(const Target& target, const Choice& choice, Random& random);

// How many of `nodes` that are.
std::size_t size_of(TargetKind kind, std::size_t nodes);

}  // namespace shoal::chaos
