// The parts of a node and how inputs run through them. node.cpp is the face; this is the wiring.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/histogram.hpp"
#include "node/claims.hpp"
#include "node/commands.hpp"
#include "node/context.hpp"
#include "node/expiry.hpp"
#include "node/founding.hpp"
#include "node/gateway.hpp"
#include "node/home_changes.hpp"
#include "node/identity_guard.hpp"
#include "node/job_owner.hpp"
#include "node/job_tracker.hpp"
#include "node/leases.hpp"
#include "node/node.hpp"
#include "node/operations.hpp"
#include "node/outcome_relay.hpp"
#include "node/runner.hpp"
#include "node/takeovers.hpp"
#include "node/task_store.hpp"
#include "node/watches.hpp"

namespace shoal::node {

inline constexpr Duration kTableInterval = std::chrono::seconds(2);
inline constexpr Duration kMemoryInterval = std::chrono::seconds(5);
inline constexpr Duration kStopMax = std::chrono::seconds(10);

struct Node::Parts {
  Parts(const NodeConfig& config, std::uint64_t seed);

  void start(Now now);
  void dispatch(Now now, const Source& source, wire::Message message);
  void on_time(Now now);
  // Lets every part react until nothing moves any more; messages to itself are handled here.
  void settle(Now now);
  TimePoint wake_at() const;

  bool accepts(const Source& source, const wire::Message& message);
  void pass_on(Now now, shard::Output& out);
  bool drain_shards(Now now);
  bool drain_membership(Now now);
  void take_over_own(Now now);
  void spread_table(Now now);
  void remember_members(Now now);
  void note_boot(Now now, NodeId node);
  void stop(Now now, bool end_tasks);
  void stop_step(Now now);
  void every_second(Now now);
  std::vector<JobStatus> local_jobs(const wire::ListJobs& query);
  wire::NodeStats local_stats() const;

  Context context;
  std::unique_ptr<membership::Membership> membership;
  shard::Shards shards;
  shard::ShardTable table;
  Founding founding;
  TaskStore store;
  Operations operations;
  Watches watches;
  Runner runner;
  OutcomeRelay relay;
  Leases leases;
  Claims claims;
  JobTracker tracker;
  JobOwner job_owner;
  Gateway gateway;
  IdentityGuard identity;
  Takeovers takeovers;
  HomeChanges home_changes;
  Commands commands;
  Expiry expiry;

  Now now;  // Of the latest input.
  bool started = false;
  bool boot_durable = false;  // Nothing may be said before the boot epoch is on disk.
  bool farewell = false;      // The node said that it stops.
  bool memory_dirty = false;
  TimePoint stop_deadline = kNever;
  TimePoint farewell_until = kNever;
  TimePoint next_table;
  TimePoint next_memory;
  TimePoint next_second;
  TimePoint next_leave;
  std::map<NodeId, std::uint64_t> boots;  // Of members, as known here.
  std::vector<wire::MemberRecord> remembered;
  std::vector<NodeId> foreign;  // Members of other clusters that were turned away, said once each.
  Histogram sync_times;         // Microseconds.
  std::uint64_t resident_bytes = 0;
};

}  // namespace shoal::node
