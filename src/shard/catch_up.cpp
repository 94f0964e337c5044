// The owner's dealings with homes that lack something: repeats, probes, catch-up. No quorum ever
// waits for any of it.
#include <algorithm>
#include <iterator>
#include <utility>

#include "base/log.hpp"
#include "base/probes.hpp"
#include "shard/owner.hpp"

namespace shoal::shard {

void Owner::pump(TimePoint now, const Replica& replica, Effects& effects) {
  for (Peer& peer : peers_) {
    const bool ready =
        peer.node != self_ && !peer.silent && !peer.digest_wanted && peer.pump_at <= now;
    if (ready && !peer.missing.empty()) pump_peer(now, peer, replica, effects);
  }
}

// Values come from the own replica, or for detached records from the store. What is sent is always
// the current version, which may itself still be in flight.
void Owner::pump_peer(TimePoint now, Peer& peer, const Replica& replica, Effects& effects) {
  tidy_missing(peer);
  std::uint32_t& window = effects.catching_up[peer.node];
  while (!peer.missing.empty() && window < settings_.catch_up_window &&
         peer.outstanding.size() < kOutstandingMax) {
    std::vector<wire::Record> records;
    std::size_t bytes = 0;
    while (!peer.missing.empty() && bytes < kCatchUpBytes && window < settings_.catch_up_window) {
      const wire::RecordKey key = peer.missing.back();
      peer.missing.pop_back();
      const StoredRecord* stored = replica.find(key);
      if (stored == nullptr || stored->version == 0 || stored->bad != 0) continue;
      if (detached(key)) {
        ++window;  // Until the store has answered.
        effects.read({.kind = ReadPurpose::Kind::catch_up,
                      .shard = shard_,
                      .key = key,
                      .version = replica.version(*stored),
                      .ballot = ballot_,
                      .node = peer.node});
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
}

void Owner::on_value(TimePoint now, const ReadPurpose& purpose, ValueRead answer, Replica& replica,
                     Effects& effects) {
  const StoredRecord* stored = replica.find(purpose.key);
  if (stored == nullptr) return;
  const wire::RecordVersion current = replica.version(*stored);
  const bool good = answer.record && answer.record->version == current;
  if (purpose.kind == ReadPurpose::Kind::rewrite) {
    if (!good || flights_.contains(purpose.key)) return;
    rewrite(purpose.key, std::move(answer.record->value), Committed::present, replica);
    return;
  }
  Peer* lacking = peer(purpose.node);
  if (lacking == nullptr) return;
  if (good) {
    std::vector<wire::Record> records;
    records.push_back(std::move(*answer.record));
    send_batch(now, *lacking, std::move(records), true, replica, effects);
  } else if (current != purpose.version) {
    lacks(*lacking, purpose.key);  // It changed while it was read.
  } else {
    log::warn("shard", "{}: shard {} has an unreadable record ({:x}, {:x})", short_text(self_),
              static_cast<std::uint32_t>(shard_), purpose.key.high, purpose.key.low);
    replica.mark_bad(purpose.key);
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
    const StoredRecord* stored = replica.find(entry.key);
    if (stored != nullptr && !entry.bad && replica.version(*stored) == entry.version) {
      held.push_back(entry.key);
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
  bool busy = false;
  for (Peer& peer : peers_) {
    if (peer.node == self_) continue;
    expire_batches(now, peer, effects);
    const bool config_lacks = peer.config_acked != config_.id && peer.outstanding.empty();
    // Later writes were answered, this one was not and will not be: the answer to a probe shows
    // that, and nothing else may come that does, once the window is full.
    const bool overtaken = !peer.outstanding.empty() && peer.outstanding.front().late;
    const bool wanted = peer.silent || peer.digest_wanted || config_lacks || overtaken;
    if (wanted && peer.probe_at <= now) probe(now, peer, effects);
    busy = busy || peer.silent || peer.digest_wanted || !peer.outstanding.empty() ||
           !peer.missing.empty() || peer.config_acked != config_.id;
  }
  pump(now, replica, effects);
  return busy;
}

// A Write without records: does it live, does it hold our config? Number 0 is not tracked.
void Owner::probe(TimePoint now, Peer& peer, Effects& effects) {
  effects.outbox.write(peer.node, item_for(peer, 0));
  if (peer.digest_wanted) {
    effects.outbox.prepare(peer.node, {.shard = shard_, .ballot = ballot_, .config = config_});
  }
  peer.probe_at = now + settings_.retransmit_after;
}

void Owner::release(Effects& effects) {
  for (Peer& peer : peers_) {
    for (const Batch& batch : peer.outstanding) {
      if (batch.catch_up && !batch.answered) --effects.catching_up[peer.node];
    }
  }
}

}  // namespace shoal::shard
