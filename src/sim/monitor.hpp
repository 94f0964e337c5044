// Looks at a world all the time: feeds every checker from the simulator's hooks and taps, from what
// clients are told, and from regular looks inside the nodes; takes the log and the marks. An
// error-level line is a violation.
//
// Replicated state is checked for the first cluster that is founded; another one that splits off is
// seen as nodes of no interest.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "base/probes.hpp"
#include "sim/books.hpp"
#include "sim/checkers.hpp"
#include "sim/checkers_healing.hpp"
#include "sim/checkers_history.hpp"
#include "sim/checkers_leases.hpp"
#include "sim/checkers_members.hpp"
#include "sim/checkers_records.hpp"
#include "sim/checkers_replies.hpp"
#include "sim/job_client.hpp"
#include "sim/simulator.hpp"

namespace shoal::sim {

struct MonitorOptions {
  Duration look_every = std::chrono::milliseconds(200);  // <= 500 ms, for the IdleChecker.
  Duration held_every = std::chrono::seconds(20);        // Costly: decodes every record.
  Duration quiet_min = std::chrono::seconds(10);         // After faults, before idleness is judged.
  log::Level log_shown = log::Level::off;                // To stderr, with virtual times.
  bool trace = true;  // Checks every message and write; false only to measure what that costs.
};

class Monitor {
 public:
  // Takes the hooks and taps of `world`, the log's sink and the marks until it is destroyed.
  Monitor(Simulator& world, const MonitorOptions& options);
  ~Monitor();
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

  // Looks every so often from now on.
  void begin();
  // While faults are about, nothing has to come true.
  void set_faults(bool active);
  // What clients tell. `finished` is left to the caller.
  JobHooks job_hooks();

  // Nodes that are up and not suspended.
  std::vector<Observation> observe() const;
  // Absent when all views agree.
  std::optional<std::string> disagreement() const;
  std::optional<std::string> unseen() const;
  // Every acknowledged task is held, shown outcomes are those held, and with `all_ended` all have
  // one. REQUIRES: every node is up and each shard has its owner.
  void check_held(bool all_ended);
  // Every acknowledged task has an outcome, as the owners tell. A shard that has just changed hands
  // shows nothing for a moment.
  bool all_ended();
  // Live 4 and 5: what is still missing; absent when nothing is.
  std::optional<std::string> unhealed() const;
  std::optional<std::string> unfinished() const;  // Live 4 alone.
  TimePoint quiet_since() const { return quiet_since_; }

  OutcomeChecker& outcomes() { return outcomes_; }
  AttemptChecker& attempts() { return attempts_; }
  LeaseChecker& leases() { return leases_; }
  ShardChecker& shards() { return shard_checker_; }
  const RecordBook& record_book() const { return records_; }
  const ShardBook& shard_book() const { return shards_; }
  const probes::Marks& marks() const { return marks_; }
  Violations& violations() { return violations_; }
  const Violations& violations() const { return violations_; }
  void add_violation(std::string text) { violations_.add(world_.now(), std::move(text)); }

 private:
  void take_hooks();
  void take_taps();
  void add_job_hooks(JobHooks& hooks);
  void take_log();
  void begin_quiet();
  void await_slow_syncs();
  void look();
  void look_at_held();
  void gather_held();
  void forget_gone();

  void sent(NodeIndex from, const node::Envelope& envelope);
  void sent_by_shards(NodeId from, NodeId to, const wire::Message& message);
  void sent_work(NodeId to, const wire::Message& message);
  void started(NodeIndex at, const AttemptId& attempt, const TaskSpec& spec);
  void durable(NodeIndex at, std::span<const wire::Write> writes);
  void recovers(NodeId survivor, const wire::RecoverShard& command);
  bool given_up(JobId job) const { return given_up_.contains(job); }
  void replaced(NodeIndex at);
  bool of_interest(NodeIndex at);
  std::optional<TimePoint> lease_end(NodeId node, const AttemptId& attempt) const;
  bool waits(NodeId node, std::uint64_t transfer) const;
  std::optional<NodeIndex> index_of(NodeId node) const;
  bool counts(NodeId node) const;  // Its disk is there and its host is not given up.

  Simulator& world_;
  MonitorOptions options_;
  ClusterId cluster_;  // Zero until one is founded.
  std::map<NodeId, NodeIndex> indices_;
  probes::Marks marks_;
  Violations violations_;
  RecordBook records_;
  ShardBook shards_;
  OutcomeChecker outcomes_{violations_};
  AttemptChecker attempts_{violations_};
  CapacityChecker capacity_{violations_};
  IdleChecker idle_{violations_};
  RecordChecker record_checker_{violations_, records_};
  ShardChecker shard_checker_{violations_, shards_};
  ReplyChecker replies_{violations_, records_, shards_};
  LeaseChecker leases_;
  OnceChecker once_{violations_};
  HistoryChecker history_{violations_};
  SubmissionChecker submissions_{violations_};
  ExpiryChecker expiry_{violations_, shards_};
  IncarnationChecker incarnations_{violations_};
  DuelChecker duels_{violations_};
  ClaimChecker claims_;
  StallChecker stall_{violations_};
  // Jobs of which lost disks knew more than the one whose copy an operator adopts: any promise of
  // theirs may be broken, by nobody's fault.
  std::set<JobId> given_up_;
  bool faults_active_ = false;
  std::map<NodeIndex, std::uint64_t> slow_syncs_;  // Begun before the healing, by their number.
  TimePoint quiet_since_;
};

}  // namespace shoal::sim
