#include "sim/monitor.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "scheduling/lease.hpp"
#include "task/record_key.hpp"

namespace shoal::sim {
namespace {

// Claims are compared with their nodes this often once the cluster is whole.
constexpr Duration kClaimsEvery = std::chrono::seconds(5);

}  // namespace

Monitor::Monitor(Simulator& world, const MonitorOptions& options)
    : world_(world),
      options_(options),
      leases_(
          violations_, attempts_,
          [this](NodeId node, const AttemptId& attempt) { return lease_end(node, attempt); },
          [this](NodeId node, std::uint64_t transfer) { return waits(node, transfer); }),
      claims_(violations_, [this](NodeId node, const AttemptId& attempt) {
        return lease_end(node, attempt).has_value();
      }) {
  take_hooks();
  if (options_.trace) take_taps();
  take_log();
  probes::listener = &marks_;
}

Monitor::~Monitor() {
  world_.set_hooks({});
  world_.set_taps({});
  log::set_sink({});
  log::set_level(log::Level::info);
  probes::listener = nullptr;
}

void Monitor::take_hooks() {
  WorldHooks hooks;
  hooks.process_started = [this](NodeIndex at, const AttemptId& attempt, const TaskSpec& spec) {
    started(at, attempt, spec);
  };
  hooks.process_ended = [this](NodeIndex at, const AttemptId& attempt) {
    attempts_.ended(at, attempt);
    stall_.progressed(world_.now());
  };
  hooks.suspended = [this](NodeIndex at) { attempts_.suspended(at); };
  hooks.processes_resumed = [this](NodeIndex at) { attempts_.resumed(world_.now(), at); };
  hooks.progressed = [this](NodeIndex at) { idle_.progressed(world_.now(), at); };
  hooks.violation = [this](std::string text) { add_violation(std::move(text)); };
  world_.set_hooks(std::move(hooks));
}

void Monitor::started(NodeIndex at, const AttemptId& attempt, const TaskSpec& spec) {
  const TimePoint now = world_.now();
  stall_.progressed(now);
  if (given_up(attempt.task.job)) return;
  attempts_.started(now, at, attempt);
  const Processes& processes = world_.processes(at);
  capacity_.running(now, world_.config(at).name, {processes.cpu_millis(), processes.memory_bytes()},
                    world_.capacity(at));
  leases_.started(now, world_.id(at), attempt);
  once_.started(now, attempt, spec);
  submissions_.started(now, attempt, spec);
  expiry_.started(now, attempt.task);
}

void Monitor::take_log() {
  log::set_level(std::min(options_.log_shown, log::Level::error));
  log::set_sink([this](log::Level level, std::string_view module, std::string_view line) {
    const Duration now = world_.now().time_since_epoch();
    if (level >= options_.log_shown) {
      const std::string text =
          format("{:>12}us {}: {}\n", now / std::chrono::microseconds(1), module, line);
      std::fputs(text.c_str(), stderr);
    }
    if (level == log::Level::error) add_violation(format("logged an error: {}: {}", module, line));
  });
}

JobHooks Monitor::job_hooks() {
  JobHooks hooks;
  hooks.accepted = [this](JobId job, const Nonce& nonce, const TaskSpec& spec) {
    if (given_up(job)) return;
    submissions_.accepted(world_.now(), job, nonce, spec);
    history_.job_shown(world_.now(), job, JobState::open);
  };
  hooks.acknowledged = [this](const TaskId& task) {
    stall_.progressed(world_.now());
    if (given_up(task.job)) return;
    outcomes_.acknowledged(task);
    history_.acknowledged(world_.now(), task);
    if (options_.trace) replies_.acknowledged(world_.now(), task);
  };
  const auto told = [this](JobId job, const TaskStatus& status) {
    outcomes_.shown(world_.now(), job, status);
    if (options_.trace) {
      replies_.shown(world_.now(), {job, status.index}, status.state, status.attempt);
    }
    if (terminal(status.state)) stall_.progressed(world_.now());
  };
  hooks.shown = [this, told](JobId job, const TaskStatus& status) {
    if (given_up(job)) return;
    told(job, status);
    history_.shown(world_.now(), {job, status.index}, status.state, status.attempt);
  };
  hooks.read = [this, told](TimePoint asked, JobId job, const TaskStatus& status) {
    if (given_up(job)) return;
    told(job, status);
    history_.read(asked, world_.now(), {job, status.index}, status.state, status.attempt);
    expiry_.read(asked, world_.now(), job);
  };
  add_job_hooks(hooks);
  return hooks;
}

void Monitor::add_job_hooks(JobHooks& hooks) {
  hooks.job_shown = [this](JobId job, const JobStatus& status) {
    if (!given_up(job)) history_.job_shown(world_.now(), job, status.state);
  };
  hooks.job_read = [this](TimePoint asked, JobId job, const JobStatus& status) {
    if (given_up(job)) return;
    history_.job_read(asked, world_.now(), job, status.state);
    expiry_.read(asked, world_.now(), job);
  };
  hooks.absent = [this](TimePoint asked, JobId job, std::optional<std::uint32_t> index) {
    // Its shards need not drop it at one time.
    if (given_up(job) || expiry_.may_be_gone({job, index.value_or(0)})) return;
    if (index) return history_.absent(asked, world_.now(), {job, *index});
    history_.job_absent(asked, world_.now(), job);
  };
  hooks.gone = [this](JobId job) { expiry_.told_gone(world_.now(), job); };
  hooks.trouble = [this](std::string text) { add_violation(std::move(text)); };
  hooks.given_up = [this](JobId job) { return given_up(job); };
}

void Monitor::begin() {
  world_.after(options_.look_every, [this] { look(); });
  world_.after(options_.held_every, [this] { look_at_held(); });
}

void Monitor::set_faults(bool active) {
  faults_active_ = active;
  slow_syncs_.clear();
  for (NodeIndex index = 0; index < world_.node_count(); ++index) {
    const Disk& disk = world_.disk(index);
    if (!active && world_.up(index) && disk.syncing()) slow_syncs_[index] = disk.syncs();
  }
  begin_quiet();
}

void Monitor::begin_quiet() {
  quiet_since_ = world_.now();
  idle_.forget();
  claims_.forget();
  stall_.progressed(world_.now());
  if (faults_active_ || !slow_syncs_.empty()) {
    duels_.broken();
  } else {
    duels_.healed();
  }
}

// What a slow disk has begun takes its time, though the disk is well again.
void Monitor::await_slow_syncs() {
  if (slow_syncs_.empty()) return;
  std::erase_if(slow_syncs_, [this](const auto& entry) {
    return !world_.up(entry.first) || world_.disk(entry.first).syncs() != entry.second;
  });
  begin_quiet();
}

std::vector<Observation> Monitor::observe() const {
  std::vector<Observation> nodes;
  for (NodeIndex index = 0; index < world_.node_count(); ++index) {
    if (!world_.up(index) || world_.paused(index) || world_.abandoned(index)) continue;
    node::Node& node = world_.node(index);
    nodes.push_back({.index = index,
                     .id = world_.id(index),
                     .name = world_.config(index).name,
                     .serving = node.serving(),
                     .inspection = node.inspect()});
  }
  return nodes;
}

void Monitor::look() {
  await_slow_syncs();
  const std::vector<Observation> nodes = observe();
  const TimePoint now = world_.now();
  for (const Observation& node : nodes) {
    capacity_.observe(now, node);
    incarnations_.observe(now, node.id, node.inspection.incarnation);
    for (const AttemptId& attempt : node.inspection.running) leases_.holds(node.id, attempt);
  }
  if (!faults_active_) {
    if (now - quiet_since_ >= options_.quiet_min) idle_.observe(now, nodes);
    stall_.observe(now, outcomes_.unfinished_count());
  }
  world_.after(options_.look_every, [this] { look(); });
}

void Monitor::look_at_held() {
  claims_.begin_round();
  forget_gone();
  for (const Observation& node : observe()) {
    for (const node::HeldTask& task : node.inspection.tasks()) {
      if (given_up(task.task.job)) continue;
      outcomes_.held(world_.now(), task);
      if (!faults_active_) claims_.held(world_.now(), task);
    }
  }
  claims_.end_round();
  const Duration next = faults_active_ ? options_.held_every : kClaimsEvery;
  world_.after(std::min(next, options_.held_every), [this] { look_at_held(); });
}

std::optional<std::string> Monitor::unseen() const { return ViewChecker::unseen(observe()); }

std::optional<std::string> Monitor::disagreement() const {
  return ViewChecker::disagreement(observe());
}

void Monitor::gather_held() {
  outcomes_.begin_round();
  for (const Observation& node : observe()) {
    for (const node::HeldTask& task : node.inspection.tasks()) {
      if (!given_up(task.task.job)) outcomes_.held(world_.now(), task);
    }
    for (const TaskId& task : node.inspection.unsettled_tasks()) outcomes_.unsettled(task);
  }
  forget_gone();
}

void Monitor::forget_gone() {
  const auto present = static_cast<std::uint64_t>(
      std::chrono::floor<std::chrono::seconds>(world_.latest_wall()).time_since_epoch().count());
  outcomes_.forget([&](const TaskId& task) {
    if (given_up(task.job)) return true;
    return task::expiry_of(task.job) <= present && expiry_.may_be_gone(task);
  });
}

void Monitor::check_held(bool all_ended) {
  gather_held();
  outcomes_.end_round(world_.now(), all_ended);
}

bool Monitor::all_ended() {
  gather_held();
  return outcomes_.round_complete();
}

bool Monitor::counts(NodeId node) const {
  const auto index = index_of(node);
  return index && world_.id(*index) == node && !world_.abandoned(*index);
}

std::optional<std::string> Monitor::unfinished() const {
  return unfinished_change(shards_, [this](NodeId node) { return counts(node); });
}

std::optional<std::string> Monitor::unhealed() const {
  if (auto change = unfinished()) return change;
  return missing_copy(records_, shards_, [this](NodeId node) { return counts(node); });
}

std::optional<NodeIndex> Monitor::index_of(NodeId node) const {
  const auto found = indices_.find(node);
  if (found == indices_.end()) return std::nullopt;
  return found->second;
}

std::optional<TimePoint> Monitor::lease_end(NodeId node, const AttemptId& attempt) const {
  const auto index = index_of(node);
  if (!index || !world_.up(*index)) return std::nullopt;
  node::Node::Inspection look;
  look.node = &world_.node(*index);
  const auto local = look.lease_end(attempt);
  if (!local) return std::nullopt;
  return world_.clock(*index).world(*local);
}

bool Monitor::waits(NodeId node, std::uint64_t transfer) const {
  const auto index = index_of(node);
  if (!index || !world_.up(*index)) return false;
  node::Node::Inspection look;
  look.node = &world_.node(*index);
  const auto open = look.open_transfers();
  return std::ranges::find(open, transfer) != open.end();
}

}  // namespace shoal::sim
