// What must come true once a cluster is whole again (live 1, 3, 4, 5). Until healed() nothing of
// this is judged.
//
//   DuelChecker    live 3  a duel for a shard ends within 10 ballots
//   ClaimChecker   live 1  a claimed task is held by its node, or released within a lease and a
//                          takeover
//   StallChecker   live 1  while tasks are unfinished, something begins or ends
//   unfinished_change()  live 4  no shard stays between two homes
//   missing_copy()       live 5  every home holds every record
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "sim/books.hpp"
#include "sim/checkers.hpp"

namespace shoal::sim {

class DuelChecker {
 public:
  static constexpr std::size_t kRoundsMax = 10;

  explicit DuelChecker(Violations& violations) : violations_(violations) {}

  void healed() { healed_ = true; }
  void broken() { healed_ = false, ballots_.clear(); }
  void prepared(TimePoint now, ShardId shard, const wire::Ballot& ballot);
  // Its owner writes: the duel is over.
  void owned(ShardId shard, const wire::Ballot& ballot);

 private:
  Violations& violations_;
  bool healed_ = false;
  std::map<ShardId, std::set<wire::Ballot>> ballots_;  // Since there was an owner.
};

class ClaimChecker {
 public:
  // The longest lease with the owner's margin, which begins anew when rank 0 takes the shard back
  // after its 30 s; two takeovers, and a look that came just before.
  static constexpr Duration kUnheldMax = std::chrono::seconds(75);
  // Whether that node holds the attempt, running or waiting or ended without an answer.
  using Holds = std::function<bool(NodeId, const AttemptId&)>;

  ClaimChecker(Violations& violations, Holds holds)
      : violations_(violations), holds_(std::move(holds)) {}

  // REQUIRES: `held` is called for all that owners hold, between begin_round() and end_round().
  void begin_round() { seen_.clear(); }
  void held(TimePoint now, const node::HeldTask& task);
  void end_round();
  void forget() { unheld_since_.clear(); }

 private:
  Violations& violations_;
  Holds holds_;
  std::map<AttemptId, TimePoint> unheld_since_;
  std::set<AttemptId> seen_;  // Unheld ones of this round.
};

class StallChecker {
 public:
  // The longest lease, a takeover, the longest back-off of the workload's retries and the longest
  // of its processes, one after the other.
  static constexpr Duration kStallMax = std::chrono::seconds(90);

  explicit StallChecker(Violations& violations) : violations_(violations) {}

  void progressed(TimePoint now) { since_ = now; }
  void observe(TimePoint now, std::uint64_t unfinished);

 private:
  Violations& violations_;
  TimePoint since_;
};

// Both look only at disks, and homes, that count.
using Counts = ShardBook::Counts;

// The first shard whose newest config is not a finished one; absent when there is none. A learner
// that does not count may be waited for: the old home is in force and whole.
std::optional<std::string> unfinished_change(const ShardBook& shards, const Counts& counts = {});

// The first record that some disk of its shard's home lacks, or holds in another version than its
// owner's disk; absent when all homes hold all that their owners do.
std::optional<std::string> missing_copy(const RecordBook& records, const ShardBook& shards,
                                        const Counts& counts = {});

}  // namespace shoal::sim
