// What one node is told when it starts.
#pragma once

#include <cstdint>
#include <string>

#include "base/address.hpp"
#include "base/time.hpp"
#include "shard/output.hpp"
#include "shoal/id.hpp"

namespace shoal::node {

// Profile of the network between the nodes; sets the failure detector's times.
enum class Profile : std::uint8_t { local, lan, wan };

inline constexpr std::uint32_t kShardCountDefault = 1024;

// Rules that can be switched off, for tests of the checkers only (shard::Mutations has those of the
// shards): with any of them set promises are broken, and a checker must notice.
struct Mutations {
  bool grant_before_commit = false;      // L1: a grant does not wait for its claim.
  bool lease_from_receipt = false;       // L1: counted from when the grant came.
  bool renew_without_confirm = false;    // L2.
  bool no_lease_wait = false;            // L3: a new owner takes found claims for over at once.
  bool lease_wait_from_prepare = false;  // L3: it counts from before its promises were a quorum.
  bool renew_unlisted = false;           // Hole 15: a renewal extends what it does not list, too.
  bool incomplete_as_complete = false;   // Hole 15: every renewal is taken for a complete one.
  bool release_open_transfer = false;  // Hole 15: what an open transfer may bring counts as absent.
  bool start_from_closed = false;      // Hole 15: a node starts from a transfer it called closed.
  bool boot_epoch_proves = false;      // A higher boot epoch ends the attempts of lower ones.
  bool no_fence = false;               // Hole 14: an attempt runs on beyond its lease.
  bool deaths_unlimited = false;       // Hole 24: a task may take any number of nodes with it.
  bool operator==(const Mutations&) const = default;
};

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
  // L of a claim at first. Shorter: lost attempts move sooner; longer: more survive a slow
  // takeover.
  Duration lease = std::chrono::seconds(5);
  // L grows to a tenth of the attempt's age, at most this; `at_most_once` tasks and those of a node
  // that stops have it from the beginning. How long a stopped node may be away.
  Duration lease_max = std::chrono::seconds(30);
  // Homes change this long after a member joined or left, and `dead_after` after one died.
  Duration move_delay = std::chrono::seconds(1);
  Duration dead_after = std::chrono::minutes(10);
  std::uint32_t moves_per_second = 50;     // Home changes begun by this node.
  std::uint64_t records_max = 20'000'000;  // New tasks are refused beyond (ErrorCode::overload).
  shard::ShardsConfig shards;              // Times, and switched-off rules for tests.
  Mutations mutations;
};

}  // namespace shoal::node
