// The owner's side of leases: which committed claim may still run, and until when (rules L1-L4;
// holes 13 and 15).
//
// A lease is extended only by a renewal that a Confirm round, begun after it arrived, stands behind
// (L2), and only to a length that is committed. It grows with the attempt, by batched writes, while
// its node renews it. A claim ends without an outcome in one of the ways of `End`; a claim whose
// lease is over is released for good (L4).
//
// Invariants: 1. `by_node_` names each claim once, under its node. 2. `Claim::lease` is never
// longer than the committed record's. 3. an `at_most_once` task that may have been started is never
// made ready again. Limits: kGrowthsMax lease writes a second; what is due waits for the next
// second.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "node/context.hpp"
#include "node/task_store.hpp"

namespace shoal::node {

inline constexpr std::uint32_t kDeathsMax = 3;  // In a row; then the task is lost.
inline constexpr std::uint32_t kGrowthsMax = 1000;
inline constexpr Duration kCallInterval = std::chrono::seconds(1);

class Leases {
 public:
  Leases(Context& context, TaskStore& store) : context_(context), store_(store) {}

  // L of a new claim.
  Duration first(const TaskSpec& spec) const;

  // How a claim ends without an outcome.
  enum class End : std::uint8_t {
    unstarted,   // Its node says so: it was never started.
    given_back,  // Its node says that it is over; it may have been started.
    vanished,    // Its node was restarted, and nothing of it is left there.
    lapsed,      // Its lease is over, and its node never showed that it held it.
    died,        // Its lease is over: its node fell silent.
  };
  // The task is ready again, or lost. False when its description cannot be read: nothing is done.
  bool release(Now now, ShardId shard, TaskId id, TaskStore::Held held, End end);

  // A claim is committed.
  void hold(Now now, ShardId shard, TaskId id, const task::TaskRecord& task);
  // Found claimed by a takeover: its lease counts from when the promises were a quorum (L3), and
  // its node is called.
  void hold_recovered(Now now, ShardId shard, TaskId id, const task::TaskRecord& task);
  // A claim whose grant left without it, or never: its node does not know of it. It is called, and
  // its report ends the claim, long before the lease would.
  void call(TaskId id);
  void drop(TaskId id);
  void drop_shard(ShardId shard);
  // A task found ready by a takeover whose last attempt may still run: it waits as a claim does.
  TimePoint ready_at(ShardId shard, const task::TaskRecord& task) const;

  void on_renew(Now now, NodeId from, const wire::Renew& renew);
  void on_confirmed(Now now, const shard::ConfirmDone& done);
  // A longer lease is committed.
  void on_grown(Now now, ShardId shard, TaskId id, std::uint64_t operation);
  void on_member_alive(NodeId node);

  void on_time(Now now);
  void flush();  // Gathered calls leave.
  TimePoint wake_at() const { return claims_.empty() ? kNever : next_lapse_; }

  std::size_t size() const { return claims_.size(); }
  void check_invariants() const;

 private:
  struct Claim {
    AttemptId attempt;
    ShardId shard{};
    NodeId node;
    std::uint64_t transfer = 0;
    Duration lease{};    // Committed.
    TimePoint since;     // Its age counts from here.
    TimePoint held_at;   // When this owner took it into its books.
    TimePoint until;     // The owner may re-grant from here on.
    bool heard = false;  // Its node has shown that it holds it.
    bool growing = false;
    bool called = false;  // Its node is called until it is heard.
  };
  // A renewal that waits for committed leases, then for its Confirm round.
  struct Pending {
    NodeId from;
    bool longest = false;
    std::uint32_t writes = 0;  // Not committed yet.
    std::vector<ShardId> shards;
    wire::Renewed answer;  // `items` to be filled from `candidates`.
    std::vector<wire::HeldAttempt> candidates;
  };

  void add(TaskId id, Claim claim);
  TimePoint quorum_at(Now now, ShardId shard, Duration lease) const;
  bool theirs(const wire::HeldAttempt& item, NodeId node) const;
  bool closed(const Claim& claim, NodeId from, const wire::Renew& renew) const;
  void release_absent(Now now, NodeId from, const wire::Renew& renew);
  void confirm(Now now, Pending pending);
  bool grow(Now now, Claim& claim, Duration lease, std::uint64_t operation);
  void lapse(Now now);
  void call_again(Now now);

  Context& context_;
  TaskStore& store_;
  std::map<TaskId, Claim> claims_;  // Committed claims that may still run.
  std::map<NodeId, std::set<TaskId>> by_node_;
  std::map<std::uint64_t, Pending> waiting_;     // For writes, by operation.
  std::map<std::uint64_t, Pending> confirming_;  // By Confirm ticket.
  std::map<NodeId, std::set<ShardId>> calls_;    // RenewCall to be sent.
  std::uint64_t last_operation_ = 0;
  std::uint32_t growths_ = 0;  // In the second that ends at `growths_until_`.
  TimePoint growths_until_;
  TimePoint next_lapse_;
  TimePoint next_call_;
};

}  // namespace shoal::node
