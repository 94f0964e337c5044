// The candidate's side of one shard: phase 1 of Paxos (Lamport, 1998) for all records at once.
// Rules C1-C6 of the shard protocol: prepare at the own disk first, then at the others, until the
// promises are a quorum of the newest config anybody named; merge the digests; fetch the values
// that lack, but not settled output, which the owner gets later.
//
// Sans I/O: the caller handles the candidate's Prepare to itself like anybody's and brings the
// Promise back only when its own disk has it (C2).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "shard/effects.hpp"
#include "shard/replica.hpp"

namespace shoal::shard {

// A digest that comes in pages (B1).
class DigestPages {
 public:
  // True when the last page that lacked has come.
  bool add(const wire::PromiseItem& item);
  bool complete() const { return !seen_.empty() && have_ == seen_.size(); }
  const std::vector<wire::DigestEntry>& entries() const { return entries_; }

 private:
  std::vector<bool> seen_;
  std::size_t have_ = 0;
  std::vector<wire::DigestEntry> entries_;
};

struct MergedRecord {
  wire::RecordKey key;
  wire::RecordVersion version;  // The highest among the promises that did not mark it bad.
  std::uint32_t holders = 0;    // Promisers with exactly that; bit i is Merge::promisers[i].
  bool settled = false;         // The holders are a quorum.
  bool blocked = false;         // Too many marked it bad: neither shown nor written.
};

struct Merge {
  wire::ShardConfig config;  // The newest any answer named.
  std::uint64_t floor = 0;
  std::vector<NodeId> promisers;
  std::vector<MergedRecord> records;              // In key order.
  std::map<wire::RecordKey, std::string> values;  // Those the own replica could not give.
  TimePoint promised_at = kNever;                 // When the promises were a quorum (L3).
};

class Candidate {
 public:
  // What the caller does next. `restart`: C1 again with a new ballot (a holder is gone).
  enum class Progress { going, give_up, restart, done };

  // REQUIRES: `belief` is this node's stored config, and the node is one of its voters (C1).
  // `lost`: an operator's recovery. Those are neither asked nor in the config any more, and this
  // node's own promise is enough; the other survivors are waited for kRecoveryWait.
  Candidate(NodeId self, ShardId shard, wire::Ballot ballot, wire::ShardConfig belief,
            const ShardsConfig& settings, std::vector<NodeId> lost, Duration fetch_timeout);

  const wire::Ballot& ballot() const { return ballot_; }
  wire::PrepareItem prepare() const { return {shard_, ballot_, merge_.config}; }
  void prepare_others(TimePoint now, Effects& effects);

  Progress on_promise(TimePoint now, NodeId from, const wire::PromiseItem& item, Replica& replica,
                      Effects& effects);
  // C3: false if `config` is newer than all that was named so far, and this node is not in it.
  bool belongs_to(const wire::ShardConfig& config) const;
  // A Refuse whose promised ballot is not above ours: it names a newer config (C3).
  Progress on_newer_config(TimePoint now, const wire::ShardConfig& config, Replica& replica,
                           Effects& effects);
  Progress on_fetched(TimePoint now, NodeId from, const wire::FetchedItem& item, Effects& effects);
  Progress on_value(TimePoint now, const wire::RecordKey& key, ValueRead answer, Replica& replica,
                    Effects& effects);
  Progress on_time(TimePoint now, Replica& replica, Effects& effects);

  // REQUIRES: the last progress was `done`.
  Merge take_merge() { return std::move(merge_); }

 private:
  struct Need {
    wire::RecordVersion version;
    std::uint32_t untried = 0;  // Holders not asked yet, as bits.
    std::int32_t asked = -1;    // The holder that was asked.
    bool own = false;           // Being read from the own store.
  };
  struct Holder {
    std::size_t asked = 0;  // Keys asked of it and not answered.
    TimePoint heard{};      // Last answer, or when it was asked.
  };

  bool adopt(const wire::ShardConfig& config);
  void take_out_lost();
  Progress try_merge(TimePoint now, Replica& replica, Effects& effects);
  bool merge_digests();
  MergedRecord merge_one(const wire::RecordKey& key,
                         const std::vector<std::pair<std::uint32_t, wire::DigestEntry>>& group);
  bool promises_suffice(TimePoint now) const;
  void collect_needs(const Replica& replica, Effects& effects);
  Progress request(TimePoint now, Effects& effects);

  NodeId self_;
  ShardId shard_;
  wire::Ballot ballot_;
  const ShardsConfig& settings_;
  Duration fetch_timeout_;
  std::vector<NodeId> lost_;  // Not empty: a recovery.
  TimePoint recover_at_ = kNever;
  Merge merge_;
  std::map<NodeId, DigestPages> promises_;
  bool self_promised_ = false;  // C2: nobody else is asked before.
  bool fetching_ = false;
  TimePoint prepare_at_ = kNever;
  Duration prepare_interval_{};        // Doubles with each repeat.
  std::map<NodeId, TimePoint> heard_;  // When a page of its digest came.
  TimePoint blocked_until_ = kNever;   // Waiting for more promises, because copies are bad.
  std::map<wire::RecordKey, Need> needs_;
  std::map<std::uint32_t, Holder> holders_;
};

}  // namespace shoal::shard
