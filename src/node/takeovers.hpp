// Who takes a shard over, and when (design, section 7, "Who takes over"; hole 4, hole 17, live 3).
//
// A node of a shard's home becomes a candidate (C1) when the owner is suspected, dead or left, when
// somebody whom the owner left unanswered for 1 s says so and the owner does not answer this node's
// own question within kAnswerMax either, and when the owner's node answers that it does not own the
// shard. It waits its rank in the home list x kRankDelay and a jitter first, so that usually one
// tries. Refused, it goes on after the back-off that shard::Shards keeps, but yields while the node
// of the refusing ballot answers that it owns the shard or is a candidate for it. Every home node
// asks the owners of its shards each kWatchInterval, so an ownerless shard is noticed although
// nobody wants anything of it. Rank 0 takes its shards back once it has been up for kTakeBackAfter,
// at most kTakeBackRate a second.
//
// All of this only steers: ballots decide.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "node/context.hpp"

namespace shoal::node {

inline constexpr Duration kRankDelay = std::chrono::milliseconds(500);
inline constexpr Duration kAnswerMax = std::chrono::milliseconds(500);
inline constexpr Duration kSilenceMax = std::chrono::seconds(1);
inline constexpr Duration kWatchInterval = std::chrono::seconds(2);
inline constexpr Duration kTakeBackAfter = std::chrono::seconds(30);
inline constexpr std::uint32_t kTakeBackRate = 50;  // Shards a second.

class Takeovers {
 public:
  explicit Takeovers(Context& context) : context_(context) {}

  void start(Now now);
  // A node is suspected, dead, left, or back.
  void on_member(Now now, const membership::Event& event);
  void on_refused(Now now, const shard::RefusedEvent& event);
  void on_owned(Now now, ShardId shard);
  void on_lost(Now now, ShardId shard);
  // Something of this node waits for an answer of the shard's owner since `since`: after
  // kSilenceMax the next node of the home is told.
  void on_unanswered(Now now, ShardId shard, NodeId owner);

  void on_message(Now now, NodeId from, const wire::OwnerSilent& message);
  void on_message(Now now, NodeId from, const wire::OwnerQuery& message);
  void on_message(Now now, NodeId from, const wire::OwnerAnswer& message);
  void on_message(Now now, NodeId from, const wire::HandOver& message);

  void on_time(Now now);
  void flush();  // Gathered questions and answers leave.
  TimePoint wake_at() const;

 private:
  Context& context_;
};

}  // namespace shoal::node
