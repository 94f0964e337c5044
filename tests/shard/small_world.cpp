#include "small_world.hpp"

#include <algorithm>
#include <utility>

#include "task/record_key.hpp"

namespace shoal::shard::test {

wire::RecordKey key_of(std::size_t index) {
  const bool last = index + 1 == kKeys;
  const task::KeyBits bits =
      task::key_bits({.job = JobId{7},
                      .kind = last ? task::RecordKind::output : task::RecordKind::element,
                      .sub = 0,
                      .index = static_cast<std::uint32_t>(index)});
  return {.high = bits.high, .low = bits.low};
}

World::World(std::size_t nodes, std::uint32_t shards, Mutations mutations, std::uint64_t seed)
    : mutations_(mutations), shard_count_(shards), seed_(seed), nodes_(nodes) {
  now = TimePoint{} + std::chrono::hours(1);
  wire::ShardConfig config;
  for (std::size_t i = 0; i < nodes; ++i) config.home.push_back(node_id(i));
  for (std::size_t i = 0; i < nodes; ++i) {
    start(i);
    for (std::uint32_t s = 0; s < shards; ++s) at(i).found(ShardId{s}, config);
    take(i);
    sync(i);
  }
}

void World::start(std::size_t node) {
  ShardsConfig settings;
  settings.mutations = mutations_;
  Node& n = nodes_[node];
  n.shards = std::make_unique<Shards>(node_id(node), settings, mix64(seed_++));
  n.tickets.clear();
  for (const auto& [shard, state] : n.disk.shards) n.shards->restore_shard(shard, state);
  for (const auto& [name, record] : n.disk.records) {
    n.shards->restore_record(name.first, record, n.disk.bad.contains(name));
  }
}

void World::used(ShardId shard, const wire::Record& record) {
  const auto [at, fresh] = values_.try_emplace({shard, record.key, record.version}, record.value);
  if (!fresh && at->second != record.value) fail("two values under one (ballot, version)");
}

// Takes a node's output apart as a driver does.
void World::take(std::size_t node) {
  Node& n = nodes_[node];
  Output output = n.shards->take_output(now);
  if (mutations_ == Mutations{}) n.shards->check_invariants();
  for (const wire::Write& write : output.writes) {
    if (const auto* put = std::get_if<wire::PutRecord>(&write)) used(put->shard, put->record);
  }
  for (Outgoing& out : output.messages) {
    if (const auto* writes = std::get_if<wire::WriteRecords>(&out.message)) {
      for (const wire::WriteItem& item : writes->items) {
        for (const wire::Record& record : item.records) used(item.shard, record);
      }
    }
    if (out.to == node_id(node)) fail("a message to itself that waits for no disk");
    net.push_back({node, node_index(out.to), std::move(out.message)});
  }
  owned_count += output.owned.size();
  n.pending.push_back(
      {std::move(output.writes), std::move(output.promises), std::move(output.reads)});
  for (const CommittedEvent& event : output.committed) {
    const auto change = changes_.extract(event.token);
    if (change.empty()) return fail("a token came back twice");
    const Change& c = change.mapped();
    shown(c.shard, c.key, c.value, c.must, "acknowledgement");
  }
  for (const ConfirmDone& done : output.confirmed) {
    const auto ticket = n.tickets.extract(done.ticket);
    if (ticket.empty()) return fail("a ticket came back twice");
    const auto [shard, key, must] = ticket.mapped();
    const int value = done.confirmed.empty() ? -1 : committed(node, key, shard);
    if (value >= 0) shown(shard, key, value, must, "confirmed read");
  }
}

void World::sync(std::size_t node) {
  Node& n = nodes_[node];
  for (Pending& pending : std::exchange(n.pending, {})) {
    for (wire::Write& write : pending.writes) {
      if (auto* shard = std::get_if<wire::PutShard>(&write)) {
        n.disk.shards[shard->shard] = shard->state;
      } else if (auto* put = std::get_if<wire::PutRecord>(&write)) {
        n.disk.bad.erase({put->shard, put->record.key});
        n.disk.records[{put->shard, put->record.key}] = put->record;
      }
    }
    for (Outgoing& out : pending.promises) {
      if (out.to == node_id(node)) {
        deliver({node, node, std::move(out.message)});
      } else {
        net.push_back({node, node_index(out.to), std::move(out.message)});
      }
    }
    std::vector<ValueRead> answers;
    for (const DetachedRead& read : pending.reads) {
      const auto name = std::pair(read.shard, read.key);
      const auto at = n.disk.records.find(name);
      answers.push_back({.id = read.id, .record = std::nullopt});
      if (at != n.disk.records.end() && !n.disk.bad.contains(name)) {
        answers.back().record = at->second;
      }
    }
    if (answers.empty()) continue;
    n.shards->on_values_read(now, std::move(answers));
    take(node);
  }
}

void World::crash(std::size_t node) {
  nodes_[node].pending.clear();
  start(node);
}

void World::deliver(Packet packet) {
  std::visit([&](auto& m) { at(packet.to).on_message(now, node_id(packet.from), std::move(m)); },
             packet.message);
  take(packet.to);
}

void World::tick(std::size_t node) {
  at(node).on_time(now);
  take(node);
}

void World::take_over(std::size_t node, ShardId shard) {
  at(node).take_over(now, shard);
  take(node);
}

void World::settle(const std::set<std::size_t>& up) {
  for (int round = 0; round < 100; ++round) {
    for (const std::size_t node : up) {
      sync(node);
    }
    std::vector<Packet> packets = std::exchange(net, {});
    bool moved = false;
    for (Packet& packet : packets) {
      if (!up.contains(packet.to) || !up.contains(packet.from)) continue;
      moved = true;
      deliver(std::move(packet));
    }
    const bool pending = std::ranges::any_of(up, [&](std::size_t node) {
      return std::ranges::any_of(nodes_[node].pending, [](const Pending& p) {
        return !p.writes.empty() || !p.promises.empty() || !p.reads.empty();
      });
    });
    if (!moved && !pending) return;
  }
}

void World::settle() {
  std::set<std::size_t> all;
  for (std::size_t i = 0; i < size(); ++i) all.insert(i);
  settle(all);
}

bool World::change(std::size_t node, std::size_t key, ShardId shard) {
  Shards& shards = at(node);
  if (!shards.owns(shard)) return false;
  const std::string* base = shards.proposed(shard, key_of(key));
  // A detached record is written once.
  if (base != nullptr && detached(key_of(key))) return false;
  const int value = static_cast<int>(parent_.size());
  parent_.push_back(base == nullptr ? 0 : std::stoi(*base));
  const std::uint64_t token = static_cast<std::uint64_t>(value);
  if (!shards.propose(now, shard, key_of(key), std::to_string(value), token)) return false;
  changes_[token] = {shard, key, value, deepest(key, shard)};
  take(node);
  return true;
}

void World::ask(std::size_t node, std::size_t key, ShardId shard) {
  const std::uint64_t ticket = at(node).confirm(now, {shard});
  nodes_[node].tickets[ticket] = {shard, key, deepest(key, shard)};
  take(node);
}

void World::tell(std::size_t node, std::size_t key, ShardId shard) {
  const int value = committed(node, key, shard);
  if (value > 0) shown(shard, key, value, 0, "owner's memory");
}

int World::committed(std::size_t node, std::size_t key, ShardId shard) {
  const CommittedValue value = at(node).committed(shard, key_of(key));
  if (value.state == Committed::unsettled) return -1;
  if (value.state == Committed::absent) return 0;
  if (!detached(key_of(key))) return std::stoi(*value.value);
  return -1;  // Not in memory.
}

bool World::holds_everything(std::size_t node, ShardId shard) {
  if (!at(node).owns(shard)) return false;
  std::size_t agreed = 0;
  for (const Node& n : nodes_) {
    const auto state = n.disk.shards.find(shard);
    agreed += state != n.disk.shards.end() && state->second.promised == at(node).ballot(shard);
  }
  if (2 * agreed <= size()) return false;
  for (std::size_t key = 0; key < kKeys; ++key) {
    const CommittedValue value = at(node).committed(shard, key_of(key));
    if (value.state == Committed::unsettled) return false;
    int number = value.state == Committed::absent ? 0 : -1;
    if (number < 0) {
      const auto stored = nodes_[node].disk.records.find({shard, key_of(key)});
      if (stored == nodes_[node].disk.records.end()) return false;
      number = std::stoi(stored->second.value);
    }
    if (!contains(number, deepest(key, shard))) fail("lost: the final state misses a shown value");
  }
  return true;
}

bool World::contains(int value, int ancestor) const {
  while (value > ancestor) value = parent_[static_cast<std::size_t>(value)];
  return value == ancestor;
}

void World::shown(ShardId shard, std::size_t key, int value, int must, const char* how) {
  ++shown_count;
  int& most = chain_[{shard, key}].deepest;
  if (!contains(value, must)) fail(std::string("lost: a shown value is missing in: ") + how);
  if (!contains(value, most) && !contains(most, value)) fail(std::string("fork: ") + how);
  if (contains(value, most)) most = value;
}

void World::fail(const std::string& what) {
  if (failure_.empty()) failure_ = what;
}

}  // namespace shoal::shard::test
