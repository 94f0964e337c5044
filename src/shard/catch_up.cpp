// The owner's dealings with homes that lack something: repeats, probes, catch-up. No quorum ever
// waits for any of it.
#include <algorithm>
#include <bit>
#include <iterator>
#include <utility>

#include "base/log.hpp"
#include "base/probes.hpp"
#include "shard/owner.hpp"

namespace shoal::shard {

void Owner::pump(TimePoint now, const Replica& replica, Effects& effects) {
  if (std::exchange(reads_wait_, false)) fetch_lacking(now, effects);
  for (Peer& peer : peers_) {
    const bool ready = !peer.away() && peer.node != self_ && !peer.silent && !peer.digest_wanted &&
                       peer.pump_at <= now;
    if (ready && !peer.missing.empty()) pump_peer(now, peer, replica, effects);
  }
}

// Values come from the own replica, or for detached records from the store. What is sent is always
// the current version, which may itself still be in flight.
void Owner::pump_peer(TimePoint now, Peer& peer, const Replica& replica, Effects& effects) {
  tidy_missing(peer);
  std::uint32_t& window = effects.catching_up[peer.node];
  std::vector<wire::RecordKey> dirty;  // Paused: their version is not fixed yet.
  while (!peer.missing.empty() && window < settings_.catch_up_window &&
         peer.outstanding.size() < kOutstandingMax) {
    std::vector<wire::Record> records;
    std::size_t bytes = 0;
    while (!peer.missing.empty() && bytes < kCatchUpBytes && window < settings_.catch_up_window) {
      const wire::RecordKey key = peer.missing.back();
      peer.missing.pop_back();
      const StoredRecord* stored = replica.find(key);
      if (const auto flight = flights_.find(key);
          flight != flights_.end() && flight->second.dirty) {
        dirty.push_back(key);
        continue;
      }
      if (const auto lacking = lacking_.find(key); lacking != lacking_.end()) {
        if ((lacking->second.wanted & bit(peer)) == 0) ++peer.awaiting;
        lacking->second.wanted |= bit(peer);
        lacking->second.holders &= ~bit(peer);
        continue;
      }
      if (stored == nullptr || stored->version == 0 || stored->bad != 0) continue;
      if (detached(key)) {
        ++window;  // Until the store has answered.
        ++peer.reading;
        effects.read({.kind = ReadPurpose::Kind::catch_up,
                      .shard = shard_,
                      .key = key,
                      .version = replica.version(*stored),
                      .ballot = ballot_,
                      .node = peer.node,
                      .entered = peer.entered});
        continue;
      }
      records.push_back(replica.full(*stored));
      bytes += wire_size(records.back());
      if (probes::fails(probes::Site::catch_up_slow)) break;
    }
    peer.missing_sorted = peer.missing.size();
    if (peer.missing.empty()) probes::mark(probes::Mark::home_caught_up);
    if (!records.empty()) send_batch(now, peer, std::move(records), true, replica, effects);
  }
  for (const wire::RecordKey& key : dirty) lacks(peer, key);
}

void Owner::on_value(TimePoint now, const ReadPurpose& purpose, ValueRead answer, Replica& replica,
                     Effects& effects) {
  Peer* lacking = purpose.kind == ReadPurpose::Kind::catch_up ? peer(purpose.node) : nullptr;
  if (lacking != nullptr && lacking->entered != purpose.entered) lacking = nullptr;
  if (lacking != nullptr && lacking->reading > 0) --lacking->reading;
  const StoredRecord* stored = replica.find(purpose.key);
  if (stored == nullptr) return;
  const wire::RecordVersion current = replica.version(*stored);
  const bool good = answer.record && answer.record->version == current;
  if (purpose.kind == ReadPurpose::Kind::rewrite) {
    if (!good || flights_.contains(purpose.key)) return;
    rewrite(purpose.key, std::move(answer.record->value), Committed::present, replica);
    return;
  }
  if (lacking == nullptr || lacking->away()) return;
  if (good) {
    std::vector<wire::Record> records;
    records.push_back(std::move(*answer.record));
    send_batch(now, *lacking, std::move(records), true, replica, effects);
    return;
  }
  // It changed while it was read, or cannot be read: then another home is asked for it.
  if (current == purpose.version) lost_value(purpose.key, replica);
  lacks(*lacking, purpose.key);
}

bool Owner::wait_for_value(const wire::RecordKey& key, std::uint64_t read) {
  const auto lacking = lacking_.find(key);
  if (lacking == lacking_.end()) return false;
  if (lacking->second.reads.empty()) lacking->second.reads_since = {};
  lacking->second.reads.push_back(read);
  reads_wait_ = true;
  return true;
}

void Owner::lost_value(const wire::RecordKey& key, Replica& replica) {
  const StoredRecord* stored = replica.find(key);
  if (stored == nullptr || !settled(key) || lacking_.contains(key)) return;
  log::warn("shard", "{}: shard {} has an unreadable record ({:x}, {:x}); other homes are asked",
            short_text(self_), static_cast<std::uint32_t>(shard_), key.high, key.low);
  Lacking& lacking = lacking_[key];
  lacking.version = replica.version(*stored);
  for (const Peer& peer : peers_) {
    if (!peer.away() && peer.node != self_) lacking.holders |= bit(peer);
  }
  replica.mark_bad(key);
}

// True when it is to be fetched, from the peer `asked`: one that answers, and not one that did not.
bool Owner::ask_for(TimePoint now, Lacking& lacking) const {
  if (lacking.asked_at != TimePoint{}) {
    if (now < lacking.asked_at + settings_.fetch_timeout) return false;
    lacking.tried |= lacking.asked;
    lacking.asked_at = {};
  }
  std::uint32_t possible = 0;
  for (const Peer& peer : peers_) {
    if (!peer.away() && !peer.silent) possible |= lacking.holders & bit(peer);
  }
  if ((possible & ~lacking.tried) == 0) lacking.tried = 0;
  possible &= ~lacking.tried;
  if (possible == 0) return false;
  lacking.asked = possible & ~(possible - 1);
  lacking.asked_at = now;
  return true;
}

void Owner::give_up_reads(TimePoint now, Lacking& lacking, Effects& effects) {
  if (lacking.reads.empty()) return;
  if (lacking.reads_since == TimePoint{}) lacking.reads_since = now;
  if (now < lacking.reads_since + kReadPatience) return;
  answer_without(lacking, effects);
}

void Owner::answer_without(Lacking& lacking, Effects& effects) {
  for (const std::uint64_t read : std::exchange(lacking.reads, {})) {
    effects.reads.erase(read);
    effects.output.values.push_back({.id = read, .value = std::nullopt});
  }
}

// C6: settled values are no hurry, but for those that somebody waits for.
void Owner::fetch_lacking(TimePoint now, Effects& effects) {
  std::map<std::uint32_t, std::vector<wire::RecordKey>> ask;
  std::size_t under_way = 0;
  for (auto& [key, lacking] : lacking_) {
    give_up_reads(now, lacking, effects);
    if (under_way >= kFetchKeys && lacking.reads.empty()) continue;
    if (ask_for(now, lacking)) ask[lacking.asked].push_back(key);
    if (lacking.asked_at != TimePoint{}) ++under_way;
  }
  for (auto& [asked, keys] : ask) {
    const NodeId holder = peers_[static_cast<std::size_t>(std::countr_zero(asked))].node;
    effects.outbox.fetch(holder, {.shard = shard_, .ballot = ballot_, .keys = std::move(keys)});
  }
}

void Owner::drop_lacking(std::map<wire::RecordKey, Lacking>::iterator at) {
  for (Peer& peer : peers_) {
    if ((at->second.wanted & bit(peer)) != 0) --peer.awaiting;
  }
  lacking_.erase(at);
}

void Owner::on_fetched(TimePoint now, const wire::FetchedItem& item, Replica& replica,
                       Effects& effects) {
  if (item.ballot != ballot_) return;
  for (const wire::Record& record : item.records) {
    const auto lacking = lacking_.find(record.key);
    // H3: only the version that was asked for serves.
    if (lacking == lacking_.end() || lacking->second.version != record.version) continue;
    replica.store(record.key, record.version, "");
    send_batch(now, *peer(self_), {record}, false, replica, effects);
    for (const std::uint64_t read : lacking->second.reads) {
      effects.output.reads.push_back({.id = read, .shard = shard_, .key = record.key});
    }
    const std::uint32_t wanted = lacking->second.wanted;
    drop_lacking(lacking);
    for (Peer& peer : peers_) {
      if ((wanted & bit(peer)) != 0 && !peer.away()) lacks(peer, record.key);
    }
  }
}

// After its promise a home's records change by our Writes only, so whatever the digest says it
// holds, it holds from then on.
bool Owner::on_promise(TimePoint now, NodeId from, const wire::PromiseItem& item,
                       const Replica& replica) {
  Peer* peer = this->peer(from);
  if (peer == nullptr || item.ballot != ballot_) return false;
  peer->heard = now;
  peer->silent = false;
  if (!peer->digest_wanted || peer->entered != 0 || !peer->digest.add(item)) return false;
  std::vector<wire::RecordKey> held;
  for (const wire::DigestEntry& entry : peer->digest.entries()) {
    if (entry.bad) continue;
    const StoredRecord* stored = replica.find(entry.key);
    if (const auto lacking = lacking_.find(entry.key); lacking != lacking_.end()) {
      const bool holds = lacking->second.version == entry.version;
      if (!holds || (lacking->second.wanted & bit(*peer)) == 0) continue;
      lacking->second.wanted &= ~bit(*peer);
      lacking->second.holders |= bit(*peer);
      --peer->awaiting;
    } else if (stored != nullptr && replica.version(*stored) == entry.version &&
               !flights_.contains(entry.key)) {
      held.push_back(entry.key);  // What is in flight still wants its Ack (O2): it is sent again.
    }
  }
  std::ranges::sort(held);
  tidy_missing(*peer);
  std::vector<wire::RecordKey> missing;
  std::ranges::set_difference(peer->missing, held, std::back_inserter(missing));
  peer->missing = std::move(missing);
  peer->missing_sorted = peer->missing.size();
  peer->digest_wanted = false;
  peer->digest = {};
  return true;
}

void Owner::expire_batches(TimePoint now, Peer& peer, Effects& effects) {
  for (std::size_t i = 0; i < peer.outstanding.size(); ++i) {
    const Batch& batch = peer.outstanding[i];
    if (batch.answered || batch.late || now < batch.sent + settings_.retransmit_after) continue;
    if (peer.heard > batch.sent || peer.silent) continue;
    probes::mark(probes::Mark::home_silent);
    peer.silent = true;
  }
  for (Batch& batch : peer.outstanding) {
    const bool due = now >= batch.sent + settings_.retransmit_after ||
                     probes::fails(probes::Site::write_repeated);
    if (batch.answered || batch.late || !(due || peer.silent)) continue;
    for (const KeyVersion& record : batch.records) lacks(peer, record.key);
    if (std::exchange(batch.catch_up, false)) --effects.catching_up[peer.node];
    batch.late = true;
  }
}

bool Owner::on_time(TimePoint now, const Replica& replica, Effects& effects) {
  bool busy = !lacking_.empty() || changing() || paused(now);
  for (Peer& peer : peers_) {
    if (!peer.node || peer.node == self_) continue;
    expire_batches(now, peer, effects);
    const bool lacks_state = peer.config_acked != config_.id || peer.floor_acked < floor_;
    // Later writes were answered, this one was not and will not be: the answer to a probe shows
    // that, and nothing else may come that does, once the window is full.
    const bool overtaken = !peer.outstanding.empty() && peer.outstanding.front().late;
    const bool wanted = peer.silent || peer.digest_wanted || peer.ask_again || overtaken ||
                        learns(peer.node) || (lacks_state && peer.outstanding.empty());
    if (wanted && peer.probe_at <= now) probe(now, peer, effects);
    busy = busy || wanted || lacks_state || !peer.outstanding.empty() || !peer.missing.empty() ||
           peer.left_at != TimePoint{};
  }
  fetch_lacking(now, effects);
  pump(now, replica, effects);
  return busy;
}

// A Write without records: does it live, does it hold our config and floor, which of its copies are
// bad? Number 0 is not tracked.
void Owner::probe(TimePoint now, Peer& peer, Effects& effects) {
  effects.outbox.write(peer.node, item_for(peer, 0));
  if (peer.digest_wanted) {
    effects.outbox.prepare(peer.node, {.shard = shard_, .ballot = ballot_, .config = config_});
  }
  peer.probe_at = now + settings_.retransmit_after;
}

void Owner::ask_again(NodeId node) {
  Peer* known = peer(node);
  if (known == nullptr || known->away() || node == self_) return;
  known->ask_again = true;
  known->probe_at = {};
}

std::size_t Owner::unanswered_most() const {
  std::size_t most = 0;
  for (const Peer& peer : peers_) {
    if (peer.node != self_) most = std::max(most, peer.outstanding.size());
  }
  return most;
}

void Owner::release(Effects& effects) {
  for (auto& [key, lacking] : lacking_) answer_without(lacking, effects);
  for (Peer& peer : peers_) {
    for (const Batch& batch : peer.outstanding) {
      if (batch.catch_up && !batch.answered) --effects.catching_up[peer.node];
    }
  }
}

}  // namespace shoal::shard
