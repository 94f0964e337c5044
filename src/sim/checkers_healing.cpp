#include "sim/checkers_healing.hpp"

#include <algorithm>

#include "base/format.hpp"
#include "sim/checkers_records.hpp"

namespace shoal::sim {
namespace {

wire::Ballot highest_promise(const std::vector<ShardBook::Home>& homes) {
  wire::Ballot highest;
  for (const ShardBook::Home& home : homes) highest = std::max(highest, home.state.promised);
  return highest;
}

}  // namespace

void DuelChecker::prepared(TimePoint now, ShardId shard, const wire::Ballot& ballot) {
  if (!healed_) return;
  std::set<wire::Ballot>& ballots = ballots_[shard];
  if (!ballots.insert(ballot).second || ballots.size() <= kRoundsMax) return;
  violations_.add(now, format("shard {}: {} ballots after healing and no owner yet (live 3)",
                              static_cast<std::uint32_t>(shard), ballots.size()));
  ballots.clear();
}

void DuelChecker::owned(ShardId shard, const wire::Ballot& ballot) {
  const auto found = ballots_.find(shard);
  if (found == ballots_.end()) return;
  std::erase_if(found->second, [&](const wire::Ballot& each) { return each <= ballot; });
  if (found->second.empty()) ballots_.erase(found);
}

void ClaimChecker::held(TimePoint now, const node::HeldTask& task) {
  if (task.state != TaskState::claimed) return;
  const AttemptId attempt{task.task, task.attempt};
  if (holds_(task.node, attempt)) return;
  seen_.insert(attempt);
  TimePoint& since = unheld_since_.try_emplace(attempt, now).first->second;
  if (now - since <= kUnheldMax) return;
  violations_.add(now, format("{} attempt {} is claimed for {}, which has not held it for {} ms "
                              "(live 1)",
                              to_string(task.task), task.attempt, short_text(task.node),
                              (now - since) / std::chrono::milliseconds(1)));
  since = now;
}

void ClaimChecker::end_round() {
  std::erase_if(unheld_since_, [this](const auto& entry) { return !seen_.contains(entry.first); });
}

void StallChecker::observe(TimePoint now, std::uint64_t unfinished) {
  if (unfinished == 0) since_ = now;
  if (now - since_ <= kStallMax) return;
  violations_.add(now, format("{} tasks are unfinished, and nothing has begun or ended for {} s "
                              "(live 1)",
                              unfinished, kStallMax / std::chrono::seconds(1)));
  since_ = now;
}

std::optional<std::string> unfinished_change(const ShardBook& shards, const Counts& counts) {
  for (std::uint32_t number = 0; number < shards.shard_count(); ++number) {
    const wire::ShardConfig* config = shards.newest(ShardId{number}, counts);
    if (config == nullptr || (config->next.empty() && config->learners.empty())) continue;
    const bool waits =
        config->next.empty() && counts && !std::ranges::all_of(config->learners, counts);
    if (waits) continue;
    return format("shard {} is {} in ballot {} seq {} (live 4)", number,
                  config->next.empty() ? "with learners" : "joint", to_string(config->id.ballot),
                  config->id.seq);
  }
  return std::nullopt;
}

std::optional<std::string> missing_copy(const RecordBook& records, const ShardBook& shards,
                                        const Counts& counts) {
  for (std::uint32_t number = 0; number < shards.shard_count(); ++number) {
    const ShardId shard{number};
    const wire::ShardConfig* config = shards.newest(shard, counts);
    if (config == nullptr) continue;
    const NodeId owner = highest_promise(shards.homes(shard)).node;
    std::optional<std::string> missing;
    records.for_each(shard, [&](const wire::RecordKey& key, const RecordBook::Entry& entry) {
      const RecordBook::Copy* owned = entry.copy(owner);
      if (missing || owned == nullptr) return;
      for (const NodeId home : config->home) {
        if (counts && !counts(home)) continue;
        const RecordBook::Copy* copy = entry.copy(home);
        if (copy != nullptr && copy->version == owned->version) continue;
        missing = format("shard {}: {} has not the owner's copy of {} (live 5)", number,
                         short_text(home), record_text(key));
      }
    });
    if (missing) return missing;
  }
  return std::nullopt;
}

}  // namespace shoal::sim
