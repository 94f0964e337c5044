#include "base/histogram.hpp"

#include <doctest/doctest.h>

namespace shoal {

TEST_CASE("histogram: quantiles are within a quarter of the true ones") {
  Histogram histogram;
  for (std::uint64_t i = 1; i <= 10'000; ++i) histogram.add(i);
  CHECK(histogram.count() == 10'000);
  for (const std::uint32_t per_thousand : {10U, 500U, 990U}) {
    const std::uint64_t truth = per_thousand * 10;
    CHECK(histogram.quantile(per_thousand) >= truth - truth / 4);
    CHECK(histogram.quantile(per_thousand) <= truth + truth / 4);
  }
}

TEST_CASE("histogram: without samples every quantile is zero, and the largest sample is held") {
  Histogram histogram;
  CHECK(histogram.quantile(500) == 0);
  histogram.add(~std::uint64_t{0});
  CHECK(histogram.quantile(500) > std::uint64_t{1} << 62);
}

}  // namespace shoal
