// What a network fault touches: links, each one way from one node to another.
//
// A partition is a set of links on which nothing passes. Its shape may have to be drawn; what it is
// drawn from is a parameter of the fault (`draw`), so that the fault alone says what is cut.
#pragma once

#include <compare>
#include <string>
#include <vector>

#include "tools/chaos/fault.hpp"
#include "tools/chaos/random.hpp"

namespace shoal::chaos {

struct Link {
  std::string from;
  std::string to;
  auto operator<=>(const Link&) const = default;
};

// Gives the fault a `draw`, if it needs one and has none.
void settle_draw(Fault& fault, Random& random);

// In the order of `nodes`, by sender; never empty. An error says why there are none.
// REQUIRES: a fault of the network's family.
Result<std::vector<Link>> links_of(const Injection& injection,
                                   const std::vector<std::string>& nodes);

}  // namespace shoal::chaos
