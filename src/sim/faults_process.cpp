// What befalls processes and machines.
#include <algorithm>
#include <array>
#include <span>

#include "sim/faults.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

bool crash_for(Faults& faults, Duration length, bool host) {
  const auto index = faults.any_up();
  if (!index) return false;
  if (host) {
    faults.world().crash_host(*index);
  } else {
    faults.world().crash(*index);
  }
  faults.restart_later(*index, length);
  return true;
}

bool crash(Faults& faults, Duration length) { return crash_for(faults, length, false); }
bool host_crash(Faults& faults, Duration length) { return crash_for(faults, length, true); }

bool quick_crash(Faults& faults, Duration) {
  return crash_for(faults, 1ms + faults.random().below(Duration(300ms)), false);
}

bool restart_at_once(Faults& faults, Duration) {
  return crash_for(faults, Duration::zero(), false);
}

void crash_each(Faults& faults, Duration length, bool hosts) {
  Simulator& world = faults.world();
  for (NodeIndex index = 0; index < world.node_count(); ++index) {
    if (!world.up(index) || world.abandoned(index)) continue;
    if (hosts) {
      world.crash_host(index);
    } else {
      world.crash(index);
    }
    faults.restart_later(index, 1ms + faults.random().below(length));
  }
}

bool crash_all(Faults& faults, Duration length) {
  crash_each(faults, length, false);
  return true;
}

bool power_cut(Faults& faults, Duration length) {
  crash_each(faults, length, true);
  return true;
}

// A third of the hosts hangs on one wire.
bool rack_loss(Faults& faults, Duration length) {
  Simulator& world = faults.world();
  bool any = false;
  for (const NodeIndex index :
       faults.some_nodes(std::max<std::size_t>(1, world.node_count() / 3))) {
    if (!world.up(index)) continue;
    world.crash_host(index);
    faults.restart_later(index, length + faults.random().below(length));
    any = true;
  }
  return any;
}

bool stop_for(Faults& faults, NodeIndex index, Duration length) {
  if (!faults.world().up(index) || faults.world().paused(index)) return false;
  faults.world().stop(index, faults.random().chance(1, 4));
  faults.restart_later(index, length);
  return true;
}

bool stop(Faults& faults, Duration length) {
  const auto index = faults.any_running();
  return index && stop_for(faults, *index, length);
}

// As for an upgrade: one after the other, or all together.
bool mass_restart(Faults& faults, Duration length) {
  const bool together = faults.random().chance(1, 3);
  Duration at{};
  for (const NodeIndex index : faults.some_nodes(faults.world().node_count())) {
    faults.later(at, [&faults, index] {
      stop_for(faults, index, 10ms + faults.random().below(Duration(2s)));
    });
    if (!together) at += length / 2;
  }
  return true;
}

bool pause(Faults& faults, Duration length) {
  const auto index = faults.any_running();
  if (!index) return false;
  faults.world().pause(*index);
  if (faults.random().chance(1, 8)) length *= 8;  // Beyond every lease.
  faults.later(length, [&faults, index] { faults.world().unpause(*index); });
  return true;
}

bool suspend(Faults& faults, Duration length) {
  const NodeIndex index = faults.any_node();
  if (faults.world().paused(index)) return false;
  faults.world().suspend(index);
  faults.later(length, [&faults, index] { faults.world().resume(index); });
  return true;
}

bool slow_node(Faults& faults, Duration length) {
  const NodeIndex index = faults.any_node();
  faults.world().slow_down(index, static_cast<std::uint32_t>(2 + faults.random().below(19)));
  faults.later(length, [&faults, index] { faults.world().slow_down(index, 1); });
  return true;
}

bool loop_stall(Faults& faults, Duration length) {
  const auto index = faults.any_running();
  if (!index) return false;
  faults.world().stall_loop(*index, faults.random().chance(1, 2) ? length / 10 : length);
  return true;
}

bool crash_at(Faults& faults, Duration length, SyncMoment moment) {
  const auto index = faults.any_running();
  if (!index) return false;
  const Duration back = faults.random().chance(1, 2) ? length : length / 20;
  faults.world().crash_at_sync(*index, moment,
                               [&faults, index, back] { faults.restart_later(*index, back); });
  return true;
}

bool crash_before_reply(Faults& faults, Duration length) {
  return crash_at(faults, length, SyncMoment::after_durable);
}

bool crash_before_sync(Faults& faults, Duration length) {
  return crash_at(faults, length, SyncMoment::before_durable);
}

bool supervisor_kill(Faults& faults, Duration) {
  Simulator& world = faults.world();
  const NodeIndex index = faults.any_node();
  const ProcessOptions& options = world.processes(index).options();
  if (!options.supervised) return false;
  world.kill_supervisor(
      index, static_cast<std::uint32_t>(faults.random().below(std::max(options.supervisors, 1U))));
  return true;
}

void crash_in_joint_step(Faults& faults, Duration length, int looks_left) {
  if (looks_left == 0) return;
  const FaultAtlas atlas(faults.world());
  for (const NodeIndex index : faults.some_nodes(faults.world().node_count())) {
    if (!faults.world().up(index) || !atlas.in_joint(index)) continue;
    faults.world().crash(index);
    return faults.restart_later(index, length);
  }
  faults.later(
      10ms, [&faults, length, looks_left] { crash_in_joint_step(faults, length, looks_left - 1); });
}

bool crash_in_joint(Faults& faults, Duration length) {
  crash_in_joint_step(faults, length, 300);
  return true;
}

using enum FaultFamily;

constexpr std::array kKinds = std::to_array<FaultKind>({
    {"kill", "kill -9 of a node, back some time later", process, 4, &crash},
    {"quick-kill", "kill -9 of a node, back within 300 ms", process, 6, &quick_crash},
    {"restart-at-once", "kill -9 of a node, back in the same moment", process, 2, &restart_at_once},
    {"host-crash", "a host loses its power: node, tasks, what was not synced", process, 4,
     &host_crash},
    {"kill-all", "kill -9 of all nodes", process, 2, &crash_all},
    {"power-cut", "all hosts lose their power", process, 1, &power_cut},
    {"rack-loss", "a third of the hosts lose their power", process, 2, &rack_loss},
    {"stop", "SIGTERM, with or without the end of its tasks", process, 3, &stop},
    {"mass-restart", "all are stopped and started, in turn or together", process, 1, &mass_restart},
    {"pause", "SIGSTOP of a node alone", process, 4, &pause},
    {"suspend", "a host is suspended; its clock runs on", process, 4, &suspend},
    {"slow-node", "a node runs a half to a twentieth of the time", process, 3, &slow_node},
    {"loop-stall", "an output leaves long after it was made", process, 4, &loop_stall},
    {"kill-before-reply", "kill -9 between durable and told", process, 4, &crash_before_reply},
    {"kill-before-sync", "kill -9 between write and sync", process, 4, &crash_before_sync},
    {"supervisor-kill", "kill -9 of a supervisor, with its tasks", process, 2, &supervisor_kill,
     Feature::finds_tasks},
    {"kill-in-joint", "kill -9 while a home is joint", process, 4, &crash_in_joint,
     Feature::home_changes},
});

}  // namespace

std::span<const FaultKind> process_faults() { return kKinds; }

}  // namespace shoal::sim
