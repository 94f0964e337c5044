#include "sim/monitor.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace shoal::sim {

Monitor::Monitor(Simulator& world, const MonitorOptions& options)
    : world_(world), options_(options) {
  WorldHooks hooks;
  hooks.process_started = [this](NodeIndex at, const AttemptId& attempt, const TaskSpec&) {
    attempts_.started(world_.now(), at, attempt);
    const Processes& processes = world_.processes(at);
    const Capacity capacity = world_.capacity(at);
    capacity_.running(world_.now(), world_.config(at).name,
                      {processes.cpu_millis(), processes.memory_bytes()}, capacity);
  };
  hooks.process_ended = [this](NodeIndex at, const AttemptId& attempt) {
    attempts_.ended(at, attempt);
  };
  hooks.suspended = [this](NodeIndex at) { attempts_.suspended(at); };
  hooks.processes_resumed = [this](NodeIndex at) { attempts_.resumed(world_.now(), at); };
  hooks.progressed = [this](NodeIndex at) { idle_.progressed(world_.now(), at); };
  hooks.violation = [this](std::string text) { add_violation(std::move(text)); };
  world_.set_hooks(std::move(hooks));
  take_log();
}

Monitor::~Monitor() {
  world_.set_hooks({});
  log::set_sink({});
  log::set_level(log::Level::info);
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

void Monitor::begin() {
  world_.after(options_.look_every, [this] { look(); });
  world_.after(options_.held_every, [this] { look_at_held(); });
}

void Monitor::set_faults(bool active) {
  faults_active_ = active;
  quiet_since_ = world_.now();
  idle_.forget();
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
  const std::vector<Observation> nodes = observe();
  for (const Observation& node : nodes) capacity_.observe(world_.now(), node);
  if (!faults_active_ && world_.now() - quiet_since_ >= options_.quiet_min) {
    idle_.observe(world_.now(), nodes);
  }
  world_.after(options_.look_every, [this] { look(); });
}

void Monitor::look_at_held() {
  for (const Observation& node : observe()) {
    for (const node::HeldTask& task : node.inspection.tasks()) outcomes_.held(world_.now(), task);
  }
  world_.after(options_.held_every, [this] { look_at_held(); });
}

std::optional<std::string> Monitor::disagreement() const {
  return ViewChecker::disagreement(observe());
}

void Monitor::check_held(bool all_ended) {
  outcomes_.begin_round();
  for (const Observation& node : observe()) {
    for (const node::HeldTask& task : node.inspection.tasks()) outcomes_.held(world_.now(), task);
  }
  outcomes_.end_round(world_.now(), all_ended);
}

bool Monitor::all_ended() {
  for (const Observation& node : observe()) {
    for (const node::HeldTask& task : node.inspection.tasks()) {
      if (!terminal(task.state)) return false;
    }
  }
  return true;
}

}  // namespace shoal::sim
