// A cluster in one line: a world, its monitor and, when wanted, a workload and faults. For the
// short hand-made scenarios of the tests, and for the random runs of `shoal sim`.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/faults.hpp"
#include "sim/monitor.hpp"
#include "sim/simulator.hpp"
#include "sim/workload.hpp"

namespace shoal::sim {

struct ClusterOptions {
  std::uint32_t nodes = 3;
  std::uint64_t seed = 1;
  // Founded together (rule F1) by this many; the others join. 0: by all of up to 9 nodes, else by
  // one.
  std::uint32_t founders = 0;
  std::uint32_t shard_count = 64;  // Small: a run's cost grows with it.
  std::uint32_t cpu_millis = 4000;
  std::uint64_t memory_bytes = 4ULL << 30;
  node::Profile profile = node::Profile::lan;
  Duration lease = std::chrono::seconds(5);
  Duration dead_after = std::chrono::minutes(10);
  shard::ShardsConfig shards;
  node::Mutations mutations;
  WorldOptions world;  // Its seed is the one above.
  MonitorOptions monitor;
};

class Scenario {
 public:
  // Nodes are added, not started.
  explicit Scenario(const ClusterOptions& options);
  ~Scenario();
  Scenario(const Scenario&) = delete;
  Scenario& operator=(const Scenario&) = delete;

  Simulator& world() { return world_; }
  Monitor& monitor() { return monitor_; }
  std::uint32_t nodes() const { return options_.nodes; }

  // The founders first; the others once those serve.
  void start_all();
  // Each waits in virtual time; false when that did not come true before the deadline.
  bool await_serving(Duration deadline);    // Every node serves and each shard has one owner.
  bool await_agreement(Duration deadline);  // All views agree with who is up.
  // start_all() and both of the above.
  bool found(Duration deadline = std::chrono::seconds(60));

  Workload& add_workload(const WorkloadOptions& options);
  // One job by hand; ids are minted where the plan has none. Its fate counts as the workload's do.
  JobClient& submit(JobPlan plan);
  bool await_workload(Duration deadline);  // And the jobs by hand.
  Faults& add_faults(const FaultOptions& options);
  // Sites in nodes fail from now on until settle(): each with this probability.
  void arm_sites(std::uint32_t percent);

  // The end of a run: heals, waits for agreement, owners, the workload and all copies, and checks
  // that every acknowledged task has its outcome. What does not come true in time is a violation.
  void settle(Duration deadline = std::chrono::minutes(10));
  const probes::Sites& sites() const { return sites_; }

  bool good() const { return monitor_.violations().empty(); }
  // The first violations, and the seed. Empty when good.
  std::string verdict() const;
  // A line for each node, each after a line break.
  std::string describe() const;

  // Nodes that `viewer` takes for alive, itself included.
  std::size_t alive_seen_by(NodeIndex viewer);
  std::optional<wire::MemberState> state_seen_by(NodeIndex viewer, NodeIndex subject);

 private:
  bool whole();
  Duration pace() const;  // How often to look at all nodes: a look costs nodes squared.
  std::vector<std::uint32_t> owners();  // How many each shard has among those that count.
  std::string describe_shards();
  Duration agreement_max() const;
  void renew_seeds();
  void await_copies();

  ClusterOptions options_;
  Simulator world_;
  Monitor monitor_;
  std::vector<std::unique_ptr<Workload>> workloads_;
  JobHooks submit_hooks_;
  std::vector<std::unique_ptr<JobClient>> submitted_;
  std::vector<std::unique_ptr<Faults>> faults_;
  probes::Sites sites_;
};

// One random run, and what happened in it.
struct RunOptions {
  std::uint32_t nodes = 3;
  std::uint32_t tasks = 1000;
  std::uint64_t seed = 1;
  std::string faults = "none";
  Duration duration = std::chrono::seconds(60);  // Of the fault phase, at least.
  // Sizes, settings, load and duration are drawn from the seed (sim/sweep.hpp).
  bool drawn = false;
  bool trace_checked = true;  // See MonitorOptions::trace.
  log::Level log_shown = log::Level::off;
};

// What a run is made of.
struct RunPlan {
  ClusterOptions cluster;
  WorkloadOptions load;
  FaultOptions faults;
  Duration duration{};
  std::uint32_t sites_percent = 0;
};

struct RunReport {
  bool good = false;
  std::vector<Violation> violations;
  std::uint64_t violation_count = 0;
  std::size_t jobs = 0;
  std::uint64_t tasks_acknowledged = 0;
  std::map<TaskState, std::uint64_t> outcomes;
  std::uint64_t attempts = 0;  // Processes started.
  std::uint64_t client_retries = 0;
  std::map<std::string, std::uint64_t> faults;
  WorldFigures figures;
  Duration virtual_time{};
  std::uint64_t trace_hash = 0;
  std::uint64_t events = 0;
  probes::Marks marks;
  std::array<std::uint64_t, probes::kSiteCount> sites{};  // How often each failed.
};

// The error is a bad option.
Result<RunPlan> plan_of(const RunOptions& options);
Result<RunReport> run(const RunOptions& options);
RunReport run(const RunPlan& plan);

}  // namespace shoal::sim
