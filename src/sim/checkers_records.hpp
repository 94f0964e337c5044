// What must hold of replicated records and of their shards, as disks and messages show it.
//
//   RecordChecker  I3  one value for each (shard, key, ballot, version)
//                  I4  a disk's copy of a record never falls back
//                  I7  a completion has the current attempt's number; what is terminal stays
//   ShardChecker   I4  promised, config and floor of a disk never fall back
//                  I12 quorums of consecutive configs intersect
//                  I13 one content for each config id
#pragma once

#include <map>
#include <set>
#include <span>

#include "sim/books.hpp"
#include "sim/checkers.hpp"

namespace shoal::sim {

class RecordChecker {
 public:
  RecordChecker(Violations& violations, RecordBook& book) : violations_(violations), book_(book) {}

  // In a message, or on its way to a disk.
  void seen(TimePoint now, ShardId shard, const wire::Record& record);
  void durable(TimePoint now, NodeId disk, ShardId shard, const wire::Record& record);

 private:
  RecordBook::Entry& note(TimePoint now, ShardId shard, const wire::Record& record);
  void check_step(TimePoint now, const wire::RecordKey& key, const RecordBook::Entry& entry,
                  const RecordBook::Value& next);

  Violations& violations_;
  RecordBook& book_;
};

class ShardChecker {
 public:
  ShardChecker(Violations& violations, ShardBook& book) : violations_(violations), book_(book) {}

  void seen(TimePoint now, ShardId shard, const wire::ShardConfig& config);
  void durable(TimePoint now, NodeId disk, const wire::PutShard& put);
  // An operator says that these are gone for good, and adopts a surviving copy: quorums need to
  // intersect as far as they can be made without them.
  void lost(const std::vector<NodeId>& nodes) { lost_.insert(nodes.begin(), nodes.end()); }

 private:
  void check_quorums(TimePoint now, ShardId shard, const wire::ShardConfig& before,
                     const wire::ShardConfig& after);

  Violations& violations_;
  ShardBook& book_;
  std::map<ShardId, std::map<wire::ConfigId, wire::ShardConfig>> configs_;
  std::set<NodeId> lost_;
};

// Whether every quorum of one config shares a node with every quorum of the other.
bool quorums_intersect(const wire::ShardConfig& a, const wire::ShardConfig& b);

std::string to_string(const wire::Ballot& ballot);
std::string record_text(const wire::RecordKey& key);  // For people.

}  // namespace shoal::sim
