// How work moves between nodes: hints, pulls, grants, leases, outcomes.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "shoal/job.hpp"
#include "task/process.hpp"
#include "wire/owner_messages.hpp"

namespace shoal::wire {

// --- Binding work to nodes
// -----------------------------------------------------------------------------

// "There is work here that fits you." Never binding.
struct Hint {
  std::uint32_t ready = 0;
};

// Times of the executing node's own clock, echoed by the owner, never compared with another clock.
struct Pull {
  std::uint64_t transfer =
      0;  // Unique at the puller: (boot epoch, counter). A repeat is answered alike.
  TimePoint sent;
  std::uint32_t cpu_millis = 0;
  std::uint64_t memory_bytes = 0;
  std::uint32_t count_max = 0;
  bool hinted = false;
};
struct GrantItem {
  AttemptId attempt;
  std::uint32_t spec = 0;  // Into Grant::specs.
  std::string argument;
  ShardId shard{};
};
// Answer to a Pull. Without items: nothing here that fits; `ready` tells what is left.
struct Grant {
  std::uint64_t transfer = 0;
  TimePoint pull_sent;
  std::uint32_t lease_ms = 0;
  std::uint32_t ready = 0;
  std::vector<TaskSpec> specs;
  std::vector<GrantItem> items;
};

struct HeldAttempt {
  AttemptId attempt;
  ShardId shard{};
};
// Unstarted grants, or attempts ended by the node's stop: no failure of theirs.
struct GiveBack {
  std::vector<HeldAttempt> items;
};
struct GiveBackAck {
  std::vector<AttemptId> items;
};

// All attempts that the sender holds of the receiver's shards (rules L2, L3).
struct Renew {
  TimePoint sent;
  std::vector<HeldAttempt> items;
};
// After a Confirm round begun after the Renew arrived. `over`: not (or no longer) that node's
// attempts.
struct Renewed {
  TimePoint sent;  // Echo: the lease counts from here.
  std::uint32_t lease_ms = 0;
  std::vector<AttemptId> items;
  std::vector<AttemptId> over;
};
// A new owner asks a node named by its claims to renew at once.
struct RenewCall {
  std::vector<ShardId> shards;
};

struct OutcomeItem {
  AttemptId attempt;
  ShardId shard{};
  AttemptResult result;
  std::array<std::string, 2> tails;
};
struct Outcomes {
  std::vector<OutcomeItem> items;
};
// Recorded, or not wanted any more: the executing node may forget these.
struct OutcomeAck {
  std::vector<AttemptId> items;
};
// Owner -> executing node: end these attempts.
struct EndAttempts {
  std::vector<AttemptId> items;
  EndReason reason = EndReason::cancelled;
};

// --- Node and node
// -------------------------------------------------------------------------------------

struct ReadOutput {
  task::OutputRead read;
};
struct OutputData {
  task::OutputPiece piece;
};

}  // namespace shoal::wire
