#include "shard/takeover.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/assert.hpp"
#include "base/probes.hpp"
#include "shard/quorum.hpp"

namespace shoal::shard {
namespace {

constexpr std::uint32_t kPagesMax = 65'536;
constexpr Duration kBlockedWait = std::chrono::seconds(1);
constexpr Duration kPrepareAgainMax = std::chrono::seconds(2);
constexpr Duration kRecoveryWait = std::chrono::seconds(2);

}  // namespace

bool DigestPages::add(const wire::PromiseItem& item) {
  if (item.page_count == 0 || item.page_count > kPagesMax || item.page >= item.page_count) {
    return false;
  }
  if (seen_.size() != item.page_count) {
    seen_.assign(item.page_count, false);
    have_ = 0;
    entries_.clear();
  }
  if (seen_[item.page]) return false;
  seen_[item.page] = true;
  ++have_;
  entries_.insert(entries_.end(), item.digest.begin(), item.digest.end());
  return complete();
}

Candidate::Candidate(NodeId self, ShardId shard, wire::Ballot ballot, wire::ShardConfig belief,
                     const ShardsConfig& settings, std::vector<NodeId> lost, Duration fetch_timeout)
    : self_(self),
      shard_(shard),
      ballot_(ballot),
      settings_(settings),
      fetch_timeout_(fetch_timeout),
      lost_(std::move(lost)) {
  SHOAL_ASSERT(voter(belief, self));
  merge_.config = std::move(belief);
  take_out_lost();
}

// A recovery's config: the survivors, and no change under way.
void Candidate::take_out_lost() {
  if (lost_.empty()) return;
  merge_.config.home = voters(merge_.config);
  std::erase_if(merge_.config.home,
                [this](NodeId node) { return std::ranges::find(lost_, node) != lost_.end(); });
  merge_.config.next.clear();
  merge_.config.learners.clear();
}

Candidate::Progress Candidate::on_promise(TimePoint now, NodeId from, const wire::PromiseItem& item,
                                          Replica& replica, Effects& effects) {
  if (item.ballot != ballot_ || fetching_) return Progress::going;
  if (!adopt(item.config)) return Progress::give_up;
  merge_.floor = std::max(merge_.floor, item.floor);
  promises_[from].add(item);
  heard_[from] = now;
  if (from == self_ && promises_[self_].complete() && !self_promised_) {
    self_promised_ = true;
    prepare_at_ = now;
    if (!lost_.empty()) {
      probes::mark(probes::Mark::shard_recovered);
      recover_at_ = now + kRecoveryWait;
    }
  }
  if (self_promised_ && prepare_at_ <= now) prepare_others(now, effects);
  return try_merge(now, replica, effects);
}

Candidate::Progress Candidate::on_newer_config(TimePoint now, const wire::ShardConfig& config,
                                               Replica& replica, Effects& effects) {
  if (fetching_) return Progress::going;
  if (!adopt(config)) return Progress::give_up;
  if (self_promised_ && prepare_at_ <= now) prepare_others(now, effects);
  return try_merge(now, replica, effects);
}

bool Candidate::belongs_to(const wire::ShardConfig& config) const {
  return !(merge_.config.id < config.id) || settings_.mutations.ignore_newer_config ||
         voter(config, self_);
}

// C3: the newest config any answer names is the one whose quorum counts. Promises already here stay
// good, since homes never forget them. False when this node is not in it.
bool Candidate::adopt(const wire::ShardConfig& config) {
  if (!(merge_.config.id < config.id) || settings_.mutations.ignore_newer_config) return true;
  probes::mark(probes::Mark::newer_config_adopted);
  merge_.config = config;
  merge_.promised_at = kNever;
  take_out_lost();
  prepare_at_ = TimePoint{};  // Its members are prepared at once.
  prepare_interval_ = Duration{};
  return voter(merge_.config, self_) && members(merge_.config).size() <= 32;
}

// A home answers each Prepare with its whole digest, after its disk: repeats of a slow answer would
// only make it slower.
void Candidate::prepare_others(TimePoint now, Effects& effects) {
  prepare_interval_ = prepare_interval_ == Duration{}
                          ? settings_.prepare_again
                          : std::min(prepare_interval_ * 2, kPrepareAgainMax);
  for (const NodeId node : voters(merge_.config)) {
    const auto promise = promises_.find(node);
    if (node == self_ || (promise != promises_.end() && promise->second.complete())) continue;
    const auto heard = heard_.find(node);
    if (heard != heard_.end() && now < heard->second + prepare_interval_) continue;
    effects.outbox.prepare(node, prepare());
  }
  prepare_at_ = now + prepare_interval_;
}

bool Candidate::promises_suffice(TimePoint now) const {
  const auto promised = [&](NodeId node) {
    const auto it = promises_.find(node);
    return it != promises_.end() && it->second.complete();
  };
  // C2: the own durable promise is part of every quorum.
  const Mutations& off = settings_.mutations;
  if (!self_promised_ && !off.own_promise_left_out) return false;
  if (!lost_.empty()) {
    return recover_at_ <= now || std::ranges::all_of(merge_.config.home, promised);
  }
  return off.one_promise_enough || quorum(off, merge_.config, promised);
}

Candidate::Progress Candidate::try_merge(TimePoint now, Replica& replica, Effects& effects) {
  if (!promises_suffice(now)) return Progress::going;
  if (merge_.promised_at == kNever) merge_.promised_at = now;
  const bool all = merge_digests();
  // Copies are bad: another home's promise may still free them, so give it a moment.
  if (!all && merge_.promisers.size() < voters(merge_.config).size()) {
    if (blocked_until_ == kNever) blocked_until_ = now + kBlockedWait;
    if (now < blocked_until_) return Progress::going;
  }
  if (!merge_.config.next.empty()) probes::mark(probes::Mark::takeover_in_joint);
  if (!merge_.config.learners.empty()) probes::mark(probes::Mark::takeover_with_learners);
  fetching_ = true;
  promises_.clear();
  collect_needs(replica, effects);
  return request(now, effects);
}

// C5. False when some record is blocked.
bool Candidate::merge_digests() {
  merge_.promisers.clear();
  merge_.records.clear();
  std::vector<std::pair<std::uint32_t, wire::DigestEntry>> entries;
  for (const auto& [node, pages] : promises_) {
    if (!pages.complete() || merge_.promisers.size() == 32) continue;
    const auto index = static_cast<std::uint32_t>(merge_.promisers.size());
    merge_.promisers.push_back(node);
    for (const wire::DigestEntry& entry : pages.entries()) entries.emplace_back(index, entry);
  }
  std::ranges::sort(entries, {},
                    [](const auto& entry) { return std::pair(entry.second.key, entry.first); });
  bool all = true;
  std::vector<std::pair<std::uint32_t, wire::DigestEntry>> group;
  for (std::size_t i = 0; i < entries.size();) {
    group.clear();
    const wire::RecordKey key = entries[i].second.key;
    for (; i < entries.size() && entries[i].second.key == key; ++i) group.push_back(entries[i]);
    const MergedRecord merged = merge_one(key, group);
    all = all && !merged.blocked;
    merge_.records.push_back(merged);
  }
  return all;
}

MergedRecord Candidate::merge_one(
    const wire::RecordKey& key,
    const std::vector<std::pair<std::uint32_t, wire::DigestEntry>>& group) {
  MergedRecord merged{.key = key, .version = {}};
  std::uint32_t bad = 0;
  const bool by_version = settings_.mutations.merge_by_version_only;
  for (const auto& [promiser, entry] : group) {
    const bool own = merge_.promisers.at(promiser) == self_;
    if (settings_.mutations.own_copy_only && !own) continue;
    if (entry.bad) {
      bad |= 1U << promiser;
    } else if (by_version ? merged.version.version < entry.version.version
                          : merged.version < entry.version) {
      merged.version = entry.version;
    }
  }
  for (const auto& [promiser, entry] : group) {
    if (!entry.bad && entry.version == merged.version) merged.holders |= 1U << promiser;
  }
  const auto index = [&](NodeId node) {
    return static_cast<std::uint32_t>(std::ranges::find(merge_.promisers, node) -
                                      merge_.promisers.begin());
  };
  const auto in = [&](std::uint32_t mask) {
    return [&, mask](NodeId node) {
      const std::uint32_t i = index(node);
      return i < merge_.promisers.size() && (mask >> i & 1U) != 0;
    };
  };
  const Mutations& off = settings_.mutations;
  merged.settled =
      (lost_.empty() && quorum(off, merge_.config, in(merged.holders))) || off.unsettled_as_settled;
  // A promiser counts for no id it marked bad. A recovery takes what there is.
  merged.blocked = lost_.empty() && bad != 0 && !quorum(off, merge_.config, in(~bad));
  if (bad != 0) probes::mark(probes::Mark::abstained);
  if (merged.blocked) probes::mark(probes::Mark::record_blocked);
  if (!merged.settled) probes::mark(probes::Mark::record_unsettled);
  return merged;
}

// C6: what the own replica cannot give. An unsettled detached value is written again, so it is read
// from the own store if that has it.
void Candidate::collect_needs(const Replica& replica, Effects& effects) {
  for (const MergedRecord& merged : merge_.records) {
    if (merged.blocked || merged.version.version == 0) continue;
    const StoredRecord* own = replica.find(merged.key);
    const bool held = own != nullptr && own->bad == 0 && replica.version(*own) == merged.version;
    if (merged.settled ? held || detached(merged.key) : held && !detached(merged.key)) continue;
    std::uint32_t untried = merged.holders;
    for (std::size_t i = 0; i < merge_.promisers.size(); ++i) {
      if (merge_.promisers[i] == self_) untried &= ~(1U << i);
    }
    needs_.emplace(merged.key,
                   Need{.version = merged.version, .untried = untried, .asked = -1, .own = held});
    if (!held) continue;
    effects.read({.kind = ReadPurpose::Kind::takeover,
                  .shard = shard_,
                  .key = merged.key,
                  .version = merged.version,
                  .ballot = ballot_,
                  .node = {}});
  }
}

Candidate::Progress Candidate::request(TimePoint now, Effects& effects) {
  if (needs_.empty()) return Progress::done;
  std::map<std::uint32_t, std::vector<wire::RecordKey>> ask;
  for (auto& [key, need] : needs_) {
    if (need.own || need.asked >= 0) continue;
    if (need.untried == 0) return Progress::restart;
    const auto holder = static_cast<std::uint32_t>(std::countr_zero(need.untried));
    auto& keys = ask[holder];
    if (holders_[holder].asked + keys.size() >= kFetchKeys) continue;
    need.asked = static_cast<std::int32_t>(holder);
    need.untried &= ~(1U << holder);
    keys.push_back(key);
  }
  for (auto& [holder, keys] : ask) {
    if (keys.empty()) continue;
    holders_[holder].asked += keys.size();
    holders_[holder].heard = now;
    effects.outbox.fetch(merge_.promisers[holder],
                         {.shard = shard_, .ballot = ballot_, .keys = std::move(keys)});
  }
  return Progress::going;
}

Candidate::Progress Candidate::on_fetched(TimePoint now, NodeId from, const wire::FetchedItem& item,
                                          Effects& effects) {
  if (!fetching_ || item.ballot != ballot_) return Progress::going;
  const auto at = std::ranges::find(merge_.promisers, from);
  if (at == merge_.promisers.end()) return Progress::going;
  Holder& holder = holders_[static_cast<std::uint32_t>(at - merge_.promisers.begin())];
  holder.heard = now;
  for (const wire::Record& record : item.records) {
    const auto need = needs_.find(record.key);
    // H3: only the version that was asked for serves.
    if (need == needs_.end() || need->second.version != record.version) continue;
    if (need->second.asked == at - merge_.promisers.begin()) --holder.asked;
    merge_.values[record.key] = record.value;
    needs_.erase(need);
  }
  return request(now, effects);
}

Candidate::Progress Candidate::on_value(TimePoint now, const wire::RecordKey& key, ValueRead answer,
                                        Replica& replica, Effects& effects) {
  const auto need = needs_.find(key);
  if (need == needs_.end() || !need->second.own) return Progress::going;
  if (answer.record && answer.record->version == need->second.version) {
    merge_.values[key] = std::move(answer.record->value);
    needs_.erase(need);
  } else {
    replica.mark_bad(key);
    need->second.own = false;
    if (need->second.untried == 0) return Progress::restart;
  }
  return request(now, effects);
}

Candidate::Progress Candidate::on_time(TimePoint now, Replica& replica, Effects& effects) {
  if (!fetching_) {
    if (self_promised_ && prepare_at_ <= now) prepare_others(now, effects);
    return std::min(blocked_until_, recover_at_) <= now ? try_merge(now, replica, effects)
                                                        : Progress::going;
  }
  // C6: a holder that does not answer is asked no more in this attempt.
  for (auto& [index, holder] : holders_) {
    if (holder.asked == 0) continue;
    const bool late = probes::fails(probes::Site::fetch_late);
    if (!late && now < holder.heard + fetch_timeout_) continue;
    probes::mark(probes::Mark::fetch_timed_out);
    holder.asked = 0;
    for (auto& [key, need] : needs_) {
      need.untried &= ~(1U << index);
      if (need.asked == static_cast<std::int32_t>(index)) need.asked = -1;
    }
  }
  return request(now, effects);
}

}  // namespace shoal::shard
