// What networks do.
#include <algorithm>
#include <array>
#include <span>

#include "node/inspection.hpp"
#include "sim/faults.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

std::uint32_t up_to(Faults& faults, std::uint32_t most) {
  return static_cast<std::uint32_t>(1 + faults.random().below(most));
}

// Everywhere, at one node, or on one link one way.
std::vector<Link> some_links(Faults& faults) {
  const NodeIndex node = faults.any_node();
  switch (faults.random().below(3)) {
    case 0:
      return {};
    case 1:
      return Faults::between({node}, faults.others({node}));
    default:
      return {{node, faults.any_node()}};
  }
}

bool loss(Faults& faults, Duration length) {
  faults.trouble(some_links(faults), {.loss_permille = up_to(faults, 300)}, length);
  return true;
}

bool duplication(Faults& faults, Duration length) {
  faults.trouble(some_links(faults), {.duplicate_permille = up_to(faults, 500)}, length);
  return true;
}

bool reorder(Faults& faults, Duration length) {
  faults.trouble(some_links(faults), {.reorder_permille = up_to(faults, 500)}, length);
  return true;
}

bool very_late(Faults& faults, Duration length) {
  faults.trouble(some_links(faults), {.late_per_million = up_to(faults, 20'000)}, length);
  return true;
}

bool heavy_tail(Faults& faults, Duration length) {
  const Duration scale = 100us + faults.random().below(Duration(20ms));
  faults.trouble(some_links(faults), {.heavy_tail = scale}, length);
  return true;
}

bool slow_link(Faults& faults, Duration length) {
  faults.trouble(some_links(faults), {.slow_factor = 1 + up_to(faults, 500)}, length);
  return true;
}

bool corruption(Faults& faults, Duration length) {
  faults.trouble(some_links(faults), {.corrupt_permille = up_to(faults, 200)}, length);
  return true;
}

bool bandwidth(Faults& faults, Duration length) {
  const std::uint64_t rate = 10'000ULL << faults.random().below(7);
  faults.trouble(some_links(faults), {.bytes_per_second = rate}, length);
  return true;
}

bool one_way_loss(Faults& faults, Duration length) {
  const std::uint32_t permille = 500 + up_to(faults, 500);
  faults.trouble({{faults.any_node(), faults.any_node()}}, {.loss_permille = permille}, length);
  return true;
}

bool one_way_cut(Faults& faults, Duration length) {
  std::vector<Link> links;
  const NodeIndex node = faults.any_node();
  const bool deaf = faults.random().chance(1, 2);
  for (const NodeIndex other : faults.others({node})) {
    if (faults.random().chance(1, 2)) continue;
    links.emplace_back(deaf ? other : node, deaf ? node : other);
  }
  if (links.empty()) return false;
  faults.trouble(std::move(links), kCut, length);
  return true;
}

void separate(Faults& faults, const std::vector<NodeIndex>& group, Duration length) {
  faults.trouble(Faults::between(group, faults.others(group)), kCut, length);
}

bool isolate(Faults& faults, Duration length) {
  separate(faults, {faults.any_node()}, length);
  return true;
}

bool halves(Faults& faults, Duration length) {
  separate(faults, faults.some_nodes(faults.world().node_count() / 2), length);
  return true;
}

bool minority_third(Faults& faults, Duration length) {
  separate(faults, faults.some_nodes(std::max<std::size_t>(1, faults.world().node_count() / 3)),
           length);
  return true;
}

// Jepsen's: every node sees a majority, and no two see the same.
bool majorities_ring(Faults& faults, Duration length) {
  const std::vector<NodeIndex> ring = faults.some_nodes(faults.world().node_count());
  const std::size_t seen = (ring.size() / 2 + 1) / 2;  // To each side.
  std::vector<Link> links;
  for (std::size_t one = 0; one < ring.size(); ++one) {
    for (std::size_t other = 0; other < ring.size(); ++other) {
      const std::size_t ahead = (other + ring.size() - one) % ring.size();
      if (std::min(ahead, ring.size() - ahead) > seen) links.emplace_back(ring[one], ring[other]);
    }
  }
  if (links.empty()) return false;
  faults.trouble(std::move(links), kCut, length);
  return true;
}

// Two halves that only one node sees both of.
bool bridge(Faults& faults, Duration length) {
  std::vector<NodeIndex> nodes = faults.some_nodes(faults.world().node_count());
  if (nodes.size() < 3) return false;
  nodes.pop_back();
  const auto half = nodes.begin() + static_cast<std::ptrdiff_t>(nodes.size() / 2);
  faults.trouble(Faults::between({nodes.begin(), half}, {half, nodes.end()}), kCut, length);
  return true;
}

std::optional<NodeIndex> any_owner(Faults& faults) {
  const auto index = faults.any_running();
  if (!index || faults.world().node(*index).inspect().owned.empty()) return std::nullopt;
  return index;
}

bool isolated_owner(Faults& faults, Duration length) {
  const auto owner = any_owner(faults);
  if (!owner) return false;
  separate(faults, {*owner}, length);
  return true;
}

// It reaches everybody else: the other home nodes of what it runs, too.
bool executor_past_owner(Faults& faults, Duration length) {
  const auto owner = any_owner(faults);
  const NodeIndex executor = faults.any_node();
  if (!owner || *owner == executor) return false;
  faults.trouble(Faults::between({executor}, {*owner}), kCut, length);
  return true;
}

bool dead_datagrams(Faults& faults, Duration length) {
  faults.trouble(some_links(faults), {.datagrams_cut = true}, length);
  return true;
}

bool dead_streams(Faults& faults, Duration length) {
  faults.trouble(some_links(faults), {.streams_cut = true}, length);
  return true;
}

bool stalled_streams(Faults& faults, Duration length) {
  faults.trouble(some_links(faults), {.streams_stalled = true}, length);
  return true;
}

void reset_some(Faults& faults, Duration length, bool half_open) {
  const std::uint64_t count = 1 + faults.random().below(20);
  for (std::uint64_t i = 0; i < count; ++i) {
    faults.later(faults.random().below(length), [&faults, half_open] {
      const NodeIndex first = faults.any_node();
      const NodeIndex second = faults.any_node();
      if (first != second) faults.world().reset_streams(first, second, half_open);
    });
  }
}

bool stream_resets(Faults& faults, Duration length) {
  reset_some(faults, length, false);
  return true;
}

bool half_open_streams(Faults& faults, Duration length) {
  reset_some(faults, length, true);
  return true;
}

// FoundationDB's: the links of a random subset go one by one and come back in another order.
bool swizzle_clog(Faults& faults, Duration length) {
  const std::size_t count = 1 + faults.random().below(faults.world().node_count());
  for (const NodeIndex node : faults.some_nodes(count)) {
    const Duration first = faults.random().below(length / 2);
    const Duration last = length / 2 + faults.random().below(length / 2);
    faults.later(first, [&faults, node, length = last - first] {
      faults.trouble(Faults::between({node}, faults.others({node})), kCut, length);
    });
  }
  return true;
}

bool replay(Faults& faults, Duration length) {
  for (int i = 0; i < 10; ++i) {
    faults.later(faults.random().below(length),
                 [&faults] { faults.world().replay_datagrams(1 + faults.random().below(20)); });
  }
  return true;
}

using enum FaultFamily;

constexpr std::array kKinds = std::to_array<FaultKind>({
    {"loss", "up to 30 % of the datagrams are lost", network, 4, &loss},
    {"duplication", "up to half of the datagrams come twice", network, 3, &duplication},
    {"reorder", "datagrams overtake each other", network, 3, &reorder},
    {"very-late", "some datagrams come a minute later", network, 2, &very_late},
    {"heavy-tail", "delays with a heavy tail", network, 3, &heavy_tail},
    {"slow-link", "delays of up to 500 times", network, 3, &slow_link},
    {"corruption", "bits flip; checksums catch them", network, 2, &corruption},
    {"bandwidth", "links carry 10 to 640 kB/s", network, 2, &bandwidth},
    {"one-way-loss", "more than half is lost one way", network, 3, &one_way_loss},
    {"one-way-cut", "a node hears nothing of some, or they nothing of it", network, 4,
     &one_way_cut},
    {"isolate", "a node is cut off", network, 4, &isolate},
    {"halves", "half of the nodes do not see the others", network, 3, &halves},
    {"minority-third", "a third of the nodes is cut off", network, 3, &minority_third},
    {"majorities-ring", "each sees a majority, no two the same", network, 3, &majorities_ring},
    {"bridge", "two halves that one node sees both of", network, 3, &bridge},
    {"isolated-owner", "an owner of shards is cut off", network, 4, &isolated_owner},
    {"executor-past-owner", "a node sees all but one owner", network, 4, &executor_past_owner},
    {"dead-datagrams", "streams live, datagrams do not", network, 3, &dead_datagrams},
    {"dead-streams", "datagrams live, streams do not", network, 3, &dead_streams},
    {"stalled-streams", "streams hold everything back", network, 3, &stalled_streams},
    {"stream-resets", "streams break", network, 3, &stream_resets},
    {"half-open-streams", "streams break and one side does not hear", network, 3,
     &half_open_streams},
    {"swizzle-clog", "links go one by one and come back in another order", network, 4,
     &swizzle_clog},
    {"replay", "old datagrams come again, of former processes too", network, 3, &replay},
});

}  // namespace

std::span<const FaultKind> network_faults() { return kKinds; }

}  // namespace shoal::sim
