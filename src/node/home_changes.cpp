#include "node/home_changes.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/log.hpp"
#include "ring/ring.hpp"
#include "shard/quorum.hpp"

namespace shoal::node {
namespace {

constexpr std::uint64_t kOneMove = 1000;  // Of the allowance.

}  // namespace

void HomeChanges::start(Now now) {
  for (const auto& [node, member] : context_.membership->members()) {
    if (member.state == wire::MemberState::dead) dead_since_[node] = now.steady;
  }
  rebuild_at_ = now.steady + context_.config.move_delay;
}

void HomeChanges::on_member(Now now, const membership::Event& event) {
  const membership::Member* member = context_.membership->find(event.node);
  if (member != nullptr && member->state == wire::MemberState::dead) {
    dead_since_.try_emplace(event.node, now.steady);
  } else {
    dead_since_.erase(event.node);
  }
  rebuild_at_ = now.steady + context_.config.move_delay;
}

bool HomeChanges::counts_as_member(const membership::Member& member) const {
  return member.state != wire::MemberState::left && !member.info.leaving &&
         member.info.weight_eighths > 0;
}

bool HomeChanges::answers(NodeId node) const {
  if (node == context_.self()) return true;
  const membership::Member* member = context_.membership->find(node);
  return member != nullptr && member->state == wire::MemberState::alive;
}

// The ring as this node sees it. Views differ for a moment; what an owner begins, the shard's own
// config carries on.
void HomeChanges::rebuild(Now now) {
  rebuild_at_ = kNever;
  if (context_.shard_count == 0) return;
  std::size_t members = 0;
  std::size_t dead = 0;
  for (const auto& [node, member] : context_.membership->members()) {
    if (!counts_as_member(member)) continue;
    ++members;
    if (member.state == wire::MemberState::dead) ++dead;
  }
  const bool few = dead == 1 || 5 * dead < members;
  const bool replace_dead = few && members - dead >= kReplicas;
  std::vector<ring::RingMember> ring_members;
  for (const auto& [node, member] : context_.membership->members()) {
    if (!counts_as_member(member)) continue;
    if (const auto since = dead_since_.find(node); since != dead_since_.end() && replace_dead) {
      const TimePoint over = since->second + context_.config.dead_after;
      if (over <= now.steady) continue;
      rebuild_at_ = std::min(rebuild_at_, over);
    }
    ring_members.push_back({node, member.info.weight_eighths, member.info.zone});
  }
  if (ring_members.empty()) return;
  const ring::Ring ring(ring_members);
  const std::size_t replicas = members >= kReplicas ? kReplicas : 1;
  targets_ = ring::target_homes(ring, context_.shard_count, replicas);
  for (std::uint32_t number = 0; number < context_.shard_count; ++number) {
    if (context_.shards->owns(ShardId{number})) due_.insert(ShardId{number});
  }
  next_move_ = std::min(next_move_, now.steady);
}

void HomeChanges::on_owned(Now now, ShardId shard) {
  due_.insert(shard);
  next_move_ = std::min(next_move_, now.steady + kMoveInterval);
}

void HomeChanges::on_settled(Now now, ShardId shard) {
  moving_.erase(shard);
  if (!context_.shards->owns(shard)) return;
  due_.insert(shard);
  next_move_ = std::min(next_move_, now.steady + kMoveInterval);
}

// True when there is nothing more to do for the shard, by what is known.
bool HomeChanges::move(Now now, ShardId shard) {
  const auto index = static_cast<std::size_t>(shard);
  if (!context_.shards->owns(shard) || index >= targets_.size() || targets_[index].empty()) {
    return true;
  }
  const std::vector<NodeId>& target = targets_[index];
  const wire::ShardConfig& config = *context_.shards->config(shard);
  if (!config.next.empty()) return false;
  const bool changing = context_.shards->changing_home(shard);
  if (!changing && target == config.home) return true;
  for (const NodeId node : target) {
    if (!answers(node) && std::ranges::find(config.home, node) == config.home.end()) return false;
  }
  if (moving_.size() >= kMovesAtOnce && !changing) return false;
  if (!context_.shards->change_home(now.steady, shard, target)) return false;
  moving_.insert(shard);
  allowance_ -= kOneMove;
  return true;
}

void HomeChanges::leave(Now now, bool at_once) {
  at_once_ = at_once_ || at_once;
  if (std::exchange(leaving_, true)) return;
  context_.draining = true;
  wire::MemberInfo info = context_.membership->find(context_.self())->info;
  info.leaving = true;
  info.draining = true;
  context_.membership->set_info(now.steady, info);
  targets_.clear();  // They name this node, and may be of a view from before it met the others.
  rebuild_at_ = now.steady + context_.config.move_delay;
}

std::size_t HomeChanges::homes() const {
  std::size_t count = 0;
  for (std::uint32_t number = 0; number < context_.shard_count; ++number) {
    const wire::ShardConfig* config = context_.shards->config(ShardId{number});
    if (config == nullptr) continue;
    const std::vector<NodeId> nodes = shard::members(*config);
    if (std::ranges::find(nodes, context_.self()) != nodes.end()) ++count;
  }
  return count;
}

void HomeChanges::on_time(Now now) {
  if (context_.stopping) return;
  if (now.steady >= rebuild_at_) rebuild(now);
  if (now.steady < next_move_) return;
  const auto interval = static_cast<std::uint64_t>(kMoveInterval / std::chrono::milliseconds(1));
  const std::uint64_t share = context_.config.moves_per_second * interval;
  allowance_ = std::min(allowance_ + share, std::max(kOneMove, 2 * share));
  for (auto at = due_.begin(); at != due_.end() && allowance_ >= kOneMove;) {
    at = move(now, *at) ? due_.erase(at) : std::next(at);
  }
  // What cannot begin yet (a learner that does not answer, a config not held) is tried again.
  next_move_ = due_.empty() ? kNever : now.steady + kMoveInterval;
}

TimePoint HomeChanges::wake_at() const {
  if (context_.stopping) return kNever;
  return std::min(rebuild_at_, next_move_);
}

}  // namespace shoal::node
