// What no cluster survives by itself: its operator has to decide.
#include <algorithm>
#include <array>
#include <map>
#include <span>

#include "shard/quorum.hpp"
#include "sim/faults.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

constexpr Duration kOperatorLooks = 2s;

bool contains(const std::vector<NodeId>& nodes, NodeId node) {
  return std::ranges::find(nodes, node) != nodes.end();
}

// Of each shard, on the disks of hosts that are not given up.
std::map<ShardId, wire::ShardConfig> newest_configs(const Simulator& world) {
  std::map<ShardId, wire::ShardConfig> newest;
  for (NodeIndex index = 0; index < world.node_count(); ++index) {
    if (world.abandoned(index)) continue;
    for (const auto& [shard, state] : world.disk(index).image().shards) {
      wire::ShardConfig& config = newest[shard];
      if (config.home.empty() || config.id < state.config.id) config = state.config;
    }
  }
  return newest;
}

// A node that keeps the shard under its newest config, and could be told to adopt its copy.
std::optional<NodeIndex> survivor(Faults& faults, ShardId shard, const wire::ShardConfig& config,
                                  const std::vector<NodeId>& lost) {
  const Simulator& world = faults.world();
  for (NodeIndex index = 0; index < world.node_count(); ++index) {
    if (world.abandoned(index) || world.spoilt(index) || faults.leaving(index)) continue;
    if (!world.up(index) || world.paused(index) || !world.refused(index).empty()) continue;
    const auto& shards = world.disk(index).image().shards;
    const auto own = shards.find(shard);
    const bool voter = shard::voter(config, world.id(index)) && !contains(lost, world.id(index));
    if (voter && own != shards.end() && own->second.config.id == config.id) return index;
  }
  return std::nullopt;
}

std::optional<NodeIndex> index_of(const Simulator& world, NodeId node) {
  for (NodeIndex index = 0; index < world.node_count(); ++index) {
    if (world.id(index) == node && !world.abandoned(index)) return index;
  }
  return std::nullopt;
}

// Voters that nobody will see again: their hosts are given up, or have another identity by now.
std::vector<NodeId> lost_voters(const Simulator& world, const wire::ShardConfig& config) {
  std::vector<NodeId> lost = shard::voters(config);
  std::erase_if(lost, [&](NodeId node) { return index_of(world, node).has_value(); });
  return lost;
}

bool in_need(const wire::ShardConfig& config, const std::vector<NodeId>& lost) {
  return !shard::quorum({}, config, [&](NodeId node) { return !contains(lost, node); });
}

// Until no shard has lost its majority, also after heal().
void operate(Faults& faults) {
  faults.world().after(kOperatorLooks, [&faults] {
    Simulator& world = faults.world();
    bool open = false;
    for (const auto& [shard, config] : newest_configs(world)) {
      const std::vector<NodeId> lost = lost_voters(world, config);
      if (!in_need(config, lost)) continue;
      open = true;
      const auto index = survivor(faults, shard, config, lost);
      if (!index) continue;
      const auto session = world.connect(*index, [](wire::ClientReply) {}, [] {});
      if (!session) continue;
      world.request(*session,
                    {1, wire::CommandNode{world.id(*index), wire::RecoverShard{shard, lost}}});
    }
    if (open) operate(faults);
  });
}

// A majority of some home, whose loss leaves a copy of every shard; none: not just now.
std::vector<NodeIndex> victims(Faults& faults) {
  Simulator& world = faults.world();
  const auto configs = newest_configs(world);
  if (configs.empty()) return {};
  auto chosen = std::next(configs.begin(),
                          static_cast<std::ptrdiff_t>(faults.random().below(configs.size())));
  std::vector<NodeId> lost = chosen->second.home;
  faults.random().shuffle(std::span(lost));
  lost.resize(lost.size() / 2 + 1);
  std::vector<NodeIndex> hosts;
  for (const NodeId node : lost) {
    const auto index = index_of(world, node);
    if (!index || faults.leaving(*index) || world.spoilt(*index)) return {};
    hosts.push_back(*index);
  }
  const bool bearable = std::ranges::all_of(configs, [&](const auto& entry) {
    const wire::ShardConfig& config = entry.second;
    // Who is lost already counts as well.
    std::vector<NodeId> all = lost_voters(world, config);
    all.insert(all.end(), lost.begin(), lost.end());
    return config.next.empty() && config.learners.empty() &&
           survivor(faults, entry.first, config, all);
  });
  return bearable ? hosts : std::vector<NodeIndex>{};
}

bool majority_lost(Faults& faults, Duration) {
  Simulator& world = faults.world();
  const std::vector<NodeIndex> hosts = victims(faults);
  for (const NodeIndex index : hosts) {
    world.crash_host(index);
    world.abandon(index);
  }
  if (!hosts.empty()) operate(faults);
  return !hosts.empty();
}

using enum FaultFamily;

constexpr std::array kKinds = std::to_array<FaultKind>({
    {"majority-lost", "most of a home is lost for good, what is left of its shards is recovered",
     membership, 0, &majority_lost, Feature::commands, 25},
});

}  // namespace

std::span<const FaultKind> operator_faults() { return kKinds; }

}  // namespace shoal::sim
