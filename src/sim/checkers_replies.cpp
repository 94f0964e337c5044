#include "sim/checkers_replies.hpp"

#include <algorithm>

#include "base/format.hpp"
#include "sim/checkers_records.hpp"
#include "task/record_key.hpp"

namespace shoal::sim {

template <class Enough>
bool ReplyChecker::task_on_quorum(const TaskId& task, Enough&& enough) const {
  const RecordBook::Entry* entry = records_.find_task(task, shard_count_);
  if (entry == nullptr) return false;
  if (entry->damaged || entry->dropped) return true;  // What copies are left says nothing.
  const ShardId shard = task::shard_of(task, shard_count_);
  for (const RecordBook::Value& value : entry->values) {
    if (!enough(value.facts)) continue;
    if (value.version <= entry->committed) return true;
    const bool held = shards_.on_quorum(shard, [&](NodeId node) {
      const RecordBook::Copy* copy = entry->copy(node);
      return copy != nullptr && value.version <= copy->version;
    });
    if (held) return true;
  }
  return false;
}

void ReplyChecker::sent(TimePoint now, NodeId from, NodeId to, const wire::Message& message) {
  if (const auto* writes = std::get_if<wire::WriteRecords>(&message)) {
    for (const wire::WriteItem& item : writes->items) note(item.shard, to, item);
  } else if (const auto* acks = std::get_if<wire::Ack>(&message)) {
    if (from == to) return;  // Its number counts writes that no message carries.
    for (const wire::AckItem& item : acks->items) check(now, from, item);
  } else if (const auto* promise = std::get_if<wire::Promise>(&message)) {
    for (const wire::PromiseItem& item : promise->items) check(now, from, item);
  } else if (const auto* fetched = std::get_if<wire::Fetched>(&message)) {
    for (const wire::FetchedItem& item : fetched->items) check(now, from, item);
  } else if (const auto* grant = std::get_if<wire::Grant>(&message)) {
    for (const wire::GrantItem& item : grant->items) check(now, to, item);
  } else if (const auto* recorded = std::get_if<wire::OutcomeAck>(&message)) {
    for (const AttemptId& attempt : recorded->items) check_past(now, attempt, "an outcome ack");
  } else if (const auto* end = std::get_if<wire::EndAttempts>(&message)) {
    for (const AttemptId& attempt : end->items) check_past(now, attempt, "an order to end it");
  } else if (const auto* renewed = std::get_if<wire::Renewed>(&message)) {
    for (const AttemptId& attempt : renewed->over)
      check_past(now, attempt, "the word that it is over");
  }
}

void ReplyChecker::note(ShardId shard, NodeId home, const wire::WriteItem& item) {
  if (item.records.empty() || item.number == 0) return;
  std::deque<Sent>& lane = sent_[{shard, home}];
  if (lane.size() >= kSentMax) lane.pop_front();
  Sent& sent = lane.emplace_back(Sent{item.ballot, item.number, {}});
  sent.records.reserve(item.records.size());
  for (const wire::Record& record : item.records) {
    sent.records.emplace_back(record.key, record.version);
  }
}

bool ReplyChecker::promised(TimePoint now, NodeId from, ShardId shard, const wire::Ballot& ballot,
                            const wire::ConfigId* config, const char* what) {
  const wire::ShardState* state = shards_.state(shard, from);
  const char* lacks = nullptr;
  if (state == nullptr) {
    lacks = "nothing of the shard";
  } else if (state->promised < ballot) {
    lacks = "an older promise";
  } else if (config != nullptr && state->config.id < *config) {
    lacks = "an older config";
  }
  if (lacks == nullptr) return true;
  violations_.add(now, format("shard {}: {} sends {} under ballot {}, and its disk holds {} (I5)",
                              static_cast<std::uint32_t>(shard), short_text(from), what,
                              to_string(ballot), lacks));
  return false;
}

void ReplyChecker::check_copy(TimePoint now, NodeId from, ShardId shard, const wire::RecordKey& key,
                              const wire::RecordVersion& version, const char* what) {
  const RecordBook::Entry* entry = records_.find(shard, key);
  const RecordBook::Copy* copy = entry == nullptr ? nullptr : entry->copy(from);
  if (copy != nullptr && version <= copy->version) return;
  if (entry != nullptr && (entry->damaged || entry->dropped)) return;
  violations_.add(now,
                  format("{}: {} sends {} for ballot {} version {}, and its disk holds {} (I5)",
                         record_text(key), short_text(from), what, to_string(version.ballot),
                         version.version, copy == nullptr ? "nothing" : "an older one"));
}

void ReplyChecker::check(TimePoint now, NodeId from, const wire::PromiseItem& item) {
  if (!promised(now, from, item.shard, item.ballot, &item.config.id, "a promise")) return;
  for (const wire::DigestEntry& entry : item.digest) {
    if (entry.bad || entry.version.version == 0) continue;
    check_copy(now, from, item.shard, entry.key, entry.version, "a digest");
  }
}

void ReplyChecker::check(TimePoint now, NodeId from, const wire::AckItem& item) {
  // A home that was named a config it does not hold says so, and nothing else.
  if (item.config) return;
  if (!promised(now, from, item.shard, item.ballot, &item.config_id, "an ack")) return;
  const auto lane = sent_.find({item.shard, from});
  if (lane == sent_.end() || item.number == 0) return;
  const auto sent = std::ranges::find_if(lane->second, [&](const Sent& each) {
    return each.number == item.number && each.ballot == item.ballot;
  });
  if (sent == lane->second.end()) return;
  for (const auto& [key, version] : sent->records) {
    if (std::ranges::find(item.exceptions, key, &wire::AckException::key) !=
        item.exceptions.end()) {
      continue;
    }
    check_copy(now, from, item.shard, key, version, "an ack");
  }
}

void ReplyChecker::check(TimePoint now, NodeId from, const wire::FetchedItem& item) {
  for (const wire::Record& record : item.records) {
    check_copy(now, from, item.shard, record.key, record.version, "a value");
  }
}

// L1: a grant leaves only after its claim is committed.
void ReplyChecker::check(TimePoint now, NodeId to, const wire::GrantItem& item) {
  if (shard_count_ == 0) return;
  const bool claimed = task_on_quorum(item.attempt.task, [&](const Facts& facts) {
    return facts.state == TaskState::claimed && facts.attempt == item.attempt.number &&
           facts.node == to;
  });
  if (claimed) return;
  violations_.add(now, format("{} attempt {} is granted to {} before a quorum holds its claim (I5)",
                              to_string(item.attempt.task), item.attempt.number, short_text(to)));
}

void ReplyChecker::check_past(TimePoint now, const AttemptId& attempt, const char* what) {
  if (shard_count_ == 0) return;
  // A record that nobody has is past everything.
  const RecordBook::Entry* entry = records_.find_task(attempt.task, shard_count_);
  if (entry == nullptr || entry->copies.empty()) return;
  const bool past = task_on_quorum(attempt.task, [&](const Facts& facts) {
    return facts.attempt > attempt.number ||
           (facts.attempt == attempt.number && facts.state != TaskState::claimed);
  });
  if (past) return;
  violations_.add(now, format("{} attempt {}: {} leaves before a quorum holds its end (I5)",
                              to_string(attempt.task), attempt.number, what));
}

void ReplyChecker::acknowledged(TimePoint now, const TaskId& task) {
  if (shard_count_ == 0) return;
  if (task_on_quorum(task, [](const Facts& facts) { return facts.task(); })) return;
  violations_.add(now, format("{} is acknowledged before a quorum holds it (I5)", to_string(task)));
}

void ReplyChecker::shown(TimePoint now, const TaskId& task, TaskState state,
                         std::uint32_t attempt) {
  if (shard_count_ == 0) return;
  const bool held = task_on_quorum(task, [&](const Facts& facts) {
    return facts.task() && facts.state == state && facts.attempt == attempt;
  });
  if (held) return;
  violations_.add(now, format("{} is shown as {} (attempt {}) before a quorum holds that (I5)",
                              to_string(task), to_string(state), attempt));
}

}  // namespace shoal::sim
