// What one node is told when it starts.
#pragma once

#include <cstdint>
#include <string>

#include "base/address.hpp"
#include "base/time.hpp"
#include "shoal/id.hpp"

namespace shoal::node {

// Profile of the network between the nodes; sets the failure detector's times.
enum class Profile : std::uint8_t { local, lan, wan };

inline constexpr std::uint32_t kShardCountDefault = 1024;

struct NodeConfig {
  NodeId id;
  std::string name;
  Address address;  // Advertised. Port 0: unknown until on_advertised().
  std::string zone;
  std::uint32_t weight_eighths = 8;
  std::uint32_t cpu_millis = 1000;
  std::uint64_t memory_bytes = 0;
  Profile profile = Profile::lan;
  std::uint32_t expect = 1;                        // Found together with this many nodes (rule F1).
  bool join = false;                               // Has seeds: never founds alone.
  std::uint32_t shard_count = kShardCountDefault;  // Used at founding only.
  std::string version = "0.1.0";
  Duration lease = std::chrono::seconds(5);  // L of every claim.
  // Homes change this long after a member joined or left, and `dead_after` after one died.
  Duration move_delay = std::chrono::seconds(1);
  Duration dead_after = std::chrono::minutes(10);
  std::uint32_t moves_per_second = 50;     // Home changes begun by this node.
  std::uint64_t records_max = 20'000'000;  // New tasks are refused beyond (ErrorCode::overload).
};

}  // namespace shoal::node
