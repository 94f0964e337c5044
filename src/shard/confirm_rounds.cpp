#include "shard/confirm_rounds.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "shard/quorum.hpp"

namespace shoal::shard {

std::uint64_t ConfirmRounds::ask(std::vector<ShardId> shards) {
  asked_.push_back({.number = ++ticket_last_, .shards = std::move(shards)});
  return ticket_last_;
}

void ConfirmRounds::begin(TimePoint now, const Lookup& lookup, std::vector<Outgoing>& messages,
                          std::vector<ConfirmDone>& done) {
  if (asked_.empty() || rounds_.size() >= kRoundsMax) return;
  Round round{.began = now,
              .again_at = now + settings_.confirm_again,
              .shards = {},
              .tickets = std::exchange(asked_, {})};
  for (const Ticket& ticket : round.tickets) {
    for (const ShardId shard : ticket.shards) {
      const auto [at, fresh] = round.shards.try_emplace(shard);
      if (!fresh) continue;
      const std::optional<Owned> owned = lookup(shard);
      if (!owned) {
        at->second.verdict = Verdict::failed;
        continue;
      }
      // H4 at itself needs no message: an owner's own promise is its ballot (H6).
      at->second = {.owned = *owned, .confirmers = {self_}, .verdict = Verdict::open};
      judge(at->second);
    }
  }
  const std::uint64_t number = ++round_last_;
  send(number, round, messages);
  if (!settle(round, done)) rounds_.emplace(number, std::move(round));
}

void ConfirmRounds::send(std::uint64_t number, const Round& round,
                         std::vector<Outgoing>& messages) const {
  std::map<NodeId, wire::Confirm> confirms;
  for (const auto& [shard, asked] : round.shards) {
    if (asked.verdict != Verdict::open) continue;
    for (const NodeId node : voters(asked.owned.config)) {
      if (std::ranges::find(asked.confirmers, node) != asked.confirmers.end()) continue;
      confirms[node].items.push_back({.shard = shard, .ballot = asked.owned.ballot});
    }
  }
  for (auto& [node, confirm] : confirms) {
    confirm.round = number;
    messages.push_back({node, std::move(confirm)});
  }
}

void ConfirmRounds::judge(Asked& asked) const {
  const auto confirmed = [&](NodeId node) {
    return std::ranges::find(asked.confirmers, node) != asked.confirmers.end();
  };
  const bool enough = settings_.mutations.skip_confirm ||
                      quorum(settings_.mutations, asked.owned.config, confirmed);
  if (asked.verdict == Verdict::open && enough) asked.verdict = Verdict::confirmed;
}

bool ConfirmRounds::settle(Round& round, std::vector<ConfirmDone>& done) {
  std::erase_if(round.tickets, [&](const Ticket& ticket) {
    ConfirmDone result{.ticket = ticket.number, .confirmed = {}, .failed = {}};
    for (const ShardId shard : ticket.shards) {
      const Verdict verdict = round.shards.at(shard).verdict;
      if (verdict == Verdict::open) return false;
      (verdict == Verdict::confirmed ? result.confirmed : result.failed).push_back(shard);
    }
    done.push_back(std::move(result));
    return true;
  });
  return round.tickets.empty();
}

void ConfirmRounds::on_confirmed(NodeId from, const wire::Confirmed& message,
                                 std::vector<ConfirmDone>& done) {
  const auto at = rounds_.find(message.round);
  if (at == rounds_.end()) return;
  for (const wire::ConfirmItem& item : message.items) {
    const auto asked = at->second.shards.find(item.shard);
    if (asked == at->second.shards.end() || asked->second.owned.ballot != item.ballot) continue;
    auto& confirmers = asked->second.confirmers;
    if (std::ranges::find(confirmers, from) == confirmers.end()) confirmers.push_back(from);
    judge(asked->second);
  }
  if (settle(at->second, done)) rounds_.erase(at);
}

void ConfirmRounds::on_lost(ShardId shard, std::vector<ConfirmDone>& done) {
  for (auto at = rounds_.begin(); at != rounds_.end();) {
    const auto asked = at->second.shards.find(shard);
    if (asked != at->second.shards.end()) asked->second.verdict = Verdict::failed;
    at = settle(at->second, done) ? rounds_.erase(at) : std::next(at);
  }
}

void ConfirmRounds::on_time(TimePoint now, std::vector<Outgoing>& messages,
                            std::vector<ConfirmDone>& done) {
  for (auto at = rounds_.begin(); at != rounds_.end();) {
    Round& round = at->second;
    if (round.began + settings_.confirm_timeout <= now) {
      for (auto& [shard, asked] : round.shards) {
        if (asked.verdict == Verdict::open) asked.verdict = Verdict::failed;
      }
    } else if (round.again_at <= now) {
      send(at->first, round, messages);
      round.again_at = now + settings_.confirm_again;
    }
    at = settle(round, done) ? rounds_.erase(at) : std::next(at);
  }
}

}  // namespace shoal::shard
