#include "base/random.hpp"

#include <bit>

#include "base/assert.hpp"

namespace shoal {

Random::Random(std::uint64_t seed) {
  for (std::uint64_t& word : state_) {
    word = mix64(seed);
    seed += 0x9e3779b97f4a7c15;
  }
}

std::uint64_t Random::next() {
  const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const std::uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

std::uint64_t Random::below(std::uint64_t bound) {
  SHOAL_ASSERT(bound > 0);
  // Rejection keeps every value equally likely (Lemire, 2019, is faster; this is not hot).
  const std::uint64_t limit = ~std::uint64_t{0} - ~std::uint64_t{0} % bound;
  std::uint64_t drawn = next();
  while (drawn >= limit) drawn = next();
  return drawn % bound;
}

Duration Random::below(Duration bound) {
  if (bound <= Duration::zero()) return Duration::zero();
  return Duration(static_cast<Duration::rep>(below(static_cast<std::uint64_t>(bound.count()))));
}

}  // namespace shoal
