// Operators' commands to a node, through any gateway: drain, leave, forget, recover a shard, show a
// copy of one; and the list of nodes that are lost for good.
//
// What is on that list is never taken off: nobody accepts messages of such a node, so it returns
// only under a new identity (F2). The list is on a node's disk before a recovery that rests on it
// begins, and spreads from there by gossip of its own: to everybody when it grows, to one random
// member every kLostInterval, and to a lost node that speaks.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "node/context.hpp"
#include "node/home_changes.hpp"

namespace shoal::node {

inline constexpr Duration kCommandPatience = std::chrono::seconds(15);
inline constexpr Duration kLostInterval = std::chrono::seconds(10);

class Commands {
 public:
  Commands(Context& context, HomeChanges& home_changes)
      : context_(context), home_changes_(home_changes) {}

  void restore(std::string_view name, std::string_view value);  // What restore_meta() brought.
  void start(Now now);
  bool lost(NodeId node) const { return lost_.contains(node); }
  // A lost node spoke: it is told, now and then.
  void on_lost_spoke(Now now, NodeId node, const Address& address);

  // Gateway: a client's command to some node.
  void on_client(Now now, SessionId session, std::uint64_t request, wire::CommandNode command);
  void on_closed(SessionId session);
  void on_message(Now now, NodeId from, wire::NodeCommand message);
  void on_message(Now now, NodeId from, wire::NodeCommandReply message);
  void on_message(Now now, NodeId from, const wire::LostNodes& message);
  void on_recovered(Now now, ShardId shard);

  void on_time(Now now);
  TimePoint wake_at() const;

 private:
  // At the gateway.
  struct Open {
    SessionId session{};
    std::uint64_t request = 0;
    NodeId node;
    TimePoint deadline;
  };
  // At the node that recovers.
  struct Recovery {
    NodeId gateway;
    std::uint64_t id = 0;
    std::vector<NodeId> lost;
    bool begun = false;
    TimePoint deadline;
  };

  using Answer = std::variant<wire::Done, Error, wire::ShardCopy>;
  // Absent: the answer comes later.
  std::optional<Answer> obey(Now now, const wire::SetDraining& command);
  std::optional<Answer> obey(Now now, const wire::LeaveCluster& command);
  std::optional<Answer> obey(Now now, const wire::ForgetNode& command);
  std::optional<Answer> obey(Now now, const wire::ShowShard& command);
  std::optional<Answer> begin_recovery(Now now, NodeId gateway, std::uint64_t id,
                                       const wire::RecoverShard& command);
  void recover(Now now, ShardId shard, Recovery& recovery);
  void answer(NodeId gateway, std::uint64_t id, Answer body);
  bool add_lost(Now now, const std::vector<NodeId>& nodes);
  void persist_lost();
  void set_draining(Now now, bool on);
  std::vector<NodeId> lost_list() const { return {lost_.begin(), lost_.end()}; }
  const membership::Member* member(NodeId node) const { return context_.membership->find(node); }

  Context& context_;
  HomeChanges& home_changes_;
  bool drained_before_ = false;  // As it stood on disk.
  std::set<NodeId> lost_;
  std::map<NodeId, TimePoint> told_lost_;
  std::map<std::uint64_t, Open> open_;
  std::uint64_t last_ = 0;
  std::map<ShardId, Recovery> recoveries_;
  TimePoint next_gossip_ = kNever;
};

}  // namespace shoal::node
