// The owner's side of one shard: phase 2 of Paxos (Lamport, 1998) under one ballot for all records,
// and changes of its home. Rules O1-O5, G1-G5 and E1 of the shard protocol.
//
// The own replica is written at once, so its value is always the last proposed one; what is
// committed is that same value once the record is no longer in flight. Memory is held only for
// records in flight (a Flight each), and for each home the ids it lacks (16 bytes each): a record
// that all homes hold costs the owner nothing beyond its replica's entry.
//
// Invariants:
//   1. A member that may lack a record's current version has its key in `missing`, in an unanswered
//   batch, or waits for a value that the owner is getting itself.
//   2. A (ballot, version) is used for one value: a version is fixed when it is flushed.
//   3. Nothing is shown that a quorum of the present config does not hold.
//   4. While a config is joint nothing is committed that both homes' majorities do not hold.
// Departures: a change waits some time for all of its target, not only for a majority of it
// (ShardsConfig::learn_max). A learner "holds every record" (G2) when it has acknowledged, once,
// all there was at one moment since it entered; what came later is on its way. That stage only
// shortens the joint one, where the rule is kept to the letter (G3): the owner pauses its flushes
// for a round trip. Limits: kOutstandingMax unanswered writes for each home, then only ids are
// kept; a silent home gets one write without records a second; kMembersMax members at once.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/random.hpp"
#include "shard/effects.hpp"
#include "shard/owner_parts.hpp"
#include "shard/replica.hpp"
#include "shard/takeover.hpp"

namespace shoal::shard {

// `value` is null unless present; empty for detached records, whose value Shards::read() fetches.
struct CommittedValue {
  Committed state = Committed::absent;
  const std::string* value = nullptr;
};

class Owner {
 public:
  Owner(NodeId self, ShardId shard, wire::Ballot ballot, const ShardsConfig& settings);

  // C5, C6: takes over what the merge found; writes again what is not settled.
  void begin(TimePoint now, Merge merge, std::uint64_t wall, Replica& replica, Effects& effects);

  const wire::Ballot& ballot() const { return ballot_; }
  const wire::ShardConfig& config() const { return config_; }
  // Neither shown nor written: some copies were bad and too few promises came to do without them,
  // or the record is at or below a floor that the own disk has not taken.
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
  // G3: what is proposed may wait a moment, see kPauseMax. What must be on disk is flushed anyway.
  bool paused(TimePoint now) const { return now < pause_until_; }
  // Sends homes what they lack, as far as the window allows. REQUIRES: nothing is left to flush.
  void pump(TimePoint now, const Replica& replica, Effects& effects);

  // G1. False: a change is under way, the config is not on a quorum's disks, or the target is no
  // other home.
  bool change_home(TimePoint now, std::vector<NodeId> target, Replica& replica, Effects& effects);
  bool changing() const { return !target_.empty() || !config_.next.empty(); }
  // G2-G4: the next step of a change, when it may be taken.
  void advance_change(TimePoint now, Replica& replica, Effects& effects);
  // G4: this owner is not in the config, which a majority of the home has.
  bool finished(TimePoint now) const;
  // A node that says it keeps this shard and is not in the config: it is told so, then retired.
  void retire(TimePoint now, NodeId node);

  // E1. A floor at or below the present one changes nothing. REQUIRES: nothing is left to flush.
  void raise_floor(TimePoint now, std::uint64_t floor, std::uint64_t wall, Replica& replica,
                   Effects& effects);
  std::uint64_t floor() const { return floor_; }
  bool floor_settled() const;  // E3: a quorum has it.
  // What the peer holds is asked for again, if only to hear of bad copies.
  void ask_again(NodeId peer);

  void on_ack(TimePoint now, NodeId from, const wire::AckItem& ack, std::uint64_t wall,
              Replica& replica, Effects& effects);
  // A Promise that comes after the takeover tells what its home holds already. True when that
  // home's digest is complete now.
  bool on_promise(TimePoint now, NodeId from, const wire::PromiseItem& item,
                  const Replica& replica);
  // Values that were settled at the takeover and are not on the own disk.
  void on_fetched(TimePoint now, const wire::FetchedItem& item, Replica& replica, Effects& effects);
  void on_value(TimePoint now, const ReadPurpose& purpose, ValueRead answer, Replica& replica,
                Effects& effects);
  // True: the value is not on the own disk; the read waits for it (C6), for kReadPatience at most.
  bool wait_for_value(const wire::RecordKey& key, std::uint64_t read);
  // The own copy of a settled detached record is unreadable: another home is asked for it.
  void lost_value(const wire::RecordKey& key, Replica& replica);
  // Time-outs and probes. True while some home has not all.
  bool on_time(TimePoint now, const Replica& replica, Effects& effects);
  // Gives its share of the catch-up window back (O5).
  void release(Effects& effects);

  void check_invariants(const Replica& replica) const;
  std::size_t flight_count() const { return flights_.size(); }
  std::size_t unanswered_most() const;  // Writes to one other home.

 private:
  using Peer = OwnerPeer;
  using Batch = WriteBatch;
  using Pending = PendingVersion;
  using Flight = RecordFlight;
  using Lacking = LackingValue;
  struct KeyHash {
    std::size_t operator()(const wire::RecordKey& key) const {
      return static_cast<std::size_t>(mix64(key.high * 0x9e3779b97f4a7c15 ^ key.low));
    }
  };
  using Flights = std::unordered_map<wire::RecordKey, Flight, KeyHash>;

  Peer* peer(NodeId node);
  const Peer* peer(NodeId node) const;
  std::uint32_t bit(const Peer& peer) const {
    return 1U << static_cast<unsigned>(&peer - peers_.data());
  }
  std::uint32_t bits(const std::vector<NodeId>& nodes) const;
  void take_merged(MergedRecord& merged, Merge& merge, Replica& replica, Effects& effects);
  void rewrite(const wire::RecordKey& key, std::string value, Committed state, Replica& replica);
  bool quorum_holds(std::uint32_t holders) const;
  void mark_held(Flights::iterator flight, std::uint64_t version, std::uint32_t peer_bit,
                 const Replica& replica, Effects& effects);
  void commit(Flights::iterator flight, std::uint64_t version, const Replica& replica,
              Effects& effects);
  void on_exception(TimePoint now, Peer& peer, const wire::AckException& exception,
                    Replica& replica, Effects& effects);
  void on_unasked(Peer& peer, const wire::AckItem& ack, Replica& replica);
  void lacks(Peer& peer, const wire::RecordKey& key);
  void tidy_missing(Peer& peer);
  void give_back(Peer& peer, Batch& batch, Effects& effects);
  void answered(Peer& peer, Batch& batch, Effects& effects);
  void drop_late(Peer& peer, std::uint64_t below);
  wire::WriteItem item_for(const Peer& peer, std::uint64_t number) const;
  void send_batch(TimePoint now, Peer& peer, std::vector<wire::Record> records, bool catch_up,
                  const Replica& replica, Effects& effects);
  void pump_peer(TimePoint now, Peer& peer, const Replica& replica, Effects& effects);
  bool read_for(Peer& peer, const wire::RecordKey& key, const StoredRecord& stored,
                const Replica& replica, Effects& effects);
  void expire_batches(TimePoint now, Peer& peer, Effects& effects);
  void probe(TimePoint now, Peer& peer, Effects& effects);
  void fetch_lacking(TimePoint now, Effects& effects);
  bool ask_for(TimePoint now, Lacking& lacking) const;
  void drop_lacking(std::map<wire::RecordKey, Lacking>::iterator at);
  void give_up_reads(TimePoint now, Lacking& lacking, Effects& effects);
  static void answer_without(Lacking& lacking, Effects& effects);

  // home_change.cpp
  void set_config(TimePoint now, wire::ShardConfig config, Replica& replica, Effects& effects);
  void enter(TimePoint now, NodeId node, const Replica& replica, Effects& effects);
  void announce(TimePoint now, const Replica& replica, Effects& effects);
  bool acknowledged(NodeId node) const;
  bool learns(NodeId node) const;
  bool config_held() const;
  bool caught_up(Peer& peer) const;
  bool holds_everything(const Peer& peer) const;
  bool all_on_joint_quorum() const;
  void go_final(TimePoint now, Replica& replica, Effects& effects);
  void see_off(TimePoint now, Effects& effects);
  void drop_peer(Peer& peer, Effects& effects);
  void forget_below(std::uint64_t floor);

  NodeId self_;
  ShardId shard_;
  wire::Ballot ballot_;
  const ShardsConfig& settings_;
  wire::ShardConfig config_;
  std::uint64_t floor_ = 0;
  bool floor_refused_ = false;     // The own disk did not take it (E2): what is below is hidden.
  std::vector<Peer> peers_;        // Places are used again, never moved.
  std::uint64_t number_base_ = 0;  // Numbers given to peers that are gone.
  std::uint32_t home_ = 0;         // config_.home as bits of peers_.
  std::uint32_t next_ = 0;
  std::uint32_t old_home_ = 0;  // Only under Mutations::joint_commits_old_only.
  std::vector<NodeId> target_;  // Until it stands in the config as `next`.
  TimePoint learning_since_{};
  bool told_settled_ = false;  // Output::settled_configs has had this config.
  TimePoint pause_until_{};
  TimePoint pause_again_{};
  Flights flights_;
  std::vector<wire::RecordKey> dirty_;    // In the order proposed.
  std::vector<wire::RecordKey> blocked_;  // Sorted.
  std::map<wire::RecordKey, Lacking> lacking_;
  bool reads_wait_ = false;  // Some of lacking_ are asked for out of turn.
};

}  // namespace shoal::shard
