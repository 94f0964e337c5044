// Seeded randomness (SplitMix64; Steele et al., OOPSLA 2014): the same seed draws the same choices
// with every standard library.
//
// Each part of a run draws from a stream of its own, named by a word: a fault more in a scenario
// does not change what the load draws.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace shoal::chaos {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  Random(std::uint64_t seed, std::string_view stream) : state_(mix(seed)) {
    for (const char c : stream) state_ = mix(state_ ^ static_cast<unsigned char>(c));
  }

  std::uint64_t next() { return mix(state_ += 0x9e3779b97f4a7c15); }

  // REQUIRES: `count` > 0. Its bias is below count / 2^64.
  std::uint64_t below(std::uint64_t count) {
    return static_cast<std::uint64_t>((static_cast<Wide>(next()) * count) >> 64);
  }

  // Both ends included. REQUIRES: least <= most.
  std::int64_t between(std::int64_t least, std::int64_t most) {
    const auto width = static_cast<std::uint64_t>(most - least) + 1;
    return least + static_cast<std::int64_t>(below(width));
  }

  template <class T>
  void shuffle(std::vector<T>& items) {
    for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }

 private:
  __extension__ typedef unsigned __int128 Wide;

  static constexpr std::uint64_t mix(std::uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  }

  std::uint64_t state_;
};

}  // namespace shoal::chaos
