// One random schedule over a few nodes' shards: loss, repetition, reordering, very late messages,
// crashes that lose what is not durable, duelling owners, homes that move (1, 3 and other nodes), a
// disk that is lost, records whose time passes while clocks differ; then everything heals. A pure function of
// the seed.
#pragma once

#include <cstdint>
#include <string>

#include "shard/output.hpp"

namespace shoal::shard::test {

struct ScheduleResult {
  std::string failure;  // Empty: every check held.
  bool converged =
      false;  // After the healing, each shard had an owner that holds all that was shown.
  std::uint64_t shown = 0;
  std::uint64_t takeovers = 0;
  std::uint64_t changes = 0;  // Of homes, begun.
};

ScheduleResult run_schedule(std::uint64_t seed, const Mutations& mutations, int steps);

}  // namespace shoal::shard::test
