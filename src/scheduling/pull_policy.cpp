#include "scheduling/pull_policy.hpp"

#include <algorithm>

namespace shoal::scheduling {

void PullPolicy::on_hint(NodeId peer, std::uint32_t ready) {
  if (ready == 0) {
    hints_.erase(peer);
    return;
  }
  hints_[peer] = ready;
  pauses_.erase(peer);
}

bool PullPolicy::may_ask(TimePoint now, NodeId peer) const {
  for (const auto& [transfer, pull] : open_) {
    if (pull.victim == peer) return false;
  }
  const auto pause = pauses_.find(peer);
  return pause == pauses_.end() || pause->second.until <= now;
}

std::optional<NodeId> PullPolicy::choose(TimePoint now, std::span<const NodeId> peers,
                                         Random& random) const {
  if (!may_open()) return std::nullopt;
  std::optional<NodeId> best;
  std::uint32_t most = 0;
  for (const auto& [peer, ready] : hints_) {
    if (ready > most && may_ask(now, peer)) {
      best = peer;
      most = ready;
    }
  }
  if (best || peers.empty() || now < random_pause_.until) return best;
  for (int draw = 0; draw < 2; ++draw) {
    const NodeId peer = peers[random.below(peers.size())];
    if (may_ask(now, peer)) return peer;
  }
  return std::nullopt;
}

void PullPolicy::open(std::uint64_t transfer, OpenPull pull) { open_[transfer] = pull; }

std::optional<PullPolicy::OpenPull> PullPolicy::close(TimePoint now, std::uint64_t transfer,
                                                      std::size_t items, std::uint32_t ready) {
  const auto found = open_.find(transfer);
  if (found == open_.end()) return std::nullopt;
  const OpenPull pull = found->second;
  open_.erase(found);
  if (items > 0) {
    random_pause_ = {};
    pauses_.erase(pull.victim);
    on_hint(pull.victim, ready);
    return pull;
  }
  hints_.erase(pull.victim);
  lengthen(now, pauses_[pull.victim]);
  if (!pull.hinted) lengthen(now, random_pause_);
  return pull;
}

void PullPolicy::lengthen(TimePoint now, Pause& pause) {
  pause.length =
      pause.length == Duration::zero() ? kEmptyPause : std::min(kEmptyPauseMax, pause.length * 2);
  pause.until = now + pause.length;
}

std::vector<PullPolicy::Overdue> PullPolicy::overdue(TimePoint now) {
  std::vector<Overdue> late;
  for (auto entry = open_.begin(); entry != open_.end();) {
    auto& [transfer, pull] = *entry;
    pull.stale = pull.stale || pull.sent + kPullFresh <= now;
    if (pull.sent + kPullTimeout * pull.tries > now) {
      ++entry;
      continue;
    }
    const bool give_up = pull.tries >= kPullTries;
    ++pull.tries;
    late.push_back({transfer, pull, give_up});
    if (give_up) {
      hints_.erase(pull.victim);
      pauses_[pull.victim] = {now + kEmptyPauseMax, kEmptyPauseMax};
      if (!pull.hinted) lengthen(now, random_pause_);
      entry = open_.erase(entry);
    } else {
      ++entry;
    }
  }
  return late;
}

void PullPolicy::forget(NodeId peer) {
  hints_.erase(peer);
  pauses_.erase(peer);
  std::erase_if(open_, [peer](const auto& entry) { return entry.second.victim == peer; });
}

Resources PullPolicy::asked() const {
  Resources sum;
  for (const auto& [transfer, pull] : open_) {
    if (!pull.stale) sum += pull.asked;
  }
  return sum;
}

bool PullPolicy::may_open() const {
  const auto fresh = std::ranges::count_if(open_, [](const auto& e) { return !e.second.stale; });
  return static_cast<std::size_t>(fresh) < kPullsOpenMax && open_.size() < kPullsStaleMax;
}

std::vector<std::uint64_t> PullPolicy::open_transfers() const {
  std::vector<std::uint64_t> transfers;
  transfers.reserve(open_.size());
  for (const auto& [transfer, pull] : open_) transfers.push_back(transfer);
  return transfers;
}

TimePoint PullPolicy::wake_at() const {
  if (!may_open()) return kNever;
  return hints_.empty() ? random_pause_.until : TimePoint{};
}

TimePoint PullPolicy::next_overdue() const {
  TimePoint soonest = kNever;
  for (const auto& [transfer, pull] : open_) {
    const Duration next = pull.stale ? kPullTimeout * pull.tries : kPullFresh;
    soonest = std::min(soonest, pull.sent + next);
  }
  return soonest;
}

}  // namespace shoal::scheduling
