// What the parts of one node share: its configuration, randomness, lower modules, and the one
// output.
//
// Parts talk to other nodes, and to the parts of their own node that stand on the other side of a
// protocol, by the same messages: what is sent to the node itself comes back through the inbox once
// the current input has been handled, so no call goes in circles.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "base/time.hpp"
#include "membership/membership.hpp"
#include "node/config.hpp"
#include "node/output.hpp"
#include "shard/shard_table.hpp"
#include "shard/shards.hpp"

namespace shoal::node {

struct Counters {
  std::uint64_t tasks_run = 0;
  std::uint64_t tasks_stolen = 0;
  std::uint64_t tasks_given = 0;
  std::uint64_t commits = 0;
  std::uint64_t dropped_inputs = 0;
};

class Context {
 public:
  Context(const NodeConfig& node_config, std::uint64_t seed)
      : config(node_config), random(seed), started_wall{} {}

  NodeId self() const { return config.id; }

  // To another member, or to this node itself. Members without a known address are skipped:
  // whatever the message asked for is repeated by its sender.
  void send(NodeId to, wire::Message message, Channel channel = Channel::stream);
  // Best known owner of a shard: the last one heard of, else rank 0 of its home; zero when nothing
  // is known.
  NodeId owner(ShardId shard) const;
  wire::TableEntry entry(ShardId shard) const;
  void reply(SessionId session, std::uint64_t request, wire::ClientReplyBody body,
             bool last = true);
  void refuse(SessionId session, std::uint64_t request, ErrorCode code, std::string message);

  // Messages of this node to itself that wait to be handled.
  std::deque<wire::Message> inbox;

  NodeConfig config;
  Random random;
  Output output;
  Counters counters;
  std::uint32_t shard_count = 0;  // 0 until founded or joined.
  std::uint64_t records = 0;      // Held here, all shards; brought up to date every second.
  std::uint64_t boot_epoch = 0;
  WallTime started_wall;
  bool stopping = false;

  membership::Membership* membership = nullptr;  // Set once, before any input.
  shard::Shards* shards = nullptr;
  shard::ShardTable* table = nullptr;
};

}  // namespace shoal::node
