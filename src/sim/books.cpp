#include "sim/books.hpp"

#include <algorithm>

#include "base/hash.hpp"
#include "task/record_key.hpp"

namespace shoal::sim {
namespace {

wire::RecordKey key_of(const task::RecordName& name) {
  const task::KeyBits bits = task::key_bits(name);
  return {bits.high, bits.low};
}

void take_task(Facts& facts, const task::TaskRecord& task) {
  facts.state = task.state;
  facts.attempt = task.attempt;
  facts.node = task.node;
  facts.recovered = task.recovered;
  facts.result = result_hash(task.result);
}

}  // namespace

std::uint64_t result_hash(const std::optional<AttemptResult>& result) {
  if (!result) return 0;
  std::uint64_t hash = mix64(static_cast<std::uint64_t>(result->reason));
  hash = mix64(hash ^ static_cast<std::uint64_t>(result->exit_status));
  hash = mix64(hash ^ static_cast<std::uint64_t>(result->signal));
  hash = mix64(hash ^ static_cast<std::uint64_t>(result->started.time_since_epoch().count()));
  hash = mix64(hash ^ static_cast<std::uint64_t>(result->ended.time_since_epoch().count()));
  return hash | 1;
}

Facts facts_of(const wire::RecordKey& key, const std::string& value) {
  Facts facts;
  const task::RecordName name = task::record_name({key.high, key.low});
  if (name.kind == task::RecordKind::element) {
    if (const auto task = wire::decode_task(value)) {
      facts.kind = Facts::Kind::element;
      take_task(facts, *task);
    }
  } else if (name.kind == task::RecordKind::job) {
    if (const auto job = wire::decode_job(value)) {
      facts.kind = job->single ? Facts::Kind::single : Facts::Kind::job;
      facts.job_state = job->state;
      facts.nonce = job->nonce;
      if (job->single) take_task(facts, *job->single);
    }
  }
  return facts;
}

const RecordBook::Value* RecordBook::Entry::value(const wire::RecordVersion& version) const {
  // The newest are asked for most.
  const auto found = std::find_if(values.rbegin(), values.rend(),
                                  [&](const Value& each) { return each.version == version; });
  return found == values.rend() ? nullptr : &*found;
}

RecordBook::Copy* RecordBook::Entry::copy(NodeId disk) {
  const auto found = std::ranges::find(copies, disk, &Copy::disk);
  return found == copies.end() ? nullptr : &*found;
}

RecordBook::Entry& RecordBook::at(ShardId shard, const wire::RecordKey& key) {
  const auto [found, fresh] = entries_.try_emplace({shard, key});
  if (fresh) keys_[shard].push_back(key);
  return found->second;
}

const RecordBook::Entry* RecordBook::find(ShardId shard, const wire::RecordKey& key) const {
  const auto found = entries_.find({shard, key});
  return found == entries_.end() ? nullptr : &found->second;
}

const RecordBook::Entry* RecordBook::find_task(const TaskId& task,
                                               std::uint32_t shard_count) const {
  const Entry* element =
      find(task::shard_of(task, shard_count),
           key_of({.job = task.job, .kind = task::RecordKind::element, .index = task.index}));
  if (element != nullptr || task.index != 0) return element;
  const Entry* job = find(task::shard_of(task.job, shard_count),
                          key_of({.job = task.job, .kind = task::RecordKind::job}));
  const bool single = job != nullptr && !job->values.empty() && job->values.back().facts.task();
  return single ? job : nullptr;
}

void RecordBook::erase_copy(NodeId disk, ShardId shard, const wire::RecordKey& key,
                            bool Entry::* why) {
  const auto found = entries_.find({shard, key});
  if (found == entries_.end()) return;
  std::erase_if(found->second.copies, [disk](const Copy& copy) { return copy.disk == disk; });
  if (why != nullptr) found->second.*why = true;
}

void RecordBook::damage(NodeId disk, ShardId shard, const wire::RecordKey& key) {
  erase_copy(disk, shard, key, &Entry::damaged);
}

void RecordBook::drop(NodeId disk, ShardId shard, const wire::RecordKey& key) {
  erase_copy(disk, shard, key, &Entry::dropped);
}

void RecordBook::drop_shard(NodeId disk, ShardId shard) {
  const auto keys = keys_.find(shard);
  if (keys == keys_.end()) return;
  for (const wire::RecordKey& key : keys->second) erase_copy(disk, shard, key, nullptr);
}

void RecordBook::forget_disk(NodeId disk) {
  for (const auto& [shard, keys] : keys_) {
    for (const wire::RecordKey& key : keys) {
      if (at(shard, key).copy(disk) != nullptr) damage(disk, shard, key);
    }
  }
}

const wire::ShardState* ShardBook::state(ShardId shard, NodeId disk) const {
  for (const Home& home : homes(shard)) {
    if (home.disk == disk) return &home.state;
  }
  return nullptr;
}

std::optional<wire::ShardState> ShardBook::put(ShardId shard, NodeId disk,
                                               const wire::ShardState& state) {
  const auto index = static_cast<std::size_t>(shard);
  if (index >= shards_.size()) shards_.resize(index + 1);
  std::vector<Home>& homes = shards_[index];
  const auto found = std::ranges::find(homes, disk, &Home::disk);
  if (found == homes.end()) {
    homes.push_back({disk, state});
    return std::nullopt;
  }
  return std::exchange(found->state, state);
}

const std::vector<ShardBook::Home>& ShardBook::homes(ShardId shard) const {
  static const std::vector<Home> kNone;
  const auto index = static_cast<std::size_t>(shard);
  return index < shards_.size() ? shards_[index] : kNone;
}

const wire::ShardConfig* ShardBook::newest(ShardId shard, const Counts& counts) const {
  const wire::ShardConfig* newest = nullptr;
  for (const Home& home : homes(shard)) {
    if (counts && !counts(home.disk)) continue;
    if (newest == nullptr || newest->id < home.state.config.id) newest = &home.state.config;
  }
  return newest;
}

void ShardBook::forget_disk(NodeId disk) {
  for (std::vector<Home>& homes : shards_) {
    std::erase_if(homes, [disk](const Home& home) { return home.disk == disk; });
  }
}

void note_committed(RecordBook& records, const ShardBook& shards, NodeId disk, ShardId shard,
                    const wire::RecordKey& key) {
  RecordBook::Entry& entry = records.at(shard, key);
  const RecordBook::Copy* fresh = entry.copy(disk);
  if (fresh == nullptr || fresh->version <= entry.committed) return;
  // Copies may differ: what counts is the highest version that a quorum has reached.
  for (const RecordBook::Copy& least : entry.copies) {
    if (least.version <= entry.committed || fresh->version < least.version) continue;
    const bool held = shards.on_quorum(shard, [&](NodeId node) {
      const RecordBook::Copy* copy = entry.copy(node);
      return copy != nullptr && least.version <= copy->version;
    });
    if (held) entry.committed = least.version;
  }
}

}  // namespace shoal::sim
