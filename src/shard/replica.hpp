// The home's side of one shard: the acceptor of Paxos (Lamport, 1998), shared by many registers
// (CASPaxos: Rystsov, 2018), with one promise for all of them. Rules H1-H5 and E2 of the shard
// protocol.
//
// Invariants:
//   1. `promised` never falls, and no write below it is taken.
//   2. A record only grows by (ballot, version).
//   3. What is in memory is on disk or in `writes` before the reply that rests on it.
//   4. No record is at or below the floor.
// Records come into being and change by an owner's Write only (H7).
// Sans I/O: the caller persists what is appended to `writes` before it lets a Promise, Ack or
// Fetched go.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "shard/output.hpp"
#include "shard/record_map.hpp"

namespace shoal::shard {

class Replica {
 public:
  explicit Replica(ShardId shard) : shard_(shard) {}

  // False: this node knows nothing of the shard and stays silent about it (F2).
  bool known() const { return known_; }
  const wire::ShardState& state() const { return state_; }
  const wire::Ballot& promised() const { return state_.promised; }
  const RecordMap& records() const { return records_; }

  void restore(wire::ShardState state);
  void restore(wire::Record record, bool bad);
  // F1. REQUIRES: !known().
  void found(wire::ShardConfig config, std::vector<wire::Write>& writes);

  enum class Prepared { silent, refused, promised };
  Prepared on_prepare(const wire::PrepareItem& item, const Mutations& mutations,
                      std::vector<wire::Write>& writes);

  // The digest as it is at this moment, in pages.
  std::vector<wire::PromiseItem> promise() const;
  wire::RefuseItem refusal(const wire::Ballot& asked) const;

  // H2; absent when refused. The item's values are moved away. `wall`: this node's clock, seconds
  // since 1970 (E2). Bad copies are named in the exceptions, a few at a time, also when the item
  // does not speak of them: whoever owns the shard may have taken them for held.
  std::optional<wire::AckItem> on_write(wire::WriteItem& item, std::uint64_t wall,
                                        const Mutations& mutations,
                                        std::vector<wire::Write>& writes);
  // H5. False: the config is not exactly that one, or names this node; nothing was dropped.
  bool on_retire(const wire::ConfigId& config, NodeId self, const Mutations& mutations,
                 std::vector<wire::Write>& writes);

  // E1, E2: takes a higher floor, unless it is beyond `wall` and the bound of skew, and drops what
  // is at or below it. True when this home has that floor, or had a higher one.
  bool adopt_floor(std::uint64_t floor, std::uint64_t wall, const Mutations& mutations,
                   std::vector<wire::Write>& writes);

  // The owner's own Write, for one record: stored whatever stands there. The caller persists it.
  void store(const wire::RecordKey& key, const wire::RecordVersion& version, std::string value);
  // The own copy of `key` turned out to be unreadable: it abstains from the next merge (C5).
  void mark_bad(const wire::RecordKey& key);
  // A quorum without the own bad copy has no such record: it counts as absent until it is written.
  void forget(const wire::RecordKey& key);
  // The owner's own Write of its config. REQUIRES: known(), promised <= ballot.
  void adopt(const wire::ShardConfig& config, const wire::Ballot& ballot,
             std::vector<wire::Write>& writes);

  std::size_t bad_count() const { return bad_.size(); }
  const StoredRecord* find(const wire::RecordKey& key) const { return records_.find(key); }
  StoredRecord* find(const wire::RecordKey& key) { return records_.find(key); }
  wire::RecordVersion version(const StoredRecord& record) const {
    return {.ballot = ballots_[record.ballot], .version = record.version};
  }
  // With the value, unless it is detached.
  wire::Record full(const StoredRecord& record) const {
    return {.key = record.key, .version = version(record), .value = record.value};
  }

  // Only under Mutations::drop_by_own_clock.
  void drop_by_clock(std::uint64_t wall, std::vector<wire::Write>& writes);

  void check_invariants() const;

 private:
  void take(wire::WriteItem& item, const Mutations& mutations, wire::AckItem& ack,
            std::vector<wire::Write>& writes);
  void list_bad(wire::AckItem& ack) const;
  void drop_below(std::uint64_t floor, std::vector<wire::Write>& writes);
  std::uint32_t intern(const wire::Ballot& ballot);
  void put_state(std::vector<wire::Write>& writes) const;

  ShardId shard_;
  bool known_ = false;
  wire::ShardState state_;
  RecordMap records_;
  std::set<wire::RecordKey> bad_;  // Of records_.
  // Every ballot some record was written under; grows by one for each owner that wrote.
  std::vector<wire::Ballot> ballots_;
};

bool detached(const wire::RecordKey& key);
// E1. False for records that never expire.
bool at_or_below(const wire::RecordKey& key, std::uint64_t floor);

}  // namespace shoal::shard
