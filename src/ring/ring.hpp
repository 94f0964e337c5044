// Consistent-hash ring with virtual nodes (Karger et al., STOC 1997; DeCandia et al., "Dynamo",
// SOSP 2007, sections 4.2-4.3): which nodes should keep a key's replicas.
//
// 1. The ring is a pure function of the member set: nodes that agree on the members agree on every
//    preference list, whatever order they learned them in. The ring is never sent or stored.
// 2. A node that joins or leaves moves only the keys it gets or had.
// 3. Replicas are distinct nodes, in distinct zones as far as there are zones worth waiting for.
//
// Zones: a walk clockwise takes one node from each zone it meets before a second from any. It goes
// on only while an *enforced* zone is unseen. A zone whose share of the weight is under 1/(2R) is
// not enforced: one replica of everything would be several times what its few nodes should keep.
// Such a zone gets what lies on the way.
//
// Liveness and load have no part here: they steer whom to ask, not who keeps what.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shoal/id.hpp"

namespace shoal::ring {

// Ownership spreads by about 1/sqrt(tokens): 8 % at this number. Doubling it costs twice the memory
// and build time and divides the spread by 1.4.
inline constexpr std::uint32_t kTokensPerUnit = 128;
inline constexpr std::uint32_t kEighthsPerUnit = 8;
inline constexpr std::uint32_t kWeightEighthsMax = 64 * kEighthsPerUnit;

struct RingMember {
  NodeId node;
  std::uint32_t weight_eighths = kEighthsPerUnit;  // 0: a member that keeps nothing.
  std::string zone;                                // Members without one share the zone "".
};

class Ring {
 public:
  // REQUIRES: the nodes are distinct. Weights above kWeightEighthsMax count as that.
  explicit Ring(std::span<const RingMember> members);

  // The nodes that should keep `key`, owner first: `replicas` of them, or all that have weight if
  // there are fewer.
  std::vector<NodeId> preference_list(std::uint64_t key, std::size_t replicas) const;

  // How much of the key space each member owns, in parts per million; sorted by node id.
  std::vector<std::pair<NodeId, std::uint64_t>> shares() const;

  // False for a zone with too little weight to be given one replica of everything.
  bool enforced(std::string_view zone, std::size_t replicas) const;

 private:
  struct Member {
    NodeId node;
    std::uint32_t zone = 0;  // Index into zones_.
  };
  struct Zone {
    std::string name;
    std::uint64_t weight = 0;
  };
  struct VirtualNode {
    std::uint64_t token = 0;
    std::uint32_t member = 0;  // Index into members_.
    auto operator<=>(const VirtualNode&) const = default;
  };

  bool enforced(const Zone& zone, std::size_t replicas) const;
  std::size_t first_after(std::uint64_t key) const;

  std::vector<Member> members_;             // Sorted by node id.
  std::vector<Zone> zones_;                 // Sorted by name.
  std::vector<VirtualNode> virtual_nodes_;  // Sorted; the smaller node id wins a token tie.
  std::uint64_t weight_ = 0;                // Of all members.
};

// Where a shard lies on the ring.
std::uint64_t shard_token(ShardId shard);

// The target home of each shard below `shard_count`, owner first.
std::vector<std::vector<NodeId>> target_homes(const Ring& ring, std::uint32_t shard_count,
                                              std::size_t replicas);

}  // namespace shoal::ring
