#include "shard/shards.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "base/log.hpp"
#include "base/probes.hpp"
#include "shard/quorum.hpp"

namespace shoal::shard {
namespace {

// Time-outs are multiples of these; finer would only wake more often.
constexpr Duration kSweepEager = std::chrono::milliseconds(50);
constexpr Duration kSweepCalm = std::chrono::milliseconds(250);

}  // namespace

Shards::Shards(NodeId self, ShardsConfig settings, std::uint64_t seed)
    : self_(self), settings_(settings), random_(seed), rounds_(self, settings_) {}

Shards::Slot* Shards::find(ShardId shard) {
  return const_cast<Slot*>(static_cast<const Shards*>(this)->find(shard));
}

const Shards::Slot* Shards::find(ShardId shard) const {
  const auto index = static_cast<std::size_t>(shard);
  return index < slots_.size() ? slots_[index].get() : nullptr;
}

Shards::Slot& Shards::make(ShardId shard) {
  const auto index = static_cast<std::size_t>(shard);
  SHOAL_ASSERT(index < kShardsMax);
  if (index >= slots_.size()) slots_.resize(index + 1);
  if (!slots_[index]) slots_[index] = std::make_unique<Slot>(shard);
  return *slots_[index];
}

void Shards::restore_shard(ShardId shard, wire::ShardState state) {
  make(shard).replica.restore(std::move(state));
}

void Shards::restore_record(ShardId shard, wire::Record record, bool bad) {
  make(shard).replica.restore(std::move(record), bad);
}

void Shards::found(ShardId shard, wire::ShardConfig config) {
  Slot& slot = make(shard);
  if (!slot.replica.known()) slot.replica.found(std::move(config), effects_.output.writes);
}

void Shards::mark_dirty(ShardId shard, Slot& slot) {
  if (std::exchange(slot.dirty, true)) return;
  dirty_.push_back(shard);
}

void Shards::mark_busy(TimePoint now, ShardId shard, Slot& slot) {
  if (!std::exchange(slot.busy, true)) busy_.insert(shard);
  const bool eager = slot.candidate || slot.wanted;
  sweep_at_ = std::min(sweep_at_, now + (eager ? kSweepEager : kSweepCalm));
}

void Shards::flush(TimePoint now, Slot& slot) {
  if (slot.owner) slot.owner->flush(now, slot.replica, effects_);
}

void Shards::take_over(TimePoint now, ShardId shard) {
  Slot* slot = find(shard);
  if (slot == nullptr || slot->owner || slot->candidate) return;
  slot->wanted = true;
  slot->refusals = 0;
  start(now, shard, *slot);
}

void Shards::yield(ShardId shard) {
  Slot* slot = find(shard);
  if (slot == nullptr) return;
  slot->wanted = false;
  slot->candidate.reset();
}

// C1, C2: a round above all it knows of, and its own disk is asked first.
void Shards::start(TimePoint now, ShardId shard, Slot& slot) {
  SHOAL_ASSERT(!slot.owner && !slot.candidate);
  slot.retry_at = kNever;
  Replica& replica = slot.replica;
  const wire::ShardConfig& config = replica.state().config;
  if (!replica.known() || !voter(config, self_) || members(config).size() > 32) {
    slot.wanted = false;
    return;
  }
  if (settings_.mutations.resume_ballot_after_restart && replica.promised().node == self_ &&
      slot.round_seen <= replica.promised().round) {
    return resume(now, shard, slot);
  }
  const std::uint64_t round = std::max(replica.promised().round, slot.round_seen) + 1;
  slot.candidate = std::make_unique<Candidate>(
      self_, shard, wire::Ballot{.round = round, .node = self_}, config, settings_);
  const auto prepared = replica.on_prepare(slot.candidate->prepare(), effects_.output.writes);
  SHOAL_ASSERT(prepared == Replica::Prepared::promised);
  for (wire::PromiseItem& page : replica.promise()) {
    effects_.outbox.promise(self_, std::move(page));
  }
  mark_busy(now, shard, slot);
}

// Only under Mutations::resume_ballot_after_restart.
void Shards::resume(TimePoint now, ShardId shard, Slot& slot) {
  Merge merge{.config = slot.replica.state().config,
              .floor = 0,
              .promisers = {self_},
              .records = {},
              .values = {},
              .promised_at = kNever};
  slot.replica.records().for_each([&](const StoredRecord& record) {
    merge.records.push_back({.key = record.key,
                             .version = slot.replica.version(record),
                             .holders = 1,
                             .settled = detached(record.key)});
  });
  become_owner(now, shard, slot, slot.replica.promised(), std::move(merge));
}

void Shards::advance(TimePoint now, ShardId shard, Slot& slot, Candidate::Progress progress) {
  switch (progress) {
    case Candidate::Progress::going:
      return;
    case Candidate::Progress::give_up:  // C3: this node is not in the newest config.
      slot.candidate.reset();
      slot.wanted = false;
      return;
    case Candidate::Progress::restart:
      probes::mark(probes::Mark::takeover_restarted);
      return back_off(now, shard, slot);
    case Candidate::Progress::done: {
      const wire::Ballot ballot = slot.candidate->ballot();
      Merge merge = slot.candidate->take_merge();
      slot.candidate.reset();
      return become_owner(now, shard, slot, ballot, std::move(merge));
    }
  }
}

void Shards::become_owner(TimePoint now, ShardId shard, Slot& slot, wire::Ballot ballot,
                          Merge merge) {
  slot.promised_at = merge.promised_at == kNever ? now : merge.promised_at;
  slot.owner = std::make_unique<Owner>(self_, shard, ballot, settings_);
  slot.owner->begin(now, std::move(merge), slot.replica, effects_);
  slot.wanted = false;
  slot.refusals = 0;
  effects_.output.owned.push_back(shard);
  log::debug("shard", "{} owns shard {} in round {}", short_text(self_),
             static_cast<std::uint32_t>(shard), ballot.round);
  mark_dirty(shard, slot);
  mark_busy(now, shard, slot);
}

// C4. Full jitter (Brooker, "Exponential Backoff and Jitter", 2015).
void Shards::back_off(TimePoint now, ShardId shard, Slot& slot) {
  slot.candidate.reset();
  if (!slot.wanted) return;
  Duration most = settings_.back_off_min;
  for (std::uint32_t i = 0; i < slot.refusals && most < settings_.back_off_max; ++i) most *= 2;
  ++slot.refusals;
  slot.retry_at = now + random_.below(std::min(most, settings_.back_off_max));
  mark_busy(now, shard, slot);
}

// O5. What was proposed and not flushed stands in the replica, so it goes to the disk all the same.
void Shards::step_down(TimePoint now, ShardId shard, Slot& slot) {
  SHOAL_ASSERT(slot.owner);
  flush(now, slot);
  slot.owner->release(effects_);
  slot.owner.reset();
  slot.wanted = false;
  effects_.output.lost.push_back(shard);
  rounds_.on_lost(shard, effects_.output.confirmed);
}

// H6: whoever raises its own promise above the ballot it owns, or is a candidate with, steps down.
void Shards::obey_promise(TimePoint now, ShardId shard, Slot& slot) {
  if (slot.owner && slot.owner->ballot() < slot.replica.promised()) {
    probes::mark(probes::Mark::owner_promised_other);
    step_down(now, shard, slot);
  }
  if (slot.candidate && slot.candidate->ballot() < slot.replica.promised()) {
    back_off(now, shard, slot);
  }
}

bool Shards::sweep(TimePoint now, ShardId shard, Slot& slot) {
  if (slot.candidate) {
    advance(now, shard, slot, slot.candidate->on_time(now, slot.replica, effects_));
  }
  if (slot.wanted && !slot.candidate && !slot.owner && slot.retry_at <= now) {
    start(now, shard, slot);
  }
  if (slot.owner && probes::fails(probes::Site::owner_anew)) {
    step_down(now, shard, slot);
    take_over(now, shard);
  }
  if (slot.owner) {
    flush(now, slot);
    return slot.owner->on_time(now, slot.replica, effects_);
  }
  return slot.candidate || slot.wanted;
}

void Shards::on_time(TimePoint now) {
  if (now < sweep_at_) return;
  bool eager = false;
  for (auto at = busy_.begin(); at != busy_.end();) {
    Slot& slot = *find(*at);
    if (sweep(now, *at, slot)) {
      eager = eager || slot.candidate || slot.wanted;
      ++at;
    } else {
      slot.busy = false;
      at = busy_.erase(at);
    }
  }
  rounds_.on_time(now, effects_.output.messages, effects_.output.confirmed);
  eager = eager || !rounds_.idle();
  const bool quiet = busy_.empty() && rounds_.idle();
  sweep_at_ = quiet ? kNever : now + (eager ? kSweepEager : kSweepCalm);
}

bool Shards::candidate(ShardId shard) const {
  const Slot* slot = find(shard);
  return slot != nullptr && (slot->candidate != nullptr || slot->wanted);
}

bool Shards::owns(ShardId shard) const {
  const Slot* slot = find(shard);
  return slot != nullptr && slot->owner != nullptr;
}

TimePoint Shards::promised_at(ShardId shard) const {
  return owns(shard) ? find(shard)->promised_at : kNever;
}

wire::Ballot Shards::ballot(ShardId shard) const {
  return owns(shard) ? find(shard)->owner->ballot() : wire::Ballot{};
}

wire::Ballot Shards::promised(ShardId shard) const {
  const Slot* slot = find(shard);
  return slot != nullptr ? slot->replica.promised() : wire::Ballot{};
}

const wire::ShardConfig* Shards::config(ShardId shard) const {
  const Slot* slot = find(shard);
  return slot != nullptr && slot->replica.known() ? &slot->replica.state().config : nullptr;
}

const std::string* Shards::proposed(ShardId shard, const wire::RecordKey& key) const {
  if (!owns(shard) || find(shard)->owner->blocked(key)) return nullptr;
  const StoredRecord* stored = find(shard)->replica.find(key);
  return stored != nullptr && stored->version > 0 ? &stored->value : nullptr;
}

CommittedValue Shards::committed(ShardId shard, const wire::RecordKey& key) const {
  if (!owns(shard)) return {.state = Committed::unsettled};
  return find(shard)->owner->committed(key, find(shard)->replica);
}

bool Shards::propose(TimePoint now, ShardId shard, const wire::RecordKey& key, std::string value,
                     std::uint64_t token) {
  SHOAL_ASSERT(owns(shard));
  Slot& slot = *find(shard);
  if (!slot.owner->propose(key, std::move(value), token, slot.replica)) return false;
  mark_dirty(shard, slot);
  mark_busy(now, shard, slot);
  return true;
}

std::uint64_t Shards::confirm(TimePoint now, std::vector<ShardId> shards) {
  sweep_at_ = std::min(sweep_at_, now + kSweepEager);
  return rounds_.ask(std::move(shards));
}

std::uint64_t Shards::read(ShardId shard, const wire::RecordKey& key) {
  return effects_.read({.kind = ReadPurpose::Kind::asked,
                        .shard = shard,
                        .key = key,
                        .version = {},
                        .ballot = ballot(shard),
                        .node = {}});
}

void Shards::on_message(TimePoint, NodeId, const wire::Retire&) {}
bool Shards::change_home(TimePoint, ShardId, std::vector<NodeId>) { return false; }
bool Shards::changing_home(ShardId) const { return false; }
bool Shards::recover(TimePoint, ShardId, const std::vector<NodeId>&) { return false; }
void Shards::raise_floor(TimePoint, ShardId, std::uint64_t) {}
std::uint64_t Shards::floor(ShardId) const { return 0; }
bool Shards::floor_settled(ShardId) const { return false; }
void Shards::on_peer_restarted(TimePoint, NodeId) {}

std::size_t Shards::record_count(ShardId shard) const {
  const Slot* slot = find(shard);
  return slot != nullptr ? slot->replica.records().size() : 0;
}

void Shards::check_invariants() const {
  for (const auto& slot : slots_) {
    if (!slot) continue;
    slot->replica.check_invariants();
    SHOAL_ASSERT(!slot->owner || !slot->candidate);
    // H6: an owner or a candidate has promised exactly its own ballot.
    if (slot->candidate) SHOAL_ASSERT(slot->candidate->ballot() == slot->replica.promised());
    if (!slot->owner) continue;
    SHOAL_ASSERT(slot->owner->ballot() == slot->replica.promised());
    SHOAL_ASSERT(slot->owner->config().id == slot->replica.state().config.id);
    slot->owner->check_invariants(slot->replica);
  }
  for (const ShardId shard : busy_) SHOAL_ASSERT(find(shard)->busy);
  SHOAL_ASSERT(busy_.empty() || sweep_at_ != kNever);
}

}  // namespace shoal::shard
