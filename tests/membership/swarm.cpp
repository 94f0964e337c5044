#include "swarm.hpp"

#include <algorithm>

namespace shoal::membership {
namespace {

using namespace std::chrono_literals;

std::size_t bytes_at_most(const Message& message) {
  const auto news_bytes = [](const auto& content) {
    std::size_t bytes = kMessageBytes;
    if constexpr (requires { content.news; }) {
      for (const wire::MemberRecord& item : content.news) bytes += record_bytes(item);
    }
    return bytes;
  };
  return std::visit(news_bytes, message);
}

}  // namespace

std::size_t Swarm::add() {
  nodes_.push_back({});
  start(size() - 1);
  settle(size() - 1);
  return size() - 1;
}

void Swarm::add_acquainted(std::size_t count) {
  wire::MemberTable all{.records = {}, .bucket_mask = ~std::uint64_t{0}, .join = true};
  for (std::size_t i = 0; i < count; ++i) all.records.push_back(record(i));
  nodes_.resize(count);
  for (std::size_t i = 0; i < count; ++i) start(i);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t neighbour = (i + 1) % count;
    at(i).on_message(now, {id(neighbour), address(neighbour), Channel::stream}, all);
    settle(i);
  }
}

void Swarm::kill(std::size_t index) {
  nodes_[index].remembered = at(index).memory(now);
  nodes_[index].up = false;
  ++nodes_[index].life;
}

void Swarm::restart(std::size_t index, std::optional<Address> moved_to) {
  if (moved_to) nodes_[index].moved_to = moved_to;
  start(index);
  settle(index);
}

void Swarm::act(std::size_t index, const std::function<void(Membership&)>& input) {
  input(at(index));
  settle(index);
}

std::optional<Duration> Swarm::run_until(Duration limit, const std::function<bool()>& done,
                                         Duration step) {
  const TimePoint start = now, end = now + limit;
  while (now < end) {
    if (done()) return now - start;
    const TimePoint until = std::min(end, now + step);
    while (!events_.empty() && events_.front().at <= until) dispatch();
    now = until;
  }
  return done() ? std::optional(now - start) : std::nullopt;
}

bool Swarm::all_hold(std::size_t subject, wire::MemberState state) {
  for (std::size_t i = 0; i < size(); ++i) {
    if (!up(i) || i == subject || view(i, i)->gone()) continue;
    const Member* member = view(i, subject);
    if (member == nullptr || member->state != state) return false;
  }
  return true;
}

bool Swarm::converged() {
  std::size_t up_count = 0, first = size();
  for (std::size_t i = 0; i < size(); ++i) {
    if (!up(i)) continue;
    ++up_count;
    first = std::min(first, i);
  }
  for (std::size_t i = 0; i < size(); ++i) {
    if (!up(i)) continue;
    if (at(i).alive_count() != up_count || at(i).digest() != at(first).digest()) return false;
  }
  return true;
}

void Swarm::start(std::size_t index) {
  Node& node = nodes_[index];
  node.up = true;
  node.timer = kNever;
  wire::MemberInfo own = info(index);
  own.address = address_now(index);
  const wire::Incarnation incarnation{.boot_epoch = ++node.boot_epoch, .counter = 0};
  node.membership = std::make_unique<Membership>(config, id(index), incarnation, own,
                                                 Random(random_.next()), now);
  node.membership->restore(now, node.remembered);
}

void Swarm::push(TimePoint at, std::size_t node, std::variant<Timer, StreamFailed, Delivery> what) {
  events_.push_back({at, ++order_, node, nodes_[node].life, std::move(what)});
  std::push_heap(events_.begin(), events_.end());
}

Duration Swarm::slowness(std::size_t index) {
  return index < faults.slow.size() ? random_.below(faults.slow[index]) : Duration{};
}

void Swarm::settle(std::size_t index) {
  Output output = at(index).take_output();
  for (const membership::Event& event : output.events) {
    const std::size_t subject = event.node.low;
    if (event.change != Change::dead || !up(subject)) continue;
    if (!view(subject, subject)->gone()) ++false_deaths;
  }
  for (Envelope& envelope : output.messages) route(index, std::move(envelope));
  const TimePoint wake = at(index).wake_at();
  if (wake < nodes_[index].timer) {
    nodes_[index].timer = wake;
    push(std::max(wake, now) + slowness(index), index, Timer{});
    nodes_[index].timer_order = order_;
  }
}

bool Swarm::reaches(std::size_t from, std::size_t to) const {
  if (faults.cuts.contains({from, to})) return false;
  return faults.side.empty() || faults.side[from] == faults.side[to];
}

void Swarm::route(std::size_t from, Envelope envelope) {
  ++messages;
  const std::size_t to = find_listener(envelope);
  const bool stream = envelope.channel == Channel::stream;
  const auto slow = [this](std::size_t index) {
    return index < faults.slow.size() && faults.slow[index] > Duration{};
  };
  Duration latency = 1ms + random_.below(Duration(1ms));
  if (slow(from) || slow(to)) latency *= faults.slow_latency;
  const bool lost = random_.chance(faults.loss_permille, 1000);
  if (stream && lost) latency += 200ms;  // Sent again by TCP.
  if (!stream && bytes_at_most(envelope.message) > wire::kDatagramBytesMax) ++oversized;

  const bool passes = to < size() && reaches(from, to) && (!stream || reaches(to, from));
  if (passes && up(to)) {
    if (lost && !stream) return;
    push(now + latency + slowness(to), to,
         Delivery{.from = {id(from), address_now(from), envelope.channel},
                  .message = std::move(envelope.message)});
  } else if (stream && envelope.to) {
    push(now + (passes ? 2 * latency : Duration(2s)), from, StreamFailed{envelope.to});
  }
}

// Who listens at the envelope's address; nobody if it is another than the one meant.
std::size_t Swarm::find_listener(const Envelope& envelope) const {
  const auto& ip = envelope.address.ip;
  const std::size_t index =
      envelope.to ? envelope.to.low
                  : std::size_t{ip[13]} << 16 | std::size_t{ip[14]} << 8 | std::size_t{ip[15]};
  return index < size() && address_now(index) == envelope.address ? index : size();
}

void Swarm::dispatch() {
  std::pop_heap(events_.begin(), events_.end());
  const Event event = std::move(events_.back());
  events_.pop_back();
  Node& node = nodes_[event.node];
  if (!node.up || node.life != event.life) return;
  const bool timer = std::holds_alternative<Timer>(event.what);
  if (timer && event.order != node.timer_order) return;  // Another was set since.
  now = event.at;
  if (timer) {
    node.timer = kNever;
    node.membership->on_time(now);
  } else if (const auto* failed = std::get_if<StreamFailed>(&event.what)) {
    node.membership->on_stream_failed(now, failed->peer);
  } else {
    const auto& delivery = std::get<Delivery>(event.what);
    std::visit(
        [&](const auto& message) { node.membership->on_message(now, delivery.from, message); },
        delivery.message);
  }
  settle(event.node);
}

}  // namespace shoal::membership
