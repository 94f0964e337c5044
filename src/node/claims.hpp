// The owner's side of work: which ready task is bound to which node, and how it ended.
//
// A grant leaves only after its claim is committed (L1). The owner claims for its own node first,
// in advance of a free slot when tasks are short; other nodes pull. How long a claim holds is for
// node/leases.hpp. Limits: one pull is granted at most kGrantItemsMax tasks and at most half of the
// backlog; a transfer is remembered for kTransferMemory, so that a repeated pull is answered alike.
//
// A claim that is not committed within kStalledAfter keeps neither this node's room nor the rest of
// its grant waiting, and nothing more is claimed in its shard before something commits there, nor
// while a majority of its home is dead: a shard without its majority must not hold up the work of
// those that have theirs (live 1).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "node/context.hpp"
#include "node/leases.hpp"
#include "node/outcome_relay.hpp"
#include "node/runner.hpp"
#include "node/task_store.hpp"
#include "scheduling/ready_queue.hpp"

namespace shoal::node {

inline constexpr std::uint32_t kGrantItemsMax = 32;
inline constexpr std::size_t kSelfClaimsMax = 1024;  // Claimed for this node in one go.
inline constexpr Duration kTransferMemory = std::chrono::seconds(10);
inline constexpr Duration kStalledAfter = std::chrono::seconds(1);
inline constexpr Duration kStalledPause = std::chrono::seconds(2);  // Then its tasks are looked at.

class Watches;

class Claims {
 public:
  Claims(Context& context, TaskStore& store, Leases& leases, Runner& runner, OutcomeRelay& relay,
         Watches& watches)
      : context_(context),
        store_(store),
        leases_(leases),
        runner_(runner),
        relay_(relay),
        watches_(watches) {}

  // A new task that could start here right now is created already claimed: one write instead of
  // two. Then its record is bound() to this node.
  bool claim_at_creation(Now now, TaskId id, const TaskSpec& spec);
  // The task as the next attempt of that node. `transfer` 0: this node claims it for itself.
  task::TaskRecord bound(task::TaskRecord task, const TaskSpec& spec, NodeId node,
                         std::uint64_t transfer) const;

  // Something is committed in the shard.
  void on_commit(ShardId shard) { stalled_.erase(shard); }
  // Called for commits of tasks, by what the committed version says.
  void on_ready(Now now, ShardId shard, TaskId id, const task::TaskRecord& task);
  void on_claimed(Now now, ShardId shard, TaskId id, const task::TaskRecord& task,
                  std::uint64_t operation);
  void on_grown(Now now, ShardId shard, TaskId id, std::uint64_t operation) {
    leases_.on_grown(now, shard, id, operation);
  }
  void on_ended(TaskId id);
  // An outcome is committed: its executing node may forget it.
  void on_recorded(TaskId id, const task::TaskRecord& task);
  // Found ready or claimed by a takeover.
  void on_recovered(Now now, ShardId shard, TaskId id, const task::TaskRecord& task);

  // The task was cancelled while claimed: end the attempt.
  void end_attempt(ShardId shard, TaskId id, const task::TaskRecord& task);

  // From executing nodes.
  void on_pull(Now now, NodeId from, const wire::Pull& pull);
  void on_outcomes(Now now, NodeId from, wire::Outcomes outcomes);
  void on_give_back(Now now, NodeId from, const wire::GiveBack& back);

  void on_time(Now now);
  void pump(
      Now now);  // Binds ready tasks to this node while it has room; sends hints for the rest.
  void flush();  // Gathered acknowledgements leave.
  void drop_shard(ShardId shard);
  TimePoint wake_at() const;

  const scheduling::ReadyQueue& queue() const { return queue_; }

 private:
  struct PendingGrant {
    NodeId to;
    std::uint64_t transfer = 0;
    TimePoint pull_sent;
    TimePoint begun;
    std::size_t waiting = 0;
    std::vector<wire::HeldAttempt> items;  // Committed so far, in order of commit.
    std::vector<ShardId> shards;           // Of all its claims.
  };
  struct Transfer {
    wire::Grant grant;
    TimePoint forget_at;
    bool sent = false;
  };
  struct Delayed {
    TimePoint at;
    ShardId shard{};
    TaskId task;
  };

  struct Ready {
    TaskStore::Held held;
    const ShardJob* job = nullptr;
  };
  std::optional<Ready> still_ready(const scheduling::ReadyTask& task);
  bool stalled(ShardId shard) const;
  bool put_off(Now now, const scheduling::ReadyTask& task);  // Its shard is stalled.
  void note_stalled(Now now);
  void claim(Now now, const scheduling::ReadyTask& ready, Ready found, NodeId node,
             std::uint64_t transfer, std::uint64_t operation);
  void send_grant(Now now, std::uint64_t operation);
  void give_back(Now now, NodeId node, const wire::HeldAttempt& item);
  void record_outcome(Now now, NodeId from, wire::OutcomeItem& item);
  void wait_until(TimePoint at, ShardId shard, TaskId id);
  void enqueue_delayed(Now now);
  void hint(Now now);

  Context& context_;
  TaskStore& store_;
  Leases& leases_;
  Runner& runner_;
  OutcomeRelay& relay_;
  Watches& watches_;
  scheduling::ReadyQueue queue_;
  std::multimap<TimePoint, Delayed> delayed_;  // Retries in back-off.
  struct Proposed {
    TimePoint at;  // The lease of a claim for this node itself counts from here.
    scheduling::Resources need;
    bool stalled = false;  // Its need is not reserved any more.
  };
  std::map<TaskId, Proposed> proposed_;  // Claims for this node, not committed yet.
  std::map<std::uint64_t, PendingGrant> grants_;
  std::uint64_t last_grant_ = 0;
  std::map<std::pair<NodeId, std::uint64_t>, Transfer> transfers_;
  struct Reported {
    AttemptId attempt;
    NodeId to;
  };
  std::map<TaskId, Reported> backs_;  // Acknowledged when the release is committed.
  std::set<ShardId> stalled_;
  std::map<TaskId, Reported> relayed_;  // Outcomes that came through another node.
  std::map<NodeId, std::vector<AttemptId>> outcome_acks_;
  std::map<NodeId, std::vector<AttemptId>> give_back_acks_;
  struct Hungry {
    TimePoint at;
    scheduling::Resources room;  // What it asked for and was not given.
  };
  std::map<NodeId, Hungry> hungry_;  // Nodes that asked for more than there was.
  TimePoint next_sweep_;
  TimePoint next_hint_;
  NodeId hint_turn_;  // Who was hinted last because it was its turn.
};

}  // namespace shoal::node
