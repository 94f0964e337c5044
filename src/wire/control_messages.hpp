// What keeps shards served and the cluster in order: takeover triggers (design, section 7),
// identities (rule F2), nodes that are lost for good, and operators' commands.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/address.hpp"
#include "shoal/result.hpp"
#include "wire/owner_messages.hpp"
#include "wire/shard_messages.hpp"

namespace shoal::wire {

// To a node of the shard's home: the owner with this ballot left the sender unanswered for 1 s.
struct OwnerSilentItem {
  ShardId shard{};
  Ballot ballot;
};
struct OwnerSilent {
  std::vector<OwnerSilentItem> items;
};

// "Do you own these shards?" Every shard that is asked for is answered.
struct OwnerQuery {
  std::vector<ShardId> shards;
};
enum class Ownership : std::uint8_t { none = 0, candidate = 1, owner = 2 };
struct OwnershipItem {
  ShardId shard{};
  Ownership state = Ownership::none;
  Ballot ballot;  // Of the owner; else what the sender has promised.
};
struct OwnerAnswer {
  std::vector<OwnershipItem> items;
};

// G4: the sender owned these shards and is not in their home any more; the receiver is the first of
// it. Or the sender owns them and has no room for new records; the receiver is of their home.
struct HandOver {
  std::vector<ShardId> shards;
};

// F2: how far a node's store has come, as far as that is durable: the start it is in, with that
// start's random nonce, and the sequence of its shard writes.
struct StoreMark {
  std::uint64_t boot_epoch = 0;
  std::uint64_t boot_nonce = 0;
  std::uint64_t sequence = 0;
  bool operator==(const StoreMark&) const = default;
};
// At a start, and when the sender's store has moved on. `settled`: the receiver has answered since
// this start, and what it remembers fits the sender's store.
struct StoreQuery {
  StoreMark mark;
  bool settled = false;
};
// What the receiver remembers of that node, zero where it remembers nothing: the newest start it
// heard of, and the last one that settled with it.
struct StoreAnswer {
  StoreMark newest;
  StoreMark settled;
  std::uint64_t sequence = 0;  // The highest heard of in any way, as by Load.
  NodeId node;                 // That node: another one may have its address by now.
};
// From one process of a key about another one that it heard of: both must stop voting. Members pass
// it on to that one. A process is meant when `heard` is its own nonce: it was there when the sender
// was, whatever was delayed on the way.
struct SameKey {
  std::uint64_t boot_nonce = 0;  // The sender's.
  std::uint64_t heard = 0;       // The other one's.
  Address address;               // Where the sender is.
  bool voted = false;  // The sender may have voted: promises were made in the other's name.
};

// Ids that an operator declared lost for good; the list only grows. `reply`: send yours back.
struct LostNodes {
  std::vector<NodeId> nodes;
  bool reply = false;
};

// --- Operators' commands -----------------------------------------------------------------------

struct SetDraining {
  bool on = false;
};
// The receiver moves its shards away, then leaves. Its shards_home falls to zero meanwhile.
struct LeaveCluster {
  bool now = false;  // At once: the other copies of its shards must do until they are moved.
};
struct ForgetNode {
  NodeId node;
};
// The receiver holds a copy; the majority of the home is lost for good.
struct RecoverShard {
  ShardId shard{};
  std::vector<NodeId> lost;
};
struct ShowShard {
  ShardId shard{};
};
using NodeCommandBody =
    std::variant<SetDraining, LeaveCluster, ForgetNode, RecoverShard, ShowShard>;
struct NodeCommand {
  std::uint64_t id = 0;
  NodeCommandBody body;
};

// One node's copy of a shard.
struct ShardCopy {
  bool known = false;
  Ballot promised;
  ShardConfig config;
  std::uint64_t floor = 0;
  std::uint64_t records = 0;
  std::uint64_t bad = 0;  // Copies that do not match their checksum.
  Ownership state = Ownership::none;
};
struct NodeCommandReply {
  std::uint64_t id = 0;
  std::variant<Done, Error, ShardCopy> body;
};

}  // namespace shoal::wire
