// `shoal sim --sweep`: many seeds in worker processes, one for each core.
//
// Workers are forked for a block of seeds each and tell their results through a pipe. A worker that
// dies or takes too long costs its seed only: that is a violation like any other, and a new worker
// goes on with the next seed.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace shoal::cli {

struct SweepOptions {
  std::uint64_t first = 1;
  std::uint64_t seeds = 1000;
  std::string faults = "none";
  std::optional<std::chrono::nanoseconds> time_max;  // No block is begun after that.
  std::chrono::seconds seed_time_max{120};
  std::uint32_t workers = 0;  // 0: one for each core.
  bool quiet = false;         // No progress.
  bool marks = false;         // How often each rare path was reached, before the last line.
};

// The exit status.
int run_sweep(const SweepOptions& options);

}  // namespace shoal::cli
