#include "ring/ring.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/random.hpp"

namespace shoal::ring {
namespace {

std::uint64_t token(NodeId node, std::uint32_t index) {
  return mix64(mix64(mix64(node.high) ^ node.low) + index);
}

std::uint32_t weight_of(const RingMember& member) {
  return std::min(member.weight_eighths, kWeightEighthsMax);
}

}  // namespace

Ring::Ring(std::span<const RingMember> members) {
  static_assert(kTokensPerUnit % kEighthsPerUnit == 0);
  std::vector<const RingMember*> sorted;
  for (const RingMember& member : members) sorted.push_back(&member);
  std::ranges::sort(sorted, {}, &RingMember::node);

  for (const RingMember* member : sorted) zones_.push_back({.name = member->zone});
  std::ranges::sort(zones_, {}, &Zone::name);
  const auto repeated = std::ranges::unique(zones_, {}, &Zone::name);
  zones_.erase(repeated.begin(), repeated.end());

  for (const RingMember* member : sorted) {
    SHOAL_ASSERT(members_.empty() || members_.back().node != member->node);
    const auto zone = std::ranges::lower_bound(zones_, member->zone, {}, &Zone::name);
    const auto index = static_cast<std::uint32_t>(members_.size());
    members_.push_back({member->node, static_cast<std::uint32_t>(zone - zones_.begin())});
    zone->weight += weight_of(*member);
    weight_ += weight_of(*member);
    const std::uint32_t tokens = weight_of(*member) * (kTokensPerUnit / kEighthsPerUnit);
    for (std::uint32_t i = 0; i < tokens; ++i) {
      virtual_nodes_.push_back({.token = token(member->node, i), .member = index});
    }
  }
  std::ranges::sort(virtual_nodes_);
}

bool Ring::enforced(const Zone& zone, std::size_t replicas) const {
  return zone.weight > 0 && zone.weight * 2 * replicas >= weight_;
}

bool Ring::enforced(std::string_view name, std::size_t replicas) const {
  const auto zone = std::ranges::find(zones_, name, &Zone::name);
  return zone != zones_.end() && enforced(*zone, replicas);
}

std::size_t Ring::first_after(std::uint64_t key) const {
  const auto first = std::ranges::lower_bound(virtual_nodes_, key, {}, &VirtualNode::token);
  return static_cast<std::size_t>(first - virtual_nodes_.begin());
}

std::vector<NodeId> Ring::preference_list(std::uint64_t key, std::size_t replicas) const {
  std::vector<std::uint32_t> chosen;
  std::vector<std::uint32_t> zones_seen;
  auto zones_awaited =
      std::ranges::count_if(zones_, [&](const Zone& zone) { return enforced(zone, replicas); });
  const std::size_t start = first_after(key);
  const auto member_at = [&](std::size_t step) {
    return virtual_nodes_[(start + step) % virtual_nodes_.size()].member;
  };
  const auto contains = [](const std::vector<std::uint32_t>& set, std::uint32_t value) {
    return std::ranges::find(set, value) != set.end();
  };

  // First round: one node from each zone, until no enforced zone is missing.
  for (std::size_t step = 0; step < virtual_nodes_.size(); ++step) {
    if (chosen.size() >= replicas || zones_awaited == 0) break;
    const std::uint32_t member = member_at(step);
    const std::uint32_t zone = members_[member].zone;
    if (contains(zones_seen, zone)) continue;
    zones_seen.push_back(zone);
    chosen.push_back(member);
    if (enforced(zones_[zone], replicas)) --zones_awaited;
  }
  // Second round: whoever comes next.
  for (std::size_t step = 0; step < virtual_nodes_.size() && chosen.size() < replicas; ++step) {
    const std::uint32_t member = member_at(step);
    if (!contains(chosen, member)) chosen.push_back(member);
  }

  std::vector<NodeId> nodes;
  for (const std::uint32_t member : chosen) nodes.push_back(members_[member].node);
  return nodes;
}

std::vector<std::pair<NodeId, std::uint64_t>> Ring::shares() const {
  constexpr std::uint64_t kMillion = 1'000'000;
  // Arcs are counted in units of 2^20, so that a million times the whole circle fits 64 bits.
  constexpr int kShift = 20;
  static_assert(kMillion < (std::uint64_t{1} << kShift));

  std::vector<std::uint64_t> owned(members_.size());
  for (std::size_t i = 0; i < virtual_nodes_.size(); ++i) {
    const std::size_t previous = (i == 0 ? virtual_nodes_.size() : i) - 1;
    const std::uint64_t arc = virtual_nodes_[i].token - virtual_nodes_[previous].token;
    owned[virtual_nodes_[i].member] += arc >> kShift;
  }
  std::vector<std::pair<NodeId, std::uint64_t>> result;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    const std::uint64_t half = std::uint64_t{1} << (63 - kShift);
    result.emplace_back(members_[i].node, (owned[i] * kMillion + half) >> (64 - kShift));
  }
  return result;
}

std::uint64_t shard_token(ShardId shard) { return mix64(static_cast<std::uint64_t>(shard)); }

std::vector<std::vector<NodeId>> target_homes(const Ring& ring, std::uint32_t shard_count,
                                              std::size_t replicas) {
  std::vector<std::vector<NodeId>> homes;
  homes.reserve(shard_count);
  for (std::uint32_t shard = 0; shard < shard_count; ++shard) {
    homes.push_back(ring.preference_list(shard_token(ShardId{shard}), replicas));
  }
  return homes;
}

}  // namespace shoal::ring
