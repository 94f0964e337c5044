// What the parts of one node share: its configuration, randomness, lower modules, and the one
// output.
//
// Parts talk to other nodes, and to the parts of their own node that stand on the other side of a
// protocol, by the same messages: what is sent to the node itself comes back through the inbox once
// the current input has been handled, so no call goes in circles.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <map>
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

// Of small items (below 128 bytes) in one message: far below a frame.
inline constexpr std::size_t kItemsMax = 4096;
// Of larger items in one message, about: a quarter of a frame.
inline constexpr std::size_t kListBytesMax = 256 * 1024;

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
  // The same, for a list of any length: in messages of at most kItemsMax items each.
  template <class Item, class Make>
  void send_list(NodeId to, std::vector<Item> items, Make&& make) {
    for (std::size_t begin = 0; begin < items.size(); begin += kItemsMax) {
      const std::size_t end = std::min(items.size(), begin + kItemsMax);
      const auto first = items.begin() + static_cast<std::ptrdiff_t>(begin);
      const auto last = items.begin() + static_cast<std::ptrdiff_t>(end);
      send(to,
           make(std::vector<Item>(std::make_move_iterator(first), std::make_move_iterator(last))));
    }
  }

  // A record was made whose time is over then, in seconds since 1970.
  void note_expiry(ShardId shard, std::uint64_t expiry) {
    std::uint64_t& first = new_expiries.try_emplace(shard, expiry).first->second;
    first = std::min(first, expiry);
  }
  // New work may be started on this node.
  bool takes_work() const { return !stopping && !disk_low && !draining; }

  // This node owns the shard, and has taken its work state from the records.
  bool serves(ShardId shard) const {
    const auto index = static_cast<std::size_t>(shard);
    return index < served.size() && served[index] && shards->owns(shard);
  }

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
  std::map<ShardId, std::uint64_t> new_expiries;  // First of the records made of late; see Expiry.
  std::uint64_t boot_epoch = 0;
  std::uint64_t boot_nonce = 0;  // Random for each start.
  WallTime started_wall;
  bool stopping = false;
  bool disk_low = false;     // Less than the reserve is free: no new records, no new work.
  bool draining = false;     // An operator said so: no new work is started here.
  std::vector<bool> served;  // By shard; set when its records have been looked through.
  // Owners that left something of this node unanswered for 1 s, for the takeovers to hear (hole
  // 27).
  std::vector<std::pair<ShardId, NodeId>> unanswered;

  membership::Membership* membership = nullptr;  // Set once, before any input.
  shard::Shards* shards = nullptr;
  shard::ShardTable* table = nullptr;
};

}  // namespace shoal::node
