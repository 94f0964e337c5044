// The owner's side of watching: who wants to hear of changes of a job's tasks in a shard, and the
// tails of output that go with them.
//
// A watch is a snapshot, then changes; a change may be told twice, never left out while the watch
// lives. Soft state: a gateway renews its watches every 2 s, and what is not renewed for
// kWatchExpiry is dropped.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "node/context.hpp"
#include "node/operations.hpp"
#include "node/task_store.hpp"

namespace shoal::node {

inline constexpr Duration kWatchExpiry = std::chrono::seconds(6);
inline constexpr std::size_t kEventsBytesMax = 256 * 1024;  // Of one TaskEvents message, about.

class Watches {
 public:
  Watches(Context& context, TaskStore& store, Operations& operations)
      : context_(context), store_(store), operations_(operations) {}

  void subscribe(Now now, NodeId gateway, ShardId shard, const wire::WatchShard& watch);
  bool wants_output(ShardId shard, JobId job) const;

  // The tails of an attempt whose outcome is being recorded; kept until its commit is told.
  void note_tails(const AttemptId& attempt, std::array<std::string, 2> tails);

  // A task's committed state changed.
  void on_task(ShardId shard, TaskId id);
  // A job's committed record changed.
  void on_job(ShardId shard, JobId job, const JobStatus& status);

  // One tail, for a gateway: answered when it has been read.
  void read_tail(NodeId gateway, std::uint64_t request, ShardId shard, const wire::GetTail& get);
  void on_value(const shard::ValueEvent& value);

  void on_time(Now now);
  TimePoint wake_at() const { return watches_.empty() ? kNever : next_sweep_; }
  void flush();
  void drop_shard(ShardId shard);

  static TaskStatus status_of(std::uint32_t index, const task::TaskRecord& task);

 private:
  using Key = std::pair<JobId, ShardId>;
  struct Watch {
    NodeId gateway;
    std::uint64_t id = 0;
    bool with_output = false;
    TimePoint expires;
  };
  using Recipient = std::tuple<NodeId, std::uint64_t, ShardId>;
  struct PendingRead {
    bool for_request = false;
    NodeId gateway;
    std::uint64_t request = 0;
    std::uint64_t event = 0;  // Of waiting_events_.
    std::size_t stream = 0;
  };
  struct WaitingEvent {
    Recipient recipient;
    wire::TaskEvent event;
    std::size_t reads = 0;
    bool in_snapshot = false;
  };

  void snapshot(const Key& key, const Watch& watch);
  void tell(ShardId shard, TaskId id, const Watch& watch, const task::TaskRecord& task,
            bool in_snapshot);
  void queue(const Recipient& recipient, wire::TaskEvent event);
  void send(const Recipient& recipient);

  Context& context_;
  TaskStore& store_;
  Operations& operations_;
  std::map<Key, std::vector<Watch>> watches_;
  std::map<AttemptId, std::array<std::string, 2>> tails_;
  struct Batch {
    wire::TaskEvents events;
    std::size_t bytes = 0;
  };
  std::map<Recipient, Batch> batches_;
  std::map<std::uint64_t, PendingRead> reads_;
  std::map<std::uint64_t, WaitingEvent> waiting_events_;
  std::map<Recipient, std::size_t> snapshot_reads_;  // Events a snapshot's end waits for.
  std::uint64_t last_event_ = 0;
  TimePoint next_sweep_;
};

}  // namespace shoal::node
