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
  if (slot == nullptr || slot->owner || slot->candidate || slot->wanted) return;
  slot->wanted = true;
  slot->refusals = 0;
  start(now, shard, *slot);
}

void Shards::yield(ShardId shard) {
  Slot* slot = find(shard);
  if (slot == nullptr) return;
  slot->wanted = false;
  slot->candidate.reset();
  slot->lost.clear();
}

// C1, C2: a round above all it knows of, and its own disk is asked first.
void Shards::start(TimePoint now, ShardId shard, Slot& slot) {
  SHOAL_ASSERT(!slot.owner && !slot.candidate);
  slot.retry_at = kNever;
  Replica& replica = slot.replica;
  const wire::ShardConfig& config = replica.state().config;
  if (!replica.known() || !voter(config, self_) || members(config).size() > kMembersMax) {
    slot.wanted = false;
    slot.lost.clear();
    return;
  }
  if (settings_.mutations.resume_ballot_after_restart && replica.promised().node == self_ &&
      slot.round_seen <= replica.promised().round) {
    return resume(now, shard, slot);
  }
  const std::uint64_t round = std::max(replica.promised().round, slot.round_seen) + 1;
  slot.candidate = std::make_unique<Candidate>(
      self_, shard, wire::Ballot{.round = round, .node = self_}, config, settings_, slot.lost);
  slot.prepared_at = now;
  const auto prepared =
      replica.on_prepare(slot.candidate->prepare(), settings_.mutations, effects_.output.writes);
  SHOAL_ASSERT(prepared == Replica::Prepared::promised);
  for (wire::PromiseItem& page : replica.promise()) {
    effects_.outbox.promise(self_, std::move(page));
  }
  if (settings_.mutations.own_promise_left_out) slot.candidate->prepare_others(now, effects_);
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
      slot.lost.clear();
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
  slot.owner->begin(now, std::move(merge), wall_, slot.replica, effects_);
  slot.wanted = false;
  slot.refusals = 0;
  effects_.output.owned.push_back(shard);
  if (!std::exchange(slot.lost, {}).empty()) effects_.output.recovered.push_back(shard);
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
    effects_.output.refused.push_back({.shard = shard, .promised = slot.replica.promised()});
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
  if (!slot.owner) return slot.candidate || slot.wanted;
  if (!slot.owner->paused(now)) flush(now, slot);
  const bool busy = slot.owner->on_time(now, slot.replica, effects_);
  serve(now, shard, slot);
  return slot.owner ? busy : slot.candidate || slot.wanted;
}

// What the owner does whenever something happened to its shard.
void Shards::serve(TimePoint now, ShardId shard, Slot& slot) {
  Owner& owner = *slot.owner;
  if (!owner.paused(now)) flush(now, slot);
  owner.pump(now, slot.replica, effects_);
  owner.advance_change(now, slot.replica, effects_);
  if (!owner.paused(now)) {
    flush(now, slot);
  } else {
    mark_dirty(shard, slot);
    mark_busy(now, shard, slot);
  }
  if (owner.finished(now)) leave(now, shard, slot);
}

// G4: the first of the new home is told to take over, and the own copy goes like anybody's who
// left.
void Shards::leave(TimePoint now, ShardId shard, Slot& slot) {
  const wire::ShardConfig config = slot.owner->config();
  probes::mark(probes::Mark::home_handed_over);
  effects_.output.handed_over.push_back({.shard = shard, .to = config.home.front()});
  step_down(now, shard, slot);
  if (slot.replica.on_retire(config.id, self_, settings_.mutations, effects_.output.writes)) {
    effects_.output.retired.push_back(shard);
  }
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
  const ReadPurpose purpose{.kind = ReadPurpose::Kind::asked,
                            .shard = shard,
                            .key = key,
                            .version = {},
                            .ballot = ballot(shard),
                            .node = {}};
  if (!owns(shard)) return effects_.read(purpose);
  Slot& slot = *find(shard);
  const std::uint64_t id = effects_.begin_read(purpose);
  if (slot.owner->wait_for_value(key, id)) {
    mark_dirty(shard, slot);
  } else {
    effects_.output.reads.push_back({.id = id, .shard = shard, .key = key});
  }
  return id;
}

bool Shards::change_home(TimePoint now, ShardId shard, std::vector<NodeId> target) {
  if (!owns(shard)) return false;
  Slot& slot = *find(shard);
  if (!slot.owner->change_home(now, std::move(target), slot.replica, effects_)) return false;
  mark_dirty(shard, slot);
  mark_busy(now, shard, slot);
  return true;
}

bool Shards::changing_home(ShardId shard) const {
  return owns(shard) && find(shard)->owner->changing();
}

bool Shards::recover(TimePoint now, ShardId shard, const std::vector<NodeId>& lost) {
  Slot* slot = find(shard);
  if (slot == nullptr || lost.empty() || !slot->replica.known()) return false;
  const auto is_lost = [&](NodeId node) { return std::ranges::find(lost, node) != lost.end(); };
  const wire::ShardConfig& config = slot->replica.state().config;
  if (!voter(config, self_) || is_lost(self_)) return false;
  const auto survives = [&](NodeId node) { return !is_lost(node); };
  if (quorum({}, config, survives)) return false;  // Takeover will do.
  if (slot->owner) step_down(now, shard, *slot);
  slot->candidate.reset();
  slot->wanted = true;
  slot->refusals = 0;
  slot->lost = lost;
  start(now, shard, *slot);
  return true;
}

void Shards::raise_floor(TimePoint now, ShardId shard, std::uint64_t floor) {
  SHOAL_ASSERT(owns(shard));
  Slot& slot = *find(shard);
  flush(now, slot);
  slot.owner->raise_floor(now, floor, wall_, slot.replica, effects_);
  mark_dirty(shard, slot);
  mark_busy(now, shard, slot);
}

std::uint64_t Shards::floor(ShardId shard) const {
  if (owns(shard)) return find(shard)->owner->floor();
  const Slot* slot = find(shard);
  return slot != nullptr ? slot->replica.state().floor : 0;
}

bool Shards::floor_settled(ShardId shard) const {
  return owns(shard) && find(shard)->owner->floor_settled();
}

void Shards::on_peer_restarted(TimePoint now, NodeId peer) {
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (!slots_[i] || !slots_[i]->owner) continue;
    slots_[i]->owner->ask_again(peer);
    mark_busy(now, ShardId{static_cast<std::uint32_t>(i)}, *slots_[i]);
  }
}

void Shards::retire(TimePoint now, ShardId shard, NodeId node) {
  if (!owns(shard)) return;
  find(shard)->owner->retire(now, node);
  mark_busy(now, shard, *find(shard));
}

std::size_t Shards::record_count(ShardId shard) const {
  const Slot* slot = find(shard);
  return slot != nullptr ? slot->replica.records().size() : 0;
}

std::size_t Shards::bad_count(ShardId shard) const {
  const Slot* slot = find(shard);
  return slot != nullptr ? slot->replica.bad_count() : 0;
}

Shards::Load Shards::load() const {
  Load load{.writes = 0, .catching_up = 0, .rounds = rounds_.count()};
  for (const auto& [node, items] : effects_.catching_up) {
    load.catching_up = std::max<std::size_t>(load.catching_up, items);
  }
  for (const auto& slot : slots_) {
    if (slot && slot->owner) load.writes = std::max(load.writes, slot->owner->unanswered_most());
  }
  return load;
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
    SHOAL_ASSERT(slot->owner->config() == slot->replica.state().config);
    slot->owner->check_invariants(slot->replica);
  }
  for (const ShardId shard : busy_) SHOAL_ASSERT(find(shard)->busy);
  SHOAL_ASSERT(busy_.empty() || sweep_at_ != kNever);
}

}  // namespace shoal::shard
