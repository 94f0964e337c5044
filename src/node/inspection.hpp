// A look inside a node, for the simulator's checkers and for tests.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "node/node.hpp"

namespace shoal::node {

struct HeldTask {  // A committed task record of a shard this node owns.
  TaskId task;
  TaskState state = TaskState::ready;
  std::uint32_t attempt = 0;
  NodeId node;
  bool recovered = false;
};

struct ReadyNeed {  // The smallest need among the ready tasks here that may run now.
  std::uint32_t cpu_millis = 0;
  std::uint64_t memory_bytes = 0;
};

struct Bound {  // Something that is not to grow beyond a limit.
  const char* what = "";
  std::uint64_t size = 0;
  std::uint64_t most = 0;
};

struct Node::Inspection {
  std::vector<std::pair<NodeId, wire::MemberState>> members;  // Sorted; the node itself included.
  wire::Incarnation incarnation;                              // Its own.
  std::vector<ShardId> owned;
  std::uint32_t ready = 0;                 // Ready tasks in the queue, those in back-off left out.
  bool takes_work = true;                  // Not stopping, draining or short of disk.
  std::vector<ReadyNeed> ready_needs;      // One each for the distinct needs in the queue; <= 16.
  std::uint32_t cpu_millis = 0;            // Capacity.
  std::uint32_t cpu_millis_started = 0;    // Of started attempts.
  std::uint32_t cpu_millis_unstarted = 0;  // Of grants held, not started.
  std::uint64_t memory_bytes = 0;
  std::uint64_t memory_bytes_started = 0;
  std::uint64_t memory_bytes_unstarted = 0;
  std::vector<AttemptId> running;  // Started here, not ended. Sorted.
  bool votes = false;              // F2: it takes part in the shard protocol.
  std::vector<Bound> bounds;
  const Node* node = nullptr;

  std::vector<HeldTask> tasks() const;  // Costly: decodes every task record of the owned shards.
  // These need `node` alone. By the node's own clock; absent when it does not hold the attempt.
  std::optional<TimePoint> lease_end(const AttemptId& attempt) const;
  // Pulls that may still bring it attempts. Needs `node` alone.
  std::vector<std::uint64_t> open_transfers() const;
  const wire::ShardConfig* config(ShardId shard) const;  // As stored; null: nothing known.
  std::uint64_t tasks_run() const;
};

}  // namespace shoal::node
