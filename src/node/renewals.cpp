#include "node/renewals.hpp"

#include <algorithm>
#include <utility>

#include "base/probes.hpp"

namespace shoal::node {
namespace {

constexpr std::size_t kSentMax = 64;

}  // namespace

Renewals::Outgoing Renewals::by_owner(const Holdings& holdings) {
  Outgoing outgoing;
  std::map<ShardId, Caller> callers;  // Those of shards that nothing is held of are forgotten.
  for (const Item& item : holdings.items) {
    const ShardId shard = item.held.shard;
    NodeId owner = context_.owner(shard);
    if (!owner) owner = item.owner;
    if (owner) outgoing[owner].push_back(item.held);
    const auto caller = callers_.find(shard);
    if (caller == callers_.end() || caller->second.known < context_.entry(shard).owner) continue;
    callers.insert(*caller);
    if (caller->second.node != owner) outgoing[caller->second.node].push_back(item.held);
  }
  callers_ = std::move(callers);
  return outgoing;
}

void Renewals::send(Now now, const Holdings& holdings) {
  next_ = now.steady + (now.steady < hurry_until_ ? kRenewHurry : kRenewInterval);
  if (probes::fails(probes::Site::renewal_late)) return;
  Outgoing outgoing = by_owner(holdings);
  std::erase_if(asked_, [&](const auto& entry) { return !outgoing.contains(entry.first); });
  for (const auto& [node, items] : outgoing) asked_.try_emplace(node, now.steady);
  for (const auto& [node, since] : owed_) outgoing.try_emplace(node);
  for (auto& [node, items] : outgoing) send_one(now, holdings, node, std::move(items));
}

void Renewals::send_to(Now now, const Holdings& holdings, NodeId owner) {
  send_one(now, holdings, owner, std::move(by_owner(holdings)[owner]));
}

void Renewals::send_one(Now now, const Holdings& holdings, NodeId owner,
                        std::vector<wire::HeldAttempt> items) {
  if (sent_.empty() || sent_.back() < now.steady) sent_.push_back(now.steady);
  if (sent_.size() > kSentMax) sent_.pop_front();
  wire::Renew renewal{.sent = now.steady,
                      .open_transfers = holdings.open_transfers,
                      .last_transfer = holdings.last_transfer,
                      .boot_epoch = context_.boot_epoch,
                      .longest = holdings.longest};
  const std::size_t most = owed_.contains(owner) ? kItemsMax : kCompleteMax;
  if (holdings.items.size() > most) {
    context_.send_list(owner, std::move(items), [&](std::vector<wire::HeldAttempt> part) {
      wire::Renew made = renewal;
      made.items = std::move(part);
      return made;
    });
    return;
  }
  renewal.complete = holdings.all;
  renewal.items.reserve(holdings.items.size());
  for (const Item& item : holdings.items) renewal.items.push_back(item.held);
  context_.send(owner, std::move(renewal));
}

void Renewals::on_call(Now now, NodeId from, const std::vector<ShardId>& shards) {
  for (const ShardId shard : shards) callers_[shard] = {from, context_.entry(shard).owner};
  owe(now, from);
}

bool Renewals::on_renewed(NodeId from, TimePoint sent) {
  if (!std::ranges::binary_search(sent_, sent)) return false;
  const auto settled = [&](std::map<NodeId, TimePoint>& open) {
    const auto found = open.find(from);
    if (found != open.end() && found->second <= sent) open.erase(found);
  };
  settled(owed_);
  settled(asked_);
  return true;
}

void Renewals::owe_all(Now now) {
  for (const auto& [node, member] : context_.membership->members()) {
    if (node == context_.self() || !member.gone()) owe(now, node);
  }
}

void Renewals::on_member_gone(NodeId node) {
  owed_.erase(node);
  asked_.erase(node);
}

void Renewals::hurry(Now now, Duration length) {
  hurry_until_ = now.steady + length;
  soon(now);
}

std::set<NodeId> Renewals::silent(Now now) const {
  std::set<NodeId> nodes;
  for (const auto& [node, since] : asked_) {
    if (now.steady - since >= kRenewPatience) nodes.insert(node);
  }
  return nodes;
}

}  // namespace shoal::node
