#include "sim/disk.hpp"

#include <algorithm>
#include <bit>
#include <ranges>

#include "base/assert.hpp"
#include "task/record_key.hpp"

namespace shoal::sim {

std::optional<Deferred> Disk::add(std::vector<wire::Write> writes, Deferred deferred) {
  if (writes.empty()) {
    if (deferred.empty()) return std::nullopt;
    if (syncing_.empty() && waiting_.empty()) return deferred;
    // Waits for earlier writes only, so the sync that takes those is enough.
    (waiting_.empty() ? syncing_ : waiting_).push_back({{}, std::move(deferred)});
    return std::nullopt;
  }
  waiting_.push_back({std::move(writes), std::move(deferred)});
  return std::nullopt;
}

bool Deferred::take_back(const AttemptId& attempt) {
  return std::erase_if(launches,
                       [&](const task::Launch& launch) { return launch.attempt == attempt; }) > 0;
}

bool Deferred::extend(const task::Extend& extend) {
  const auto found = std::ranges::find(launches, extend.attempt, &task::Launch::attempt);
  if (found == launches.end()) return false;
  found->lease_end = std::max(found->lease_end, extend.lease_end);
  return true;
}

bool Disk::extend(const task::Extend& extend) {
  const auto extended = [&](Batch& batch) { return batch.deferred.extend(extend); };
  return std::ranges::any_of(syncing_, extended) || std::ranges::any_of(waiting_, extended);
}

bool Disk::take_back(const AttemptId& attempt) {
  const auto taken = [&](Batch& batch) { return batch.deferred.take_back(attempt); };
  return std::ranges::any_of(syncing_, taken) || std::ranges::any_of(waiting_, taken);
}

std::optional<Duration> Disk::begin_sync(Random& random) {
  if (waiting_.empty() || !syncing_.empty()) return std::nullopt;
  syncing_ = std::exchange(waiting_, {});
  const int steps = std::countr_one(random.next());
  const Duration duration =
      options_.sync_base + options_.sync_tail * steps + random.below(options_.sync_tail);
  return duration * options_.slow_factor + options_.stall;
}

std::vector<Deferred> Disk::end_sync() {
  SHOAL_ASSERT(!syncing_.empty());
  std::vector<Deferred> released;
  for (Batch& batch : std::exchange(syncing_, {})) {
    if (!options_.forgetful) apply(std::move(batch.writes));
    if (!batch.deferred.empty()) released.push_back(std::move(batch.deferred));
  }
  ++syncs_;
  return released;
}

void Disk::crash(Random& random) {
  std::vector<Batch> unsynced = std::exchange(syncing_, {});
  for (Batch& batch : std::exchange(waiting_, {})) unsynced.push_back(std::move(batch));
  std::uint64_t kept = random.below(unsynced.size() + 1);
  if (random.chance(1, 2)) kept = 0;
  if (options_.forgetful) kept = 0;
  for (Batch& batch : unsynced | std::views::take(kept)) apply(std::move(batch.writes));
}

void Disk::apply(std::vector<wire::Write> writes) {
  if (tap_) tap_(writes);
  auto& [meta, shards, records, damaged] = durable_;
  for (wire::Write& write : writes) {
    if (auto* shard = std::get_if<wire::PutShard>(&write)) {
      shards[shard->shard] = std::move(shard->state);
    } else if (auto* record = std::get_if<wire::PutRecord>(&write)) {
      const Place place{record->shard, record->record.key};
      records[place] = std::move(record->record);
      if (!damaged.empty()) damaged.erase(place);
    } else if (auto* fact = std::get_if<wire::PutMeta>(&write)) {
      meta[fact->name] = std::move(fact->value);
    } else if (auto* drop = std::get_if<wire::DropRecords>(&write)) {
      const auto dropped = [&](const Place& place) {
        return place.first == drop->shard &&
               (drop->all || std::ranges::find(drop->keys, place.second) != drop->keys.end());
      };
      for (const wire::RecordKey& key : drop->keys) records.erase({drop->shard, key});
      if (drop->all) std::erase_if(records, [&](const auto& kept) { return dropped(kept.first); });
      std::erase_if(damaged, dropped);
    }
  }
}

void Disk::load(Image image) {
  durable_ = std::move(image);
  syncing_.clear();
  waiting_.clear();
}

std::optional<Disk::Place> Disk::record_after(const Place& place) const {
  if (durable_.records.empty()) return std::nullopt;
  const auto found = durable_.records.lower_bound(place);
  return found == durable_.records.end() ? durable_.records.begin()->first : found->first;
}

void Disk::restore(node::Node& node) const {
  for (const auto& [name, value] : durable_.meta) node.restore_meta(name, value);
  for (const auto& [shard, state] : durable_.shards) node.restore_shard(shard, state);
  for (const auto& [place, record] : durable_.records) {
    wire::Record restored = record;
    const bool intact = durable_.damaged.empty() || !durable_.damaged.contains(place);
    if (!intact && !restored.value.empty()) restored.value.back() ^= 1;
    if (task::detached({record.key.high, record.key.low})) restored.value.clear();
    node.restore_record(place.first, std::move(restored), intact);
  }
}

std::optional<wire::Record> Disk::read(ShardId shard, const wire::RecordKey& key) const {
  const auto found = durable_.records.find({shard, key});
  if (found == durable_.records.end() || durable_.damaged.contains({shard, key})) {
    return std::nullopt;
  }
  return found->second;
}

}  // namespace shoal::sim
