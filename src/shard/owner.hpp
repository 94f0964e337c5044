// The owner's side of one shard: phase 2 of Paxos (Lamport, 1998) under one ballot for all records.
// Rules O1-O5 of the shard protocol.
//
// The own replica is written at once, so its value is always the last proposed one; what is
// committed is that same value once the record is no longer in flight. Memory is held only for
// records in flight (a Flight each), and for each home the ids it lacks (16 bytes each): a record
// that all homes hold costs the owner nothing beyond its replica's entry.
//
// Invariants:
//   1. A member that may lack a record's current version has its key in `missing` or in an
//   unanswered
//      batch.
//   2. A (ballot, version) is used for one value: a version is fixed when it is flushed.
//   3. Nothing is shown that a quorum of the present config does not hold.
// Limits: kOutstandingMax unanswered writes for each home, then only ids are kept; a silent home
// gets one write without records a second.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/random.hpp"
#include "shard/effects.hpp"
#include "shard/replica.hpp"
#include "shard/takeover.hpp"

namespace shoal::shard {

enum class Committed : std::uint8_t { absent, unsettled, present };

// `value` is null unless present; empty for detached records, whose value Shards::read() fetches.
struct CommittedValue {
  Committed state = Committed::absent;
  const std::string* value = nullptr;
};

class Owner {
 public:
  Owner(NodeId self, ShardId shard, wire::Ballot ballot, const ShardsConfig& settings);

  // C5, C6: takes over what the merge found; writes again what is not settled.
  void begin(TimePoint now, Merge merge, Replica& replica, Effects& effects);

  const wire::Ballot& ballot() const { return ballot_; }
  const wire::ShardConfig& config() const { return config_; }
  // Some copies were bad, and too few promises came to do without them.
  bool blocked(const wire::RecordKey& key) const;
  bool settled(const wire::RecordKey& key) const {
    return !flights_.contains(key) && !blocked(key);
  }
  bool any_blocked() const { return !blocked_.empty(); }

  CommittedValue committed(const wire::RecordKey& key, const Replica& replica) const;
  // O1. False: the record is blocked.
  bool propose(const wire::RecordKey& key, std::string value, std::uint64_t token,
               Replica& replica);
  // Fixes all that was proposed since the last flush: to `writes`, to the homes, and to itself.
  void flush(TimePoint now, Replica& replica, Effects& effects);
  // Sends homes what they lack, as far as the window allows. REQUIRES: nothing is left to flush.
  void pump(TimePoint now, const Replica& replica, Effects& effects);

  void on_ack(TimePoint now, NodeId from, const wire::AckItem& ack, Replica& replica,
              Effects& effects);
  // A Promise that comes after the takeover tells what its home holds already. True when that
  // home's digest is complete now.
  bool on_promise(TimePoint now, NodeId from, const wire::PromiseItem& item,
                  const Replica& replica);
  void on_value(TimePoint now, const ReadPurpose& purpose, ValueRead answer, Replica& replica,
                Effects& effects);
  // Time-outs and probes. True while some home has not all.
  bool on_time(TimePoint now, const Replica& replica, Effects& effects);
  // Gives its share of the catch-up window back (O5).
  void release(Effects& effects);

  void check_invariants(const Replica& replica) const;
  std::size_t flight_count() const { return flights_.size(); }
  std::size_t unanswered_most() const;  // Writes to one other home.

 private:
  struct KeyVersion {
    wire::RecordKey key;
    std::uint64_t version = 0;  // 0: sent under an older ballot, which settles nothing.
  };
  struct Batch {
    std::uint64_t number = 0;
    TimePoint sent{};
    bool catch_up = false;
    bool answered = false;
    bool late = false;  // Its keys are in `missing`; an answer still counts.
    std::vector<KeyVersion> records;
  };
  struct Peer {
    NodeId node;
    std::uint64_t entered = 0;    // O2: acks under a config below this seq do not count.
    wire::ConfigId config_acked;  // Then its id alone is sent (H2).
    std::uint64_t number_last = 0;
    std::deque<Batch> outstanding;  // Numbers without a gap; the first is never answered.
    std::vector<wire::RecordKey> missing;
    std::size_t missing_sorted = 0;  // That many are sorted and distinct.
    bool silent = false;
    bool digest_wanted = false;  // It did not promise: what it holds is not known yet.
    DigestPages digest;
    TimePoint heard{};
    TimePoint probe_at{};
    TimePoint pump_at{};  // Nothing it lacks is sent before.
  };
  struct Pending {
    std::uint64_t version = 0;
    std::uint32_t holders = 0;  // Bit i: peers_[i] has this version or a later one on disk.
    std::vector<std::uint64_t> tokens;
    std::string value;  // Once superseded; the current one is the replica's.
  };
  // A record whose current version is not committed.
  struct Flight {
    Committed state = Committed::absent;  // Of what stood before the oldest pending version.
    bool dirty = false;                   // The current version is not flushed.
    std::string committed;                // Valid if `present`.
    std::vector<Pending> older;           // Ascending versions, flushed, not committed.
    Pending current;
    std::string detached_value;  // Until the flush.
  };
  struct KeyHash {
    std::size_t operator()(const wire::RecordKey& key) const {
      return static_cast<std::size_t>(mix64(key.high * 0x9e3779b97f4a7c15 ^ key.low));
    }
  };
  using Flights = std::unordered_map<wire::RecordKey, Flight, KeyHash>;

  Peer* peer(NodeId node);
  void take_merged(MergedRecord& merged, Merge& merge, Replica& replica, Effects& effects);
  void rewrite(const wire::RecordKey& key, std::string value, Committed state, Replica& replica);
  bool quorum_holds(std::uint32_t holders) const;
  void mark_held(Flights::iterator flight, std::uint64_t version, std::uint32_t peer_bit,
                 const Replica& replica, Effects& effects);
  void commit(Flights::iterator flight, std::uint64_t version, const Replica& replica,
              Effects& effects);
  void on_exception(TimePoint now, Peer& peer, const wire::AckException& exception,
                    Replica& replica, Effects& effects);
  void lacks(Peer& peer, const wire::RecordKey& key);
  void tidy_missing(Peer& peer);
  void give_back(Peer& peer, Batch& batch, Effects& effects);
  void answered(Peer& peer, Batch& batch, Effects& effects);
  void drop_late(Peer& peer, std::uint64_t below);
  wire::WriteItem item_for(const Peer& peer, std::uint64_t number) const;
  void send_batch(TimePoint now, Peer& peer, std::vector<wire::Record> records, bool catch_up,
                  const Replica& replica, Effects& effects);
  void pump_peer(TimePoint now, Peer& peer, const Replica& replica, Effects& effects);
  void expire_batches(TimePoint now, Peer& peer, Effects& effects);
  void probe(TimePoint now, Peer& peer, Effects& effects);

  NodeId self_;
  ShardId shard_;
  wire::Ballot ballot_;
  const ShardsConfig& settings_;
  wire::ShardConfig config_;
  std::uint64_t floor_ = 0;
  std::vector<Peer> peers_;
  std::uint32_t home_ = 0;  // config_.home as bits of peers_.
  std::uint32_t next_ = 0;
  Flights flights_;
  std::vector<wire::RecordKey> dirty_;    // In the order proposed.
  std::vector<wire::RecordKey> blocked_;  // Sorted.
};

}  // namespace shoal::shard
