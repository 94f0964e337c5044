#include "sim/checkers_records.hpp"

#include <algorithm>
#include <bit>

#include "base/format.hpp"
#include "base/hash.hpp"
#include "task/record_key.hpp"

namespace shoal::sim {
namespace {

bool majority(const std::vector<NodeId>& nodes, const std::vector<NodeId>& all,
              std::uint32_t chosen) {
  std::size_t count = 0;
  for (const NodeId node : nodes) {
    const auto at = std::ranges::find(all, node) - all.begin();
    count += chosen >> at & 1U;
  }
  return 2 * count > nodes.size();
}

bool has_quorum(const wire::ShardConfig& config, const std::vector<NodeId>& all,
                std::uint32_t chosen) {
  return majority(config.home, all, chosen) &&
         (config.next.empty() || majority(config.next, all, chosen));
}

void add_all(std::vector<NodeId>& all, const std::vector<NodeId>& more) {
  for (const NodeId node : more) {
    if (std::ranges::find(all, node) == all.end()) all.push_back(node);
  }
}

wire::ShardConfig without(wire::ShardConfig config, const std::set<NodeId>& lost) {
  const auto gone = [&](NodeId node) { return lost.contains(node); };
  std::erase_if(config.home, gone);
  std::erase_if(config.next, gone);
  return config;
}

bool successful(TaskState state) {
  return state == TaskState::succeeded || state == TaskState::failed;
}

// I7. What may follow on `base` in one flushed version, which may hold several changes at once.
const char* wrong_task_step(const Facts& base, const Facts& next) {
  const bool adopted = next.recovered && !base.recovered;
  if (terminal(base.state)) {
    if (next.state != base.state) return "a terminal state changes";
    if (next.result != base.result) return "the result of an ended task changes";
    if (next.attempt != base.attempt && !adopted) return "an ended task gets another attempt";
    return nullptr;
  }
  if (next.attempt < base.attempt) return "the attempt's number falls";
  if (adopted) return nullptr;
  if (next.attempt > base.attempt + 1) return "an attempt's number is left out";
  if (successful(next.state)) {
    if (base.state != TaskState::claimed) return "an outcome without a claim";
    if (next.attempt != base.attempt) return "an outcome of another attempt than the current one";
    if (next.node != base.node) return "an outcome from another node than the claim's";
  }
  if (base.state == TaskState::claimed && next.state == TaskState::claimed &&
      next.attempt == base.attempt && next.node != base.node) {
    return "an attempt changes its node";
  }
  return nullptr;
}

const char* wrong_step(const Facts& base, const Facts& next) {
  if (base.kind != next.kind) return "a record changes its kind";
  if (base.task()) {
    if (const char* wrong = wrong_task_step(base, next)) return wrong;
  }
  if (base.kind == Facts::Kind::job || base.kind == Facts::Kind::single) {
    if (next.nonce != base.nonce) return "a job changes its nonce";
    if (next.job_state < base.job_state) return "a job's state falls back";
  }
  return nullptr;
}

}  // namespace

std::string to_string(const wire::Ballot& ballot) {
  return format("({}, {})", ballot.round, short_text(ballot.node));
}

std::string record_text(const wire::RecordKey& key) {
  const task::RecordName name = task::record_name({key.high, key.low});
  switch (name.kind) {
    case task::RecordKind::job:
      return format("job {}", to_string(name.job));
    case task::RecordKind::spec:
      return format("template of {}", to_string(name.job));
    case task::RecordKind::element:
      return format("task {}", to_string(TaskId{name.job, name.index}));
    case task::RecordKind::output:
      return format("output {} of {}", name.sub, to_string(TaskId{name.job, name.index}));
  }
  return format("record {:x} {:x}", key.high, key.low);
}

RecordBook::Entry& RecordChecker::note(TimePoint now, ShardId shard, const wire::Record& record) {
  RecordBook::Entry& entry = book_.at(shard, record.key);
  const std::uint64_t hash = hash64(record.value);
  if (const RecordBook::Value* known = entry.value(record.version)) {
    if (known->hash != hash) {
      violations_.add(
          now, format("{}: two values under ballot {} version {} (I3)", record_text(record.key),
                      to_string(record.version.ballot), record.version.version));
    }
    return entry;
  }
  const RecordBook::Value value{record.version, hash, facts_of(record.key, record.value)};
  check_step(now, record.key, entry, value);
  entry.values.push_back(value);
  return entry;
}

// A first value may follow on any value of the version before, or be a takeover's repetition of the
// same version (C5); whichever the owner knew, one of them must allow it.
void RecordChecker::check_step(TimePoint now, const wire::RecordKey& key,
                               const RecordBook::Entry& entry, const RecordBook::Value& next) {
  const char* wrong = nullptr;
  for (const RecordBook::Value& base : entry.values) {
    if (next.version.ballot < base.version.ballot) continue;
    if (base.version.version == next.version.version) {
      if (base.hash == next.hash) return;
      // Not a violation by itself: the owner need not have met that one.
    } else if (base.version.version + 1 == next.version.version) {
      const char* here = wrong_step(base.facts, next.facts);
      if (here == nullptr) return;
      wrong = here;
    }
  }
  if (wrong == nullptr) return;  // Nothing that came before was seen.
  violations_.add(now, format("{}: {} in ballot {} version {} (I7)", record_text(key), wrong,
                              to_string(next.version.ballot), next.version.version));
}

void RecordChecker::seen(TimePoint now, ShardId shard, const wire::Record& record) {
  note(now, shard, record);
}

void RecordChecker::durable(TimePoint now, NodeId disk, ShardId shard, const wire::Record& record) {
  RecordBook::Entry& entry = note(now, shard, record);
  RecordBook::Copy* copy = entry.copy(disk);
  if (copy == nullptr) {
    entry.copies.push_back({disk, record.version});
    return;
  }
  if (record.version < copy->version) {
    violations_.add(now, format("{}: the copy of {} falls from ballot {} version {} to {} {} (I4)",
                                record_text(record.key), short_text(disk),
                                to_string(copy->version.ballot), copy->version.version,
                                to_string(record.version.ballot), record.version.version));
  }
  copy->version = record.version;
}

bool quorums_intersect(const wire::ShardConfig& a, const wire::ShardConfig& b) {
  std::vector<NodeId> all;
  for (const wire::ShardConfig* config : {&a, &b}) {
    add_all(all, config->home);
    add_all(all, config->next);
  }
  if (all.size() > 20) return true;  // Not a config of this protocol.
  for (std::uint32_t chosen = 0; chosen < 1U << all.size(); ++chosen) {
    if (has_quorum(a, all, chosen) && has_quorum(b, all, ~chosen)) return false;
  }
  return true;
}

void ShardChecker::seen(TimePoint now, ShardId shard, const wire::ShardConfig& config) {
  if (config.home.empty()) return;
  auto& known = configs_[shard];
  const auto [at, fresh] = known.try_emplace(config.id, config);
  if (!fresh) {
    if (at->second == config) return;
    violations_.add(
        now, format("shard {}: two configs under ballot {} seq {} (I13)",
                    static_cast<std::uint32_t>(shard), to_string(config.id.ballot), config.id.seq));
    return;
  }
  if (at != known.begin()) check_quorums(now, shard, std::prev(at)->second, config);
  if (std::next(at) != known.end()) check_quorums(now, shard, config, std::next(at)->second);
}

void ShardChecker::check_quorums(TimePoint now, ShardId shard, const wire::ShardConfig& before,
                                 const wire::ShardConfig& after) {
  if (before.home == after.home && before.next == after.next) return;
  if (quorums_intersect(without(before, lost_), without(after, lost_))) return;
  violations_.add(
      now, format("shard {}: the config of ballot {} seq {} has a quorum apart from that of {} {} "
                  "(I12)",
                  static_cast<std::uint32_t>(shard), to_string(after.id.ballot), after.id.seq,
                  to_string(before.id.ballot), before.id.seq));
}

void ShardChecker::durable(TimePoint now, NodeId disk, const wire::PutShard& put) {
  seen(now, put.shard, put.state.config);
  const auto before = book_.put(put.shard, disk, put.state);
  if (!before) return;
  const auto fell = [&](const char* what) {
    violations_.add(now, format("shard {}: {} on the disk of {} falls back (I4)",
                                static_cast<std::uint32_t>(put.shard), what, short_text(disk)));
  };
  if (put.state.promised < before->promised) fell("the promised ballot");
  if (put.state.config.id < before->config.id) fell("the config");
  if (put.state.floor < before->floor) fell("the floor");
}

}  // namespace shoal::sim
