// Promises that a node breaks on purpose, for tests of those who look for broken promises. The
// shipped program breaks none: its break_rules() (cli/keep_rules.cpp) is empty, and that of the
// test program stands with the tests (tests/e2e/break_rules.cpp).
#pragma once

#include <functional>

#include "node/config.hpp"
#include "store/commit_writer.hpp"

namespace shoal::daemon {

struct BrokenRules {
  node::Mutations node;
  shard::Mutations shards;
  bool endless_leases = false;  // Hole 14: supervisors are not told when leases end.
  // What stands between the group commit and the store.
  std::function<store::CommitWriter::Commit(store::CommitWriter::Commit)> commit = std::identity();
};

BrokenRules break_rules();

}  // namespace shoal::daemon
