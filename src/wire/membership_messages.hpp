// What members say about each other: SWIM (Das et al., DSN 2002) with Lifeguard (Dadgar et al.,
// 2018). Probes, acks and gossip travel as datagrams of at most kDatagramBytesMax; joins and
// push-pull as streams.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "shoal/id.hpp"

namespace shoal::wire {

inline constexpr std::size_t kDatagramBytesMax = 1200;
inline constexpr std::size_t kNodeNameBytesMax = 64;

enum class MemberState : std::uint8_t { alive = 0, suspect = 1, dead = 2, left = 3 };

// (durable boot epoch, counter): only its subject raises it.
struct Incarnation {
  std::uint64_t boot_epoch = 0;
  std::uint64_t counter = 0;
  auto operator<=>(const Incarnation&) const = default;
};

// What a node has free just now. Rides on probes and acks, so it is fresh for a few random peers.
struct Load {
  std::uint32_t cpu_millis_free = 0;
  std::uint64_t memory_bytes_free = 0;
  std::uint32_t ready = 0;  // Ready tasks at the shards it owns, beyond what it runs itself.
  std::uint32_t running = 0;
  std::uint64_t store_sequence = 0;  // How far its store's shard writes have come, durably: peers
                                     // remember the highest, as StoreMark (F2).
  std::int64_t wall_ms = 0;  // Its wall clock: a node far off the others expires nothing (hole 12).
  bool operator==(const Load&) const = default;
};

// What the subject says of itself; changes only with its incarnation.
struct MemberInfo {
  Address address;
  std::string name;
  std::string zone;
  std::uint32_t weight_eighths = 8;
  std::uint32_t cpu_millis = 0;    // Capacity.
  std::uint64_t memory_bytes = 0;  // Capacity.
  std::uint32_t protocol = 1;      // Highest wire protocol it speaks.
  std::uint64_t boot_nonce = 0;    // Random for each start: two live ones are two nodes of one key.
  bool draining = false;           // Keeps what it has, starts nothing new.
  bool leaving = false;            // Its shards move away; then it leaves.
  bool operator==(const MemberInfo&) const = default;
};

// One piece of news about one member.
struct MemberRecord {
  NodeId node;
  MemberState state = MemberState::alive;
  Incarnation incarnation;
  NodeId accuser;                  // Who says suspect or dead. Dead by itself: a stop (SIGTERM).
  std::optional<MemberInfo> info;  // Always with alive; may be left out of suspect, dead and left.
  // Of dead and left: for how long, as the sender knows it. Without it, a member that all others
  // are about to forget would start its 24 h anew with each newcomer.
  std::uint32_t gone_seconds = 0;
  bool operator==(const MemberRecord&) const = default;
};

struct Ping {
  std::uint64_t sequence = 0;
  NodeId target;  // Whom it is meant for: another node at that address does not answer.
  Load load;
  std::vector<MemberRecord> news;
};

// Asks a member to probe `target` for the sender.
struct IndirectPing {
  std::uint64_t sequence = 0;
  NodeId target;
  std::vector<MemberRecord> news;
};

struct PingAck {
  std::uint64_t sequence = 0;
  Load load;
  std::vector<MemberRecord> news;
};

// The relay could not reach the target in time: proves that the relay itself is reachable.
struct PingNack {
  std::uint64_t sequence = 0;
};

struct Gossip {
  std::vector<MemberRecord> news;
};

// Digest push-pull: hashes of 64 buckets of the sender's table.
struct MemberDigest {
  std::vector<std::uint64_t> buckets;
};

// The sender's records of the buckets that differ (all of them in a join). With `reply` set the
// receiver sends its own records of those buckets back.
struct MemberTable {
  std::vector<MemberRecord> records;
  std::uint64_t bucket_mask = 0;
  bool join = false;
  bool reply = false;
};

}  // namespace shoal::wire
