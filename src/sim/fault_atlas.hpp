// Which copies of which shard are spoilt, for good or until they are repaired, so that faults leave
// every shard what the design needs to bring it back (TigerBeetle's fault atlas): at most a
// minority of a home, joint homes included, is spoilt at one time.
//
// A picture of one moment, read from the hosts' disks: make a new one for each question.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "sim/simulator.hpp"

namespace shoal::sim {

class FaultAtlas {
 public:
  explicit FaultAtlas(const Simulator& world);

  // The host's whole store may go for good. False before the cluster is founded.
  bool may_lose(NodeIndex index) const;
  // A record of this shard on that host may become unreadable.
  bool may_damage(NodeIndex index, ShardId shard) const;
  // These hosts alone can make a majority of every home, of unspoilt copies.
  bool suffice(const std::set<NodeIndex>& hosts) const;
  // Some home that this host is of is just being changed (joint).
  bool in_joint(NodeIndex index) const;

 private:
  struct Home {
    std::vector<wire::ShardConfig> configs;  // That may be in force: the newest, and its members'.
    std::set<NodeId> good;                   // Who has an unspoilt copy.
  };
  static bool outlives(const Home& home, const std::set<NodeId>& good);

  const Simulator& world_;
  std::map<ShardId, Home> homes_;
};

}  // namespace shoal::sim
