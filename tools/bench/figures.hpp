// The figures that shoal-bench measures, and what they are told in.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "shoal/result.hpp"
#include "tools/bench/cluster.hpp"
#include "tools/bench/loop.hpp"
#include "tools/bench/summary.hpp"

namespace shoal::bench {

struct Options {
  std::string shoal;              // The program beside this one.
  std::string folder;             // Where own clusters keep their data: on a disk, not in memory.
  std::string addresses;          // Not empty: a running cluster.
  std::uint32_t nodes = 0;        // 0: the figure's own choice.
  std::uint32_t tasks = 0;        // Likewise.
  std::uint32_t runs = 0;         // Likewise.
  std::uint32_t connections = 4;  // Each with a job in flight.
  std::uint32_t latency_tasks = 500;
};

// One configuration's measurements: for programs, and line by line for people.
struct Section {
  std::string title;
  Json json;
  std::vector<std::pair<std::string, std::string>> lines;
};
using Sections = std::vector<Section>;

Result<Sections> measure_noop(Loop& loop, const Options& options);
Result<Sections> measure_process(Loop& loop, const Options& options);
Result<Sections> measure_memory(Loop& loop, const Options& options);
Result<Sections> measure_recover(Loop& loop, const Options& options);

// The cluster these options ask for; `nodes` when they leave it open.
Result<Cluster> cluster_for(const Options& options, std::uint32_t nodes);

// What is being done, to standard error.
void tell(const std::string& text);

}  // namespace shoal::bench
