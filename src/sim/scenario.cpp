#include "sim/scenario.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/format.hpp"
#include "sim/sweep.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kFoundersMax = 9;  // More found a cluster one by one.
// Live 2 and 7: every dead member has been dialled by then, and its news has spread.
constexpr Duration kAgreementMax = 3min;
// Where most are dead, the few others take themselves for slow: they probe up to eight times
// slower, and may accuse only after many failed probes.
constexpr Duration kDeathsMax = 10min;
constexpr Duration kCopiesMax = 60s;  // Live 5.
constexpr Duration kCopiesMore = 10s;
// From when the workload is content until every task without a client has ended too: a lease, a
// takeover, back-offs and attempts that run long.
constexpr Duration kOutcomesMax = 3min;

WorldOptions world_options(const ClusterOptions& options) {
  WorldOptions world = options.world;
  world.seed = options.seed;
  return world;
}

}  // namespace

Scenario::Scenario(const ClusterOptions& options)
    : options_(options),
      world_(world_options(options)),
      monitor_(world_, options.monitor),
      sites_(options.seed) {
  if (options_.founders == 0) options_.founders = options.nodes <= kFoundersMax ? options.nodes : 1;
  for (std::uint32_t number = 0; number < options_.nodes; ++number) {
    const bool founder = number < options_.founders;
    std::vector<NodeIndex> seeds(founder ? options_.founders : std::min(options_.founders, 3U));
    std::iota(seeds.begin(), seeds.end(), NodeIndex{0});
    std::erase(seeds, number);
    world_.add_node({.cpu_millis = options_.cpu_millis,
                     .memory_bytes = options_.memory_bytes,
                     .profile = options_.profile,
                     .expect = founder ? options_.founders : 1,
                     .join = !founder,
                     .shard_count = options_.shard_count,
                     .lease = options_.lease,
                     .dead_after = options_.dead_after,
                     .shards = options_.shards,
                     .mutations = options_.mutations},
                    std::move(seeds));
  }
}

Scenario::~Scenario() {
  if (probes::armed == &sites_) probes::armed = nullptr;
}

void Scenario::start_all() {
  monitor_.begin();
  for (NodeIndex index = 0; index < options_.founders; ++index) world_.start(index);
  if (options_.founders == options_.nodes) return;
  // A blank node that is about while others found would be one of the founders.
  const auto founded = [this] {
    for (NodeIndex index = 0; index < options_.founders; ++index) {
      if (!world_.node(index).serving()) return false;
    }
    return true;
  };
  world_.run_until(founded, 60s);
  for (NodeIndex index = options_.founders; index < options_.nodes; ++index) world_.start(index);
}

std::vector<std::uint32_t> Scenario::owners() {
  std::vector<std::uint32_t> owners(options_.shard_count, 0);
  for (NodeIndex index = 0; index < world_.node_count(); ++index) {
    if (world_.abandoned(index) || !world_.up(index)) continue;
    for (const ShardId shard : world_.node(index).inspect().owned) {
      ++owners[static_cast<std::size_t>(shard)];
    }
  }
  return owners;
}

bool Scenario::whole() {
  for (NodeIndex index = 0; index < world_.node_count(); ++index) {
    if (world_.abandoned(index)) continue;
    if (!world_.up(index) || !world_.node(index).serving()) return false;
  }
  return std::ranges::all_of(owners(), [](std::uint32_t count) { return count == 1; });
}

Duration Scenario::pace() const { return 10ms + 1ms * options_.nodes; }

bool Scenario::await_serving(Duration deadline) {
  return world_.run_until([this] { return whole(); }, deadline, pace());
}

bool Scenario::await_agreement(Duration deadline) {
  return world_.run_until([this] { return !monitor_.disagreement(); }, deadline, pace());
}

bool Scenario::found(Duration deadline) {
  start_all();
  const TimePoint until = world_.now() + deadline;
  return await_agreement(deadline) && await_serving(until - world_.now());
}

JobClient& Scenario::submit(JobPlan plan) {
  if (!submit_hooks_.finished) {
    submit_hooks_ = monitor_.job_hooks();
    submit_hooks_.finished = [] {};
  }
  Random& random = world_.random();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(world_.wall());
  if (!plan.job) plan.job = JobId::mint(seconds, Retention::week, random.next());
  if (plan.nonce == Nonce{}) plan.nonce = {random.next(), random.next()};
  if (plan.name.empty()) plan.name = format("by-hand-{}", submitted_.size() + 1);
  submitted_.push_back(
      std::make_unique<JobClient>(world_, submit_hooks_, std::move(plan), random.next()));
  submitted_.back()->begin();
  return *submitted_.back();
}

Workload& Scenario::add_workload(const WorkloadOptions& options) {
  const std::uint64_t seed = world_.random().next();
  workloads_.push_back(std::make_unique<Workload>(world_, options, monitor_.job_hooks(), seed));
  workloads_.back()->begin();
  return *workloads_.back();
}

bool Scenario::await_workload(Duration deadline) {
  return world_.run_until(
      [this] {
        return std::ranges::all_of(workloads_, [](auto& each) { return each->done(); }) &&
               std::ranges::all_of(submitted_, [](auto& each) { return each->finished(); });
      },
      deadline);
}

Faults& Scenario::add_faults(const FaultOptions& options) {
  const std::uint64_t seed = world_.random().next();
  faults_.push_back(std::make_unique<Faults>(world_, options, seed));
  monitor_.set_faults(true);
  faults_.back()->begin();
  return *faults_.back();
}

void Scenario::arm_sites(std::uint32_t percent) {
  sites_.arm_some(percent);
  probes::armed = &sites_;
}

// Live 4, live 5. What hands change while nobody looks (rank 0 takes its own back) gets a moment,
// and a change of a home the time that it waits for members that do not answer.
void Scenario::await_copies() {
  TimePoint until = std::max(monitor_.quiet_since() + kCopiesMax, world_.now()) + kCopiesMore;
  if (monitor_.unfinished()) until += options_.shards.learn_max;
  if (world_.run_until([this] { return !monitor_.unhealed(); }, until - world_.now(), 500ms))
    return;
  monitor_.add_violation("after healing: " + monitor_.unhealed().value_or("now it is whole"));
}

// As an operator would: a node whose seeds are all lost is told of others.
void Scenario::renew_seeds() {
  std::vector<NodeIndex> core;
  for (NodeIndex index = 0; index < world_.node_count(); ++index) {
    if (!world_.abandoned(index)) core.push_back(index);
  }
  for (const NodeIndex index : core) world_.renew_seeds(index, core);
}

Duration Scenario::agreement_max() const {
  std::size_t core = 0;
  for (NodeIndex index = 0; index < world_.node_count(); ++index) {
    core += world_.abandoned(index) ? 0 : 1;
  }
  return 2 * core < world_.node_count() ? kDeathsMax : kAgreementMax;
}

void Scenario::settle(Duration deadline) {
  const TimePoint until = world_.now() + deadline;
  sites_.disarm();
  for (const auto& faults : faults_) faults->heal();
  if (faults_.empty()) world_.network().heal();
  for (NodeIndex index = 0; index < world_.node_count(); ++index) {
    if (world_.abandoned(index)) continue;
    world_.resume(index);
    world_.unpause(index);
    if (!world_.up(index)) world_.start(index);
  }
  renew_seeds();
  monitor_.set_faults(false);
  const TimePoint healed = world_.now();
  world_.run_until([this] { return !monitor_.unseen(); }, kAgreementMax, pace());
  if (monitor_.unseen() || !await_agreement(healed + agreement_max() - world_.now())) {
    monitor_.add_violation("views do not agree after healing (live 2): " +
                           monitor_.disagreement().value_or("now they do") + describe());
    return;
  }
  if (!await_serving(until - world_.now())) {
    monitor_.add_violation("not every node serves, or not each shard has one owner, after healing" +
                           describe() + describe_shards());
    return;
  }
  if (!await_workload(until - world_.now())) {
    std::string text = "the workload is not done after healing: ";
    for (const auto& workload : workloads_) text += workload->progress();
    for (const auto& job : submitted_) {
      if (!job->finished()) text += "; " + job->progress();
    }
    monitor_.add_violation(text + describe());
  }
  world_.run_until([this] { return whole() && monitor_.all_ended(); },
                   std::min<Duration>(until - world_.now(), kOutcomesMax), 500ms);
  monitor_.check_held(true);
  await_copies();
}

std::string Scenario::describe() const {
  std::string text;
  for (NodeIndex index = 0; index < world_.node_count(); ++index) {
    text += "\n    " + world_.describe(index);
  }
  return text;
}

// What each disk holds of the shards that have not one owner.
std::string Scenario::describe_shards() {
  std::string text;
  const std::vector<std::uint32_t> owned = owners();
  const auto names = [](const std::vector<NodeId>& nodes) {
    std::string all;
    for (const NodeId node : nodes) all += (all.empty() ? "" : " ") + short_text(node);
    return all;
  };
  for (std::uint32_t number = 0; number < owned.size(); ++number) {
    if (owned[number] == 1) continue;
    text += format("\n    shard {} has {} owners", number, owned[number]);
    for (const ShardBook::Home& home : monitor_.shard_book().homes(ShardId{number})) {
      const wire::ShardConfig& config = home.state.config;
      text += format("\n      {}: promised {}, config {} {}: home {}", short_text(home.disk),
                     to_string(home.state.promised), to_string(config.id.ballot), config.id.seq,
                     names(config.home));
      if (!config.next.empty()) text += ", next " + names(config.next);
      if (!config.learners.empty()) text += ", learners " + names(config.learners);
    }
  }
  return text;
}

std::string Scenario::verdict() const {
  if (good()) return {};
  std::string text = format("seed {}, {} violations", options_.seed, monitor_.violations().count());
  for (const Violation& violation : monitor_.violations().kept()) {
    text +=
        format("\n  {:.6f} s: {}", static_cast<double>(violation.at.time_since_epoch() / 1us) / 1e6,
               violation.text);
  }
  return text;
}

std::size_t Scenario::alive_seen_by(NodeIndex viewer) {
  const auto members = world_.node(viewer).inspect().members;
  return static_cast<std::size_t>(std::ranges::count(
      members, wire::MemberState::alive, &std::pair<NodeId, wire::MemberState>::second));
}

std::optional<wire::MemberState> Scenario::state_seen_by(NodeIndex viewer, NodeIndex subject) {
  for (const auto& [id, state] : world_.node(viewer).inspect().members) {
    if (id == world_.id(subject)) return state;
  }
  return std::nullopt;
}

Result<RunPlan> plan_of(const RunOptions& options) {
  auto faults = parse_faults(options.faults);
  if (!faults) return std::unexpected(faults.error());
  if (options.nodes == 0) {
    return fail(ErrorCode::bad_input, "a cluster needs at least one node: give --nodes 1 or more");
  }
  RunPlan plan;
  if (options.drawn) {
    plan = draw_plan(options.seed, *faults);
  } else {
    plan = {.cluster = {.nodes = options.nodes, .seed = options.seed},
            .load = {.tasks = options.tasks},
            .faults = *faults,
            .duration = options.duration};
    if (faults->any()) {
      // Small jobs with pauses, so that there is work all through the fault phase.
      plan.load.array_max = 60;
      const std::uint32_t rounds = options.tasks / (20 * plan.load.jobs_at_once) + 1;
      plan.load.pause_max = 2 * options.duration / rounds;
    }
  }
  plan.cluster.monitor.log_shown = options.log_shown;
  plan.cluster.monitor.trace = options.trace_checked;
  return plan;
}

Result<RunReport> run(const RunOptions& options) {
  const auto plan = plan_of(options);
  if (!plan) return std::unexpected(plan.error());
  return run(*plan);
}

RunReport run(const RunPlan& plan) {
  Scenario scenario(plan.cluster);
  RunReport report;
  if (scenario.found(5min)) {
    const Workload& workload = scenario.add_workload(plan.load);
    if (plan.faults.any()) {
      const Faults& happened = scenario.add_faults(plan.faults);
      if (plan.sites_percent > 0) scenario.arm_sites(plan.sites_percent);
      scenario.world().run_for(plan.duration);
      report.faults = happened.kinds();
    } else {
      scenario.await_workload(plan.duration);
    }
    scenario.settle(30min + 50ms * plan.load.tasks);
    report.jobs = workload.jobs();
    report.client_retries = workload.retries();
  } else {
    scenario.monitor().add_violation(
        "the cluster does not come up: " +
        scenario.monitor().disagreement().value_or("shards without one owner") +
        scenario.describe());
  }
  report.good = scenario.good();
  report.violations = scenario.monitor().violations().kept();
  report.violation_count = scenario.monitor().violations().count();
  report.tasks_acknowledged = scenario.monitor().outcomes().acknowledged_count();
  report.outcomes = scenario.monitor().outcomes().outcomes();
  report.attempts = scenario.monitor().attempts().count();
  report.figures = scenario.world().figures();
  report.virtual_time = scenario.world().now().time_since_epoch();
  report.trace_hash = scenario.world().trace().hash();
  report.events = scenario.world().trace().events();
  report.marks = scenario.monitor().marks();
  for (std::size_t site = 0; site < probes::kSiteCount; ++site) {
    report.sites.at(site) = scenario.sites().fired(static_cast<probes::Site>(site));
  }
  return report;
}

}  // namespace shoal::sim
