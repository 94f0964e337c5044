#include "shard/owner.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/assert.hpp"
#include "shard/quorum.hpp"

namespace shoal::shard {

Owner::Owner(NodeId self, ShardId shard, wire::Ballot ballot, const ShardsConfig& settings)
    : self_(self), shard_(shard), ballot_(ballot), settings_(settings) {}

// C6: the same lists, under the new ballot. Everybody in them has been a member all along.
void Owner::begin(TimePoint now, Merge merge, std::uint64_t wall, Replica& replica,
                  Effects& effects) {
  config_ = merge.config;
  config_.id = {.ballot = ballot_, .seq = 0};
  floor_ = merge.floor;
  for (const NodeId node : members(config_)) {
    Peer peer;
    peer.node = node;
    peer.heard = now;
    peer.probe_at = now;
    peer.digest_wanted =
        node != self_ && std::ranges::find(merge.promisers, node) == merge.promisers.end();
    peers_.push_back(std::move(peer));
  }
  SHOAL_ASSERT(peers_.size() <= kMembersMax);
  home_ = bits(config_.home);
  next_ = bits(config_.next);
  replica.adopt(config_, ballot_, effects.output.writes);
  floor_refused_ = !replica.adopt_floor(floor_, wall, settings_.mutations, effects.output.writes);
  for (MergedRecord& merged : merge.records) {
    if (!at_or_below(merged.key, floor_)) take_merged(merged, merge, replica, effects);
  }
  for (Peer& peer : peers_) tidy_missing(peer);
  if (config_.next.empty() && !config_.learners.empty()) {  // G5: learners may be dropped.
    wire::ShardConfig config = config_;
    ++config.id.seq;
    config.learners.clear();
    set_config(now, std::move(config), replica, effects);
  }
  flush(now, replica, effects);
  // The config goes out in the first Writes; where there are none, by itself.
  for (Peer& peer : peers_) {
    if (peer.outstanding.empty()) return announce(now, replica, effects);
  }
}

void Owner::take_merged(MergedRecord& merged, Merge& merge, Replica& replica, Effects& effects) {
  if (merged.blocked) {
    blocked_.push_back(merged.key);
    return;
  }
  // Only the own, unreadable copy said that there is such a record.
  if (merged.version.version == 0) return replica.forget(merged.key);
  const StoredRecord* own = replica.find(merged.key);
  const bool held = own != nullptr && own->bad == 0 && replica.version(*own) == merged.version;
  const auto fetched = merge.values.find(merged.key);
  // From the promise on, the own copy is frozen and the needs were met; but not if a rule is
  // switched off. Settled output comes later (C6).
  const bool known = held || fetched != merge.values.end();
  const bool later = merged.settled && detached(merged.key);
  SHOAL_ASSERT(known || later || settings_.mutations != Mutations{});
  if (!known && !later) return;
  if (!merged.settled) {
    std::string value = fetched != merge.values.end() ? std::move(fetched->second) : own->value;
    replica.store(merged.key, merged.version, "");
    rewrite(merged.key, std::move(value), Committed::unsettled, replica);
    return;
  }
  // Settled as it stands, under its old ballot. Who does not hold it is sent it later.
  std::uint32_t holders = 0;
  for (std::size_t i = 0; i < merge.promisers.size(); ++i) {
    const Peer* promiser = peer(merge.promisers[i]);
    if (promiser != nullptr && (merged.holders >> i & 1U) != 0) holders |= bit(*promiser);
  }
  if (!known) {
    lacking_[merged.key] = {.version = merged.version, .holders = holders};
  } else if (!held) {
    const bool elsewhere = detached(merged.key);
    replica.store(merged.key, merged.version, elsewhere ? std::string() : fetched->second);
    effects.output.writes.push_back(wire::PutRecord{
        shard_, {.key = merged.key, .version = merged.version, .value = fetched->second}});
  }
  for (Peer& peer : peers_) {
    if (peer.node == self_ || (holders & bit(peer)) != 0) continue;
    if (known) {
      lacks(peer, merged.key);
    } else {
      lacking_[merged.key].wanted |= bit(peer);
      ++peer.awaiting;
    }
  }
}

// The record's version and value stay, its ballot becomes the owner's, and nobody holds it yet.
void Owner::rewrite(const wire::RecordKey& key, std::string value, Committed state,
                    Replica& replica) {
  StoredRecord* stored = replica.find(key);
  SHOAL_ASSERT(stored != nullptr && !flights_.contains(key));
  Flight flight;
  flight.state = state;
  flight.dirty = true;
  flight.current.version = stored->version;
  if (state == Committed::present && !detached(key)) flight.committed = value;
  if (detached(key)) flight.detached_value = std::exchange(value, {});
  replica.store(key, {.ballot = ballot_, .version = stored->version}, std::move(value));
  flights_.emplace(key, std::move(flight));
  dirty_.push_back(key);
}

Owner::Peer* Owner::peer(NodeId node) {
  return const_cast<Peer*>(static_cast<const Owner*>(this)->peer(node));
}

const Owner::Peer* Owner::peer(NodeId node) const {
  const auto at = std::ranges::find(peers_, node, &Peer::node);
  return at == peers_.end() ? nullptr : &*at;
}

std::uint32_t Owner::bits(const std::vector<NodeId>& nodes) const {
  std::uint32_t mask = 0;
  for (const NodeId node : nodes) mask |= bit(*peer(node));
  return mask;
}

bool Owner::blocked(const wire::RecordKey& key) const {
  if (floor_refused_ && at_or_below(key, floor_)) return true;
  return !blocked_.empty() && std::ranges::binary_search(blocked_, key);
}

CommittedValue Owner::committed(const wire::RecordKey& key, const Replica& replica) const {
  if (blocked(key)) return {.state = Committed::unsettled};
  const StoredRecord* stored = replica.find(key);
  const auto flight = flights_.find(key);
  if (flight != flights_.end() && !settings_.mutations.show_uncommitted) {
    const bool present = flight->second.state == Committed::present;
    return {.state = flight->second.state, .value = present ? &flight->second.committed : nullptr};
  }
  if (detached(key) && lacking_.contains(key)) {
    static const std::string kElsewhere;
    return {.state = Committed::present, .value = &kElsewhere};
  }
  if (stored == nullptr || stored->version == 0) return {};
  return {.state = Committed::present, .value = &stored->value};
}

bool Owner::propose(const wire::RecordKey& key, std::string value, std::uint64_t token,
                    Replica& replica) {
  if (blocked(key)) return false;
  StoredRecord* stored = replica.find(key);
  auto [at, fresh] = flights_.try_emplace(key);
  Flight& flight = at->second;
  std::uint64_t version = stored != nullptr ? stored->version : 0;
  if (const auto lacking = lacking_.find(key); lacking != lacking_.end()) {
    version = std::max(version, lacking->second.version.version);
    drop_lacking(lacking);
  }
  if (fresh) {
    // The settled value is the one that is shown until the new version is committed.
    flight.state = version > 0 ? Committed::present : Committed::absent;
    if (stored != nullptr) flight.committed = std::move(stored->value);
    ++version;
  } else if (!flight.dirty && !settings_.mutations.reuse_version) {
    flight.current.value = std::move(stored->value);
    flight.older.push_back(std::exchange(flight.current, {}));
    ++version;
  } else if (!flight.dirty) {
    flight.current.holders = 0;
  }
  // A version that was never flushed is not used yet: it takes the newer value and both tokens.
  flight.current.version = version;
  if (token != 0) flight.current.tokens.push_back(token);
  if (!std::exchange(flight.dirty, true)) dirty_.push_back(key);
  if (detached(key)) flight.detached_value = std::exchange(value, {});
  replica.store(key, {.ballot = ballot_, .version = version}, std::move(value));
  return true;
}

void Owner::flush(TimePoint now, Replica& replica, Effects& effects) {
  std::vector<wire::Record> records;
  std::size_t bytes = 0;
  const auto send = [&] {
    for (Peer& peer : peers_) {
      if (peer.away() || peer.node == self_) continue;
      if (!peer.silent && peer.outstanding.size() < kOutstandingMax) {
        send_batch(now, peer, records, false, replica, effects);
      } else {
        for (const wire::Record& record : records) lacks(peer, record.key);
      }
    }
    // Itself last, and also when it left: the own copy must not be ahead of the own disk.
    send_batch(now, *peer(self_), std::move(records), false, replica, effects);
    records.clear();
    bytes = 0;
  };
  for (const wire::RecordKey& key : std::exchange(dirty_, {})) {
    Flight& flight = flights_.at(key);
    SHOAL_ASSERT(flight.dirty);
    flight.dirty = false;
    wire::Record record = replica.full(*replica.find(key));
    if (detached(key)) record.value = std::exchange(flight.detached_value, {});
    bytes += wire_size(record);
    records.push_back(std::move(record));
    if (records.size() >= kMessageRecordsMax || bytes >= kMessageBytesMax) send();
  }
  if (!records.empty()) send();
}

wire::WriteItem Owner::item_for(const Peer& peer, std::uint64_t number) const {
  wire::WriteItem item{.shard = shard_,
                       .ballot = ballot_,
                       .config_id = config_.id,
                       .config = std::nullopt,
                       .floor = floor_,
                       .number = number,
                       .records = {}};
  if (peer.config_acked != config_.id) item.config = config_;
  return item;
}

// To itself like to any other home: the replica has the records already, `writes` gets them, and
// the Ack comes back once the own disk has answered (1.1).
void Owner::send_batch(TimePoint now, Peer& peer, std::vector<wire::Record> records, bool catch_up,
                       const Replica& replica, Effects& effects) {
  Batch batch{.number = ++peer.number_last, .sent = now, .catch_up = catch_up};
  batch.records.reserve(records.size());
  for (const wire::Record& record : records) {
    const bool own_ballot = record.version.ballot == ballot_;
    batch.records.push_back({record.key, own_ballot ? record.version.version : 0});
  }
  if (catch_up) ++effects.catching_up[peer.node];
  if (peer.node == self_) {
    for (wire::Record& record : records) {
      effects.output.writes.push_back(wire::PutRecord{shard_, std::move(record)});
    }
    effects.outbox.ack(self_, {.shard = shard_,
                               .ballot = ballot_,
                               .config_id = config_.id,
                               .config = std::nullopt,
                               .floor = replica.state().floor,
                               .number = batch.number,
                               .exceptions = {}});
  } else {
    wire::WriteItem item = item_for(peer, batch.number);
    item.records = std::move(records);
    effects.outbox.write(peer.node, std::move(item));
  }
  peer.outstanding.push_back(std::move(batch));
  if (peer.node != self_ || !settings_.mutations.count_own_unsynced) return;
  for (const KeyVersion& record : std::vector(peer.outstanding.back().records)) {
    const auto flight = flights_.find(record.key);
    if (flight == flights_.end()) continue;
    mark_held(flight, record.version, bit(peer), replica, effects);
  }
}

void Owner::lacks(Peer& peer, const wire::RecordKey& key) {
  if (peer.away()) return;
  peer.missing.push_back(key);
  if (peer.missing.size() > 2 * peer.missing_sorted + 64) tidy_missing(peer);
}

void Owner::tidy_missing(Peer& peer) {
  if (peer.missing_sorted == peer.missing.size()) return;
  std::ranges::sort(peer.missing);
  const auto repeated = std::ranges::unique(peer.missing);
  peer.missing.erase(repeated.begin(), repeated.end());
  peer.missing_sorted = peer.missing.size();
}

void Owner::answered(Peer& peer, Batch& batch, Effects& effects) {
  SHOAL_ASSERT(!batch.answered);
  if (batch.catch_up) --effects.catching_up[peer.node];
  batch.answered = true;
  batch.records = {};
  while (!peer.outstanding.empty() && peer.outstanding.front().answered) {
    peer.outstanding.pop_front();
  }
}

// Answers come in the order of the writes, so a late one that was overtaken is lost.
void Owner::drop_late(Peer& peer, std::uint64_t below) {
  for (Batch& batch : peer.outstanding) {
    if (batch.number >= below) break;
    if (!batch.late || batch.answered) continue;
    batch.answered = true;
    batch.records = {};
  }
  while (!peer.outstanding.empty() && peer.outstanding.front().answered) {
    peer.outstanding.pop_front();
  }
}

void Owner::give_back(Peer& peer, Batch& batch, Effects& effects) {
  for (const KeyVersion& record : batch.records) lacks(peer, record.key);
  answered(peer, batch, effects);
}

bool Owner::quorum_holds(std::uint32_t holders) const {
  const auto most = [&](std::uint32_t nodes) {
    return 2 * std::popcount(nodes & holders) > std::popcount(nodes);
  };
  const Mutations& off = settings_.mutations;
  if (off.joint_commits_old_only && old_home_ != 0) return most(old_home_);
  if (next_ == 0) return most(home_);
  return (off.joint_counts_new_only || most(home_)) && (off.joint_counts_old_only || most(next_));
}

void Owner::on_ack(TimePoint now, NodeId from, const wire::AckItem& ack, std::uint64_t wall,
                   Replica& replica, Effects& effects) {
  Peer* peer = this->peer(from);
  if (peer == nullptr || ack.ballot != ballot_) return;
  peer->heard = now;
  peer->silent = false;
  if (floor_ < ack.floor) {
    flush(now, replica, effects);
    raise_floor(now, ack.floor, wall, replica, effects);
  }
  // O2: what was said under another config of this node's, or before it entered, does not count.
  const bool counts = (ack.config_id.ballot == ballot_ && ack.config_id.seq >= peer->entered) ||
                      settings_.mutations.count_old_acks;
  if (ack.config) {
    peer->config_acked = {};
  } else if (counts) {
    peer->config_acked = std::max(peer->config_acked, ack.config_id);
    peer->floor_acked = std::max(peer->floor_acked, ack.floor);
  }
  drop_late(*peer, ack.number == 0 ? peer->number_last + 1 : ack.number);
  if (ack.number == 0) return on_unasked(*peer, ack, replica);
  const std::uint64_t first = peer->outstanding.empty() ? 0 : peer->outstanding.front().number;
  if (ack.number < first || ack.number - first >= peer->outstanding.size()) return;
  Batch& batch = peer->outstanding[ack.number - first];
  if (batch.answered) return;
  if (ack.config) return give_back(*peer, batch, effects);  // Nothing was stored (H2).
  if (!counts) return;
  const std::vector<KeyVersion> records = std::exchange(batch.records, {});
  answered(*peer, batch, effects);
  for (const KeyVersion& record : records) {
    if (!ack.exceptions.empty()) {
      const auto at = std::ranges::find(ack.exceptions, record.key, &wire::AckException::key);
      if (at != ack.exceptions.end()) {
        on_exception(now, *peer, *at, replica, effects);
        continue;
      }
    }
    const auto flight = flights_.find(record.key);
    if (flight != flights_.end()) mark_held(flight, record.version, bit(*peer), replica, effects);
  }
}

// The answer to a probe names copies that went bad since the owner learnt of them. It may name no
// more at once than kBadListed.
void Owner::on_unasked(Peer& peer, const wire::AckItem& ack, Replica& replica) {
  peer.ask_again = ack.exceptions.size() >= kBadListed;
  if (peer.away() || peer.node == self_) return;
  for (const wire::AckException& exception : ack.exceptions) {
    const bool known = replica.find(exception.key) != nullptr;
    if (known && exception.version.version == 0 && !exception.gone) lacks(peer, exception.key);
  }
}

// O2: the home holds something else than what it was sent.
void Owner::on_exception(TimePoint now, Peer& peer, const wire::AckException& exception,
                         Replica& replica, Effects& effects) {
  const StoredRecord* stored = replica.find(exception.key);
  if (exception.gone || stored == nullptr) return;
  const wire::RecordVersion current = replica.version(*stored);
  const auto flight = flights_.find(exception.key);
  if (exception.version.ballot == ballot_) {
    // It has this version or a later one of ours already.
    if (flight != flights_.end()) {
      mark_held(flight, exception.version.version, bit(peer), replica, effects);
    }
    if (exception.version < current) lacks(peer, exception.key);
  } else if (current < exception.version) {
    if (ballot_ < exception.version.ballot) return;  // Its promise will tell us the rest.
    // A leftover nobody promised. The record gets our ballot, above it.
    if (current.ballot == ballot_ || flight != flights_.end()) return;
    if (!detached(exception.key)) {
      rewrite(exception.key, stored->value, Committed::present, replica);
      return;
    }
    effects.read({.kind = ReadPurpose::Kind::rewrite,
                  .shard = shard_,
                  .key = exception.key,
                  .version = current,
                  .ballot = ballot_,
                  .node = peer.node});
  } else {
    // A bad copy that did not take what it was sent: at once, it would not take it again either.
    lacks(peer, exception.key);
    peer.pump_at = now + settings_.retransmit_after;
  }
}

void Owner::mark_held(Flights::iterator flight, std::uint64_t version, std::uint32_t peer_bit,
                      const Replica& replica, Effects& effects) {
  if (version == 0) return;
  // A home that has a version has had, or skipped for ever, all before it.
  for (Pending& pending : flight->second.older) {
    if (pending.version <= version) pending.holders |= peer_bit;
  }
  Pending& current = flight->second.current;
  if (!flight->second.dirty && current.version <= version) current.holders |= peer_bit;
  // O3: by a quorum of the present config.
  if (!flight->second.dirty && quorum_holds(current.holders)) {
    return commit(flight, current.version, replica, effects);
  }
  for (std::size_t i = flight->second.older.size(); i > 0; --i) {
    const Pending& pending = flight->second.older[i - 1];
    if (quorum_holds(pending.holders)) return commit(flight, pending.version, replica, effects);
  }
}

void Owner::commit(Flights::iterator flight, std::uint64_t version, const Replica& replica,
                   Effects& effects) {
  const wire::RecordKey key = flight->first;
  SHOAL_ASSERT(replica.find(key) != nullptr);
  Flight& record = flight->second;
  const auto tell = [&](const Pending& pending) {
    for (const std::uint64_t token : pending.tokens) {
      effects.output.committed.push_back({.token = token, .shard = shard_, .key = key});
    }
  };
  record.state = Committed::present;
  auto kept = record.older.begin();
  for (; kept != record.older.end() && kept->version <= version; ++kept) {
    tell(*kept);
    record.committed = std::move(kept->value);
  }
  record.older.erase(record.older.begin(), kept);
  if (record.current.version != version) return;
  tell(record.current);
  flights_.erase(flight);
}

void Owner::check_invariants(const Replica& replica) const {
  SHOAL_ASSERT(std::ranges::is_sorted(blocked_));
  for (const auto& [key, flight] : flights_) {
    const StoredRecord* stored = replica.find(key);
    SHOAL_ASSERT(stored != nullptr && stored->version == flight.current.version);
    SHOAL_ASSERT(replica.version(*stored).ballot == ballot_);
    SHOAL_ASSERT(flight.dirty || !quorum_holds(flight.current.holders));
    std::uint64_t last = 0;
    for (const Pending& pending : flight.older) {
      SHOAL_ASSERT(last < pending.version && pending.version < flight.current.version);
      last = pending.version;
    }
  }
  std::vector<std::uint32_t> awaiting(peers_.size(), 0);
  for (const auto& [key, lacking] : lacking_) {
    SHOAL_ASSERT(detached(key) && (lacking.wanted & lacking.holders) == 0);
    for (std::size_t i = 0; i < peers_.size(); ++i) awaiting[i] += lacking.wanted >> i & 1U;
  }
  for (const NodeId node : members(config_)) SHOAL_ASSERT(peer(node) != nullptr);
  SHOAL_ASSERT(home_ == bits(config_.home) && next_ == bits(config_.next));
  for (const Peer& peer : peers_) {
    SHOAL_ASSERT(peer.outstanding.empty() || !peer.outstanding.front().answered);
    SHOAL_ASSERT(peer.missing_sorted <= peer.missing.size());
    SHOAL_ASSERT(peer.node != self_ || peer.missing.empty());
    SHOAL_ASSERT(peer.awaiting == awaiting[static_cast<std::size_t>(&peer - peers_.data())]);
  }
  for (const wire::RecordKey& key : dirty_) SHOAL_ASSERT(flights_.at(key).dirty);
}

}  // namespace shoal::shard
