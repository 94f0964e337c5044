// Routing: a message's items go to their shards one by one; each succeeds or is refused alone (B1).
#include <algorithm>
#include <utility>

#include "base/probes.hpp"
#include "shard/quorum.hpp"
#include "shard/shards.hpp"

namespace shoal::shard {

void Shards::on_message(TimePoint now, NodeId from, const wire::Prepare& message) {
  for (const wire::PrepareItem& item : message.items) {
    Slot* slot = find(item.shard);
    if (slot == nullptr && settings_.mutations.blank_promises) found(item.shard, item.config);
    slot = find(item.shard);
    if (slot == nullptr) continue;  // F2: no state, no answer.
    flush(now, *slot);              // The digest speaks of what is in `writes` only.
    if (settings_.mutations.drop_by_own_clock && !slot->owner) {
      slot->replica.drop_by_clock(wall_, effects_.output.writes);
    }
    switch (slot->replica.on_prepare(item, settings_.mutations, effects_.output.writes)) {
      case Replica::Prepared::silent:
        break;
      case Replica::Prepared::refused:
        effects_.outbox.refuse(from, slot->replica.refusal(item.ballot));
        break;
      case Replica::Prepared::promised:
        for (wire::PromiseItem& page : slot->replica.promise()) {
          effects_.outbox.promise(from, std::move(page));
        }
        obey_promise(now, item.shard, *slot);
        break;
    }
  }
}

void Shards::on_message(TimePoint now, NodeId from, const wire::Promise& message) {
  for (const wire::PromiseItem& item : message.items) {
    Slot* slot = find(item.shard);
    if (slot == nullptr) continue;
    if (slot->candidate) {
      if (from != self_) slot->answered_at = now;
      advance(now, item.shard, *slot,
              slot->candidate->on_promise(now, from, item, slot->replica, effects_));
    } else if (slot->owner) {
      const bool complete = slot->owner->on_promise(now, from, item, slot->replica);
      if (complete) probes::mark(probes::Mark::digest_after_takeover);
      if (complete && slot->owner->any_blocked()) {
        probes::mark(probes::Mark::record_freed);
        // C5: a further home can stand in for bad copies, so the merge is worth another ballot.
        step_down(now, item.shard, *slot);
        take_over(now, item.shard);
      } else if (complete) {
        mark_dirty(item.shard, *slot);
      }
    }
  }
}

void Shards::on_message(TimePoint now, NodeId, const wire::Refuse& message) {
  for (const wire::RefuseItem& item : message.items) {
    Slot* slot = find(item.shard);
    if (slot == nullptr) continue;
    slot->round_seen = std::max(slot->round_seen, item.promised.round);  // C1.
    const bool higher = item.asked < item.promised;
    if (slot->owner && slot->owner->ballot() == item.asked && higher) {
      probes::mark(probes::Mark::owner_refused);
      step_down(now, item.shard, *slot);  // O5.
      effects_.output.refused.push_back({.shard = item.shard, .promised = item.promised});
    } else if (slot->candidate && slot->candidate->ballot() == item.asked) {
      if (higher) {
        probes::mark(probes::Mark::duel);
        const bool belongs = slot->candidate->belongs_to(item.config);
        if (belongs) {
          back_off(now, item.shard, *slot);  // C4.
        } else {
          advance(now, item.shard, *slot, Candidate::Progress::give_up);  // C3.
        }
        effects_.output.refused.push_back(
            {.shard = item.shard, .promised = item.promised, .gave_up = !belongs});
      } else {
        const Candidate::Progress progress =
            slot->candidate->on_newer_config(now, item.config, slot->replica, effects_);
        if (progress == Candidate::Progress::give_up) {
          effects_.output.refused.push_back(
              {.shard = item.shard, .promised = item.promised, .gave_up = true});
        }
        advance(now, item.shard, *slot, progress);
      }
    }
  }
}

// H3.
void Shards::on_message(TimePoint now, NodeId from, const wire::Fetch& message) {
  for (const wire::FetchItem& item : message.items) {
    Slot* slot = find(item.shard);
    if (slot == nullptr || !slot->replica.known()) continue;
    flush(now, *slot);
    if (slot->replica.promised() != item.ballot) {
      probes::mark(probes::Mark::late_fetch_refused);
      effects_.outbox.refuse(from, slot->replica.refusal(item.ballot));
    } else {
      answer_fetch(from, item, slot->replica);
    }
  }
}

void Shards::answer_fetch(NodeId to, const wire::FetchItem& item, const Replica& replica) {
  wire::FetchedItem fetched{.shard = item.shard, .ballot = item.ballot, .records = {}};
  std::size_t bytes = 0;
  for (const wire::RecordKey& key : item.keys) {
    const StoredRecord* stored = replica.find(key);
    if (stored == nullptr || stored->bad != 0) continue;
    if (detached(key)) {
      effects_.read({.kind = ReadPurpose::Kind::fetch,
                     .shard = item.shard,
                     .key = key,
                     .version = replica.version(*stored),
                     .ballot = item.ballot,
                     .node = to});
      continue;
    }
    fetched.records.push_back(replica.full(*stored));
    bytes += wire_size(fetched.records.back());
    if (bytes < kMessageBytesMax) continue;
    effects_.outbox.fetched(
        to, std::exchange(fetched, {.shard = item.shard, .ballot = item.ballot, .records = {}}));
    bytes = 0;
  }
  if (!fetched.records.empty()) effects_.outbox.fetched(to, std::move(fetched));
}

void Shards::on_message(TimePoint now, NodeId from, const wire::Fetched& message) {
  for (const wire::FetchedItem& item : message.items) {
    Slot* slot = find(item.shard);
    if (slot == nullptr) continue;
    if (slot->candidate) {
      slot->answered_at = now;
      advance(now, item.shard, *slot, slot->candidate->on_fetched(now, from, item, effects_));
    } else if (slot->owner) {
      slot->owner->on_fetched(now, item, slot->replica, effects_);
      mark_dirty(item.shard, *slot);
    }
  }
}

void Shards::on_message(TimePoint now, NodeId from, wire::WriteRecords message) {
  for (wire::WriteItem& item : message.items) {
    if (static_cast<std::uint32_t>(item.shard) >= kShardsMax) continue;
    Slot& slot = make(item.shard);
    flush(now, slot);
    if (auto ack =
            slot.replica.on_write(item, wall_, settings_.mutations, effects_.output.writes)) {
      effects_.outbox.ack(from, std::move(*ack));
      obey_promise(now, item.shard, slot);
    } else {
      const std::vector<NodeId> named = members(slot.replica.state().config);
      if (std::ranges::find(named, self_) == named.end()) {
        probes::mark(probes::Mark::stub_refused_write);
      }
      effects_.outbox.refuse(from, slot.replica.refusal(item.ballot));
    }
  }
}

void Shards::on_message(TimePoint now, NodeId from, const wire::Ack& message) {
  for (const wire::AckItem& item : message.items) {
    Slot* slot = find(item.shard);
    if (slot == nullptr || !slot->owner) continue;
    slot->owner->on_ack(now, from, item, wall_, slot->replica, effects_);
    mark_dirty(item.shard, *slot);  // The window may have room again, a change its next step.
  }
}

// H4: needs no disk, and silence about ballots not seen yet.
void Shards::on_message(TimePoint, NodeId from, const wire::Confirm& message) {
  wire::Confirmed confirmed{.round = message.round, .items = {}};
  for (const wire::ConfirmItem& item : message.items) {
    const Slot* slot = find(item.shard);
    if (slot == nullptr || !slot->replica.known()) continue;
    if (slot->replica.promised() == item.ballot) {
      confirmed.items.push_back(item);
    } else if (item.ballot < slot->replica.promised()) {
      probes::mark(probes::Mark::confirm_refused);
      effects_.outbox.refuse(from, slot->replica.refusal(item.ballot));
    }
  }
  if (!confirmed.items.empty()) effects_.outbox.send(from, std::move(confirmed));
}

// H5. An owner that left retires its own copy when it is done.
void Shards::on_message(TimePoint, NodeId, const wire::Retire& message) {
  for (const wire::RetireItem& item : message.items) {
    Slot* slot = find(item.shard);
    if (slot == nullptr || slot->owner) continue;
    if (slot->replica.on_retire(item.config, self_, settings_.mutations, effects_.output.writes)) {
      effects_.output.retired.push_back(item.shard);
    }
  }
}

void Shards::on_message(TimePoint, NodeId from, const wire::Confirmed& message) {
  rounds_.on_confirmed(from, message, effects_.output.confirmed);
}

void Shards::on_values_read(TimePoint now, std::vector<ValueRead> answers) {
  for (ValueRead& answer : answers) {
    const auto at = effects_.reads.find(answer.id);
    if (at == effects_.reads.end()) continue;
    const ReadPurpose purpose = at->second;
    effects_.reads.erase(at);
    on_value(now, purpose, std::move(answer));
  }
}

void Shards::on_value(TimePoint now, const ReadPurpose& purpose, ValueRead answer) {
  using Kind = ReadPurpose::Kind;
  Slot& slot = make(purpose.shard);
  const bool owner = slot.owner && slot.owner->ballot() == purpose.ballot;
  switch (purpose.kind) {
    case Kind::fetch:
      if (!answer.record || slot.replica.promised() != purpose.ballot) return;
      effects_.outbox.fetched(purpose.node, {.shard = purpose.shard,
                                             .ballot = purpose.ballot,
                                             .records = {std::move(*answer.record)}});
      return;
    case Kind::takeover:
      if (!slot.candidate || slot.candidate->ballot() != purpose.ballot) return;
      return advance(
          now, purpose.shard, slot,
          slot.candidate->on_value(now, purpose.key, std::move(answer), slot.replica, effects_));
    case Kind::catch_up:
      --effects_.catching_up[purpose.node];
      [[fallthrough]];
    case Kind::rewrite:
      if (!owner) return;
      slot.owner->on_value(now, purpose, std::move(answer), slot.replica, effects_);
      mark_dirty(purpose.shard, slot);
      mark_busy(now, purpose.shard, slot);
      return;
    case Kind::asked: {
      // Shown only if it is settled, and is what the store had.
      const StoredRecord* stored = slot.replica.find(purpose.key);
      const bool settled = owner && stored != nullptr && slot.owner->settled(purpose.key);
      const bool shown =
          settled && answer.record && answer.record->version == slot.replica.version(*stored);
      if (settled && !answer.record && stored->bad == 0) {
        slot.owner->lost_value(purpose.key, slot.replica);
        effects_.reads.emplace(answer.id, purpose);
        slot.owner->wait_for_value(purpose.key, answer.id);
        mark_dirty(purpose.shard, slot);
        return mark_busy(now, purpose.shard, slot);
      }
      effects_.output.values.push_back({.id = answer.id, .value = std::nullopt});
      if (shown) effects_.output.values.back().value = std::move(answer.record->value);
      return;
    }
  }
}

// Only under Mutations::acks_unsynced and promises_unsynced.
void Shards::send_unsynced() {
  std::vector<Outgoing> waiting;
  for (Outgoing& out : effects_.output.promises) {
    const bool ack = std::holds_alternative<wire::Ack>(out.message);
    const bool promise = std::holds_alternative<wire::Promise>(out.message);
    const bool unsynced = (ack && settings_.mutations.acks_unsynced) ||
                          (promise && settings_.mutations.promises_unsynced);
    const bool at_once = unsynced && out.to != self_;
    (at_once ? effects_.output.messages : waiting).push_back(std::move(out));
  }
  effects_.output.promises = std::move(waiting);
}

Output Shards::take_output(TimePoint now) {
  for (const ShardId shard : std::exchange(dirty_, {})) {
    Slot& slot = *find(shard);
    slot.dirty = false;
    if (!slot.owner) continue;
    if (probes::fails(probes::Site::flush_late)) {
      mark_dirty(shard, slot);
      continue;
    }
    serve(now, shard, slot);
  }
  rounds_.begin(
      now,
      [&](ShardId shard) -> std::optional<ConfirmRounds::Owned> {
        const Slot* slot = find(shard);
        if (slot == nullptr || !slot->owner) return std::nullopt;
        return ConfirmRounds::Owned{slot->owner->ballot(), slot->owner->config()};
      },
      effects_.output.messages, effects_.output.confirmed);
  effects_.outbox.drain(effects_.output);
  if (settings_.mutations != Mutations{}) send_unsynced();
  return std::exchange(effects_.output, {});
}

}  // namespace shoal::shard
