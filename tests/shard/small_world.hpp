// A few nodes' shards with their disks and a network that does what it is told, and the checker of
// what leaves them. Everything is a pure function of the calls made; tests drive it by hand or at
// random.
//
// Checked, per record: every value shown lies on one chain, contains what was shown before the
// operation began, and one (ballot, version) never has two values.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "shard/shards.hpp"

namespace shoal::shard::test {

inline NodeId node_id(std::size_t index) { return {.high = 1, .low = index + 1}; }
inline std::size_t node_index(NodeId node) { return static_cast<std::size_t>(node.low - 1); }

// Records by small number; the last one is detached.
inline constexpr std::size_t kKeys = 3;
wire::RecordKey key_of(std::size_t index);

struct Packet {
  std::size_t from = 0;
  std::size_t to = 0;
  Message message;
};

struct Disk {
  std::map<ShardId, wire::ShardState> shards;
  std::map<std::pair<ShardId, wire::RecordKey>, wire::Record> records;
  std::set<std::pair<ShardId, wire::RecordKey>> bad;
};

class World {
 public:
  World(std::size_t nodes, std::uint32_t shards, Mutations mutations, std::uint64_t seed);

  std::size_t size() const { return nodes_.size(); }
  Shards& at(std::size_t node) { return *nodes_[node].shards; }
  const Disk& disk(std::size_t node) const { return nodes_[node].disk; }
  Disk& disk(std::size_t node) { return nodes_[node].disk; }

  // Faults and steps.
  void advance(Duration by) { now += by; }
  void sync(std::size_t node);   // All written so far is durable; what waited for it goes.
  void crash(std::size_t node);  // Loses what is not durable, and starts again from its disk.
  void deliver(Packet packet);
  void tick(std::size_t node);  // on_time().
  void take_over(std::size_t node, ShardId shard = {});
  // Delivers and syncs until nothing moves. `up`: the nodes that take part (others hear nothing).
  void settle(const std::set<std::size_t>& up);
  void settle();

  // A client's change at that owner: a new value on top of the last proposed. False: not possible.
  bool change(std::size_t node, std::size_t key, ShardId shard = {});
  // A client's question, with a Confirm round.
  void ask(std::size_t node, std::size_t key, ShardId shard = {});
  // What the owner would tell without one: a value, never an absence.
  void tell(std::size_t node, std::size_t key, ShardId shard = {});

  // The value as the client sees it: its number on the chain, 0 for absent, -1 for "not to be
  // shown".
  int committed(std::size_t node, std::size_t key, ShardId shard = {});
  int deepest(std::size_t key, ShardId shard = {}) { return chain_[{shard, key}].deepest; }
  // An owner was found that holds all that was shown, and has nothing open.
  bool holds_everything(std::size_t node, ShardId shard);

  void fail(const std::string& what);
  const std::string& failure() const { return failure_; }

  TimePoint now{};
  std::vector<Packet> net;  // Sent, not delivered.
  std::uint64_t shown_count = 0;
  std::uint64_t owned_count = 0;

 private:
  struct Pending {
    std::vector<wire::Write> writes;
    std::vector<Outgoing> promises;
    std::vector<DetachedRead> reads;
  };
  struct Node {
    std::unique_ptr<Shards> shards;
    Disk disk;
    std::vector<Pending> pending;
    std::map<std::uint64_t, std::tuple<ShardId, std::size_t, int>> tickets;  // With `must`.
  };
  struct Change {
    ShardId shard{};
    std::size_t key = 0;
    int value = 0;
    int must = 0;
  };
  struct Chain {
    int deepest = 0;
  };

  void start(std::size_t node);
  void take(std::size_t node);
  void used(ShardId shard, const wire::Record& record);
  bool contains(int value, int ancestor) const;
  void shown(ShardId shard, std::size_t key, int value, int must, const char* how);

  Mutations mutations_;
  std::uint32_t shard_count_;
  std::uint64_t seed_;
  std::vector<Node> nodes_;
  std::vector<int> parent_{-1};              // Of each value; 0 is absence.
  std::map<std::uint64_t, Change> changes_;  // By token.
  std::map<std::pair<ShardId, std::size_t>, Chain> chain_;
  std::map<std::tuple<ShardId, wire::RecordKey, wire::RecordVersion>, std::string> values_;
  std::string failure_;
};

}  // namespace shoal::shard::test
