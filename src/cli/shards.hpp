// Shards as their homes tell of them: who holds which copy, what is wrong with a shard, and which
// copy a recovery should adopt.
//
// The ring that a gateway knows comes by gossip and holds finished configs only. What a home itself
// says is newer, and tells of changes under way.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/members.hpp"
#include "cli/program.hpp"
#include "shoal/cluster.hpp"

namespace shoal::cli {

inline constexpr std::chrono::milliseconds kSurveyMax{3000};

constexpr std::uint32_t number_of(ShardId shard) { return static_cast<std::uint32_t>(shard); }

// One node's copy, or why there is none.
struct FoundCopy {
  NodeId node;
  std::optional<ShardCopy> copy;
  std::string why;  // "dead", "no answer"; for people.
};

struct CopyQuestion {
  NodeId node;
  ShardId shard{};
};
// The answers, in the order of the questions. Nodes that are not there are not asked; the others
// have kSurveyMax together, each at its own pace.
asio::awaitable<std::vector<FoundCopy>> ask_copies(Program& program, const Roster& roster,
                                                   std::vector<CopyQuestion> questions);

struct ShardReport {
  ShardView known;  // By the gateway's ring.
  std::vector<FoundCopy> copies;

  // The copy of the node that says it owns the shard; the newest, should there be two for a moment.
  const FoundCopy* owner() const;
  const FoundCopy* find(NodeId node) const;
  // The newest config that any copy names; absent: none was found.
  const ShardCopy* newest() const;
  // Of the newest config, else of the ring.
  std::vector<NodeId> home() const;
  std::vector<NodeId> next() const;
};

// Everybody who may hold a copy of the shards is asked.
asio::awaitable<std::vector<ShardReport>> survey(Program& program, const Roster& roster,
                                                 std::vector<ShardView> shards);
// Their owners are asked, and the rest of a home only when it has another owner than the ring says.
asio::awaitable<std::vector<ShardReport>> survey_owners(Program& program, const Roster& roster,
                                                        std::vector<ShardView> shards);

// What is wrong with a shard; empty: nothing.
struct ShardTrouble {
  std::vector<std::string> problems;  // For people.
  bool stuck = false;  // Its homes that are there are no majority: it does not serve.
  bool joint = false;
  bool ok() const { return problems.empty(); }
  std::string text() const;
};
ShardTrouble trouble_of(const ShardReport& report, const Roster& roster);

// What a recovery would do with a shard when `lost` never come back.
struct RecoveryPlan {
  ShardId shard{};
  bool needed = false;         // The majority of its home is among the lost.
  std::optional<NodeId> from;  // Whose copy is adopted.
  std::uint64_t records = 0;   // Of that copy.
  std::string why_not;         // For people; empty when it can be done.
};
RecoveryPlan plan_recovery(const ShardReport& report, const std::vector<NodeId>& lost,
                           const Roster& roster);

// After a recovery: the node owns the shard, and none of the lost is in its config.
bool recovered(const ShardCopy& copy, const std::vector<NodeId>& lost);

// A shard's number, JOB or JOB[INDEX]. Digits below the number of shards are a shard.
asio::awaitable<Result<ShardId>> resolve_shard(Program& program, std::uint32_t shard_count,
                                               std::string text);
// "(3, n1)"
std::string ballot_text(const BallotView& ballot, const Roster& roster);

}  // namespace shoal::cli
