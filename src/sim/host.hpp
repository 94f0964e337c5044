// One machine of the simulated world: what outlives its node, and what waits for it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "node/node.hpp"
#include "sim/node_clock.hpp"
#include "sim/world.hpp"

namespace shoal::sim {

using Input = std::move_only_function<void(node::Node&, Now)>;

struct Host {
  node::NodeConfig config;
  std::vector<NodeIndex> seeds;
  std::unique_ptr<node::Node> node;  // Null: down.
  std::uint32_t boot = 0;

  // Why it does not run, or not all the time.
  bool paused = false;
  bool suspended = false;
  bool stopping = false;          // It was told to stop.
  std::uint32_t suspensions = 0;  // Counts them.
  std::uint32_t slow_factor = 1;
  Duration stall{};                     // The next output leaves so much later.
  std::optional<node::Output> stalled;  // It waits; so does the node.
  std::deque<Input> inbox;  // While it does not run. Datagrams beyond kInboxMax are dropped.
  bool drain_due = false;

  TimePoint wake_wanted = kNever;     // What the node last asked for.
  TimePoint wake_scheduled = kNever;  // The event that stands for it, perhaps earlier.
  TimePoint woken_at;
  std::uint32_t wakes_at_once = 0;  // In one moment: a node that spins is a bug.

  NodeClock clock;
  std::chrono::milliseconds wall_offset{};
  Capacity capacity;
  Disk disk;
  bool disk_low = false;
  std::optional<SyncMoment> trap;  // Its node crashes there, at the next sync.
  std::function<void()> trapped;   // Then called.
  Processes processes;
  std::uint32_t reports_awaited = 0;  // Of supervisors, by the node that runs.

  std::string refused;     // Why its node will not go on with this store (F2).
  bool spoilt = false;     // Its store is an old one, or was copied: it may have to be replaced.
  bool abandoned = false;  // Nobody counts on it any more.
};

}  // namespace shoal::sim
