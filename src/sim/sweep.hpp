// Many seeds, each a cluster of its own: what is drawn from a seed, and what all of them came to.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "sim/scenario.hpp"

namespace shoal::sim {

// Sizes, settings, load and duration, all from the seed. `faults`: which kinds may come.
RunPlan draw_plan(std::uint64_t seed, const FaultOptions& faults);

// For people: one line.
std::string describe(const RunPlan& plan);

// One seed's result as it travels from one process to another: lines of text.
struct SeedResult {
  std::uint64_t seed = 0;
  Duration virtual_time{};
  probes::Marks marks;
  std::array<std::uint64_t, probes::kSiteCount> sites{};
  std::vector<std::string> violations;
  std::string plan;  // As describe() has it; only with violations.
};

// Runs the seed; one of `repeat_one_in` twice, since two runs of one seed must be the same (I19).
// 0: none.
SeedResult run_seed(std::uint64_t seed, const std::string& faults, std::uint64_t repeat_one_in);

std::string encode(const SeedResult& result);  // Lines, the last one empty.
Result<SeedResult> decode_seed_result(std::string_view text);

class SweepTotals {
 public:
  void add(const SeedResult& result);
  std::uint64_t seeds() const { return seeds_; }
  std::uint64_t bad_seeds() const { return bad_seeds_; }
  std::vector<std::string_view> marks_not_reached() const;
  std::vector<std::string_view> sites_not_reached() const;
  // A line for each mark and site: how often all seeds together reached it.
  std::string counts() const;
  // The last line of a sweep.
  std::string summary(double real_seconds) const;

 private:
  std::uint64_t seeds_ = 0;
  std::uint64_t bad_seeds_ = 0;
  Duration virtual_time_{};
  probes::Marks marks_;
  std::array<std::uint64_t, probes::kSiteCount> sites_{};
};

}  // namespace shoal::sim
