// Operators' commands to a node, through any gateway: drain, leave, forget, recover a shard, show a
// copy of one; and the list of nodes that are lost for good, whose messages nobody accepts.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string_view>
#include <vector>

#include "node/context.hpp"
#include "node/home_changes.hpp"

namespace shoal::node {

class Commands {
 public:
  Commands(Context& context, HomeChanges& home_changes)
      : context_(context), home_changes_(home_changes) {}

  void restore(std::string_view name, std::string_view value);  // What restore_meta() brought.
  void start(Now now);
  bool lost(NodeId node) const { return lost_.contains(node); }

  // Gateway: a client's command to some node.
  void on_client(Now now, SessionId session, std::uint64_t request, wire::CommandNode command);
  void on_closed(SessionId session);
  void on_message(Now now, NodeId from, wire::NodeCommand message);
  void on_message(Now now, NodeId from, wire::NodeCommandReply message);
  void on_message(Now now, NodeId from, const wire::LostNodes& message);

  void on_time(Now now);
  TimePoint wake_at() const;

 private:
  Context& context_;
  HomeChanges& home_changes_;
  std::set<NodeId> lost_;
};

}  // namespace shoal::node
