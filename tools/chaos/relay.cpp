#include "tools/chaos/relay.hpp"

#include <algorithm>
#include <array>
#include <asio/buffer.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <utility>

namespace shoal::chaos {
namespace {

using SteadyClock = std::chrono::steady_clock;
using Tcp = asio::ip::tcp;
using Udp = asio::ip::udp;

constexpr std::size_t kDatagramBytes = 65'536;
constexpr int kDatagramsAtOnce = 64;  // Before others have their turn.
constexpr int kBufferBytes = 4 * 1024 * 1024;
constexpr Ms kExpireEvery{100};
constexpr Ms kAcceptPause{100};  // Descriptors may have run out.

}  // namespace

struct Relay::Front {
  Front(asio::io_context& context, std::size_t number, RelayPlace of)
      : index(number), place(std::move(of)), datagrams(context), acceptor(context) {}
  std::size_t index;
  RelayPlace place;
  Udp::socket datagrams;
  Tcp::acceptor acceptor;
};

Relay::Relay(asio::io_context& context, std::vector<RelayPlace> places, std::uint64_t seed)
    : context_(context), rules_(seed), late_timer_(context), control_(context) {
  for (RelayPlace& place : places) {
    fronts_.push_back(std::make_unique<Front>(context, fronts_.size(), std::move(place)));
  }
}

Relay::~Relay() = default;

Result<void> Relay::open_front(Front& front) {
  const RelayPlace& place = front.place;
  std::error_code error;
  const Tcp::endpoint streams(place.front, place.port);
  front.acceptor.open(streams.protocol(), error);
  if (!error) front.acceptor.set_option(Tcp::acceptor::reuse_address(true), error);
  if (!error) front.acceptor.bind(streams, error);
  if (!error) front.acceptor.listen(asio::socket_base::max_listen_connections, error);
  const Udp::endpoint datagrams(place.front, place.port);
  if (!error) front.datagrams.open(datagrams.protocol(), error);
  if (!error) front.datagrams.bind(datagrams, error);
  if (!error) front.datagrams.non_blocking(true, error);
  if (error) {
    return fail(ErrorCode::io, text("the front of ", place.name, ", ", place.front.to_string(), ":",
                                    place.port, ": ", error.message()));
  }
  std::error_code ignored;  // The system may allow less.
  front.datagrams.set_option(asio::socket_base::receive_buffer_size(kBufferBytes), ignored);
  return {};
}

Result<void> Relay::open(const std::filesystem::path& control) {
  for (const auto& front : fronts_) {
    if (auto opened = open_front(*front); !opened) return opened;
    asio::co_spawn(context_, accept(*front), asio::detached);
    asio::co_spawn(context_, receive(*front), asio::detached);
  }
  std::error_code error;
  control_.open(asio::local::stream_protocol(), error);
  if (!error) control_.bind(control.string(), error);
  if (!error) control_.listen(asio::socket_base::max_listen_connections, error);
  if (error) return fail(ErrorCode::io, text(control.string(), ": ", error.message()));
  asio::co_spawn(context_, listen_to_commands(), asio::detached);
  asio::co_spawn(context_, send_late(), asio::detached);
  asio::co_spawn(context_, expire(), asio::detached);
  return {};
}

Relay::Front* Relay::sender_at(const asio::ip::address& address) {
  const auto found = std::ranges::find_if(
      fronts_, [&address](const auto& front) { return front->place.own == address; });
  return found == fronts_.end() ? nullptr : found->get();
}

// --- Streams -----------------------------------------------------------------------------------

asio::awaitable<void> Relay::accept(Front& front) {
  while (true) {
    Tcp::socket socket(context_);
    std::error_code error;
    co_await front.acceptor.async_accept(socket, asio::redirect_error(asio::use_awaitable, error));
    if (error == asio::error::operation_aborted) co_return;
    const auto remote = error ? Tcp::endpoint() : socket.remote_endpoint(error);
    if (error) {
      asio::steady_timer pause(context_, kAcceptPause);
      co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
      continue;
    }
    const Front* sender = sender_at(remote.address());
    Link link;
    asio::ip::address as = asio::ip::address_v4::any();
    if (sender != nullptr) {
      link = {sender->place.name, front.place.name};
      as = sender->place.front;
    }
    const auto stream = std::make_shared<RelayStream>(std::move(socket), link, rules_);
    std::erase_if(streams_, [](const auto& weak) { return weak.expired(); });
    streams_.push_back(stream);
    stream->start({front.place.own, front.place.port}, as);
  }
}

void Relay::on_rules() {
  for (const auto& weak : streams_) {
    if (const auto stream = weak.lock()) stream->on_rules();
  }
}

// --- Datagrams ---------------------------------------------------------------------------------

asio::awaitable<void> Relay::receive(Front& front) {
  while (true) {
    std::error_code error;
    co_await front.datagrams.async_wait(Udp::socket::wait_read,
                                        asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    drain(front);
  }
}

void Relay::drain(Front& front) {
  static thread_local std::array<char, kDatagramBytes> buffer;
  for (int i = 0; i < kDatagramsAtOnce; ++i) {
    Udp::endpoint from;
    std::error_code error;
    const std::size_t count = front.datagrams.receive_from(asio::buffer(buffer), from, 0, error);
    if (error == asio::error::would_block || error == asio::error::try_again) return;
    if (error) continue;  // One that was sent on met nobody.
    on_datagram(front, from, std::string(buffer.data(), count));
  }
}

void Relay::on_datagram(const Front& front, const Udp::endpoint& from, std::string bytes) {
  const Front* sender = sender_at(from.address());
  if (sender == nullptr || from.port() != sender->place.port) return;
  const Link link{sender->place.name, front.place.name};
  const auto now = SteadyClock::now();
  const Fate fate = rules_.datagram(link, bytes.size(), now);
  if (fate.damaged) rules_.damage(bytes.data(), bytes.size());
  const Packet packet{.sender = sender->index, .receiver = front.index, .bytes = std::move(bytes)};
  for (unsigned i = 0; i < fate.copies; ++i) {
    if (fate.late.count() == 0) {
      send(packet);
      continue;
    }
    late_.emplace(now + fate.late, packet);
    late_timer_.cancel();
  }
}

void Relay::send(const Packet& packet) {
  const Front& receiver = *fronts_[packet.receiver];
  const Udp::endpoint to(receiver.place.own, receiver.place.port);
  Udp::socket& socket = fronts_[packet.sender]->datagrams;
  std::error_code error;
  socket.send_to(asio::buffer(packet.bytes), to, 0, error);
  // A refusal that an earlier datagram met is reported here; this one was not tried.
  if (error == asio::error::connection_refused) {
    socket.send_to(asio::buffer(packet.bytes), to, 0, error);
  }
}

asio::awaitable<void> Relay::send_late() {
  while (true) {
    const auto now = SteadyClock::now();
    while (!late_.empty() && late_.begin()->first <= now) {
      send(late_.begin()->second);
      late_.erase(late_.begin());
    }
    late_timer_.expires_at(late_.empty() ? SteadyTime::max() : late_.begin()->first);
    std::error_code ignored;
    co_await late_timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

// --- Commands ----------------------------------------------------------------------------------

asio::awaitable<void> Relay::expire() {
  while (true) {
    asio::steady_timer timer(context_, kExpireEvery);
    std::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if (rules_.expire(SteadyClock::now())) on_rules();
  }
}

asio::awaitable<void> Relay::listen_to_commands() {
  while (true) {
    asio::local::stream_protocol::socket socket(context_);
    std::error_code error;
    co_await control_.async_accept(socket, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    asio::co_spawn(context_, converse(std::move(socket)), asio::detached);
  }
}

std::string Relay::command(std::string_view line) {
  const std::vector<std::string> words = split(trimmed(line), ' ');
  if (words.front() == "state") {
    const auto streams = std::ranges::count_if(streams_, [](const auto& weak) {
      const auto stream = weak.lock();
      return stream && !stream->closed();
    });
    return text("ok ", rules_.size(), " rules, ", streams, " streams");
  }
  if (words.front() == "unset" && words.size() == 2) {
    const auto id = parse_number(words[1]);
    if (id && rules_.unset(static_cast<std::uint32_t>(*id))) on_rules();
    return id ? "ok" : "error: " + id.error().message;
  }
  if (words.front() != "set") return text("error: there is no command '", trimmed(line), "'");
  const auto done = set(words);
  if (done) on_rules();
  return done ? "ok" : "error: " + done.error().message;
}

}  // namespace shoal::chaos
