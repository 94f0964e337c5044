// What an owner remembers of its homes and of records that are not settled (shard/owner.hpp).
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "shard/takeover.hpp"
#include "wire/shard_messages.hpp"

namespace shoal::shard {

enum class Committed : std::uint8_t { absent, unsettled, present };

// A record as it was sent.
struct KeyVersion {
  wire::RecordKey key;
  std::uint64_t version = 0;  // 0: sent under an older ballot, which settles nothing.
};

// One Write to one home, until it is answered.
struct WriteBatch {
  std::uint64_t number = 0;
  TimePoint sent{};
  bool catch_up = false;
  bool answered = false;
  bool late = false;  // Its keys are in `missing`; an answer still counts.
  std::vector<KeyVersion> records;
};

// A node of the config, or one that left and is to be retired.
struct OwnerPeer {
  NodeId node;                  // None: a free place.
  std::uint64_t entered = 0;    // O2: acks under a config below this seq do not count.
  wire::ConfigId config_acked;  // Then its id alone is sent (H2).
  std::uint64_t floor_acked = 0;
  std::uint64_t number_last = 0;
  std::deque<WriteBatch> outstanding;  // Numbers without a gap; the first is never answered.
  std::vector<wire::RecordKey> missing;
  std::size_t missing_sorted = 0;  // That many are sorted and distinct.
  std::uint32_t reading = 0;       // Values being read from the store for it.
  std::uint32_t awaiting = 0;      // Values it waits for that the owner does not have yet.
  bool silent = false;
  bool digest_wanted = false;  // It did not promise: what it holds is not known yet.
  bool ask_again = false;      // It came back: a probe makes it name its bad copies.
  DigestPages digest;
  TimePoint heard{};
  TimePoint probe_at{};
  TimePoint pump_at{};     // Nothing it lacks is sent before.
  std::uint64_t mark = 0;  // Of a learner: all up to this number is all there was.
  TimePoint left_at{};     // Not of the config; zero while it is.
  std::uint32_t retires = 0;
  // A free place, or one of a node that left: no records are sent there.
  bool away() const { return !node || left_at != TimePoint{}; }
};

// A version that is flushed and not committed.
struct PendingVersion {
  std::uint64_t version = 0;
  std::uint32_t holders = 0;  // Bit i: peers_[i] has this version or a later one on disk.
  std::vector<std::uint64_t> tokens;
  std::string value;  // Once superseded; the current one is the replica's.
};

// A record whose current version is not committed.
struct RecordFlight {
  Committed state = Committed::absent;  // Of what stood before the oldest pending version.
  bool dirty = false;                   // The current version is not flushed.
  std::string committed;                // Valid if `present`.
  std::vector<PendingVersion> older;    // Ascending versions, flushed, not committed.
  PendingVersion current;
  std::string detached_value;  // Until the flush.
};

// A settled detached record whose value the own disk lacks (C6).
struct LackingValue {
  wire::RecordVersion version;
  std::uint32_t holders = 0;         // Peers that have it, as far as is known.
  std::uint32_t tried = 0;           // Asked in vain.
  std::uint32_t wanted = 0;          // Peers that lack it too.
  TimePoint asked_at{};              // Zero: not asked for.
  std::uint32_t asked = 0;           // The peer, as a bit.
  std::vector<std::uint64_t> reads;  // That wait for it, since `reads_since`.
  TimePoint reads_since{};
};

}  // namespace shoal::shard
