#include "node/reports.hpp"

#include <algorithm>
#include <utility>

#include "base/probes.hpp"

namespace shoal::node {
namespace {

constexpr Duration kLookInterval = std::chrono::milliseconds(200);

}  // namespace

std::size_t outcome_bytes(const wire::OutcomeItem& item) {
  return 200 + item.result.message.size() + item.tails[0].size() + item.tails[1].size();
}

void send_outcomes(Context& context, std::map<NodeId, std::vector<wire::OutcomeItem>> outcomes) {
  for (auto& [to, items] : outcomes) {
    if (to != context.self() && probes::fails(probes::Site::outcome_lost)) continue;
    wire::Outcomes message;
    std::size_t bytes = 0;
    for (wire::OutcomeItem& item : items) {
      const std::size_t size = outcome_bytes(item);
      if (bytes + size > kListBytesMax && !message.items.empty()) {
        context.send(to, std::exchange(message, {}));
        bytes = 0;
      }
      bytes += size;
      message.items.push_back(std::move(item));
    }
    context.send(to, std::move(message));
  }
}

void Reports::ended(Now now, wire::OutcomeItem item, NodeId owner, bool process) {
  if (owner) outcomes_[owner].push_back(item);
  const AttemptId attempt = item.attempt;
  ended_[attempt] = {std::move(item), {.at = now.steady + kReportRepeat, .process = process}};
}

void Reports::given_back(Now now, const wire::HeldAttempt& item, NodeId owner, bool process) {
  if (owner) backs_[owner].push_back(item);
  back_[item.attempt] = {item, {.at = now.steady + kReportRepeat, .process = process}};
}

void Reports::settle(std::span<const AttemptId> attempts) {
  for (const AttemptId& attempt : attempts) {
    bool process = false;
    if (const auto found = ended_.find(attempt); found != ended_.end()) {
      process = found->second.repeat.process;
      ended_.erase(found);
    }
    if (const auto found = back_.find(attempt); found != back_.end()) {
      process = process || found->second.repeat.process;
      back_.erase(found);
    }
    if (process) context_.output.settled.push_back(attempt);
  }
}

void Reports::tell_again(Now now, NodeId owner, std::span<const ShardId> shards) {
  const auto wanted = [&](ShardId shard) {
    return std::ranges::find(shards, shard) != shards.end();
  };
  for (auto& [attempt, ended] : ended_) {
    if (!wanted(ended.item.shard)) continue;
    ended.repeat.at = now.steady + kReportRepeat;
    outcomes_[owner].push_back(ended.item);
  }
  for (auto& [attempt, back] : back_) {
    if (!wanted(back.item.shard)) continue;
    back.repeat.at = now.steady + kReportRepeat;
    backs_[owner].push_back(back.item);
  }
}

std::vector<wire::HeldAttempt> Reports::open() const {
  std::vector<wire::HeldAttempt> items;
  items.reserve(size());
  for (const auto& [attempt, ended] : ended_) items.push_back({attempt, ended.item.shard, true});
  for (const auto& [attempt, back] : back_) items.push_back(back.item);
  return items;
}

// True when it is time to tell it again; then the owner has been silent for kReportRepeat.
bool Reports::due(Now now, Repeat& repeat, ShardId shard) {
  if (repeat.at > now.steady) return false;
  repeat.at = now.steady + kReportRepeat;
  probes::mark(probes::Mark::outcome_repeated);
  ++repeat.tries;
  if (const NodeId owner = context_.owner(shard)) context_.unanswered.emplace_back(shard, owner);
  return true;
}

NodeId Reports::home_node(ShardId shard, std::uint32_t turn) const {
  const wire::TableEntry entry = context_.entry(shard);
  const NodeId owner = context_.owner(shard);
  std::vector<NodeId> others;
  for (const NodeId node : entry.config.home) {
    const membership::Member* member = context_.membership->find(node);
    const bool there = member != nullptr && !member->gone();
    if (node != owner && node != context_.self() && there) others.push_back(node);
  }
  return others.empty() ? NodeId{} : others[turn % others.size()];
}

// A home node relays outcomes only: this one says that the attempt was given back.
wire::OutcomeItem Reports::as_outcome(const wire::HeldAttempt& item) const {
  return {.attempt = item.attempt,
          .shard = item.shard,
          .node = context_.self(),
          .result = {.reason = EndReason::node_stopped},
          .tails = {}};
}

void Reports::on_time(Now now) {
  if (empty() || now.steady < next_) return;
  next_ = now.steady + kLookInterval;
  std::size_t bytes = 0;
  for (auto& [attempt, ended] : ended_) {
    if (bytes >= kRepeatBytesMax) break;
    if (!due(now, ended.repeat, ended.item.shard)) continue;
    bytes += outcome_bytes(ended.item);
    const NodeId owner = context_.owner(ended.item.shard);
    const NodeId other = home_node(ended.item.shard, ended.repeat.tries);
    if (owner) outcomes_[owner].push_back(ended.item);
    if (other) outcomes_[other].push_back(ended.item);
  }
  for (auto& [attempt, back] : back_) {
    if (!due(now, back.repeat, back.item.shard)) continue;
    const NodeId owner = context_.owner(back.item.shard);
    const NodeId other = home_node(back.item.shard, back.repeat.tries);
    if (owner) backs_[owner].push_back(back.item);
    if (other && back.item.running) outcomes_[other].push_back(as_outcome(back.item));
  }
}

void Reports::flush() {
  if (!outcomes_.empty()) send_outcomes(context_, std::exchange(outcomes_, {}));
  for (auto& [owner, items] : std::exchange(backs_, {})) {
    context_.send_list(owner, std::move(items), [](std::vector<wire::HeldAttempt> part) {
      return wire::GiveBack{std::move(part)};
    });
  }
}

}  // namespace shoal::node
