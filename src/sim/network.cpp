#include "sim/network.hpp"

#include <algorithm>
#include <bit>

#include "base/assert.hpp"

namespace shoal::sim {

using namespace std::chrono_literals;

void Network::slow_link(NodeIndex from, NodeIndex to, std::uint32_t factor) {
  SHOAL_ASSERT(factor > 0);
  slow_links_[{from, to}] = factor;
}

void Network::heal() {
  cuts_.clear();
  slow_links_.clear();
  groups_.clear();
}

bool Network::blocked(NodeIndex from, NodeIndex to) const {
  if (!cuts_.empty() && cuts_.contains({from, to})) return true;
  if (!dark_.empty() && (dark_.contains(from) || dark_.contains(to))) return true;
  if (groups_.empty()) return false;
  const auto group = [this](NodeIndex node) { return node < groups_.size() ? groups_[node] : 0; };
  return group(from) != group(to);
}

Duration Network::latency(NodeIndex from, NodeIndex to) {
  // Halves with each step, like an exponential tail, in integers alone.
  const int steps = std::countr_one(random_.next());
  Duration latency =
      options_.latency_base + options_.latency_tail * steps + random_.below(options_.latency_tail);
  if (!slow_links_.empty()) {
    const auto slow = slow_links_.find({from, to});
    if (slow != slow_links_.end()) latency *= slow->second;
  }
  return latency;
}

Network::Arrivals Network::datagram(TimePoint now, NodeIndex from, NodeIndex to) {
  Arrivals arrivals;
  if (blocked(from, to)) return arrivals;
  if (options_.loss_permille > 0 && random_.chance(options_.loss_permille, 1000)) return arrivals;
  const bool twice =
      options_.duplicate_permille > 0 && random_.chance(options_.duplicate_permille, 1000);
  for (int copy = 0; copy < (twice ? 2 : 1); ++copy) {
    TimePoint at = now + latency(from, to);
    if (options_.reorder_permille > 0 && random_.chance(options_.reorder_permille, 1000)) {
      at += random_.below(options_.reorder_delay);
    }
    if (options_.late_per_million > 0 && random_.chance(options_.late_per_million, 1'000'000)) {
      at += random_.below(options_.late_delay);
    }
    arrivals.at[arrivals.count++] = at;
  }
  return arrivals;
}

std::uint32_t Network::connection_of(NodeIndex from, NodeIndex to, bool bulk) {
  const auto [low, high] = std::minmax(from, to);
  const std::uint64_t key = static_cast<std::uint64_t>(low) << 33 |
                            static_cast<std::uint64_t>(high) << 1 | (bulk ? 1U : 0U);
  const auto [found, inserted] =
      connection_of_.try_emplace(key, static_cast<std::uint32_t>(connections_.size()));
  if (inserted) {
    Connection& connection = connections_.emplace_back();
    connection.low = low;
    connection.high = high;
    if (connections_at_.size() <= high) connections_at_.resize(high + std::size_t{1});
    connections_at_[low].push_back(found->second);
    connections_at_[high].push_back(found->second);
  }
  return found->second;
}

void Network::close(Connection& connection) {
  ++connection.generation;
  connection.open = false;
  connection.established = false;
  connection.stalled_since = kNever;
  for (Direction& direction : connection.directions) direction.flights.clear();
}

Network::Sent Network::send(TimePoint now, NodeIndex from, NodeIndex to, bool bulk, Flight flight) {
  SHOAL_ASSERT(from != to);
  const std::uint32_t number = connection_of(from, to, bulk);
  Connection& connection = connections_[number];
  const bool forward = from == connection.low;
  Direction& direction = connection.directions[forward ? 0 : 1];
  if (!connection.open) {
    connection.open = true;
    connection.patience = options_.dial_timeout;
    // The handshake takes one round trip before anything flows.
    const TimePoint first = now + latency(from, to) + latency(to, from) + latency(from, to);
    for (Direction& each : connection.directions) each.last_at = first;
  }
  TimePoint at = std::max(now + latency(from, to), direction.last_at + 1ns);
  if (options_.loss_permille > 0 && random_.chance(options_.loss_permille, 1000)) {
    at += options_.retransmission;
  }
  direction.last_at = at;
  direction.flights.push_back(std::move(flight));
  return {{number, connection.generation, forward}, at};
}

std::optional<TimePoint> Network::refuse(TimePoint now, NodeIndex from, NodeIndex to, bool bulk) {
  Connection& connection = connections_[connection_of(from, to, bulk)];
  if (now < connection.refused_until) return std::nullopt;
  const bool silent = blocked(from, to) || blocked(to, from);
  connection.refused_until =
      now + (silent ? options_.dial_timeout : latency(from, to) + latency(to, from));
  return connection.refused_until;
}

Network::Arrival Network::arrive(TimePoint now, const Lane& lane) {
  Connection& connection = connections_[lane.connection];
  Arrival arrival{.from = lane.forward ? connection.low : connection.high,
                  .to = lane.forward ? connection.high : connection.low};
  if (lane.generation != connection.generation) return arrival;
  Direction& direction = connection.directions[lane.forward ? 0 : 1];
  SHOAL_ASSERT(!direction.flights.empty());

  const bool no_way = blocked(arrival.from, arrival.to);
  const bool no_answer = blocked(arrival.to, arrival.from);
  if (!no_way && !no_answer) {
    connection.stalled_since = kNever;
  } else if (connection.stalled_since == kNever) {
    connection.stalled_since = now;
    if (connection.established) {
      connection.patience = options_.break_after_min +
                            random_.below(options_.break_after_max - options_.break_after_min);
    }
  } else if (now - connection.stalled_since >= connection.patience) {
    close(connection);
    arrival.broken = true;
    return arrival;
  }
  if (no_way || (no_answer && !connection.established)) {
    arrival.again = now + options_.retransmission;
    direction.last_at = std::max(direction.last_at, *arrival.again);
    return arrival;
  }
  connection.established = true;
  arrival.flight = std::move(direction.flights.front());
  direction.flights.pop_front();
  return arrival;
}

std::vector<Network::Closed> Network::close_all(TimePoint now, NodeIndex node) {
  std::vector<Closed> closed;
  if (node >= connections_at_.size()) return closed;
  for (const std::uint32_t number : connections_at_[node]) {
    Connection& connection = connections_[number];
    if (!connection.open) continue;
    const bool is_low = connection.low == node;
    Closed& one = closed.emplace_back();
    one.peer = is_low ? connection.high : connection.low;
    const bool reachable = !blocked(node, one.peer);
    TimePoint last = now;
    // What the kernel has already taken over is often still delivered, sometimes lost.
    if (reachable && connection.established && random_.chance(1, 2)) {
      for (Flight& flight : connection.directions[is_low ? 0 : 1].flights) {
        last = std::max(last + 1ns, now + latency(node, one.peer));
        one.flights.emplace_back(last, std::move(flight));
      }
    }
    one.at = reachable ? std::max(last + 1ns, now + latency(node, one.peer)) : kNever;
    close(connection);
  }
  return closed;
}

}  // namespace shoal::sim
