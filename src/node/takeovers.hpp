// Who takes a shard over, and when (design, section 7, "Who takes over"; hole 4, hole 17, live 3).
//
// A node of a shard's home becomes a candidate (C1) when the owner is suspected, dead or left, when
// the owner does not answer this node's own questions, two in a row (each within kAnswerMax, longer
// where it took longer lately), and when the owner's node answers that it does not own the shard.
// Somebody whom the owner left unanswered for 1 s has it asked at once. It waits its rank in the
// home list x kRankDelay and a jitter first, so that usually one tries. Refused, it goes on after
// the back-off that shard::Shards keeps, but yields while the node of the refusing ballot answers
// that it owns the shard or is a candidate for it. Every home node asks the owners of its shards
// each kWatchInterval, so an ownerless shard is noticed although nobody wants anything of it. Rank
// 0 takes its shards back once it has been up for kTakeBackAfter, at most kTakeBackRate a second.
// An owner whose disk is nearly full hands its shards to the other nodes of their homes, at the
// same rate, and takes none back before it has room.
//
// All of this only steers: ballots decide.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "node/context.hpp"

namespace shoal::node {

inline constexpr Duration kRankDelay = std::chrono::milliseconds(500);
inline constexpr Duration kAnswerMax = std::chrono::milliseconds(500);  // At least.
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
  void on_disk_low(Now now);  // Context::disk_low has changed.
  // The shard's owner left something of this node unanswered for kSilenceMax: the next node of the
  // home is told.
  void on_unanswered(Now now, ShardId shard, NodeId owner);

  void on_message(Now now, NodeId from, const wire::OwnerSilent& message);
  void on_message(Now now, NodeId from, const wire::OwnerQuery& message);
  void on_message(Now now, NodeId from, const wire::OwnerAnswer& message);
  void on_message(Now now, NodeId from, const wire::HandOver& message);

  void on_time(Now now);
  void flush();  // Gathered questions and answers leave.
  TimePoint wake_at() const;

 private:
  enum class Phase : std::uint8_t { idle, asked, waiting };
  // How long a node takes to answer, as Jacobson estimates round trips ("Congestion Avoidance and
  // Control", SIGCOMM 1988): whoever is only busy must not lose its shards, since takeovers would
  // make it busier.
  struct Pace {
    Duration mean{};
    Duration spread{};
    TimePoint asked = kNever;  // The oldest question without an answer.
  };
  // A shard of whose home this node is, and that it does not own.
  struct Watched {
    Phase phase = Phase::idle;
    TimePoint due = kNever;  // As it stands in due_.
    NodeId asked;
    wire::Ballot silent;           // While waiting: whose owner is to be replaced.
    std::uint32_t strikes = 0;     // Questions in a row without an answer.
    TimePoint lost_at{};           // When this node owned it last.
    wire::Ballot refused;          // The highest that refused this node.
    TimePoint rests_until{};       // It was refused by a config that it is not in.
    TimePoint complained_at{};     // When this node told the home of a silent owner.
    std::uint32_t complaints = 0;  // Rotates through the home.
  };

  bool home_of(ShardId shard) const;
  // A newer finished config is known, and this node, whose `config` is older, is not in it: its own
  // leaving passed it by (H5). It could win nothing, only depose the owner.
  bool left(ShardId shard, const wire::ShardConfig& config) const;
  wire::Ballot believed(ShardId shard) const;
  bool absent(NodeId node) const;
  bool hopeful(Now now, ShardId shard) const;  // A candidate that may still win.
  Watched& watched(ShardId shard) { return watched_[shard]; }
  void set_due(ShardId shard, Watched& entry, Phase phase, TimePoint due);
  void scan(Now now);
  void examine(Now now, ShardId shard);
  void ask(Now now, ShardId shard, NodeId owner);
  Duration answer_max(NodeId node) const;
  void note_answer(Now now, NodeId node);
  void wait_for_rank(Now now, ShardId shard);
  void fire(Now now, ShardId shard);
  void begin(Now now, ShardId shard);
  void take_back(Now now);
  void hand_over(Now now);
  void ask_of_leftover(ShardId shard);
  void on_answer(Now now, NodeId from, const wire::OwnershipItem& item);

  Context& context_;
  TimePoint started_{};
  TimePoint next_scan_ = kNever;
  TimePoint next_take_back_ = kNever;
  std::uint32_t rounds_ = 0;  // Of handing over: who is meant rotates.
  TimePoint next_leftovers_{};
  std::map<ShardId, Watched> watched_;
  std::set<std::pair<TimePoint, ShardId>> due_;  // Of those that are asked or waiting.
  std::map<NodeId, Pace> paces_;
  std::map<NodeId, std::vector<ShardId>> questions_;
  std::map<NodeId, std::vector<wire::OwnershipItem>> answers_;
  std::map<NodeId, std::vector<wire::OwnerSilentItem>> silences_;
};

}  // namespace shoal::node
