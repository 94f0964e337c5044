#include "base/random.hpp"

#include <doctest/doctest.h>

#include <array>

namespace shoal {

TEST_CASE("random: the same seed gives the same numbers, another seed others") {
  Random a(7), b(7), c(8);
  const std::uint64_t first = a.next();
  CHECK(first == b.next());
  CHECK(first != c.next());
}

TEST_CASE("random: below() stays below its bound and reaches every value") {
  Random random(1);
  std::array<int, 5> seen{};
  for (int i = 0; i < 1000; ++i) ++seen.at(random.below(5));
  for (const int count : seen) CHECK(count > 100);
}

}  // namespace shoal
