// Where the checkers see what nodes do to the outside: each message, write and reply, at the moment
// it leaves the node, and each write again when it is durable. A tap that is empty is not called.
#pragma once

#include <functional>
#include <span>

#include "node/node.hpp"
#include "sim/network.hpp"

namespace shoal::sim {

struct Taps {
  std::function<void(NodeIndex)> started;  // Its store was restored, its first output carried out.
  std::function<void(NodeIndex)> down;     // Its process is gone; the disk has what it has.
  // Left the node, whatever becomes of it. A message to the node itself too.
  std::function<void(NodeIndex from, const node::Envelope&)> sent;
  // The node is about to handle it.
  std::function<void(NodeIndex to, const node::Source&, const wire::Message&)> delivered;
  std::function<void(NodeIndex, std::span<const wire::Write>)>
      written;  // On their way to the disk.
  std::function<void(NodeIndex, std::span<const wire::Write>)> durable;
  std::function<void(NodeIndex, const node::ClientAnswer&)> answered;    // To a client.
  std::function<void(NodeIndex, const wire::ClientRequest&)> requested;  // By a client.
  // A fault changed what the disk has: the copy is unreadable; everything is gone, or is older.
  std::function<void(NodeIndex, ShardId, const wire::RecordKey&)> damaged;
  std::function<void(NodeIndex)> replaced;
};

}  // namespace shoal::sim
