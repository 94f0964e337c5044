// Counting a job's tasks over its shards, and finishing it.
//
// There are no replicated counters: each shard's owner derives absolute counts from its records and
// sends them, with its ballot, to the owner of the job's record, which writes `finished` once,
// after closing. What is lost on the way is asked for again.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "node/context.hpp"
#include "node/task_store.hpp"

namespace shoal::node {

inline constexpr Duration kReportInterval = std::chrono::milliseconds(200);
inline constexpr Duration kQueryInterval = std::chrono::seconds(1);
inline constexpr Duration kReportStale = std::chrono::seconds(5);

class JobTracker {
 public:
  JobTracker(Context& context, TaskStore& store) : context_(context), store_(store) {}

  // The job's committed record, of an unfinished array, is owned here (again).
  void track(Now now, ShardId shard, JobId job, const task::JobRecord& record);

  // As the job's owner.
  void on_report(Now now, const wire::CountReport& report);
  // As the owner of some of its shards. The caller has cancelled what was to be cancelled.
  void on_query(Now now, NodeId from, const wire::CountQuery& query);

  // A job as it is shown: from its committed record, with the counts known now.
  JobStatus status(ShardId shard, JobId id, const task::JobRecord& record);

  void on_time(Now now);
  TimePoint wake_at() const;
  void drop_shard(ShardId shard);
  void drop_expired(ShardId shard, std::uint64_t floor);

 private:
  struct Report {
    wire::CountItem item;
    TimePoint at;
  };
  struct Tracked {
    ShardId shard{};
    std::uint32_t count = 0;
    bool closed = false;
    bool cancelled = false;
    bool finishing = false;
    std::vector<ShardId> shards;  // That hold elements; sorted, distinct.
    std::map<ShardId, Report> reports;
    TimePoint asked_at;
    TaskCounts sum() const;
  };

  void send_report(NodeId to, wire::CountReport report);
  void send_changed(Now now);
  void ask(Now now);
  void finish_if_done(Now now, JobId id, Tracked& tracked);
  static wire::CountItem item_of(Context& context, ShardId shard, JobId id, const ShardJob* job);

  Context& context_;
  TaskStore& store_;
  std::map<JobId, Tracked> jobs_;
  TimePoint next_report_;
  TimePoint next_query_;
};

}  // namespace shoal::node
