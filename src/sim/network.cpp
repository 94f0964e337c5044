#include "sim/network.hpp"

#include <algorithm>
#include <bit>

#include "base/assert.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

constexpr int kTailDoublingsMax = 12;

}  // namespace

void Network::heal() {
  cuts_.clear();
  groups_.clear();
  links_.clear();
}

bool Network::cut_by_hand(NodeIndex from, NodeIndex to) const {
  if (!cuts_.empty() && cuts_.contains({from, to})) return true;
  if (!dark_.empty() && (dark_.contains(from) || dark_.contains(to))) return true;
  if (groups_.empty()) return false;
  const auto group = [this](NodeIndex node) { return node < groups_.size() ? groups_[node] : 0; };
  return group(from) != group(to);
}

bool Network::blocked(NodeIndex from, NodeIndex to) const {
  return cut_by_hand(from, to) || (!links_.quiet() && links_.at(from, to).streams_cut);
}

Duration Network::latency(NodeIndex from, NodeIndex to) {
  // Halves with each step, like an exponential tail, in integers alone.
  const int steps = std::countr_one(random_.next());
  Duration latency =
      options_.latency_base + options_.latency_tail * steps + random_.below(options_.latency_tail);
  if (links_.quiet()) return latency;
  const Trouble& trouble = links_.at(from, to);
  latency *= trouble.slow_factor;
  if (trouble.heavy_tail > Duration::zero()) {
    const int doublings = std::min(std::countr_one(random_.next()), kTailDoublingsMax);
    latency += random_.below(trouble.heavy_tail) * (1 << doublings);
  }
  return std::min(latency, options_.latency_max);
}

TimePoint Network::queued(TimePoint now, NodeIndex from, NodeIndex to, std::size_t bytes) {
  const std::uint64_t rate = links_.at(from, to).bytes_per_second;
  TimePoint& busy = busy_until_[{from, to}];
  busy = std::max(busy, now) +
         Duration(1s) * static_cast<std::int64_t>(bytes) / static_cast<std::int64_t>(rate);
  return busy;
}

Network::Arrivals Network::datagram(TimePoint now, NodeIndex from, NodeIndex to,
                                    std::size_t bytes) {
  static constexpr Trouble kNone;
  Arrivals arrivals;
  const Trouble& trouble = links_.quiet() ? kNone : links_.at(from, to);
  if (cut_by_hand(from, to) || trouble.datagrams_cut) return arrivals;
  const std::uint32_t loss = std::max(options_.loss_permille, trouble.loss_permille);
  if (loss > 0 && random_.chance(loss, 1000)) return arrivals;
  TimePoint leaves = now;
  if (trouble.bytes_per_second != 0) {
    if (busy_until_[{from, to}] > now + options_.queue_max) return arrivals;  // No room for it.
    leaves = queued(now, from, to, bytes);
  }
  if (trouble.corrupt_permille > 0 && random_.chance(trouble.corrupt_permille, 1000)) {
    arrivals.corrupted = true;
    return arrivals;
  }
  const bool twice =
      trouble.duplicate_permille > 0 && random_.chance(trouble.duplicate_permille, 1000);
  for (int copy = 0; copy < (twice ? 2 : 1); ++copy) {
    TimePoint at = leaves + latency(from, to);
    if (trouble.reorder_permille > 0 && random_.chance(trouble.reorder_permille, 1000)) {
      at += random_.below(options_.reorder_delay);
    }
    if (trouble.late_per_million > 0 && random_.chance(trouble.late_per_million, 1'000'000)) {
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
  connection.unaware.reset();
  connection.stalled_since = kNever;
  for (Direction& direction : connection.directions) direction.flights.clear();
}

Network::Sent Network::send(TimePoint now, NodeIndex from, NodeIndex to, bool bulk, Flight flight,
                            std::size_t bytes) {
  SHOAL_ASSERT(from != to);
  const std::uint32_t number = connection_of(from, to, bulk);
  Connection& connection = connections_[number];
  if (connection.unaware == from) {
    connection.unaware.reset();
    const Duration round_trip = latency(from, to) + latency(to, from);
    return {.lane = {}, .at = now + round_trip, .closed = true};
  }
  const bool forward = from == connection.low;
  Direction& direction = connection.directions[forward ? 0 : 1];
  if (!connection.open) {
    connection.open = true;
    connection.unaware.reset();  // The other side takes the new one for the old one's successor.
    connection.patience = options_.dial_timeout;
    // The handshake takes one round trip before anything flows.
    const TimePoint first = now + latency(from, to) + latency(to, from) + latency(from, to);
    for (Direction& each : connection.directions) each.last_at = first;
  }
  TimePoint leaves = now;
  std::uint32_t loss = options_.loss_permille;
  if (!links_.quiet()) {
    loss = std::max(loss, links_.at(from, to).loss_permille);
    if (capped(from, to)) leaves = queued(now, from, to, bytes);
  }
  // What follows a lost piece waits for it, and is sent again beside it, not after it.
  TimePoint at = leaves + latency(from, to);
  if (loss > 0 && random_.chance(loss, 1000)) at += options_.retransmission;
  at = std::max(at, direction.last_at + 1ns);
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

  if (!links_.quiet()) {
    const Trouble& trouble = links_.at(arrival.from, arrival.to);
    if (trouble.streams_stalled) {
      arrival.again = now + options_.retransmission;
      direction.last_at = std::max(direction.last_at, *arrival.again);
      return arrival;
    }
    if (trouble.corrupt_permille > 0 && random_.chance(trouble.corrupt_permille, 100'000)) {
      close(connection);
      arrival.broken = true;
      return arrival;
    }
  }
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
    connection.unaware.reset();
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

std::optional<TimePoint> Network::reset(TimePoint now, NodeIndex first, NodeIndex second,
                                        bool half_open) {
  std::optional<TimePoint> heard;
  for (const bool bulk : {false, true}) {
    Connection& connection = connections_[connection_of(first, second, bulk)];
    if (!connection.open) continue;
    close(connection);
    if (half_open) connection.unaware = second;
    if (!heard) heard = now + latency(second, first);
  }
  return heard;
}

}  // namespace shoal::sim
