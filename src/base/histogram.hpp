// Quantiles of many samples in fixed memory: buckets that grow by a quarter of a power of two, so a
// quantile is at most 25 % off (the layout of HdrHistogram, with two bits of precision).
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace shoal {

class Histogram {
 public:
  void add(std::uint64_t sample) {
    ++buckets_.at(bucket_of(sample));
    ++count_;
  }

  std::uint64_t count() const { return count_; }

  // The middle of the bucket that holds the sample of that rank; 0 without samples.
  std::uint64_t quantile(std::uint32_t per_thousand) const {
    const std::uint64_t rank = (count_ * per_thousand + 999) / 1000;
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_.at(i);
      if (seen >= rank && seen > 0) return bound_of(i);
    }
    return 0;
  }

 private:
  static std::size_t bucket_of(std::uint64_t sample) {
    if (sample < 4) return static_cast<std::size_t>(sample);
    const auto power = static_cast<std::size_t>(std::bit_width(sample)) - 1;  // >= 2
    return (power - 1) * 4 + static_cast<std::size_t>(sample >> (power - 2) & 3);
  }
  // The middle of the bucket.
  static std::uint64_t bound_of(std::size_t bucket) {
    if (bucket < 4) return bucket;
    const std::size_t power = bucket / 4 + 1;
    const std::uint64_t width = std::uint64_t{1} << (power - 2);
    return (4 + bucket % 4) * width + width / 2;
  }

  std::array<std::uint64_t, 256> buckets_{};
  std::uint64_t count_ = 0;
};

}  // namespace shoal
