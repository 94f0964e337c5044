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
  std::uint32_t lease_ms = 0;
};
// Answer to a Pull. Without items: nothing here that fits; `ready` tells what is left.
struct Grant {
  std::uint64_t transfer = 0;
  TimePoint pull_sent;
  std::uint32_t ready = 0;
  std::vector<TaskSpec> specs;
  std::vector<GrantItem> items;
};

struct HeldAttempt {
  AttemptId attempt;
  ShardId shard{};
  bool running = false;  // Started, or about to be: not to be taken back as if it never was.
};
// Unstarted grants, or attempts ended by the node's stop: no failure of theirs.
struct GiveBack {
  std::vector<HeldAttempt> items;
};
struct GiveBackAck {
  std::vector<AttemptId> items;
};

// The attempts that the sender holds (rules L2, L3; hole 15): running, unstarted, and ended or
// given back without an acknowledgement. A claim that a complete renewal does not name is released
// at once, if the transfer that granted it is closed: it is not open, and not newer than the last.
struct Renew {
  TimePoint sent;
  std::vector<HeldAttempt> items;
  // Pulls of the sender that may still bring it attempts, at any owner. It starts nothing from
  // others.
  std::vector<std::uint64_t> open_transfers;
  std::uint64_t last_transfer = 0;  // The newest pull of this boot epoch, open or not.
  std::uint64_t boot_epoch = 0;     // Transfers of earlier epochs are closed.
  // `items` are all attempts that the sender holds, whoever owns their shards, and it has heard
  // from all its former supervisors: what it believes of owners may be out of date.
  bool complete = false;
  bool longest = false;  // The sender stops: it asks for the longest lease there is.
};
struct RenewedAttempt {
  AttemptId attempt;
  std::uint32_t lease_ms = 0;
};
// After a Confirm round begun after the Renew arrived. `over`: not (or no longer) that node's
// attempts.
struct Renewed {
  TimePoint sent;  // Echo: the leases count from here.
  std::vector<RenewedAttempt> items;
  std::vector<AttemptId> over;
};
// A new owner asks a node named by its claims to renew at once.
struct RenewCall {
  std::vector<ShardId> shards;
};

struct OutcomeItem {
  AttemptId attempt;
  ShardId shard{};
  NodeId node;  // Where it ran: an outcome may come through any node of the home (hole 27).
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
