// What stands before a run: the scenario is read, the seed settled, the back end asked, the faults
// planned. Nothing is started and nothing broken yet.
#pragma once

#include <memory>

#include "tools/chaos/backend.hpp"
#include "tools/chaos/run.hpp"
#include "tools/chaos/schedule.hpp"

namespace shoal::chaos {

struct Prepared {
  Scenario scenario;
  std::uint64_t seed = 0;
  std::unique_ptr<Backend> backend;
  Schedule schedule;
};

Result<Prepared> prepare(const RunOptions& options);

// What --dry-run prints.
Result<std::string> rehearsal(Prepared& prepared);

}  // namespace shoal::chaos
