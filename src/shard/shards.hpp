// All shards of one node: a replicated map without a log (CASPaxos: Rystsov, 2018, with the promise
// shared by the records of a shard). The rules and their names (H1, O4, ...) are those of the shard
// protocol.
//
// Guarantees, whatever is lost, repeated, reordered or restarted: a value reported as committed is
// contained in every later one, and all committed values of a record form one chain.
//
// Sans I/O. The driver hands over messages, the time and what was read from the store, then takes
// one Output and obeys the order written there: `promises` only after the writes are on disk,
// including those to the node itself, which come back through on_message(). Call on_time() no later
// than wake_at(). Times never run backwards.
//
// Departure from the protocol's text: a home that did not promise is asked for its digest after the
// takeover too (a Prepare with the owner's ballot, which H1 answers again), so that it is sent only
// what it lacks.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "shard/confirm_rounds.hpp"
#include "shard/effects.hpp"
#include "shard/owner.hpp"
#include "shard/replica.hpp"
#include "shard/takeover.hpp"

namespace shoal::shard {

class Shards {
 public:
  Shards(NodeId self, ShardsConfig settings, std::uint64_t seed);
  Shards(const Shards&) = delete;
  Shards& operator=(const Shards&) = delete;

  // What the disk has, before any input. `bad`: the record does not match its checksum. Detached
  // records come with an empty value. REQUIRES: the shard is below kShardsMax, here and in found().
  void restore_shard(ShardId shard, wire::ShardState state);
  void restore_record(ShardId shard, wire::Record record, bool bad);
  // F1: the founding record. A shard that is known already stays as it is.
  void found(ShardId shard, wire::ShardConfig config);

  void on_message(TimePoint now, NodeId from, const wire::Prepare& message);
  void on_message(TimePoint now, NodeId from, const wire::Promise& message);
  void on_message(TimePoint now, NodeId from, const wire::Refuse& message);
  void on_message(TimePoint now, NodeId from, const wire::Fetch& message);
  void on_message(TimePoint now, NodeId from, const wire::Fetched& message);
  void on_message(TimePoint now, NodeId from, wire::WriteRecords message);
  void on_message(TimePoint now, NodeId from, const wire::Ack& message);
  void on_message(TimePoint now, NodeId from, const wire::Confirm& message);
  void on_message(TimePoint now, NodeId from, const wire::Confirmed& message);
  void on_message(TimePoint now, NodeId from, const wire::Retire& message);
  // Every read of an Output is answered once.
  void on_values_read(TimePoint now, std::vector<ValueRead> answers);
  void on_time(TimePoint now);
  TimePoint wake_at() const { return sweep_at_; }

  // C1. Tried again, with back-off, until this node owns the shard, is told to yield(), or is not
  // in its config. Nothing happens for a shard it owns or is a candidate for.
  void take_over(TimePoint now, ShardId shard);
  void yield(ShardId shard);
  bool candidate(ShardId shard) const;  // Also between two attempts.

  // G1. False: not the owner, a change is joint already, the config is not held by a quorum yet, or
  // the target cannot be or is the home already. A change that is still learning takes another
  // target.
  bool change_home(TimePoint now, ShardId shard, std::vector<NodeId> target);
  bool changing_home(ShardId shard) const;
  // An operator's recovery: the majority of the home is lost for good, the own durable promise
  // counts as the quorum. False: this node holds no copy as one of the home. Output::recovered.
  bool recover(TimePoint now, ShardId shard, const std::vector<NodeId>& lost);
  // E1; REQUIRES: owns(shard). Seconds since 1970; never falls.
  void raise_floor(TimePoint now, ShardId shard, std::uint64_t floor);
  std::uint64_t floor(ShardId shard) const;
  bool floor_settled(ShardId shard) const;  // E3: a quorum has the owner's floor.
  // This node's wall clock, seconds since 1970 (E2).
  void set_wall(std::uint64_t seconds) { wall_ = seconds; }
  // Some of what the peer held may be damaged: it is asked, and sent again what is.
  void on_peer_restarted(TimePoint now, NodeId peer);
  // A node outside the config says that it keeps the shard: it is told the config, then retired
  // (H5). Nothing happens when this node does not own the shard.
  void retire(TimePoint now, ShardId shard, NodeId node);

  // When this node began its last attempt to own the shard.
  TimePoint prepared_at(ShardId shard) const { return find(shard)->prepared_at; }

  bool owns(ShardId shard) const;
  // When the promises to this owner were a quorum (L3); kNever if not owned.
  TimePoint promised_at(ShardId shard) const;
  wire::Ballot ballot(ShardId shard) const;              // Of the owner; (0, none) if not owned.
  wire::Ballot promised(ShardId shard) const;            // (0, none) for an unknown shard.
  const wire::ShardConfig* config(ShardId shard) const;  // Null for an unknown shard.

  // The last proposed value, base of the next version; null when absent, blocked, or not owned.
  // Empty for detached records. Valid until the next input.
  const std::string* proposed(ShardId shard, const wire::RecordKey& key) const;
  // What may be shown (O4); `unsettled` when not owned. Valid until the next input.
  CommittedValue committed(ShardId shard, const wire::RecordKey& key) const;
  // O1. The token comes back in Output::committed once this version, or a later one, is committed;
  // 0: nobody waits. False when too many copies of the record are bad (C5): nothing was proposed.
  // REQUIRES: owns(shard).
  bool propose(TimePoint now, ShardId shard, const wire::RecordKey& key, std::string value,
               std::uint64_t token);
  // O4, L2. The ticket comes back in Output::confirmed.
  std::uint64_t confirm(TimePoint now, std::vector<ShardId> shards);
  // Reads a committed detached value; the id comes back in Output::values.
  std::uint64_t read(ShardId shard, const wire::RecordKey& key);

  // visit(key, proposed value, settled), in key order. REQUIRES: owns(shard); no input meanwhile.
  template <class Visit>
  void for_each_record(ShardId shard, const wire::RecordKey& first, const wire::RecordKey& last,
                       Visit&& visit) const {
    const Slot& slot = *find(shard);
    slot.replica.records().for_range(first, last, [&](const StoredRecord& record) {
      if (record.version == 0 || slot.owner->blocked(record.key)) return;
      visit(record.key, record.value, slot.owner->settled(record.key));
    });
  }
  template <class Visit>
  void for_each_record(ShardId shard, Visit&& visit) const {
    for_each_record(shard, {}, {~std::uint64_t{0}, ~std::uint64_t{0}}, std::forward<Visit>(visit));
  }

  Output take_output(TimePoint now);

  // Aborts on a violation. Linear in the number of records: for tests and simulation.
  void check_invariants() const;
  std::size_t record_count(ShardId shard) const;
  std::size_t bad_count(ShardId shard) const;  // Copies that do not match their checksum.
  // What is bounded: writes without an answer and catch-up items to any one home, Confirm rounds.
  struct Load {
    std::size_t writes = 0;
    std::size_t catching_up = 0;
    std::size_t rounds = 0;
  };
  Load load() const;

 private:
  // Never candidate and owner at once.
  struct Slot {
    explicit Slot(ShardId shard) : replica(shard) {}
    Replica replica;
    std::unique_ptr<Candidate> candidate;
    std::unique_ptr<Owner> owner;
    std::uint64_t round_seen = 0;  // C1: the highest this node was refused with.
    std::uint32_t refusals = 0;    // In a row: the back-off's exponent.
    bool wanted = false;
    std::vector<NodeId> lost;  // While an operator's recovery is under way.
    bool dirty = false;        // In dirty_.
    bool busy = false;         // In busy_.
    TimePoint retry_at = kNever;
    TimePoint prepared_at{};         // When the latest candidacy began.
    TimePoint promised_at = kNever;  // Of the owner.
  };

  Slot* find(ShardId shard);
  const Slot* find(ShardId shard) const;
  Slot& make(ShardId shard);
  void mark_dirty(ShardId shard, Slot& slot);
  void mark_busy(TimePoint now, ShardId shard, Slot& slot);

  void start(TimePoint now, ShardId shard, Slot& slot);
  void resume(TimePoint now, ShardId shard, Slot& slot);
  void advance(TimePoint now, ShardId shard, Slot& slot, Candidate::Progress progress);
  void become_owner(TimePoint now, ShardId shard, Slot& slot, wire::Ballot ballot, Merge merge);
  void back_off(TimePoint now, ShardId shard, Slot& slot);
  void step_down(TimePoint now, ShardId shard, Slot& slot);
  void serve(TimePoint now, ShardId shard, Slot& slot);
  void leave(TimePoint now, ShardId shard, Slot& slot);
  void obey_promise(TimePoint now, ShardId shard, Slot& slot);
  void flush(TimePoint now, Slot& slot);
  void send_unsynced();
  bool sweep(TimePoint now, ShardId shard, Slot& slot);
  void answer_fetch(NodeId to, const wire::FetchItem& item, const Replica& replica);
  void on_value(TimePoint now, const ReadPurpose& purpose, ValueRead answer);

  NodeId self_;
  ShardsConfig settings_;
  Random random_;
  std::vector<std::unique_ptr<Slot>> slots_;  // By shard; null: unknown here.
  std::vector<ShardId> dirty_;                // Something to flush or to pump.
  std::set<ShardId> busy_;                    // Something waits for the time.
  TimePoint sweep_at_ = kNever;
  std::uint64_t wall_ = 0;
  ConfirmRounds rounds_;
  Effects effects_;
};

}  // namespace shoal::shard
