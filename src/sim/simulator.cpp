#include "sim/simulator.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "base/format.hpp"
#include "base/log.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

constexpr Duration kClientLatency = 100us;
constexpr Duration kSeedsAgain = 30s;
constexpr WallTime kWallStart{std::chrono::sys_days{std::chrono::year{2026} / 11 / 22}};

Address address_of(NodeIndex index) {
  return ipv4(10, static_cast<std::uint8_t>(index >> 16), static_cast<std::uint8_t>(index >> 8),
              static_cast<std::uint8_t>(index), 7461);
}

const char* text_of(wire::MemberState state) {
  static constexpr const char* kTexts[] = {"alive", "suspect", "dead", "left"};
  const auto number = static_cast<std::size_t>(state);
  return number < std::size(kTexts) ? kTexts[number] : "?";
}

}  // namespace

Simulator::Simulator(const WorldOptions& options)
    : options_(options), random_(options.seed), network_(options.network, random_.next()) {}

Simulator::~Simulator() = default;

Host& Simulator::host(NodeIndex index) {
  SHOAL_ASSERT(index < hosts_.size());
  return *hosts_[index];
}

const Host& Simulator::host(NodeIndex index) const {
  SHOAL_ASSERT(index < hosts_.size());
  return *hosts_[index];
}

NodeIndex Simulator::add_node(node::NodeConfig config, std::vector<NodeIndex> seeds) {
  const auto index = static_cast<NodeIndex>(hosts_.size());
  if (!config.id) config.id = {random_.next(), random_.next() | 1};
  if (config.name.empty()) config.name = format("n{}", index + 1);
  if (!config.address) config.address = address_of(index);
  const auto rate_max = static_cast<std::int64_t>(options_.clock_rate_ppm_max);
  const auto rate = static_cast<std::int32_t>(
      static_cast<std::int64_t>(random_.below(options_.clock_rate_ppm_max * 2ULL + 1)) - rate_max);
  const Duration offset = 1s + random_.below(Duration(24h * 100));
  by_id_[config.id] = index;
  by_address_[config.address] = index;
  const Capacity capacity{config.cpu_millis, config.memory_bytes};
  hosts_.push_back(std::make_unique<Host>(Host{.config = std::move(config),
                                               .seeds = std::move(seeds),
                                               .clock = NodeClock({}, offset, rate),
                                               .capacity = capacity,
                                               .disk = Disk(options_.disk),
                                               .processes = Processes(options_.processes)}));
  hosts_.back()->disk.set_tap([this, index](std::span<const wire::Write> writes) {
    if (taps_.durable) taps_.durable(index, writes);
  });
  return index;
}

void Simulator::start(NodeIndex index) {
  Host& starting = host(index);
  SHOAL_ASSERT(starting.node == nullptr);
  resume(index);
  network_.set_power(index, true);
  ++starting.boot;
  starting.paused = false;
  starting.refused.clear();
  trace_.add(now_, index, TraceKind::started, starting.boot);
  starting.node = std::make_unique<node::Node>(starting.config, random_.next());
  starting.disk.restore(*starting.node);
  starting.node->start(now_at(starting));
  carry_out(index);
  if (taps_.started) taps_.started(index);
  begin_recovery(index);
  if (starting.disk_low) set_disk_low(index, true);
  if (!starting.seeds.empty()) tell_seeds(index);
}

// Again and again, as the daemon does: the seeds that answer first may be as blank as it is, and
// later they may have moved.
void Simulator::tell_seeds(NodeIndex index) {
  std::vector<Address> seeds;
  for (const NodeIndex seed : host(index).seeds) seeds.push_back(host(seed).config.address);
  input(index,
        [seeds = std::move(seeds)](node::Node& node, Now now) { node.on_seeds(now, seeds); });
  after(kSeedsAgain, [this, index, boot = host(index).boot] {
    if (up(index) && host(index).boot == boot) tell_seeds(index);
  });
}

// The node's process is gone, by a crash or after a stop; either may leave a sync under way.
void Simulator::go_down(NodeIndex index) {
  Host& ending = host(index);
  ending.disk.crash(random_);
  ending.node.reset();
  if (taps_.down) taps_.down(index);
  ending.inbox.clear();
  ending.stalled.reset();
  ending.stall = {};
  ending.drain_due = false;
  ending.wake_wanted = ending.wake_scheduled = kNever;
  ending.paused = false;
  ending.stopping = false;
  ended_unheard(index, ending.processes.orphan(now_));
  for (auto& [peer, at, flights] : network_.close_all(now_, index)) {
    const std::uint32_t boot = host(peer).boot;
    for (auto& [arrives, flight] : flights) {
      events_.push(arrives, Delivery{peer, boot, false, std::move(flight)});
    }
    if (at != kNever) events_.push(at, PeerCloses{peer, boot, ending.config.id});
  }
  std::vector<OnClosed> closed;
  std::erase_if(sessions_, [&](auto& entry) {
    if (entry.second.gateway != index) return false;
    closed.push_back(std::move(entry.second.closed));
    return true;
  });
  for (OnClosed& each : closed) after(kClientLatency, std::move(each));
}

bool Simulator::up(NodeIndex index) const { return host(index).node != nullptr; }
bool Simulator::paused(NodeIndex index) const {
  const Host& at = host(index);
  return at.paused || at.suspended || at.stalled;
}
NodeId Simulator::id(NodeIndex index) const { return host(index).config.id; }
const node::NodeConfig& Simulator::config(NodeIndex index) const { return host(index).config; }
node::NodeConfig& Simulator::config_at_next_start(NodeIndex index) { return host(index).config; }

node::Node& Simulator::node(NodeIndex index) {
  SHOAL_ASSERT(up(index));
  return *host(index).node;
}

Disk& Simulator::disk(NodeIndex index) { return host(index).disk; }
const Processes& Simulator::processes(NodeIndex index) const { return host(index).processes; }
ProcessOptions& Simulator::process_options(NodeIndex index) {
  return host(index).processes.options();
}

std::optional<node::SessionId> Simulator::connect(NodeIndex gateway, OnReply reply,
                                                  OnClosed closed) {
  if (!up(gateway) || abandoned(gateway)) return std::nullopt;
  const node::SessionId session{++sessions_made_};
  sessions_[session] = {gateway, host(gateway).boot, std::move(reply), std::move(closed)};
  return session;
}

void Simulator::request(node::SessionId session, wire::ClientRequest request) {
  after(kClientLatency, [this, session, request = std::move(request)]() mutable {
    const auto found = sessions_.find(session);
    if (found == sessions_.end()) return;
    const NodeIndex gateway = found->second.gateway;
    trace_.add(now_, gateway, TraceKind::client_request, request.id ^ request.body.index() << 56);
    if (taps_.requested) taps_.requested(gateway, request);
    input(gateway, [session, request = std::move(request)](node::Node& node, Now now) mutable {
      node.on_client(now, session, std::move(request));
    });
  });
}

void Simulator::forget(node::SessionId session, std::uint64_t request) {
  after(kClientLatency, [this, session, request] {
    const auto found = sessions_.find(session);
    if (found == sessions_.end()) return;
    input(found->second.gateway, [session, request](node::Node& node, Now now) {
      node.on_client_forget(now, session, request);
    });
  });
}

void Simulator::disconnect(node::SessionId session) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return;
  const NodeIndex gateway = found->second.gateway;
  const std::uint32_t boot = found->second.boot;
  sessions_.erase(found);
  after(kClientLatency, [this, gateway, boot, session] {
    if (host(gateway).boot != boot) return;
    input(gateway, [session](node::Node& node, Now now) { node.on_client_closed(now, session); });
  });
}

WallTime Simulator::wall() const {
  return kWallStart + std::chrono::floor<std::chrono::milliseconds>(now_.time_since_epoch());
}

Now Simulator::now_at(const Host& host) const { return {host.clock.local(now_), wall_at(host)}; }

void Simulator::at(TimePoint when, std::function<void()> action) {
  events_.push(std::max(when, now_), Action{std::move(action)});
}

bool Simulator::step() {
  if (events_.empty()) return false;
  const TimePoint next = events_.next_at();
  SHOAL_ASSERT(next >= now_);
  now_ = next;
  std::visit([this](auto&& event) { on(std::forward<decltype(event)>(event)); }, events_.pop());
  return true;
}

void Simulator::run_until(TimePoint when) {
  while (events_.next_at() <= when) {
    if (!step()) break;
  }
  now_ = std::max(now_, when);
}

bool Simulator::run_until(const std::function<bool()>& done, Duration deadline, Duration every) {
  const TimePoint until = now_ + deadline;
  while (!done()) {
    if (now_ >= until) return false;
    run_until(std::min(until, now_ + every));
  }
  return true;
}

std::string Simulator::describe(NodeIndex index) const {
  const Host& shown = host(index);
  std::string text = format("{} (boot {})", shown.config.name, shown.boot);
  text += format(" {}", short_text(id(index)));
  if (abandoned(index)) text += ", given up";
  if (shown.node == nullptr) return text + ": down";
  text += shown.suspended ? ": suspended" : shown.paused ? ": paused" : ": up";
  text += shown.node->serving() ? ", serves" : ", does not serve";
  if (shown.slow_factor != 1) text += format(", slow by {}", shown.slow_factor);
  if (shown.disk.syncing()) text += ", a sync is under way";
  if (!shown.inbox.empty()) text += format(", {} inputs wait", shown.inbox.size());
  if (shown.wake_wanted == kNever) {
    text += ", wants no wake";
  } else {
    text += format(", wakes in {} ms", (shown.wake_wanted - now_) / 1ms);
  }
  const node::Node::Inspection inspection = shown.node->inspect();
  text += format(", owns {} shards, {} ready, {} running", inspection.owned.size(),
                 inspection.ready, inspection.running.size());
  if (!inspection.takes_work) text += ", takes no work";
  text += ", sees";
  for (const auto& [id, state] : inspection.members) {
    const auto known = by_id_.find(id);
    const std::string name =
        known == by_id_.end() ? short_text(id) : host(known->second).config.name;
    text += format(" {}:{}", name, text_of(state));
  }
  return text;
}

void Simulator::set_filter(std::function<bool(NodeIndex, const node::Envelope&)> drops) {
  drops_ = std::move(drops);
}

void Simulator::violation(std::string text) {
  if (hooks_.violation) {
    hooks_.violation(std::move(text));
  } else {
    log::error("sim", "{}", text);
  }
}

}  // namespace shoal::sim
