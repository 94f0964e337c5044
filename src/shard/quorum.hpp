// Quorums of a shard's config (Lamport, "The Part-Time Parliament", TOCS 1998; joint configurations
// as in Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm", ATC 2014,
// section 6).
//
// A quorum is a majority of `home`; while the config is joint (`next` is set), a majority of `next`
// too. Learners never count.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "shard/output.hpp"
#include "wire/shard_messages.hpp"

namespace shoal::shard {

// `holds(node)` says whether a node counts. An empty list has no majority.
template <class Holds>
bool majority(const std::vector<NodeId>& nodes, Holds&& holds) {
  std::size_t held = 0;
  for (const NodeId node : nodes) held += holds(node) ? 1 : 0;
  return held * 2 > nodes.size();
}

template <class Holds>
bool quorum(const Mutations& mutations, const wire::ShardConfig& config, Holds&& holds) {
  if (config.next.empty()) return majority(config.home, holds);
  return (mutations.joint_counts_new_only || majority(config.home, holds)) &&
         (mutations.joint_counts_old_only || majority(config.next, holds));
}

// In `home` or `next`: may be a candidate (C1) and counts for quorums. Learners are no voters.
inline bool voter(const wire::ShardConfig& config, NodeId node) {
  return std::ranges::find(config.home, node) != config.home.end() ||
         std::ranges::find(config.next, node) != config.next.end();
}

inline std::vector<NodeId> voters(const wire::ShardConfig& config) {
  std::vector<NodeId> nodes = config.home;
  for (const NodeId node : config.next) {
    if (std::ranges::find(nodes, node) == nodes.end()) nodes.push_back(node);
  }
  return nodes;
}

// Everybody who is sent writes (O1): home, next and learners, each once.
inline std::vector<NodeId> members(const wire::ShardConfig& config) {
  std::vector<NodeId> nodes = voters(config);
  for (const NodeId node : config.learners) {
    if (std::ranges::find(nodes, node) == nodes.end()) nodes.push_back(node);
  }
  return nodes;
}

}  // namespace shoal::shard
