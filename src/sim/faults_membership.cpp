// Who comes and goes.
#include <array>
#include <span>

#include "sim/faults.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

bool founded(Faults& faults) {
  Simulator& world = faults.world();
  for (NodeIndex index = 0; index < world.node_count(); ++index) {
    if (world.up(index) && world.node(index).serving()) return true;
  }
  return false;
}

bool join(Faults& faults, Duration) {
  if (!founded(faults)) return false;
  const auto index = faults.join_another();
  if (index) faults.world().start(*index);
  return index.has_value();
}

bool join_storm(Faults& faults, Duration) {
  if (!join(faults, {})) return false;
  while (join(faults, {})) continue;
  return true;
}

bool die_joining(Faults& faults, Duration length) {
  if (!founded(faults)) return false;
  const auto index = faults.join_another();
  if (!index) return false;
  faults.world().start(*index);
  faults.later(faults.random().below(Duration(500ms)), [&faults, index, length] {
    faults.world().crash(*index);
    faults.restart_later(*index, length);
  });
  return true;
}

bool new_address(Faults& faults, Duration length) {
  Simulator& world = faults.world();
  const auto index = faults.any_up();
  if (!index) return false;
  world.crash_host(*index);
  const auto host = static_cast<std::uint16_t>(1 + faults.random().below(60'000));
  world.move_to(*index, ipv4(10, 200, static_cast<std::uint8_t>(host >> 8),
                             static_cast<std::uint8_t>(host), 7461));
  faults.restart_later(*index, length);
  return true;
}

bool new_weight(Faults& faults, Duration length) {
  Simulator& world = faults.world();
  const auto index = faults.any_up();
  if (!index) return false;
  world.crash(*index);
  world.config_at_next_start(*index).weight_eighths =
      static_cast<std::uint32_t>(1 + faults.random().below(32));
  faults.restart_later(*index, length / 10);
  return true;
}

// Tells a node something as an operator would, through any gateway.
bool command(Faults& faults, NodeId node, wire::NodeCommandBody body) {
  const auto gateway = faults.any_running();
  if (!gateway) return false;
  const auto session = faults.world().connect(*gateway, [](wire::ClientReply) {}, [] {});
  if (!session) return false;
  faults.world().request(*session, {1, wire::CommandNode{node, std::move(body)}});
  return true;
}

bool leave(Faults& faults, Duration) {
  Simulator& world = faults.world();
  const auto index = faults.any_running();
  if (!index || faults.leaving(*index) || faults.staying_count() < 4) return false;
  if (!FaultAtlas(world).may_lose(*index)) return false;
  if (!command(faults, world.id(*index), wire::LeaveCluster{})) return false;
  faults.expect_leave(*index);
  return true;
}

// Three nodes become five, and five three again.
bool grow_and_shrink(Faults& faults, Duration length) {
  if (!join(faults, {})) return false;
  join(faults, {});
  faults.later(length, [&faults] { leave(faults, {}); });
  faults.later(length * 2, [&faults] { leave(faults, {}); });
  return true;
}

// Dead for good, and said to be so.
bool forget(Faults& faults, Duration) {
  Simulator& world = faults.world();
  const auto index = faults.any_running();
  if (!index || faults.staying_count() < 4) return false;
  if (!FaultAtlas(world).may_lose(*index)) return false;
  const NodeId id = world.id(*index);
  world.crash_host(*index);
  world.abandon(*index);
  faults.later(10s, [&faults, id] {
    const auto teller = faults.any_running();
    if (teller) command(faults, faults.world().id(*teller), wire::ForgetNode{id});
  });
  return true;
}

using enum FaultFamily;

constexpr std::array kKinds = std::to_array<FaultKind>({
    {"join", "a node joins", membership, 2, &join},
    {"join-storm", "several nodes join at once", membership, 1, &join_storm},
    {"die-joining", "a node joins and dies at once, to come back", membership, 2, &die_joining},
    {"new-address", "a node comes back at another address", membership, 3, &new_address},
    {"new-weight", "a node comes back with another weight", membership, 2, &new_weight},
    {"leave", "a node leaves", membership, 2, &leave, Feature::commands},
    {"grow-and-shrink", "two nodes join, two leave", membership, 2, &grow_and_shrink,
     Feature::commands},
    {"forget", "a node dies for good and is forgotten", membership, 1, &forget, Feature::commands},
});

}  // namespace

std::span<const FaultKind> membership_faults() { return kKinds; }

}  // namespace shoal::sim
