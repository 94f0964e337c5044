// What a simulated world is given and what it tells: options, figures, hooks.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "sim/disk.hpp"
#include "sim/network.hpp"
#include "sim/processes.hpp"

namespace shoal::sim {

struct WorldOptions {
  std::uint64_t seed = 1;
  NetworkOptions network;
  DiskOptions disk;
  ProcessOptions processes;
  std::uint32_t clock_rate_ppm_max = 1000;              // Each host's clock is off by up to this.
  Duration slow_slice = std::chrono::milliseconds(20);  // How long a slow node runs at a time.
  std::uint32_t encode_one_in = 64;  // This share of the messages is encoded, sizes checked.
  std::uint32_t record_one_in = 0;   // This share of the datagrams may be replayed; 0: none.
};

// Where in a sync a node may be made to crash: nothing is sure to be on the disk yet, or all is and
// nobody has been told.
enum class SyncMoment : std::uint8_t { before_durable, after_durable };

struct WorldFigures {
  std::uint64_t inputs = 0;
  std::uint64_t datagrams = 0;
  std::uint64_t stream_messages = 0;
  std::uint64_t grants = 0;     // Granted attempts on their way to another node.
  std::uint64_t takeovers = 0;  // Distinct (shard, ballot) prepared.
  std::uint64_t launches = 0;
  std::uint64_t recovered = 0;  // Attempts that a restarted node was told still run.
  std::uint64_t crashes = 0;    // Of nodes and of hosts.
  std::uint64_t syncs = 0;
  std::uint64_t corrupted = 0;  // Datagrams that their checksum caught.
  std::uint64_t replayed = 0;   // Old datagrams that came once more.
  std::uint64_t refusals = 0;   // Nodes that would not go on with their store.
};

// What observers of the world may be told. Empty ones are not called.
struct WorldHooks {
  std::function<void(NodeIndex, const AttemptId&, const TaskSpec&)> process_started;
  std::function<void(NodeIndex, const AttemptId&)> process_ended;  // However, and whoever hears it.
  std::function<void(NodeIndex)> suspended;
  std::function<void(NodeIndex)> processes_resumed;
  std::function<void(NodeIndex)> progressed;   // It was granted or started something.
  std::function<void(std::string)> violation;  // Broken rules that the world itself sees.
};

}  // namespace shoal::sim
