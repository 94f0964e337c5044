// The simulated network: what becomes of a datagram, and connections that keep order until they
// break.
//
// 1. A datagram arrives never, once or twice, after a latency of its own.
// 2. A stream delivers what was sent on it in order, each message once, until it breaks; then what
//    was in flight is lost. Loss shows on a stream as delay.
// 3. A connection over a cut breaks when something sent on it stays unacknowledged; an idle one
//    notices nothing. A one-way cut lets data through and loses its acknowledgements.
// 4. A half-open connection is gone on one side; the other learns it when it sends.
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
#include "sim/links.hpp"
#include "wire/message.hpp"

namespace shoal::sim {

struct NetworkOptions {
  Duration latency_base = std::chrono::microseconds(150);
  Duration latency_tail = std::chrono::microseconds(60);  // Adds 1.5 times this in the mean.
  std::uint32_t loss_permille = 0;
  Duration reorder_delay = std::chrono::milliseconds(20);
  Duration late_delay = std::chrono::seconds(60);            // Hours, shrunk.
  Duration latency_max = std::chrono::seconds(3);            // However many troubles meet.
  Duration queue_max = std::chrono::milliseconds(500);       // Of datagrams before a capped link.
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

  // Faults by hand. Cuts are one-way; splits separate nodes of different groups both ways. Nodes
  // beyond `groups` are in group 0.
  void cut(NodeIndex from, NodeIndex to) { cuts_.insert({from, to}); }
  void mend(NodeIndex from, NodeIndex to) { cuts_.erase({from, to}); }
  void split(std::vector<std::uint32_t> groups) { groups_ = std::move(groups); }
  // And those that come and go by themselves.
  Links& links() { return links_; }
  void heal();  // None of all these.
  // A host without power, or suspended, answers nothing and closes nothing. All have it at first.
  void set_power(NodeIndex node, bool on) {
    if (on) {
      dark_.erase(node);
    } else {
      dark_.insert(node);
    }
  }
  // For streams; datagrams may fare better or worse.
  bool blocked(NodeIndex from, NodeIndex to) const;
  // Whether it matters how long messages on this link are.
  bool capped(NodeIndex from, NodeIndex to) const {
    return !links_.quiet() && links_.at(from, to).bytes_per_second != 0;
  }

  struct Arrivals {
    std::array<TimePoint, 2> at{};
    std::uint32_t count = 0;
    bool corrupted = false;  // It arrived, and not as it was sent.
  };
  Arrivals datagram(TimePoint now, NodeIndex from, NodeIndex to, std::size_t bytes = 0);

  // One direction of one connection, as an event refers to it.
  struct Lane {
    std::uint32_t connection = 0;
    std::uint32_t generation = 0;  // Of the connection: events of broken ones are void.
    bool forward = true;           // From the lower node number to the higher.
  };
  struct Sent {
    Lane lane;
    TimePoint at;         // Call arrive(lane) then.
    bool closed = false;  // It was half-open: the message is lost, and the sender hears of it then.
  };
  // Sends on the pair's connection and dials if there is none. REQUIRES: from != to, `to` is up.
  Sent send(TimePoint now, NodeIndex from, NodeIndex to, bool bulk, Flight flight,
            std::size_t bytes = 0);

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
  // What is open between the two is gone, and what was in flight. `heard`: when `first` hears of
  // it; `second` does too, unless it is left `half_open`. Absent: nothing was open.
  std::optional<TimePoint> reset(TimePoint now, NodeIndex first, NodeIndex second, bool half_open);

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
    std::optional<NodeIndex> unaware;     // Half-open: this side takes it for open.
    TimePoint stalled_since = kNever;
    Duration patience{};      // How long it may stall.
    TimePoint refused_until;  // A dial that fails is under way.
  };
  std::uint32_t connection_of(NodeIndex from, NodeIndex to, bool bulk);
  void close(Connection& connection);
  bool cut_by_hand(NodeIndex from, NodeIndex to) const;
  // When the link has sent that much more, by its cap.
  TimePoint queued(TimePoint now, NodeIndex from, NodeIndex to, std::size_t bytes);

  NetworkOptions options_;
  Random random_;
  std::set<Link> cuts_;
  Links links_;
  std::map<Link, TimePoint> busy_until_;  // Capped links.
  std::vector<std::uint32_t> groups_;     // Empty: no split.
  std::set<NodeIndex> dark_;              // Without power.
  std::vector<Connection> connections_;
  std::map<std::uint64_t, std::uint32_t> connection_of_;    // By pair and kind.
  std::vector<std::vector<std::uint32_t>> connections_at_;  // By node.
};

}  // namespace shoal::sim
