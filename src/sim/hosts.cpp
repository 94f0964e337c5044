// What befalls hosts and their nodes: ends of every kind, standstill, and changes of what a node
// finds when it starts.
#include <algorithm>
#include <numeric>
#include <utility>

#include "base/assert.hpp"
#include "base/format.hpp"
#include "sim/simulator.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

constexpr Duration kTasksResumeAfter = 200ms;  // Design, section 9.

}  // namespace

void Simulator::crash(NodeIndex index) {
  Host& crashing = host(index);
  if (crashing.node == nullptr) return;
  trace_.add(now_, index, TraceKind::crashed);
  ++figures_.crashes;
  go_down(index);
}

void Simulator::crash_host(NodeIndex index) {
  Host& crashing = host(index);
  network_.set_power(index, false);  // Nobody is told.
  crash(index);
  trace_.add(now_, index, TraceKind::host_crashed);
  ended_unheard(index, crashing.processes.clear());
  crashing.suspended = false;
  if (hooks_.processes_resumed) hooks_.processes_resumed(index);  // Nothing is suspended there now.
  crashing.clock = NodeClock(now_, 1s + random_.below(Duration(60s)), crashing.clock.rate_ppm());
}

void Simulator::stop(NodeIndex index, bool end_tasks) {
  if (!up(index)) return;
  trace_.add(now_, index, TraceKind::stopped, end_tasks ? 1 : 0);
  host(index).stopping = true;
  input(index, [end_tasks](node::Node& node, Now now) { node.on_stop(now, end_tasks); });
}

void Simulator::pause(NodeIndex index) {
  Host& paused = host(index);
  if (paused.node == nullptr || paused.paused) return;
  trace_.add(now_, index, TraceKind::paused);
  paused.paused = true;
}

void Simulator::unpause(NodeIndex index) {
  Host& paused = host(index);
  if (!std::exchange(paused.paused, false)) return;
  trace_.add(now_, index, TraceKind::resumed);
  drain(index);
}

void Simulator::suspend(NodeIndex index) {
  Host& suspended = host(index);
  if (suspended.suspended) return;
  trace_.add(now_, index, TraceKind::paused, 1);
  suspended.suspended = true;
  ++suspended.suspensions;
  network_.set_power(index, false);  // Its kernel acknowledges nothing either.
  suspended.processes.freeze(now_);
  if (hooks_.suspended) hooks_.suspended(index);
}

void Simulator::resume(NodeIndex index) {
  Host& resumed = host(index);
  if (!std::exchange(resumed.suspended, false)) return;
  trace_.add(now_, index, TraceKind::resumed, 1);
  network_.set_power(index, true);
  expect(index, resumed.processes.resume_supervisors(now_));
  events_.push(now_ + kTasksResumeAfter, TasksResume{index, resumed.suspensions});
  drain(index);
}

void Simulator::slow_down(NodeIndex index, std::uint32_t factor) {
  SHOAL_ASSERT(factor > 0);
  host(index).slow_factor = factor;
  drain(index);
}

void Simulator::move_to(NodeIndex index, const Address& address) {
  Host& moved = host(index);
  SHOAL_ASSERT(moved.node == nullptr);
  by_address_.erase(moved.config.address);
  moved.config.address = address;
  by_address_[address] = index;
}

void Simulator::renew_seeds(NodeIndex index, std::span<const NodeIndex> from) {
  std::vector<NodeIndex>& seeds = host(index).seeds;
  if (seeds.empty()) return;
  if (!std::ranges::all_of(seeds, [this](NodeIndex seed) { return abandoned(seed); })) return;
  seeds.assign(from.begin(), from.end());
  std::erase(seeds, index);
}

void Simulator::stall_loop(NodeIndex index, Duration by) {
  if (up(index)) host(index).stall = by;
}

void Simulator::crash_at_sync(NodeIndex index, SyncMoment moment, std::function<void()> crashed) {
  host(index).trap = moment;
  host(index).trapped = std::move(crashed);
}

void Simulator::clear_traps(NodeIndex index) {
  host(index).trap.reset();
  host(index).trapped = {};
  host(index).stall = {};
  end_stall(index);
}

void Simulator::spring_trap(NodeIndex index) {
  Host& at = host(index);
  if (*std::exchange(at.trap, std::nullopt) == SyncMoment::after_durable) at.disk.end_sync();
  const std::function<void()> trapped = std::exchange(at.trapped, {});
  crash(index);
  if (trapped) trapped();
}

void Simulator::replace_store(NodeIndex index) {
  Host& replaced = host(index);
  SHOAL_ASSERT(replaced.node == nullptr);
  if (taps_.replaced) taps_.replaced(index);  // Of the id that is gone.
  replaced.disk.load({});
  replaced.spoilt = false;
  by_id_.erase(replaced.config.id);
  replaced.config.id = {random_.next(), random_.next() | 1};
  by_id_[replaced.config.id] = index;
  replaced.config.join = true;
  replaced.config.expect = 1;
  replaced.seeds.resize(hosts_.size());
  std::iota(replaced.seeds.begin(), replaced.seeds.end(), NodeIndex{0});
  std::erase(replaced.seeds, index);
  trace_.add(now_, index, TraceKind::replaced, replaced.config.id.low);
}

void Simulator::load_store(NodeIndex index, Disk::Image image) {
  SHOAL_ASSERT(!up(index));
  if (taps_.replaced) taps_.replaced(index);
  host(index).disk.load(std::move(image));
  host(index).spoilt = true;
  trace_.add(now_, index, TraceKind::replaced);
}

void Simulator::damage(NodeIndex index, const Disk::Place& place) {
  host(index).disk.damage(place);
  if (taps_.damaged) taps_.damaged(index, place.first, place.second);
  trace_.add(now_, index, TraceKind::damaged, place.second.low);
}

void Simulator::kill_supervisor(NodeIndex index, std::uint32_t supervisor) {
  trace_.add(now_, index, TraceKind::host_crashed, 1 + supervisor);
  expect(index, host(index).processes.lose(supervisor, now_));
}

NodeIndex Simulator::clone(NodeIndex index) {
  node::NodeConfig config = host(index).config;
  config.address = {};
  const NodeIndex copy = add_node(std::move(config), host(index).seeds);
  by_id_[host(index).config.id] = index;  // By address alone is the copy met.
  host(copy).disk.load(host(index).disk.image());
  host(copy).spoilt = host(index).spoilt = true;
  return copy;
}

void Simulator::set_disk_low(NodeIndex index, bool low) {
  host(index).disk_low = low;
  input(index, [low](node::Node& node, Now now) { node.on_disk_low(now, low); });
}

void Simulator::set_wall_offset(NodeIndex index, std::chrono::milliseconds offset) {
  host(index).wall_offset = offset;
  clocks_were_wrong_ = clocks_were_wrong_ || offset < -1min;
  most_ahead_ = std::max(most_ahead_, offset);
}

void Simulator::set_clock_rate(NodeIndex index, std::int32_t rate_ppm) {
  Host& at = host(index);
  at.clock.set_rate(now_, rate_ppm);
  expect(index, at.processes.reclock([&](TimePoint local) { return at.clock.world(local); }));
  if (up(index)) schedule_wake(index, now_);  // What it waits for is due at another moment.
}

}  // namespace shoal::sim
