// When a shard's home should change (design, section 6): the owner compares it with the target that
// the ring gives for the members, and starts the change (G1) when they differ.
//
// The ring has every member that did not leave and is not about to. A member that died stays in it
// for NodeConfig::dead_after, and longer unless exactly one member or fewer than a fifth of them
// are dead and at least kReplicas are not: a storm of repairs must not follow the loss of a rack
// (hole 10c). R is kReplicas from that many members on, else 1; a death never lowers it. Moves
// begin NodeConfig::move_delay after the last change of the ring, moves_per_second of them, at most
// kMovesAtOnce under way, and never to a learner that does not answer.
//
// All of this only steers: a shard's home is what its own records say.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "node/context.hpp"

namespace shoal::node {

inline constexpr std::size_t kReplicas = 3;
inline constexpr std::size_t kMovesAtOnce = 32;
inline constexpr Duration kMoveInterval = std::chrono::milliseconds(100);

class HomeChanges {
 public:
  explicit HomeChanges(Context& context) : context_(context) {}

  void start(Now now);
  void on_member(Now now, const membership::Event& event);
  void on_owned(Now now, ShardId shard);
  void on_lost(ShardId shard) { moving_.erase(shard); }
  // G4.
  void on_settled(Now now, ShardId shard);

  // This node is to leave the cluster: it starts nothing new, and its shards move away. A restart
  // takes that back. `at_once`: it does not wait for them.
  void leave(Now now, bool at_once);
  bool leaving() const { return leaving_; }
  bool at_once() const { return at_once_; }
  bool may_go() const { return leaving_ && (at_once_ || homes() == 0); }
  // Shards of whose config this node is.
  std::size_t homes() const;

  void on_time(Now now);
  TimePoint wake_at() const;

 private:
  void rebuild(Now now);
  bool counts_as_member(const membership::Member& member) const;
  bool move(Now now, ShardId shard);
  bool answers(NodeId node) const;

  Context& context_;
  std::map<NodeId, TimePoint> dead_since_;    // As seen here.
  std::vector<std::vector<NodeId>> targets_;  // By shard; empty: no ring yet.
  std::set<ShardId> due_;                     // Owned, and perhaps not at their target.
  std::set<ShardId> moving_;
  TimePoint rebuild_at_ = kNever;
  TimePoint next_move_ = kNever;
  std::uint64_t allowance_ = 0;  // Moves that may begin, in thousandths.
  bool leaving_ = false;
  bool at_once_ = false;
};

}  // namespace shoal::node
