#include "node/outcome_relay.hpp"

#include <utility>

#include "node/reports.hpp"

namespace shoal::node {

void OutcomeRelay::take(Now now, wire::OutcomeItem item) {
  const auto found = kept_.find(item.attempt);
  if (found != kept_.end()) {
    found->second.heard = now.steady;
    return;
  }
  const std::size_t bytes = outcome_bytes(item);
  if (bytes_ + bytes > kRelayBytesMax) return;  // It comes again.
  bytes_ += bytes;
  const AttemptId attempt = item.attempt;
  kept_[attempt] = {.item = std::move(item),
                    .bytes = bytes,
                    .taken = now.steady,
                    .heard = now.steady,
                    .send_at = now.steady};
  next_ = now.steady;
}

OutcomeRelay::Entries::iterator OutcomeRelay::forget(Entries::iterator entry) {
  bytes_ -= entry->second.bytes;
  return kept_.erase(entry);
}

void OutcomeRelay::on_ack(const wire::OutcomeAck& ack) {
  std::map<NodeId, std::vector<AttemptId>> passed;
  for (const AttemptId& attempt : ack.items) {
    const auto found = kept_.find(attempt);
    if (found == kept_.end()) continue;
    passed[found->second.item.node].push_back(attempt);
    forget(found);
  }
  for (auto& [node, items] : passed) {
    if (node != context_.self()) context_.send(node, wire::OutcomeAck{std::move(items)});
  }
}

void OutcomeRelay::on_time(Now now) {
  if (kept_.empty() || now.steady < next_) return;
  next_ = kNever;
  for (auto entry = kept_.begin(); entry != kept_.end();) {
    Kept& kept = entry->second;
    if (now.steady - kept.heard >= kRelayMemory) {
      entry = forget(entry);
      continue;
    }
    if (kept.send_at <= now.steady) {
      kept.send_at = now.steady + kRelayRepeat;
      const NodeId owner = context_.owner(kept.item.shard);
      const bool mine = owner == context_.self() && !context_.serves(kept.item.shard);
      if (owner && !mine) due_[owner].push_back(kept.item);
      if (now.steady - kept.taken >= kRelayPatience) {
        context_.unanswered.emplace_back(kept.item.shard, owner);
      }
    }
    next_ = std::min(next_, kept.send_at);
    ++entry;
  }
}

void OutcomeRelay::flush() { send_outcomes(context_, std::exchange(due_, {})); }

TimePoint OutcomeRelay::wake_at() const { return kept_.empty() ? kNever : next_; }

}  // namespace shoal::node
