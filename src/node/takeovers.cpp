#include "node/takeovers.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/log.hpp"
#include "base/probes.hpp"
#include "shard/quorum.hpp"

namespace shoal::node {
namespace {

constexpr Duration kJitterMax = std::chrono::milliseconds(100);
constexpr Duration kTakeBackInterval = std::chrono::seconds(1);
constexpr Duration kLeftoverInterval = std::chrono::seconds(30);
constexpr Duration kGaveUpPause = std::chrono::seconds(10);
constexpr Duration kHopeMax = std::chrono::seconds(5);
constexpr Duration kAnswerMost = std::chrono::seconds(10);
// A question lost on the way, or asked while its owner was busy, must not cost it its shard.
constexpr std::uint32_t kStrikesMax = 2;

}  // namespace

void Takeovers::start(Now now) {
  started_ = now.steady;
  next_scan_ = now.steady + kWatchInterval;
  next_take_back_ = now.steady + kTakeBackAfter;
}

bool Takeovers::home_of(ShardId shard) const {
  const wire::ShardConfig* config = context_.shards->config(shard);
  return config != nullptr && shard::voter(*config, context_.self()) && !left(shard, *config);
}

bool Takeovers::left(ShardId shard, const wire::ShardConfig& config) const {
  const wire::TableEntry* known = context_.table->find(shard);
  if (known == nullptr || !(config.id < known->config.id)) return false;
  const std::vector<NodeId> members = shard::members(known->config);
  return std::ranges::find(members, context_.self()) == members.end();
}

// The highest ballot heard of: what this node promised, was refused with, or saw in the table.
wire::Ballot Takeovers::believed(ShardId shard) const {
  wire::Ballot ballot = context_.shards->promised(shard);
  if (const wire::TableEntry* known = context_.table->find(shard)) {
    ballot = std::max(ballot, known->owner);
  }
  const auto entry = watched_.find(shard);
  return entry == watched_.end() ? ballot : std::max(ballot, entry->second.refused);
}

bool Takeovers::absent(NodeId node) const {
  if (node == context_.self()) return false;
  const membership::Member* member = context_.membership->find(node);
  return member == nullptr || member->state != wire::MemberState::alive;
}

void Takeovers::set_due(ShardId shard, Watched& entry, Phase phase, TimePoint due) {
  if (entry.due != kNever) due_.erase({entry.due, shard});
  entry.phase = phase;
  entry.due = phase == Phase::idle ? kNever : due;
  if (entry.due != kNever) due_.insert({entry.due, shard});
}

void Takeovers::ask(Now now, ShardId shard, NodeId owner) {
  Watched& entry = watched(shard);
  entry.asked = owner;
  Pace& pace = paces_[owner];
  pace.asked = std::min(pace.asked, now.steady);
  // The second question waits longer than the first.
  set_due(shard, entry, Phase::asked, now.steady + answer_max(owner) * (1 + entry.strikes));
  questions_[owner].push_back(shard);
}

Duration Takeovers::answer_max(NodeId node) const {
  const auto pace = paces_.find(node);
  if (pace == paces_.end()) return kAnswerMax;
  return std::clamp(pace->second.mean + 4 * pace->second.spread, kAnswerMax, kAnswerMost);
}

void Takeovers::note_answer(Now now, NodeId node) {
  const auto found = paces_.find(node);
  if (found == paces_.end() || found->second.asked == kNever) return;
  Pace& pace = found->second;
  const Duration took = std::min(now.steady - std::exchange(pace.asked, kNever), kAnswerMost);
  if (took > answer_max(node)) {  // It has slowed down at once, so this does not wait for the mean.
    pace.mean = took;
    pace.spread = took / 2;
    return;
  }
  const Duration error = took - pace.mean;
  pace.mean += error / 8;
  pace.spread += (std::chrono::abs(error) - pace.spread) / 4;
}

// Rank in the home without the silent owner, so that the first backup need not wait for it.
void Takeovers::wait_for_rank(Now now, ShardId shard) {
  Watched& entry = watched(shard);
  if (entry.phase == Phase::waiting) return;
  const wire::Ballot ballot = believed(shard);
  std::int64_t rank = 0;
  for (const NodeId node : shard::voters(*context_.shards->config(shard))) {
    if (node == context_.self()) break;
    if (node != ballot.node) ++rank;
  }
  entry.silent = ballot;
  const Duration delay = kRankDelay * rank + context_.random.below(kJitterMax);
  set_due(shard, entry, Phase::waiting, std::max(now.steady + delay, entry.rests_until));
}

void Takeovers::examine(Now now, ShardId shard) {
  Watched& entry = watched(shard);
  if (context_.shards->owns(shard) || !home_of(shard)) {
    set_due(shard, entry, Phase::idle, kNever);
    return;
  }
  const NodeId owner = believed(shard).node;
  if (owner == context_.self() || !owner || absent(owner)) return wait_for_rank(now, shard);
  if (probes::fails(probes::Site::candidate_hasty)) return wait_for_rank(now, shard);
  ask(now, shard, owner);
}

void Takeovers::fire(Now now, ShardId shard) {
  Watched& entry = watched(shard);
  const bool same = entry.silent == believed(shard);
  set_due(shard, entry, Phase::idle, kNever);
  if (!same || context_.shards->owns(shard) || !home_of(shard)) return;
  entry.strikes = 0;
  begin(now, shard);
}

// An answer to a question asked before is of an owner that this candidate deposes: it must not
// yield to that one.
void Takeovers::begin(Now now, ShardId shard) {
  set_due(shard, watched(shard), Phase::idle, kNever);
  log::debug("node", "{} is a candidate for shard {}", short_text(context_.self()),
             static_cast<std::uint32_t>(shard));
  context_.shards->take_over(now.steady, shard);
}

void Takeovers::on_member(Now now, const membership::Event& event) {
  const bool gone = event.change != membership::Change::alive &&
                    event.change != membership::Change::address &&
                    event.change != membership::Change::info;
  if (!gone && event.change != membership::Change::alive) return;
  paces_.erase(event.node);
  for (std::uint32_t number = 0; number < context_.shard_count; ++number) {
    const ShardId shard{number};
    if (context_.shards->owns(shard) || !home_of(shard)) continue;
    if (believed(shard).node != event.node) continue;
    if (gone) {
      wait_for_rank(now, shard);
    } else if (Watched& entry = watched(shard); entry.phase == Phase::waiting) {
      set_due(shard, entry, Phase::idle, kNever);  // It refuted: it may still own the shard.
    }
  }
}

// O5 or C4. Whoever refused names a higher ballot: this node yields only to one who answers for it.
void Takeovers::on_refused(Now now, const shard::RefusedEvent& event) {
  Watched& entry = watched(event.shard);
  entry.refused = std::max(entry.refused, event.promised);
  if (event.gave_up) entry.rests_until = now.steady + kGaveUpPause;
  const NodeId rival = event.promised.node;
  if (!rival || rival == context_.self() || entry.phase == Phase::asked || absent(rival)) return;
  ask(now, event.shard, rival);
}

void Takeovers::on_owned(Now, ShardId shard) {
  Watched& entry = watched(shard);
  entry.strikes = 0;
  set_due(shard, entry, Phase::idle, kNever);
}

void Takeovers::on_disk_low(Now now) {
  next_take_back_ = context_.disk_low
                        ? now.steady
                        : std::max(now.steady + kTakeBackInterval, started_ + kTakeBackAfter);
}

void Takeovers::on_lost(Now now, ShardId shard) { watched(shard).lost_at = now.steady; }

void Takeovers::on_unanswered(Now now, ShardId shard, NodeId owner) {
  Watched& entry = watched(shard);
  if (entry.complained_at != TimePoint{} && now.steady - entry.complained_at < kSilenceMax) return;
  entry.complained_at = now.steady;
  const wire::TableEntry known = context_.entry(shard);
  std::vector<NodeId> others;
  for (const NodeId node : known.config.home) {
    if (node != owner && !absent(node)) others.push_back(node);
  }
  if (others.empty()) return;
  const NodeId chosen = others[entry.complaints++ % others.size()];
  silences_[chosen].push_back({shard, known.owner});
}

void Takeovers::on_message(Now now, NodeId from, const wire::OwnerSilent& message) {
  for (const wire::OwnerSilentItem& item : message.items) {
    if (context_.shards->owns(item.shard)) {
      answers_[from].push_back(
          {item.shard, wire::Ownership::owner, context_.shards->ballot(item.shard)});
      continue;
    }
    if (!home_of(item.shard)) continue;
    const wire::Ballot known = believed(item.shard);
    if (item.ballot < known && !absent(known.node)) {
      answers_[from].push_back({item.shard, wire::Ownership::none, known});
      continue;
    }
    Watched& entry = watched(item.shard);
    probes::mark(probes::Mark::complaint_heard);
    if (entry.phase == Phase::idle) examine(now, item.shard);
  }
}

// Whom nobody answers for so long may hold a config whose homes are gone: others must not yield.
bool Takeovers::hopeful(Now now, ShardId shard) const {
  return context_.shards->candidate(shard) &&
         now.steady - context_.shards->answered_at(shard) < kHopeMax;
}

void Takeovers::on_message(Now now, NodeId from, const wire::OwnerQuery& message) {
  std::vector<wire::OwnershipItem>& answers = answers_[from];
  for (const ShardId shard : message.shards) {
    if (context_.shards->owns(shard)) {
      answers.push_back({shard, wire::Ownership::owner, context_.shards->ballot(shard)});
      // Only who keeps the shard asks: one that left and did not hear of it (H5).
      const std::vector<NodeId> members = shard::members(*context_.shards->config(shard));
      if (std::ranges::find(members, from) == members.end()) {
        context_.shards->retire(now.steady, shard, from);
      }
    } else {
      const bool candidate = hopeful(now, shard);
      answers.push_back(
          {shard, candidate ? wire::Ownership::candidate : wire::Ownership::none, believed(shard)});
    }
  }
}

void Takeovers::on_message(Now now, NodeId from, const wire::OwnerAnswer& message) {
  note_answer(now, from);
  for (const wire::OwnershipItem& item : message.items) {
    if (static_cast<std::uint32_t>(item.shard) < context_.shard_count) on_answer(now, from, item);
  }
}

void Takeovers::on_answer(Now now, NodeId from, const wire::OwnershipItem& item) {
  if (item.state == wire::Ownership::owner) {
    context_.table->merge({.shard = item.shard, .config = {}, .owner = item.ballot});
  }
  const auto found = watched_.find(item.shard);
  if (found == watched_.end()) return;
  Watched& entry = found->second;
  if (item.state == wire::Ownership::none) entry.refused = std::max(entry.refused, item.ballot);
  if (entry.phase != Phase::asked || entry.asked != from) return;
  entry.strikes = 0;
  switch (item.state) {
    case wire::Ownership::owner:
    case wire::Ownership::candidate:
      if (context_.shards->candidate(item.shard)) probes::mark(probes::Mark::candidate_yielded);
      context_.shards->yield(item.shard);
      set_due(item.shard, entry, Phase::idle, kNever);
      break;
    case wire::Ownership::none:
      // Another one may have it by now; else the shard has no owner.
      if (item.ballot.node != from && item.ballot.node != context_.self() && item.ballot.node &&
          !absent(item.ballot.node) && believed(item.shard) == item.ballot) {
        ask(now, item.shard, item.ballot.node);
      } else if (home_of(item.shard)) {
        set_due(item.shard, entry, Phase::idle, kNever);
        wait_for_rank(now, item.shard);
      }
      break;
  }
}

void Takeovers::on_message(Now now, NodeId, const wire::HandOver& message) {
  if (context_.disk_low) return;  // It would only be handed on.
  for (const ShardId shard : message.shards) {
    if (home_of(shard) && !context_.shards->owns(shard)) begin(now, shard);
  }
}

// Hole 17: nobody wants anything of the shard, and its owner may be gone all the same.
void Takeovers::scan(Now now) {
  next_scan_ = now.steady + kWatchInterval;
  const bool leftovers = next_leftovers_ <= now.steady;
  if (leftovers) next_leftovers_ = now.steady + kLeftoverInterval;
  for (std::uint32_t number = 0; number < context_.shard_count; ++number) {
    const ShardId shard{number};
    if (leftovers) ask_of_leftover(shard);
    if (context_.shards->owns(shard) || !home_of(shard)) continue;
    if (watched(shard).phase == Phase::idle && !context_.shards->candidate(shard)) {
      examine(now, shard);
    }
  }
}

// Records of a shard that this node does not keep any more: its owner retires who asks (H5).
void Takeovers::ask_of_leftover(ShardId shard) {
  const wire::ShardConfig* config = context_.shards->config(shard);
  if (config == nullptr) return;
  const std::vector<NodeId> members = shard::members(*config);
  const bool member = std::ranges::find(members, context_.self()) != members.end();
  const bool keeps = member ? left(shard, *config) : context_.shards->record_count(shard) > 0;
  if (!keeps) return;
  const NodeId owner = context_.owner(shard);
  if (owner && owner != context_.self()) questions_[owner].push_back(shard);
}

void Takeovers::take_back(Now now) {
  next_take_back_ = now.steady + kTakeBackInterval;
  std::uint32_t taken = 0;
  for (std::uint32_t number = 0; number < context_.shard_count && taken < kTakeBackRate; ++number) {
    const ShardId shard{number};
    const wire::ShardConfig* config = context_.shards->config(shard);
    if (config == nullptr || config->home.empty() || !config->next.empty()) continue;
    const bool mine = config->home.front() == context_.self() && !left(shard, *config);
    if (!mine || context_.shards->owns(shard) || context_.shards->candidate(shard)) continue;
    if (now.steady - watched(shard).lost_at < kTakeBackAfter) continue;
    ++taken;
    watched(shard).lost_at = now.steady;  // Once in that time: each try costs the owner its ballot.
    probes::mark(probes::Mark::shard_taken_back);
    begin(now, shard);
  }
}

// An owner that takes no new tasks would refuse them for all: another home node has the room.
void Takeovers::hand_over(Now now) {
  next_take_back_ = now.steady + kTakeBackInterval;
  ++rounds_;
  std::map<NodeId, wire::HandOver> messages;
  std::uint32_t given = 0;
  for (std::uint32_t number = 0; number < context_.shard_count && given < kTakeBackRate; ++number) {
    const ShardId shard{number};
    const wire::ShardConfig* config = context_.shards->config(shard);
    if (!context_.shards->owns(shard) || config->home.size() < 2) continue;
    const NodeId to = config->home[rounds_ % config->home.size()];
    if (to == context_.self() || absent(to)) continue;
    ++given;
    messages[to].shards.push_back(shard);
  }
  for (auto& [to, message] : messages) context_.send(to, std::move(message));
}

void Takeovers::on_time(Now now) {
  if (context_.shard_count == 0 || context_.stopping) return;
  if (now.steady >= next_scan_) scan(now);
  if (now.steady >= next_take_back_) context_.disk_low ? hand_over(now) : take_back(now);
  while (!due_.empty() && due_.begin()->first <= now.steady) {
    const ShardId shard = due_.begin()->second;
    Watched& entry = watched(shard);
    if (entry.phase == Phase::waiting) {
      fire(now, shard);
      continue;
    }
    const bool silent = ++entry.strikes >= kStrikesMax;
    set_due(shard, entry, Phase::idle, kNever);
    if (context_.shards->owns(shard) || !home_of(shard)) continue;
    if (silent || absent(entry.asked)) {
      wait_for_rank(now, shard);
    } else {
      examine(now, shard);
    }
  }
}

void Takeovers::flush() {
  for (auto& [node, shards] : questions_) {
    context_.send_list(node, std::move(shards),
                       [](std::vector<ShardId> part) { return wire::OwnerQuery{std::move(part)}; });
  }
  questions_.clear();
  for (auto& [node, items] : answers_) {
    context_.send_list(node, std::move(items), [](std::vector<wire::OwnershipItem> part) {
      return wire::OwnerAnswer{std::move(part)};
    });
  }
  answers_.clear();
  for (auto& [node, items] : silences_) {
    context_.send_list(node, std::move(items), [](std::vector<wire::OwnerSilentItem> part) {
      return wire::OwnerSilent{std::move(part)};
    });
  }
  silences_.clear();
}

TimePoint Takeovers::wake_at() const {
  if (context_.shard_count == 0 || context_.stopping) return kNever;
  const TimePoint due = due_.empty() ? kNever : due_.begin()->first;
  return std::min({next_scan_, next_take_back_, due});
}

}  // namespace shoal::node
