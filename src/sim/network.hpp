// The simulated network: what becomes of a datagram, and connections that keep order until they
// break.
//
// 1. A datagram arrives never, once or twice, after a latency of its own.
// 2. A stream delivers what was sent on it in order, each message once, until it breaks; then what
//    was in flight is lost. Loss shows on a stream as delay.
// 3. A connection over a cut breaks when something sent on it stays unacknowledged; an idle one
//    notices nothing. A one-way cut lets data through and loses its acknowledgements.
//
// It holds no calendar: the simulator schedules what is returned. Nodes are numbers here.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "base/time.hpp"
#include "node/node.hpp"
#include "wire/message.hpp"

namespace shoal::sim {

using NodeIndex = std::uint32_t;

struct NetworkOptions {
  Duration latency_base = std::chrono::microseconds(150);
  Duration latency_tail = std::chrono::microseconds(60);  // Adds 1.5 times this in the mean.
  std::uint32_t loss_permille = 0;
  std::uint32_t duplicate_permille = 0;
  std::uint32_t reorder_permille = 0;  // Datagrams held back for up to `reorder_delay`.
  Duration reorder_delay = std::chrono::milliseconds(20);
  std::uint32_t late_per_million = 0;  // Datagrams held back for up to `late_delay`.
  Duration late_delay = std::chrono::hours(1);
  Duration retransmission = std::chrono::milliseconds(200);  // What a loss costs a stream.
  Duration break_after_min = std::chrono::seconds(1);        // Unacknowledged for so long: broken.
  Duration break_after_max = std::chrono::seconds(4);
  Duration dial_timeout = std::chrono::seconds(2);
};

// A message on its way.
struct Flight {
  node::Source source;
  wire::Message message;
};

class Network {
 public:
  Network(const NetworkOptions& options, std::uint64_t seed) : options_(options), random_(seed) {}

  const NetworkOptions& options() const { return options_; }
  void set_options(const NetworkOptions& options) { options_ = options; }

  // Faults. Cuts are one-way; splits separate nodes of different groups both ways. Nodes beyond
  // `groups` are in group 0.
  void cut(NodeIndex from, NodeIndex to) { cuts_.insert({from, to}); }
  void mend(NodeIndex from, NodeIndex to) { cuts_.erase({from, to}); }
  void split(std::vector<std::uint32_t> groups) { groups_ = std::move(groups); }
  void slow_link(NodeIndex from, NodeIndex to, std::uint32_t factor);
  void heal();  // No cuts, splits or slow links.
  // A host without power answers nothing and closes nothing. All have it at first.
  void set_power(NodeIndex node, bool on) {
    if (on) {
      dark_.erase(node);
    } else {
      dark_.insert(node);
    }
  }
  bool blocked(NodeIndex from, NodeIndex to) const;

  struct Arrivals {
    std::array<TimePoint, 2> at{};
    std::uint32_t count = 0;
  };
  Arrivals datagram(TimePoint now, NodeIndex from, NodeIndex to);

  // One direction of one connection, as an event refers to it.
  struct Lane {
    std::uint32_t connection = 0;
    std::uint32_t generation = 0;  // Of the connection: events of broken ones are void.
    bool forward = true;           // From the lower node number to the higher.
  };
  struct Sent {
    Lane lane;
    TimePoint at;  // Call arrive(lane) then.
  };
  // Sends on the pair's connection and dials if there is none. REQUIRES: from != to, `to` is up.
  Sent send(TimePoint now, NodeIndex from, NodeIndex to, bool bulk, Flight flight);

  // A connection to somebody who is not up, or not there. When the sender hears of it; absent when
  // it hears anyway, of an earlier message.
  std::optional<TimePoint> refuse(TimePoint now, NodeIndex from, NodeIndex to, bool bulk);

  struct Arrival {
    NodeIndex from = 0;
    NodeIndex to = 0;
    std::optional<Flight> flight;
    std::optional<TimePoint> again;  // Held up by a cut: call arrive() again then.
    bool broken = false;             // Both sides hear of it.
  };
  Arrival arrive(TimePoint now, const Lane& lane);

  struct Closed {
    NodeIndex peer = 0;
    TimePoint at;                                       // The peer hears of it; kNever: it cannot.
    std::vector<std::pair<TimePoint, Flight>> flights;  // Still reach the peer, before `at`.
  };
  // The node's process is gone: its kernel closes what was open.
  std::vector<Closed> close_all(TimePoint now, NodeIndex node);

  Duration latency(NodeIndex from, NodeIndex to);

 private:
  struct Direction {
    std::deque<Flight> flights;
    TimePoint last_at;  // No later message arrives before this.
  };
  struct Connection {
    NodeIndex low = 0;
    NodeIndex high = 0;
    std::uint32_t generation = 0;
    bool open = false;
    bool established = false;
    std::array<Direction, 2> directions;  // Forward, backward.
    TimePoint stalled_since = kNever;
    Duration patience{};      // How long it may stall.
    TimePoint refused_until;  // A dial that fails is under way.
  };
  std::uint32_t connection_of(NodeIndex from, NodeIndex to, bool bulk);
  void close(Connection& connection);

  NetworkOptions options_;
  Random random_;
  std::set<std::pair<NodeIndex, NodeIndex>> cuts_;
  std::map<std::pair<NodeIndex, NodeIndex>, std::uint32_t> slow_links_;
  std::vector<std::uint32_t> groups_;  // Empty: no split.
  std::set<NodeIndex> dark_;           // Without power.
  std::vector<Connection> connections_;
  std::map<std::uint64_t, std::uint32_t> connection_of_;    // By pair and kind.
  std::vector<std::vector<std::uint32_t>> connections_at_;  // By node.
};

}  // namespace shoal::sim
