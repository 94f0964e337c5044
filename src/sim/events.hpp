// What may happen next in a simulated world.
#pragma once

#include <cstdint>
#include <functional>
#include <variant>
#include <vector>

#include "sim/network.hpp"
#include "sim/processes.hpp"

namespace shoal::sim {

struct Session {
  NodeIndex gateway = 0;
  std::uint32_t boot = 0;
  std::function<void(wire::ClientReply)> reply;
  std::function<void()> closed;
};
struct Delivery {
  NodeIndex to = 0;
  std::uint32_t boot = 0;  // 0: whoever runs there then.
  bool datagram = false;
  Flight flight;
};
struct StreamDue {
  Network::Lane lane;
};
struct PeerCloses {
  NodeIndex at = 0;
  std::uint32_t boot = 0;
  NodeId peer;
};
enum class Due : std::uint8_t { wake, sync, drain };
struct HostDue {
  NodeIndex at = 0;
  std::uint32_t boot = 0;
  Due what = Due::wake;
  Duration took{};
};
struct ProcessDue {
  NodeIndex at = 0;
  Processes::Ending ending;
};
struct TasksResume {
  NodeIndex at = 0;
  std::uint32_t suspension = 0;
};
// A supervisor tells a restarted node what it holds: `left` of it, once it has begun.
struct ReportDue {
  NodeIndex at = 0;
  std::uint32_t boot = 0;
  std::uint32_t supervisor = 0;
  bool begun = false;
  std::vector<AttemptId> left;
};
struct Action {
  std::function<void()> action;
};
using Event = std::variant<std::monostate, Delivery, StreamDue, PeerCloses, HostDue, ProcessDue,
                           TasksResume, ReportDue, Action>;

}  // namespace shoal::sim
