// A few nodes' shards with their disks and a network that does what it is told, and the checker of
// what leaves them. Everything is a pure function of the calls made; tests drive it by hand or at
// random.
//
// Checked, per record: every value shown lies on one chain, contains what was shown before the
// operation began, and one (ballot, version) never has two values; what was said to be gone does
// not come back. Per shard: one config id never has two contents.
#pragma once

#include <algorithm>
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

// Records by small number; the last one is detached. Their time is over one after the other, the
// first one 200 s after kWall.
inline constexpr std::size_t kKeys = 3;
wire::RecordKey key_of(std::size_t index);
inline constexpr std::uint64_t kWall = 1'735'693'200;  // Wall clocks at the beginning.
std::uint64_t expiry_of_key(std::size_t index);

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
  // The first `home` of the nodes (0: all) are every shard's home; the others are blank.
  World(std::size_t nodes, std::uint32_t shards, Mutations mutations, std::uint64_t seed,
        std::size_t home = 0);

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
  // The disk is gone. The node comes back blank if it keeps its identity (which breaks F2), else
  // never.
  void wipe(std::size_t node, bool same_identity = false);
  bool gone(std::size_t node) const { return nodes_[node].gone; }
  // Wall clocks run 100 times as fast as the rest, so that a record's time passes in a schedule.
  void set_skew(std::size_t node, std::int64_t seconds) { nodes_[node].skew = seconds; }
  std::uint64_t wall(std::size_t node) const;
  void take_over(std::size_t node, ShardId shard = {});
  // Delivers and syncs until nothing moves. `up`: the nodes that take part (others hear nothing).
  void settle(const std::set<std::size_t>& up);
  void settle();

  // A client's change at that owner: a new value on top of the last proposed. False: not possible.
  bool change(std::size_t node, std::size_t key, ShardId shard = {});
  bool change_home(std::size_t node, const std::vector<std::size_t>& target, ShardId shard = {});
  // The node's latest change of that home was to `other`, perhaps not yet seen in any config.
  bool moving_to(std::size_t node, ShardId shard, std::size_t other) const {
    const auto at = nodes_[node].targets.find(shard);
    return at != nodes_[node].targets.end() &&
           std::ranges::find(at->second, other) != at->second.end();
  }
  // E1: what is over by the owner's clock. Changes are refused from then on (E3).
  void expire(std::size_t node, ShardId shard = {});
  // H7 broken: one home's copy of a record is copied to another.
  void repair(std::size_t from, std::size_t to, std::size_t key, ShardId shard = {});
  // A client's question, with a Confirm round.
  void ask(std::size_t node, std::size_t key, ShardId shard = {});
  // What the owner would tell without one: a value, never an absence.
  void tell(std::size_t node, std::size_t key, ShardId shard = {});

  // The value as the client sees it: its number on the chain, 0 for absent, -1 for "not to be
  // shown".
  int committed(std::size_t node, std::size_t key, ShardId shard = {});
  int deepest(std::size_t key, ShardId shard = {}) { return chain_[{shard, key}].deepest; }
  // An owner was found that holds all that was shown, and has nothing open: no home change either.
  bool holds_everything(std::size_t node, ShardId shard);

  void fail(const std::string& what);
  const std::string& failure() const { return failure_; }

  bool traced = false;                            // Everything is told on stderr.
  Duration learn_max = std::chrono::seconds(60);  // From the next start of a node on.
  TimePoint now{};
  std::vector<Packet> net;                                    // Sent, not delivered.
  std::vector<std::pair<std::size_t, RefusedEvent>> refused;  // With the node that heard so.
  std::uint64_t shown_count = 0;
  std::uint64_t owned_count = 0;
  std::uint64_t settled_count = 0;  // Finished home changes, and configs of new owners.

 private:
  struct Pending {
    std::vector<wire::Write> writes;
    std::vector<Outgoing> promises;
    std::vector<DetachedRead> reads;
  };
  struct Ticket {
    ShardId shard{};
    std::size_t key = 0;
    int must = 0;
  };
  struct Node {
    std::unique_ptr<Shards> shards;
    Disk disk;
    bool gone = false;
    std::int64_t skew = 0;
    std::vector<Pending> pending;
    std::map<std::uint64_t, Ticket> tickets;
    std::map<ShardId, std::vector<std::size_t>> targets;  // Of the home changes it began last.
  };
  struct Change {
    ShardId shard{};
    std::size_t key = 0;
    int value = 0;
    int must = 0;
  };
  struct Chain {
    int deepest = 0;
    bool gone = false;  // Somebody was told that its time is over.
  };

  void say(const std::string& text) const;
  void start(std::size_t node);
  void take(std::size_t node);
  void used(ShardId shard, const wire::Record& record);
  void used(ShardId shard, const wire::ShardConfig& config);
  void look_at(const Outgoing& out);
  void check_promise(const Disk& disk, const Outgoing& out);
  static void persist(Disk& disk, wire::Write& write);
  void answered(std::size_t node, const Ticket& ticket, bool confirmed);
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
  std::map<std::pair<ShardId, wire::ConfigId>, wire::ShardConfig> configs_;
  bool expiring_ = false;  // expire() was called: changes of what is over are refused (E3).
  std::string failure_;
};

}  // namespace shoal::shard::test
