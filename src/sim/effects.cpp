// How inputs reach a node and how its outputs are carried out.
#include <algorithm>
#include <string>
#include <utility>

#include "base/assert.hpp"
#include "base/format.hpp"
#include "base/hash.hpp"
#include "sim/simulator.hpp"
#include "wire/codec.hpp"
#include "wire/frame.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

constexpr Duration kClientLatency = 100us;
constexpr Duration kReadLatency = 80us;
constexpr std::size_t kInboxMax = 2048;  // Like a socket's receive buffer.
constexpr std::uint32_t kWakesAtOnceMax = 1000;
constexpr std::size_t kRecordedMax = 256;
constexpr Duration kReplaySpread = 50ms;

}  // namespace

bool Simulator::runs_now(NodeIndex index, const Host& host) const {
  if (host.paused || host.suspended || host.stalled) return false;
  if (host.slow_factor == 1) return true;
  const Duration cycle = options_.slow_slice * host.slow_factor;
  const Duration phase = options_.slow_slice * index;
  return (now_.time_since_epoch() + phase) % cycle < options_.slow_slice;
}

TimePoint Simulator::next_slice(NodeIndex index) const {
  const Duration cycle = options_.slow_slice * host(index).slow_factor;
  const Duration phase = options_.slow_slice * index;
  return now_ + (cycle - (now_.time_since_epoch() + phase) % cycle);
}

void Simulator::input(NodeIndex index, Input apply, bool droppable) {
  Host& at = host(index);
  if (at.node == nullptr) return;
  if (!at.inbox.empty() || !runs_now(index, at)) {
    if (droppable && at.inbox.size() >= kInboxMax) return;
    at.inbox.push_back(std::move(apply));
    if (!paused(index) && !std::exchange(at.drain_due, true)) {
      events_.push(next_slice(index), HostDue{index, at.boot, Due::drain, {}});
    }
    return;
  }
  ++figures_.inputs;
  apply(*at.node, now_at(at));
  carry_out(index);
}

void Simulator::drain(NodeIndex index) {
  Host& at = host(index);
  if (at.node == nullptr || at.inbox.empty()) return;
  if (!runs_now(index, at)) {
    if (!paused(index) && !std::exchange(at.drain_due, true)) {
      events_.push(next_slice(index), HostDue{index, at.boot, Due::drain, {}});
    }
    return;
  }
  const std::uint32_t boot = at.boot;
  while (!at.inbox.empty()) {
    Input next = std::move(at.inbox.front());
    at.inbox.pop_front();
    ++figures_.inputs;
    next(*at.node, now_at(at));
    carry_out(index);
    // What is left waits for the end of a stall that began with this one's output.
    if (at.node == nullptr || at.boot != boot || !runs_now(index, at)) return;
  }
}

void Simulator::carry_out(NodeIndex index) {
  Host& at = host(index);
  node::Output output = at.node->take_output();
  if (at.stall == Duration::zero() || (output.messages.empty() && output.writes.empty())) {
    return carry_out(index, std::move(output));
  }
  at.stalled = std::move(output);
  after(std::exchange(at.stall, {}), [this, index, boot = at.boot] {
    if (host(index).boot == boot) end_stall(index);
  });
}

void Simulator::end_stall(NodeIndex index) {
  auto stalled = std::exchange(host(index).stalled, std::nullopt);
  if (!stalled) return;
  carry_out(index, std::move(*stalled));
  drain(index);
}

void Simulator::carry_out(NodeIndex index, node::Output output) {
  if (taps_.written && !output.writes.empty()) taps_.written(index, output.writes);
  for (node::Envelope& envelope : output.messages) send(index, std::move(envelope));
  for (node::ClientAnswer& refusal : output.errors) answer(index, std::move(refusal));
  const std::uint32_t boot = host(index).boot;
  for (const task::OutputRead& read : output.output_reads) {
    after(kReadLatency, [this, index, boot, read] {
      if (host(index).boot != boot) return;
      input(index, [piece = host(index).processes.read(read)](node::Node& node, Now now) mutable {
        node.on_output_read(now, std::move(piece));
      });
    });
  }
  schedule_wake(index, host(index).clock.world(output.wake_at));
  if (!output.refused.empty()) {
    ++figures_.refusals;
    host(index).refused = output.refused;
  }
  Deferred deferred{.promises = std::move(output.promises),
                    .launches = std::move(output.launches),
                    .replies = std::move(output.replies),
                    .store_reads = std::move(output.store_reads),
                    .stopped = output.stopped || !output.refused.empty()};
  for (const task::Extend& each : output.extensions) extend(index, each, deferred);
  for (const task::Kill& each : output.kills) kill(index, each, deferred);
  for (const AttemptId& attempt : output.settled) host(index).processes.settle(attempt);
  auto ready = host(index).disk.add(std::move(output.writes), std::move(deferred));
  begin_sync(index);
  if (ready) release(index, std::move(*ready));
}

void Simulator::release(NodeIndex index, Deferred deferred) {
  for (node::Envelope& envelope : deferred.promises) send(index, std::move(envelope));
  for (const task::Launch& each : deferred.launches) launch(index, each);
  for (node::ClientAnswer& reply : deferred.replies) answer(index, std::move(reply));
  for (const node::StoreRead& read : deferred.store_reads) read_store(index, read);
  if (deferred.stopped) end_soon(index);
}

// What its kernel has taken over still goes out; then the process is gone.
void Simulator::end_soon(NodeIndex index) {
  after(1ms, [this, index, boot = host(index).boot] {
    if (up(index) && host(index).boot == boot) go_down(index);
  });
}

void Simulator::read_store(NodeIndex index, const node::StoreRead& read) {
  after(kReadLatency, [this, index, boot = host(index).boot, read] {
    if (host(index).boot != boot) return;
    input(index, [request = read.request, value = host(index).disk.read(read.shard, read.key)](
                     node::Node& node, Now now) mutable {
      node.on_store_read(now, request, std::move(value));
    });
  });
}

void Simulator::begin_sync(NodeIndex index) {
  if (const auto took = host(index).disk.begin_sync(random_)) {
    events_.push(now_ + *took, HostDue{index, host(index).boot, Due::sync, *took});
  }
}

void Simulator::answer(NodeIndex index, node::ClientAnswer answer) {
  trace_.add(now_, index, TraceKind::client_reply, content_hash(answer.reply));
  if (taps_.answered) taps_.answered(index, answer);
  after(kClientLatency, [this, answer = std::move(answer)]() mutable {
    const auto found = sessions_.find(answer.session);
    if (found == sessions_.end()) return;
    const OnReply reply = found->second.reply;  // The call may disconnect.
    reply(std::move(answer.reply));
  });
}

void Simulator::schedule_wake(NodeIndex index, TimePoint wanted) {
  Host& at = host(index);
  at.wake_wanted = wanted == kNever ? kNever : std::max(wanted, now_);
  if (at.wake_wanted >= at.wake_scheduled) return;
  at.wake_scheduled = at.wake_wanted;
  events_.push(at.wake_scheduled, HostDue{index, at.boot, Due::wake, {}});
}

void Simulator::wake(NodeIndex index) {
  Host& at = host(index);
  if (now_ != at.wake_scheduled) return;  // An earlier one was scheduled since, and came.
  at.wake_scheduled = kNever;
  if (now_ < at.wake_wanted) {
    schedule_wake(index, at.wake_wanted);
    return;
  }
  at.wakes_at_once = at.woken_at == now_ ? at.wakes_at_once + 1 : 0;
  at.woken_at = now_;
  if (at.wakes_at_once > kWakesAtOnceMax) {
    violation(format("{} wants to be woken at once, again and again", at.config.name));
    schedule_wake(index, now_ + 1ms);
    return;
  }
  trace_.add(now_, index, TraceKind::wake);
  input(index, [](node::Node& node, Now now) { node.on_time(now); });
}

std::optional<NodeIndex> Simulator::listener(const node::Envelope& envelope) const {
  if (envelope.address) {
    const auto found = by_address_.find(envelope.address);
    if (found == by_address_.end()) return std::nullopt;
    return found->second;
  }
  const auto found = by_id_.find(envelope.to);
  if (found == by_id_.end()) return std::nullopt;
  return found->second;
}

void Simulator::count(const wire::Message& message) {
  if (const auto* grant = std::get_if<wire::Grant>(&message))
    figures_.grants += grant->items.size();
  if (const auto* prepare = std::get_if<wire::Prepare>(&message)) {
    for (const wire::PrepareItem& item : prepare->items) {
      if (prepared_[item.shard].try_emplace(item.ballot, true).second) ++figures_.takeovers;
    }
  }
}

void Simulator::check_size(NodeIndex from, const node::Envelope& envelope) {
  if (options_.encode_one_in == 0 || ++messages_sent_ % options_.encode_one_in != 0) return;
  const std::string encoded = wire::encode_message(envelope.message);
  trace_.add(now_, from, TraceKind::message, hash64(encoded));
  const std::size_t size = encoded.size() + wire::kDatagramHeaderBytes;
  if (envelope.channel == node::Channel::datagram && size > wire::kDatagramBytesMax) {
    violation(format("{} sends a datagram of {} bytes (message kind {}); the limit is {}",
                     host(from).config.name, size, envelope.message.index(),
                     wire::kDatagramBytesMax));
  }
}

void Simulator::send(NodeIndex from, node::Envelope envelope) {
  const Host& sender = host(from);
  if (sender.node == nullptr) return;
  count(envelope.message);
  check_size(from, envelope);
  if (taps_.sent) taps_.sent(from, envelope);
  if (drops_ && drops_(from, envelope)) return;
  if (envelope.to == sender.config.id) {
    const node::Source source{sender.config.id, sender.node->cluster(), sender.config.address};
    events_.push(now_, Delivery{from, sender.boot, false, {source, std::move(envelope.message)}});
    return;
  }
  const std::optional<NodeIndex> to = listener(envelope);
  if (to == from) return;  // A node does not dial itself: its own address among the seeds.
  if (envelope.channel != node::Channel::datagram) {
    ++figures_.stream_messages;
    const bool bulk = envelope.channel == node::Channel::bulk;
    const bool known = to && up(*to) && (!envelope.to || id(*to) == envelope.to);
    if (!known) return refuse(from, to, envelope.to, bulk);
    const node::Source source{sender.config.id, sender.node->cluster(), sender.config.address};
    const std::size_t bytes = size_if_capped(from, *to, envelope.message);
    const Network::Sent sent =
        network_.send(now_, from, *to, bulk, {source, std::move(envelope.message)}, bytes);
    if (sent.closed) {
      events_.push(sent.at, PeerCloses{from, sender.boot, id(*to)});
    } else {
      events_.push(sent.at, StreamDue{sent.lane});
    }
    return;
  }
  ++figures_.datagrams;
  if (!to) return;
  const node::Source source{sender.config.id, sender.node->cluster(), sender.config.address,
                            node::Channel::datagram};
  const std::size_t bytes = size_if_capped(from, *to, envelope.message);
  const Network::Arrivals arrivals = network_.datagram(now_, from, *to, bytes);
  if (arrivals.corrupted) check_corruption(source, envelope.message);
  if (options_.record_one_in > 0 && random_.chance(1, options_.record_one_in)) {
    record(*to, {source, envelope.message});
  }
  for (std::uint32_t copy = 1; copy < arrivals.count; ++copy) {
    events_.push(arrivals.at[copy], Delivery{*to, 0, true, {source, envelope.message}});
  }
  if (arrivals.count > 0) {
    events_.push(arrivals.at[0], Delivery{*to, 0, true, {source, std::move(envelope.message)}});
  }
}

// Only where it matters: encoding is most of what a message costs.
std::size_t Simulator::size_if_capped(NodeIndex from, NodeIndex to,
                                      const wire::Message& message) const {
  if (!network_.capped(from, to)) return 0;
  return wire::encode_message(message).size() + wire::kDatagramHeaderBytes;
}

void Simulator::record(NodeIndex to, Flight flight) {
  if (recorded_.size() < kRecordedMax) {
    recorded_.emplace_back(to, std::move(flight));
  } else {
    recorded_[random_.below(kRecordedMax)] = {to, std::move(flight)};
  }
}

void Simulator::replay_datagrams(std::size_t count) {
  for (; count > 0 && !recorded_.empty(); --count) {
    const auto& [to, flight] = recorded_[random_.below(recorded_.size())];
    ++figures_.replayed;
    events_.push(now_ + random_.below(kReplaySpread), Delivery{to, 0, true, flight});
  }
}

// One bit of it is another on arrival; nobody may take it for a datagram.
void Simulator::check_corruption(const node::Source& source, const wire::Message& message) {
  std::string bytes = wire::datagram({source.node, source.cluster}, wire::encode_message(message));
  const std::uint64_t bit = random_.below(bytes.size() * 8);
  bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ 1 << bit % 8);
  ++figures_.corrupted;
  if (wire::parse_datagram(bytes)) {
    violation(format("a datagram with bit {} of {} bytes flipped passes for a good one", bit,
                     bytes.size()));
  }
}

void Simulator::reset_streams(NodeIndex first, NodeIndex second, bool half_open) {
  const auto heard = network_.reset(now_, first, second, half_open);
  if (!heard) return;
  events_.push(*heard, PeerCloses{first, host(first).boot, id(second)});
  if (!half_open) events_.push(*heard, PeerCloses{second, host(second).boot, id(first)});
}

void Simulator::refuse(NodeIndex from, std::optional<NodeIndex> to, NodeId peer, bool bulk) {
  if (!peer) return;  // A seed that does not answer: the node tries again by itself.
  std::optional<TimePoint> heard;
  if (to && *to != from) {
    heard = network_.refuse(now_, from, *to, bulk);
  } else {
    heard = now_ + network_.options().dial_timeout;
  }
  if (heard) events_.push(*heard, PeerCloses{from, host(from).boot, peer});
}

void Simulator::on(Delivery delivery) {
  const Host& at = host(delivery.to);
  if (at.node == nullptr || (delivery.boot != 0 && delivery.boot != at.boot)) return;
  deliver(delivery.to, std::move(delivery.flight), delivery.datagram);
}

void Simulator::on(StreamDue due) {
  Network::Arrival arrival = network_.arrive(now_, due.lane);
  if (arrival.broken) {
    events_.push(now_, PeerCloses{arrival.from, host(arrival.from).boot, id(arrival.to)});
    events_.push(now_, PeerCloses{arrival.to, host(arrival.to).boot, id(arrival.from)});
  } else if (arrival.again) {
    events_.push(*arrival.again, due);
  } else if (arrival.flight) {
    deliver(arrival.to, std::move(*arrival.flight), false);
  }
}

void Simulator::deliver(NodeIndex to, Flight flight, bool datagram) {
  trace_.add(now_, to, TraceKind::message, content_hash(flight.message) ^ flight.source.node.low);
  const auto* grant = std::get_if<wire::Grant>(&flight.message);
  if (grant != nullptr && !grant->items.empty() && hooks_.progressed) hooks_.progressed(to);
  input(
      to,
      [this, to, flight = std::move(flight)](node::Node& node, Now now) mutable {
        if (taps_.delivered) taps_.delivered(to, flight.source, flight.message);
        node.on_message(now, flight.source, std::move(flight.message));
      },
      datagram);
}

void Simulator::on(PeerCloses closes) {
  const Host& at = host(closes.at);
  if (at.node == nullptr || at.boot != closes.boot) return;
  trace_.add(now_, closes.at, TraceKind::peer_closed, closes.peer.low);
  input(closes.at,
        [peer = closes.peer](node::Node& node, Now now) { node.on_peer_closed(now, peer); });
}

void Simulator::on(HostDue due) {
  Host& at = host(due.at);
  if (at.node == nullptr || at.boot != due.boot) return;
  switch (due.what) {
    case Due::wake:
      wake(due.at);
      return;
    case Due::drain:
      at.drain_due = false;
      drain(due.at);
      return;
    case Due::sync:
      break;
  }
  ++figures_.syncs;
  trace_.add(now_, due.at, TraceKind::synced);
  if (at.trap) return spring_trap(due.at);
  // A suspended host's disk finishes its sync, but the node goes on only when it runs.
  input(due.at, [this, due](node::Node& node, Now) {
    node.on_sync_time(due.took);
    for (Deferred& deferred : host(due.at).disk.end_sync()) release(due.at, std::move(deferred));
    begin_sync(due.at);
  });
}

}  // namespace shoal::sim
