#include "sim/faults.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/assert.hpp"
#include "base/hash.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

constexpr int kTries = 6;  // For a kind that is possible just now.
constexpr std::size_t kNodesMax = 12;
constexpr Duration kPlannedAgain = 500ms;
constexpr Duration kTendEvery = 1s;

}  // namespace

Faults::Faults(Simulator& world, const FaultOptions& options, std::uint64_t seed)
    : world_(world),
      options_(options),
      random_(seed),
      sites_(random_.next()),
      planned_random_(mix64(seed) ^ 0x9a7e) {
  draw();
}

Faults::~Faults() {
  if (probes::armed == &sites_) probes::armed = nullptr;
}

void Faults::draw() {
  if (options_.swarm) {
    options_.gap_max = options_.gap_max / static_cast<std::int64_t>(1 + random_.below(4));
    options_.length_max = options_.length_max / static_cast<std::int64_t>(1 + random_.below(6));
  }
  for (const FaultKind* kind : options_.kinds) {
    const bool named = std::ranges::find(options_.named, kind) != options_.named.end();
    if (options_.swarm && !named && random_.chance(1, 2)) continue;
    const std::uint64_t factor = options_.swarm ? 1 + random_.below(4) : 1;
    drawn_.push_back({kind, std::max(kind->weight, 1U) * factor});
  }
  if (drawn_.empty() && options_.any()) {
    drawn_.push_back({options_.kinds[random_.below(options_.kinds.size())], 1});
  }
  for (const Drawn& each : drawn_) weights_ += each.weight;
}

std::vector<std::string_view> Faults::drawn() const {
  std::vector<std::string_view> names;
  for (const Drawn& each : drawn_) names.push_back(each.kind->name);
  return names;
}

void Faults::begin() {
  if (drawn_.empty() || std::exchange(running_, true)) return;
  nodes_before_ = world_.node_count();
  for (NodeIndex index = 0; index < nodes_before_; ++index) {
    rates_before_[index] = world_.clock_rate(index);
  }
  const bool replays =
      std::ranges::any_of(drawn_, [](const Drawn& each) { return each.kind->name == "replay"; });
  if (replays) world_.record_datagrams(8);
  if (probes::armed == nullptr) probes::armed = &sites_;
  for (const PlannedFault& planned : options_.planned) begin_planned(planned, planned.at);
  schedule_next();
}

// Draws apart, so that the other faults of the seed are what they would be without it.
void Faults::begin_planned(const PlannedFault& planned, Duration delay) {
  later(delay, [this, planned] {
    std::swap(random_, planned_random_);
    const bool begun = planned.kind->begin(*this, planned.length);
    std::swap(random_, planned_random_);
    if (!begun) return begin_planned(planned, kPlannedAgain);
    ++count_;
    ++counts_[std::string(planned.kind->name)];
  });
}

void Faults::schedule_next() {
  later(50ms + random_.below(options_.gap_max), [this] {
    begin_one();
    schedule_next();
  });
}

void Faults::begin_one() {
  for (int attempt = 0; attempt < kTries; ++attempt) {
    std::uint64_t at = random_.below(weights_);
    const auto chosen = std::ranges::find_if(drawn_, [&](const Drawn& each) {
      if (at < each.weight) return true;
      at -= each.weight;
      return false;
    });
    if (!chosen->kind->begin(*this, 50ms + random_.below(options_.length_max))) continue;
    ++count_;
    ++counts_[std::string(chosen->kind->name)];
    return;
  }
}

void Faults::later(Duration delay, std::function<void()> action) {
  world_.after(delay, [this, action = std::move(action)] {
    if (running_) action();
  });
}

void Faults::stop_all() {
  running_ = false;
  sites_.disarm();
  if (probes::armed == &sites_) probes::armed = nullptr;
  world_.record_datagrams(0);
  world_.network().heal();
}

void Faults::heal_node(NodeIndex index) {
  world_.disk(index).options().slow_factor = 1;
  world_.disk(index).options().stall = {};
  world_.clear_traps(index);
  world_.set_disk_low(index, false);
  world_.set_wall_offset(index, 0ms);
  if (rates_before_.contains(index)) world_.set_clock_rate(index, rates_before_[index]);
  world_.slow_down(index, 1);
  world_.resume(index);
  world_.unpause(index);
  if (leaving_.contains(index)) return;  // It goes when it is ready to.
  // Its operator has no patience, and has it look through all its records once.
  if (world_.stopping(index) || !world_.disk(index).image().damaged.empty()) world_.crash(index);
  if (!world_.up(index)) restart(index);
  core_.push_back(index);
}

void Faults::heal() {
  if (!healed_ && running_ && random_.chance(options_.core_percent, 100)) return heal_core();
  if (std::exchange(healed_, true)) return;
  stop_all();
  for (NodeIndex index = 0; index < world_.node_count(); ++index) {
    if (!world_.abandoned(index)) heal_node(index);
  }
}

void Faults::heal_core() {
  if (std::exchange(healed_, true)) return;
  stop_all();
  std::set<NodeIndex> core;
  for (NodeIndex index = 0; index < world_.node_count(); ++index) {
    if (!world_.abandoned(index)) core.insert(index);
  }
  const FaultAtlas atlas(world_);
  for (const NodeIndex index : some_nodes(core.size())) {
    std::set<NodeIndex> smaller = core;
    smaller.erase(index);
    // Those that leave take no work: somebody else has to.
    const bool works = !std::ranges::all_of(smaller, [&](NodeIndex at) { return leaving(at); });
    if (works && atlas.suffice(smaller)) core = std::move(smaller);
  }
  for (NodeIndex index = 0; index < world_.node_count(); ++index) {
    if (core.contains(index)) {
      heal_node(index);
    } else if (!world_.abandoned(index)) {
      break_for_good(index);
    }
  }
}

void Faults::break_for_good(NodeIndex index) {
  world_.abandon(index);
  switch (random_.below(4)) {
    case 0:
      world_.crash_host(index);
      break;
    case 1:
      world_.suspend(index);
      break;
    case 2:
      if (world_.up(index)) world_.pause(index);
      break;
    default:
      world_.network().links().begin(between({index}, others({index})), kCut);
  }
}

NodeIndex Faults::any_node() {
  for (;;) {
    const auto index = static_cast<NodeIndex>(random_.below(world_.node_count()));
    if (!world_.abandoned(index)) return index;
  }
}

std::optional<NodeIndex> Faults::any_up() {
  for (int attempt = 0; attempt < kTries; ++attempt) {
    const NodeIndex index = any_node();
    if (world_.up(index)) return index;
  }
  return std::nullopt;
}

std::optional<NodeIndex> Faults::any_running() {
  const auto index = any_up();
  return index && !world_.paused(*index) ? index : std::nullopt;
}

void Faults::restart(NodeIndex index) {
  if (!world_.refused(index).empty() && FaultAtlas(world_).may_lose(index)) {
    world_.replace_store(index);
  }
  world_.start(index);
}

void Faults::restart_later(NodeIndex index, Duration delay) {
  world_.after(delay, [this, index, delay, boot = world_.boot(index)] {
    if (world_.boot(index) != boot || world_.abandoned(index)) return;
    if (world_.up(index)) return restart_later(index, delay);
    restart(index);
  });
}

void Faults::tend(NodeIndex index) {
  if (!tended_.insert(index).second) return;
  world_.after(kTendEvery, [this, index] {
    tended_.erase(index);
    if (world_.abandoned(index)) return;
    if (!world_.up(index) && !world_.refused(index).empty()) restart(index);
    tend(index);
  });
}

void Faults::expect_leave(NodeIndex index) {
  leaving_.insert(index);
  world_.after(100ms, [this, index] {
    if (world_.abandoned(index)) return;
    if (world_.up(index)) return expect_leave(index);
    if (has_left(index) || FaultAtlas(world_).may_lose(index)) return world_.abandon(index);
    leaving_.erase(index);  // It died on its way out, and is still needed.
    restart(index);
  });
}

// As somebody knows by now.
bool Faults::has_left(NodeIndex index) {
  for (NodeIndex teller = 0; teller < world_.node_count(); ++teller) {
    if (!world_.up(teller) || world_.abandoned(teller)) continue;
    for (const auto& [id, state] : world_.node(teller).inspect().members) {
      if (id == world_.id(index) && state == wire::MemberState::left) return true;
    }
  }
  return false;
}

std::size_t Faults::staying_count() const {
  std::size_t count = 0;
  for (NodeIndex index = 0; index < world_.node_count(); ++index) {
    count += world_.abandoned(index) || leaving(index) ? 0 : 1;
  }
  return count;
}

void Faults::trouble(std::vector<Link> links, const Trouble& trouble, Duration length) {
  const std::uint64_t number = world_.network().links().begin(std::move(links), trouble);
  later(length, [this, number] { world_.network().links().end(number); });
}

std::vector<Link> Faults::between(const std::vector<NodeIndex>& first,
                                  const std::vector<NodeIndex>& second) {
  std::vector<Link> links;
  for (const NodeIndex one : first) {
    for (const NodeIndex other : second) {
      if (one == other) continue;
      links.emplace_back(one, other);
      links.emplace_back(other, one);
    }
  }
  return links;
}

std::vector<NodeIndex> Faults::others(const std::vector<NodeIndex>& nodes) const {
  std::vector<NodeIndex> rest;
  for (NodeIndex index = 0; index < world_.node_count(); ++index) {
    if (std::ranges::find(nodes, index) == nodes.end()) rest.push_back(index);
  }
  return rest;
}

std::vector<NodeIndex> Faults::some_nodes(std::size_t count) {
  std::vector<NodeIndex> nodes;
  for (NodeIndex index = 0; index < world_.node_count(); ++index) {
    if (!world_.abandoned(index)) nodes.push_back(index);
  }
  random_.shuffle(std::span(nodes));
  nodes.resize(std::min(count, nodes.size()));
  return nodes;
}

std::optional<NodeIndex> Faults::join_another() {
  const std::size_t more = world_.node_count() - nodes_before_;
  if (more >= options_.nodes_more_max || world_.node_count() >= kNodesMax) return std::nullopt;
  node::NodeConfig config = world_.config(0);
  config.id = {};
  config.name.clear();
  config.address = {};
  config.join = true;
  config.expect = 1;
  return world_.add_node(std::move(config), others({}));
}

}  // namespace shoal::sim
