// What the checkers have seen of the cluster's replicated state: every value a record was given,
// and what each disk holds by now. Filled from observations only; says nothing of right or wrong.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/random.hpp"
#include "wire/persist.hpp"

namespace shoal::sim {

// What a record says, as far as checkers compare it.
struct Facts {
  enum class Kind : std::uint8_t { other, element, job, single };
  Kind kind = Kind::other;
  // Of an element, or of a job's only task.
  TaskState state = TaskState::ready;
  std::uint32_t attempt = 0;
  NodeId node;
  bool recovered = false;
  std::uint64_t result = 0;  // A hash; 0: none.
  // Of a job.
  JobState job_state = JobState::open;
  Nonce nonce;
  bool task() const { return kind == Kind::element || kind == Kind::single; }
  bool operator==(const Facts&) const = default;
};

Facts facts_of(const wire::RecordKey& key, const std::string& value);
std::uint64_t result_hash(const std::optional<AttemptResult>& result);

class RecordBook {
 public:
  struct Value {
    wire::RecordVersion version;
    std::uint64_t hash = 0;
    Facts facts;
  };
  struct Copy {
    NodeId disk;
    wire::RecordVersion version;
  };
  struct Entry {
    std::vector<Value> values;  // In the order in which they were seen first.
    std::vector<Copy> copies;   // Durable, one for each disk at most.
    bool damaged = false;       // Some disk had an unreadable copy at some time.
    bool dropped = false;       // Some disk dropped its copy (E1).
    // The highest version that copies on a quorum have reached (O3). Later configs do not undo it:
    // what was committed under the former one may still be shown while they are in force.
    wire::RecordVersion committed;
    const Value* value(const wire::RecordVersion& version) const;
    Copy* copy(NodeId disk);
    const Copy* copy(NodeId disk) const { return const_cast<Entry*>(this)->copy(disk); }
  };

  Entry& at(ShardId shard, const wire::RecordKey& key);
  const Entry* find(ShardId shard, const wire::RecordKey& key) const;
  // The record that a task stands in: its own, or its job's. Null: none was seen.
  const Entry* find_task(const TaskId& task, std::uint32_t shard_count) const;

  void damage(NodeId disk, ShardId shard, const wire::RecordKey& key);
  void drop(NodeId disk, ShardId shard, const wire::RecordKey& key);
  // Every copy of the shard, as a home that left it does (H5).
  void drop_shard(NodeId disk, ShardId shard);
  void forget_disk(NodeId disk);  // Its content is another one from now on: its copies are lost.

  // visit(key, entry), in the order in which the records were seen first.
  template <class Visit>
  void for_each(ShardId shard, Visit&& visit) const {
    const auto keys = keys_.find(shard);
    if (keys == keys_.end()) return;
    for (const wire::RecordKey& key : keys->second) visit(key, entries_.at({shard, key}));
  }

 private:
  using Name = std::pair<ShardId, wire::RecordKey>;
  void erase_copy(NodeId disk, ShardId shard, const wire::RecordKey& key, bool Entry::* why);
  struct Hash {
    std::size_t operator()(const Name& name) const {
      return static_cast<std::size_t>(mix64(name.second.high * 0x9e3779b97f4a7c15 ^
                                            name.second.low ^
                                            static_cast<std::uint64_t>(name.first) << 40));
    }
  };
  std::unordered_map<Name, Entry, Hash> entries_;
  std::map<ShardId, std::vector<wire::RecordKey>> keys_;
};

// What each disk holds of each shard beside its records.
class ShardBook {
 public:
  struct Home {
    NodeId disk;
    wire::ShardState state;
  };

  const wire::ShardState* state(ShardId shard, NodeId disk) const;
  // The former state, if there was one.
  std::optional<wire::ShardState> put(ShardId shard, NodeId disk, const wire::ShardState& state);
  const std::vector<Home>& homes(ShardId shard) const;
  // The newest config that some disk, of those that count, holds; null when none does.
  using Counts = std::function<bool(NodeId)>;
  const wire::ShardConfig* newest(ShardId shard, const Counts& counts = {}) const;
  void forget_disk(NodeId disk);
  std::uint32_t shard_count() const { return static_cast<std::uint32_t>(shards_.size()); }

  // Whether the disks for which `holds` is true are a quorum of a config that some disk holds.
  // Which of these is in force just now cannot be seen from outside, so any of them will do.
  template <class Holds>
  bool on_quorum(ShardId shard, Holds&& holds) const {
    const wire::ShardConfig* last = nullptr;
    for (const Home& home : homes(shard)) {
      const wire::ShardConfig& config = home.state.config;
      if (last != nullptr && last->id == config.id) continue;
      last = &config;
      if (most(config.home, holds) && (config.next.empty() || most(config.next, holds)))
        return true;
    }
    return false;
  }

 private:
  template <class Holds>
  static bool most(const std::vector<NodeId>& nodes, Holds&& holds) {
    std::size_t count = 0;
    for (const NodeId node : nodes) count += holds(node) ? 1 : 0;
    return 2 * count > nodes.size();
  }

  std::vector<std::vector<Home>> shards_;  // By shard.
};

// A disk has a new copy of this record: notes whether that makes a quorum.
void note_committed(RecordBook& records, const ShardBook& shards, NodeId disk, ShardId shard,
                    const wire::RecordKey& key);

}  // namespace shoal::sim
