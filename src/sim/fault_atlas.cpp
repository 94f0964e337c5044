#include "sim/fault_atlas.hpp"

#include <algorithm>

namespace shoal::sim {
namespace {

bool contains(const std::vector<NodeId>& nodes, NodeId node) {
  return std::ranges::find(nodes, node) != nodes.end();
}

bool majority(const std::vector<NodeId>& of, const std::set<NodeId>& good) {
  const auto count = std::ranges::count_if(of, [&](NodeId node) { return good.contains(node); });
  return static_cast<std::size_t>(count) * 2 > of.size();
}

}  // namespace

FaultAtlas::FaultAtlas(const Simulator& world) : world_(world) {
  std::map<ShardId, std::map<NodeId, const wire::ShardConfig*>> held;
  for (NodeIndex index = 0; index < world.node_count(); ++index) {
    const Disk::Image& image = world.disk(index).image();
    std::set<ShardId> spoilt;
    for (const Disk::Place& place : image.damaged) spoilt.insert(place.first);
    const bool lost =
        world.abandoned(index) || world.spoilt(index) || !world.refused(index).empty();
    for (const auto& [shard, state] : image.shards) {
      held[shard][world.id(index)] = &state.config;
      if (!lost && !spoilt.contains(shard)) homes_[shard].good.insert(world.id(index));
    }
  }
  for (const auto& [shard, configs] : held) {
    const wire::ShardConfig* newest = configs.begin()->second;
    for (const auto& [node, config] : configs) {
      if (newest->id < config->id) newest = config;
    }
    Home& home = homes_[shard];
    home.configs.push_back(*newest);
    for (const auto& [node, config] : configs) {
      const bool member = contains(newest->home, node) || contains(newest->next, node);
      if (member && config->id != newest->id) home.configs.push_back(*config);
    }
  }
}

bool FaultAtlas::outlives(const Home& home, const std::set<NodeId>& good) {
  return std::ranges::all_of(home.configs, [&](const wire::ShardConfig& config) {
    return majority(config.home, good) && (config.next.empty() || majority(config.next, good));
  });
}

bool FaultAtlas::may_lose(NodeIndex index) const {
  return !homes_.empty() && std::ranges::all_of(homes_, [&](const auto& entry) {
    // The joint config may be in force by now, though no disk says so yet (G2).
    const wire::ShardConfig& newest = entry.second.configs.front();
    const NodeId id = world_.id(index);
    const bool named = contains(newest.home, id) || contains(newest.learners, id);
    if (!newest.learners.empty() && named) return false;
    std::set<NodeId> good = entry.second.good;
    return good.erase(world_.id(index)) == 0 || outlives(entry.second, good);
  });
}

bool FaultAtlas::may_damage(NodeIndex index, ShardId shard) const {
  const auto home = homes_.find(shard);
  if (home == homes_.end()) return false;
  std::set<NodeId> good = home->second.good;
  good.erase(world_.id(index));
  return outlives(home->second, good);
}

bool FaultAtlas::suffice(const std::set<NodeIndex>& hosts) const {
  std::set<NodeId> ids;
  for (const NodeIndex index : hosts) ids.insert(world_.id(index));
  return std::ranges::all_of(homes_, [&](const auto& entry) {
    // They may be voters by now, though no disk says so yet (G2).
    for (const NodeId learner : entry.second.configs.front().learners) {
      if (entry.second.good.contains(learner) && !ids.contains(learner)) return false;
    }
    std::set<NodeId> good;
    std::ranges::set_intersection(entry.second.good, ids, std::inserter(good, good.end()));
    return outlives(entry.second, good);
  });
}

bool FaultAtlas::in_joint(NodeIndex index) const {
  return std::ranges::any_of(homes_, [&](const auto& entry) {
    const wire::ShardConfig& newest = entry.second.configs.front();
    return !newest.next.empty() &&
           (contains(newest.home, world_.id(index)) || contains(newest.next, world_.id(index)));
  });
}

}  // namespace shoal::sim
