#include "small_world.hpp"

#include <algorithm>
#include <utility>

#include "base/format.hpp"
#include "packet_text.hpp"
#include "task/record_key.hpp"

namespace shoal::shard::test {

namespace {

JobId job_of(std::size_t index) {
  const std::chrono::sys_seconds minted{std::chrono::seconds(kWall - 3600 + 200 + 150 * index)};
  return JobId::mint(minted, Retention::hour, index + 1);
}

}  // namespace

wire::RecordKey key_of(std::size_t index) {
  const bool last = index + 1 == kKeys;
  const task::KeyBits bits =
      task::key_bits({.job = job_of(index),
                      .kind = last ? task::RecordKind::output : task::RecordKind::element,
                      .sub = 0,
                      .index = static_cast<std::uint32_t>(index)});
  return {.high = bits.high, .low = bits.low};
}

std::uint64_t expiry_of_key(std::size_t index) { return task::expiry_of(job_of(index)); }

World::World(std::size_t nodes, std::uint32_t shards, Mutations mutations, std::uint64_t seed,
             std::size_t home)
    : mutations_(mutations), shard_count_(shards), seed_(seed), nodes_(nodes) {
  now = TimePoint{} + std::chrono::hours(1);
  if (home == 0) home = nodes;
  wire::ShardConfig config;
  for (std::size_t i = 0; i < home; ++i) config.home.push_back(node_id(i));
  for (std::size_t i = 0; i < nodes; ++i) {
    start(i);
    for (std::uint32_t s = 0; s < shards && i < home; ++s) at(i).found(ShardId{s}, config);
    take(i);
    sync(i);
  }
}

std::uint64_t World::wall(std::size_t node) const {
  const auto passed = now - (TimePoint{} + std::chrono::hours(1));
  const auto seconds = passed / std::chrono::milliseconds(10) + nodes_[node].skew;
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(kWall) + seconds);
}

void World::start(std::size_t node) {
  ShardsConfig settings;
  settings.mutations = mutations_;
  settings.learn_max = learn_max;
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

void World::used(ShardId shard, const wire::ShardConfig& config) {
  if (config.home.empty()) return;  // Of a node that knows nothing of the shard.
  const auto [at, fresh] = configs_.try_emplace({shard, config.id}, config);
  if (!fresh && at->second != config) fail("two contents under one config id");
}

void World::look_at(const Outgoing& out) {
  const auto* writes = std::get_if<wire::WriteRecords>(&out.message);
  if (writes == nullptr) return;
  for (const wire::WriteItem& item : writes->items) {
    for (const wire::Record& record : item.records) used(item.shard, record);
    if (item.config) used(item.shard, *item.config);
  }
}

// What a client is told: the value, or that its time is over (E3).
void World::answered(std::size_t node, const Ticket& ticket, bool confirmed) {
  if (!confirmed || !at(node).owns(ticket.shard)) return;
  const int value = committed(node, ticket.key, ticket.shard);
  if (value < 0) return;
  Chain& chain = chain_[{ticket.shard, ticket.key}];
  const bool over = expiry_of_key(ticket.key) <= at(node).floor(ticket.shard);
  if (value > 0 || !over) {
    if (chain.gone) fail("a record came back after it was gone");
    return shown(ticket.shard, ticket.key, value, ticket.must, "confirmed read");
  }
  if (!at(node).floor_settled(ticket.shard)) return;
  chain.gone = true;
  const std::uint64_t true_wall = wall(node) - static_cast<std::uint64_t>(nodes_[node].skew);
  if (expiry_of_key(ticket.key) > true_wall + kSkewSeconds) {
    fail("a record is gone before its time");
  }
}

// Takes a node's output apart as a driver does.
void World::take(std::size_t node) {
  Node& n = nodes_[node];
  Output output = n.shards->take_output(now);
  if (mutations_ == Mutations{}) n.shards->check_invariants();
  for (const wire::Write& write : output.writes) {
    if (const auto* put = std::get_if<wire::PutRecord>(&write)) used(put->shard, put->record);
    if (const auto* put = std::get_if<wire::PutShard>(&write)) used(put->shard, put->state.config);
  }
  for (Outgoing& out : output.messages) {
    look_at(out);
    check_promise(n.disk, out);
    if (out.to == node_id(node)) fail("a message to itself that waits for no disk");
    net.push_back({node, node_index(out.to), std::move(out.message)});
  }
  for (const RefusedEvent& event : output.refused) refused.emplace_back(node, event);
  if (traced) {
    for (const ShardId shard : output.owned) {
      say(format("n{} owns: {}", node, text_of(*n.shards->config(shard))));
    }
    for (const ShardId shard : output.lost) {
      say(format("n{} steps down of {}", node, static_cast<std::uint32_t>(shard)));
    }
    for (const ShardId shard : output.settled_configs) {
      say(format("n{} has settled: {}", node, text_of(*n.shards->config(shard))));
    }
    for (const auto& retired : output.retired) {
      say(format("n{} retires from {}", node, static_cast<std::uint32_t>(retired)));
    }
  }
  owned_count += output.owned.size();
  settled_count += output.settled_configs.size();
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
    answered(node, ticket.mapped(), !done.confirmed.empty());
  }
}

void World::sync(std::size_t node) {
  Node& n = nodes_[node];
  for (Pending& pending : std::exchange(n.pending, {})) {
    for (wire::Write& write : pending.writes) persist(n.disk, write);
    for (Outgoing& out : pending.promises) {
      check_promise(n.disk, out);
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

// 1.1, H1, H2: what leaves rests on the disk, and who answers a ballot has promised it.
void World::check_promise(const Disk& disk, const Outgoing& out) {
  const auto promised = [&](ShardId shard, const wire::Ballot& ballot) {
    const auto state = disk.shards.find(shard);
    if (state == disk.shards.end() || state->second.promised < ballot) {
      fail("an answer for a ballot that the disk has not promised");
    }
  };
  if (const auto* promise = std::get_if<wire::Promise>(&out.message)) {
    for (const wire::PromiseItem& item : promise->items) promised(item.shard, item.ballot);
  } else if (const auto* ack = std::get_if<wire::Ack>(&out.message)) {
    for (const wire::AckItem& item : ack->items) {
      if (!item.config) promised(item.shard, item.ballot);
    }
  }
}

void World::persist(Disk& disk, wire::Write& write) {
  if (auto* shard = std::get_if<wire::PutShard>(&write)) {
    disk.shards[shard->shard] = shard->state;
  } else if (auto* put = std::get_if<wire::PutRecord>(&write)) {
    disk.bad.erase({put->shard, put->record.key});
    disk.records[{put->shard, put->record.key}] = put->record;
  } else if (auto* drop = std::get_if<wire::DropRecords>(&write)) {
    const auto dropped = [&](const auto& name) {
      return name.first == drop->shard &&
             (drop->all || std::ranges::find(drop->keys, name.second) != drop->keys.end());
    };
    std::erase_if(disk.records, [&](const auto& entry) { return dropped(entry.first); });
    std::erase_if(disk.bad, dropped);
  }
}

void World::wipe(std::size_t node, bool same_identity) {
  Node& n = nodes_[node];
  n.disk = {};
  n.pending.clear();
  n.gone = !same_identity;
  if (traced) say(format("n{} is wiped", node));
  start(node);
}

void World::say(const std::string& text) const {
  const auto passed = (now - TimePoint{} - std::chrono::hours(1)) / std::chrono::milliseconds(1);
  std::fputs(format("{:>6} ms  {}\n", passed, text).c_str(), stderr);
}

void World::crash(std::size_t node) {
  if (traced) say(format("n{} crashes", node));
  nodes_[node].pending.clear();
  start(node);
}

void World::deliver(Packet packet) {
  if (gone(packet.to)) return;
  if (traced) say(text_of(packet));
  at(packet.to).set_wall(wall(packet.to));
  std::visit([&](auto& m) { at(packet.to).on_message(now, node_id(packet.from), std::move(m)); },
             packet.message);
  take(packet.to);
}

void World::tick(std::size_t node) {
  if (gone(node)) return;
  at(node).set_wall(wall(node));
  at(node).on_time(now);
  take(node);
}

void World::take_over(std::size_t node, ShardId shard) {
  if (gone(node)) return;
  at(node).set_wall(wall(node));
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
  // The value in memory is not the whole: it may be still to come.
  if (detached(key_of(key)) && at(node).committed(shard, key_of(key)).state != Committed::absent) {
    return false;
  }
  if (expiring_ && expiry_of_key(key) <= std::max(wall(node), shards.floor(shard))) return false;
  const int value = static_cast<int>(parent_.size());
  parent_.push_back(base == nullptr ? 0 : std::stoi(*base));
  const std::uint64_t token = static_cast<std::uint64_t>(value);
  if (!shards.propose(now, shard, key_of(key), std::to_string(value), token)) return false;
  changes_[token] = {shard, key, value, deepest(key, shard)};
  if (traced) say(format("n{} proposes r{}={}", node, key, value));
  take(node);
  return true;
}

bool World::change_home(std::size_t node, const std::vector<std::size_t>& target, ShardId shard) {
  std::vector<NodeId> ids;
  for (const std::size_t index : target) ids.push_back(node_id(index));
  const bool begun = at(node).change_home(now, shard, std::move(ids));
  if (begun) nodes_[node].targets[shard] = target;
  if (traced && begun) say(format("n{} changes: {}", node, text_of(*at(node).config(shard))));
  take(node);
  return begun;
}

void World::expire(std::size_t node, ShardId shard) {
  expiring_ = true;
  std::uint64_t floor = 0;
  for (std::size_t key = 0; key < kKeys; ++key) {
    if (expiry_of_key(key) <= wall(node)) floor = std::max(floor, expiry_of_key(key));
  }
  if (floor <= at(node).floor(shard)) return;
  at(node).set_wall(wall(node));
  at(node).raise_floor(now, shard, floor);
  take(node);
}

void World::repair(std::size_t from, std::size_t to, std::size_t key, ShardId shard) {
  const std::pair name{shard, key_of(key)};
  const auto found = nodes_[from].disk.records.find(name);
  if (found == nodes_[from].disk.records.end() || gone(to)) return;
  const auto mine = nodes_[to].disk.records.find(name);
  const bool newer =
      mine == nodes_[to].disk.records.end() || mine->second.version < found->second.version;
  if (!newer || at(to).owns(shard) || at(to).candidate(shard)) return;
  sync(to);
  nodes_[to].disk.records[name] = found->second;
  at(to).restore_record(shard, found->second, false);
}

void World::ask(std::size_t node, std::size_t key, ShardId shard) {
  const std::uint64_t ticket = at(node).confirm(now, {shard});
  nodes_[node].tickets[ticket] = {shard, key, deepest(key, shard)};
  take(node);
}

void World::tell(std::size_t node, std::size_t key, ShardId shard) {
  const int value = committed(node, key, shard);
  if (value > 0 && !chain_[{shard, key}].gone) shown(shard, key, value, 0, "owner's memory");
}

int World::committed(std::size_t node, std::size_t key, ShardId shard) {
  const CommittedValue value = at(node).committed(shard, key_of(key));
  if (value.state == Committed::unsettled) return -1;
  if (value.state == Committed::absent) return 0;
  if (!detached(key_of(key))) return std::stoi(*value.value);
  return -1;  // Not in memory.
}

bool World::holds_everything(std::size_t node, ShardId shard) {
  if (gone(node) || !at(node).owns(shard) || at(node).changing_home(shard)) return false;
  const wire::ShardConfig config = *at(node).config(shard);
  if (!config.next.empty() || !config.learners.empty()) return false;
  const auto agrees = [&](NodeId id) {
    const Disk& disk = nodes_[node_index(id)].disk;
    const auto state = disk.shards.find(shard);
    return state != disk.shards.end() && state->second.promised == at(node).ballot(shard) &&
           state->second.config == config;
  };
  if (2 * std::ranges::count_if(config.home, agrees) <= std::ssize(config.home)) return false;
  for (std::size_t key = 0; key < kKeys; ++key) {
    if (expiring_ && expiry_of_key(key) <= wall(node) + kSkewSeconds) continue;
    const CommittedValue value = at(node).committed(shard, key_of(key));
    if (value.state == Committed::unsettled) return false;
    int number = value.state == Committed::absent ? 0 : -1;
    if (value.state == Committed::present && !detached(key_of(key))) {
      number = std::stoi(*value.value);
    }
    if (number < 0) {
      const auto stored = nodes_[node].disk.records.find({shard, key_of(key)});
      if (stored == nodes_[node].disk.records.end()) return false;
      number = std::stoi(stored->second.value);
    }
    if (!contains(number, deepest(key, shard)))
      fail("lost: the final state misses a shown value: record " + std::to_string(key) +
           " has value " + std::to_string(number) + ", " + std::to_string(deepest(key, shard)) +
           " was shown; owner " + std::to_string(node));
  }
  return true;
}

bool World::contains(int value, int ancestor) const {
  while (value > ancestor) value = parent_[static_cast<std::size_t>(value)];
  return value == ancestor;
}

void World::shown(ShardId shard, std::size_t key, int value, int must, const char* how) {
  ++shown_count;
  if (traced) say(format("   r{} shown as {} by {} (must {})", key, value, how, must));
  int& most = chain_[{shard, key}].deepest;
  if (!contains(value, must)) fail(std::string("lost: a shown value is missing in: ") + how);
  if (!contains(value, most) && !contains(most, value)) fail(std::string("fork: ") + how);
  if (contains(value, most)) most = value;
}

void World::fail(const std::string& what) {
  if (failure_.empty()) failure_ = what;
}

}  // namespace shoal::shard::test
