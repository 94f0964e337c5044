#include "client/session.hpp"

#include <netinet/tcp.h>

#include <array>
#include <asio/connect.hpp>
#include <asio/read.hpp>
#include <asio/write.hpp>
#include <span>
#include <utility>
#include <variant>

#include "base/address.hpp"
#include "base/format.hpp"
#include "wire/codec.hpp"
#include "wire/frame.hpp"

namespace shoal::client {
namespace {

constexpr std::size_t kReadBytes = 256 * 1024;
constexpr std::chrono::seconds kSilenceStep{2};
constexpr std::size_t kMessagesPerWrite = 256;

using SteadyClock = std::chrono::steady_clock;

SteadyTime never() { return SteadyTime::max(); }

// A peer that vanished without a word is noticed by the kernel too, not only by our own pings.
void set_options(tcp::socket& socket) {
  asio::error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  using UserTimeout = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_USER_TIMEOUT>;
  socket.set_option(UserTimeout(10'000), ignored);
}

}  // namespace

awaitable<Answers::Event> Answers::next(SteadyTime deadline) {
  while (waiting_.empty()) {
    if (lost_) co_return Event::lost;
    if (SteadyClock::now() >= deadline) co_return Event::timeout;
    wake_.expires_at(deadline);
    co_await wake_.async_wait(kTuple);
  }
  current_ = std::move(waiting_.front());
  waiting_.pop_front();
  co_return Event::reply;
}

void Answers::on_reply(wire::ClientReply reply) {
  waiting_.push_back(std::move(reply));
  wake_.cancel();
}

void Answers::on_lost() {
  lost_ = true;
  wake_.cancel();
}

Session::Session(asio::io_context& context, std::string address)
    : address_(std::move(address)),
      resolver_(context),
      socket_(context),
      writable_(context),
      silence_(context) {}

awaitable<Result<void>> Session::open(std::chrono::milliseconds timeout) {
  const auto self = shared_from_this();
  struct Limit {
    bool passed = false;
    bool over = false;  // The expiry may already be queued when the connection stands.
  };
  const auto limit = std::make_shared<Limit>();
  asio::steady_timer timer(socket_.get_executor(), timeout);
  timer.async_wait([self, limit](asio::error_code error) {
    if (error || limit->over) return;
    limit->passed = true;
    self->resolver_.cancel();
    asio::error_code ignored;
    self->socket_.close(ignored);
  });
  Result<void> opened = co_await connect();
  if (opened) opened = co_await greet();
  limit->over = true;
  if (limit->passed) opened = fail(ErrorCode::unavailable, "no answer");
  if (!opened) {
    asio::error_code ignored;
    socket_.close(ignored);
    co_return opened;
  }
  alive_ = true;
  opened_ = heard_ = SteadyClock::now();
  asio::co_spawn(socket_.get_executor(), read_loop(), asio::detached);
  asio::co_spawn(socket_.get_executor(), write_loop(), asio::detached);
  asio::co_spawn(socket_.get_executor(), watch_silence(), asio::detached);
  co_return opened;
}

awaitable<Result<void>> Session::connect() {
  const Result<HostPort> target = parse_host_port(address_);
  if (!target) co_return std::unexpected(target.error());
  std::string host = target->host;
  if (host.empty()) host = "127.0.0.1";
  const std::string port = std::to_string(target->port);
  auto [resolve_error, endpoints] = co_await resolver_.async_resolve(host, port, kTuple);
  if (resolve_error) co_return fail(ErrorCode::unavailable, resolve_error.message());
  auto [error, endpoint] = co_await asio::async_connect(socket_, endpoints, kTuple);
  if (error) co_return fail(ErrorCode::unavailable, error.message());
  set_options(socket_);
  co_return Result<void>{};
}

awaitable<Result<void>> Session::greet() {
  const wire::Hello ours{.client = true, .version = "shoal client"};
  const std::string hello = wire::frame(wire::FrameKind::hello, wire::encode_hello(ours));
  auto [write_error, written] = co_await asio::async_write(socket_, asio::buffer(hello), kTuple);
  if (write_error) co_return fail(ErrorCode::unavailable, write_error.message());

  std::string bytes(wire::kFrameHeaderBytes, '\0');
  auto [error, got] = co_await asio::async_read(socket_, asio::buffer(bytes), kTuple);
  if (error) co_return fail(ErrorCode::unavailable, "it hung up: " + error.message());
  const Result<wire::FrameHeader> header = wire::parse_frame_header(bytes, wire::kHelloBytesMax);
  if (!header || header->kind != wire::FrameKind::hello) {
    co_return fail(ErrorCode::refused, "what listens there is no shoal node");
  }
  std::string body(header->padded_bytes(), '\0');
  auto [body_error, body_got] = co_await asio::async_read(socket_, asio::buffer(body), kTuple);
  if (body_error) co_return fail(ErrorCode::unavailable, "it hung up: " + body_error.message());
  body.resize(header->body_bytes);
  if (!wire::checksum_matches(*header, body)) {
    co_return fail(ErrorCode::refused, "its greeting was damaged on the way");
  }
  const Result<wire::Hello> theirs = wire::decode_hello(body);
  if (!theirs) co_return fail(ErrorCode::refused, "its greeting does not parse");
  if (theirs->protocol != ours.protocol) {
    co_return fail(ErrorCode::refused,
                   format("it speaks protocol {}, this program {}: use programs of one version",
                          theirs->protocol, ours.protocol));
  }
  co_return Result<void>{};
}

std::shared_ptr<Answers> Session::ask(wire::ClientRequestBody body, std::uint64_t& id) {
  auto answers = std::make_shared<Answers>(socket_.get_executor());
  id = ++last_id_;
  if (!alive_) {
    answers->on_lost();
    return answers;
  }
  if (open_.empty()) heard_ = SteadyClock::now();  // Silence before the question is no sign.
  open_.emplace(id, answers);
  outgoing_.push_back(wire::ClientRequest{.id = id, .body = std::move(body)});
  writable_.cancel();
  return answers;
}

void Session::forget(std::uint64_t id, bool tell) {
  if (open_.erase(id) == 0 || !tell || !alive_) return;
  outgoing_.push_back(wire::ClientForget{.id = id});
  writable_.cancel();
}

void Session::close() { end("closed by this program"); }

awaitable<void> Session::read_loop() {
  const auto self = shared_from_this();
  std::string block(kReadBytes, '\0');
  std::string buffer;
  while (alive_) {
    auto [error, got] = co_await socket_.async_read_some(asio::buffer(block), kTuple);
    buffer.append(block, 0, got);
    if (error) {
      end(error == asio::error::eof ? "the node closed the connection" : error.message());
      co_return;
    }
    heard_ = SteadyClock::now();
    const Result<void> consumed = consume(buffer);
    if (!consumed) end(consumed.error().message);
  }
}

Result<void> Session::consume(std::string& buffer) {
  std::string_view rest = buffer;
  while (rest.size() >= wire::kFrameHeaderBytes) {
    const auto header = wire::parse_frame_header(rest, wire::kFrameBytesMax);
    if (!header) return std::unexpected(header.error());
    const std::size_t whole = wire::kFrameHeaderBytes + header->padded_bytes();
    if (rest.size() < whole) break;
    const std::string_view body = rest.substr(wire::kFrameHeaderBytes, header->body_bytes);
    if (!wire::checksum_matches(*header, body)) {
      return fail(ErrorCode::bad_input, "a frame was damaged on the way");
    }
    if (header->kind == wire::FrameKind::client_messages) {
      auto messages = wire::decode_client_messages(body);
      if (!messages) return std::unexpected(messages.error());
      dispatch(std::move(*messages));
    }
    rest.remove_prefix(whole);
  }
  buffer.erase(0, buffer.size() - rest.size());
  return {};
}

void Session::dispatch(std::vector<wire::ClientMessage> messages) {
  for (wire::ClientMessage& message : messages) {
    auto* reply = std::get_if<wire::ClientReply>(&message);
    if (reply == nullptr) continue;  // Nodes ask nothing of clients.
    const auto found = open_.find(reply->id);
    if (found == open_.end()) continue;
    const std::shared_ptr<Answers> answers = found->second;
    if (reply->last) open_.erase(found);
    answers->on_reply(std::move(*reply));
  }
}

awaitable<void> Session::write_loop() {
  const auto self = shared_from_this();
  while (alive_) {
    if (outgoing_.empty()) {
      writable_.expires_at(never());
      co_await writable_.async_wait(kTuple);
      continue;
    }
    const std::vector<wire::ClientMessage> sending = std::exchange(outgoing_, {});
    std::string bytes;
    for (std::size_t from = 0; from < sending.size(); from += kMessagesPerWrite) {
      const std::size_t count = std::min(kMessagesPerWrite, sending.size() - from);
      const auto part = std::span(sending).subspan(from, count);
      for (const std::string& body : wire::encode_client_messages(part)) {
        bytes += wire::frame(wire::FrameKind::client_messages, body);
      }
    }
    auto [error, written] = co_await asio::async_write(socket_, asio::buffer(bytes), kTuple);
    if (error) end(error.message());
  }
}

awaitable<void> Session::watch_silence() {
  const auto self = shared_from_this();
  while (alive_) {
    silence_.expires_after(kSilenceStep);
    co_await silence_.async_wait(kTuple);
    if (!alive_ || open_.empty()) continue;
    const auto silent = SteadyClock::now() - heard_;
    if (silent >= kSilenceMax) {
      end("the node fell silent");
    } else if (silent >= 2 * kSilenceStep) {
      // Any node answers this at once; the reply itself interests nobody.
      const wire::ListMembers ping{.with_stats = false};
      outgoing_.push_back(wire::ClientRequest{.id = ++last_id_, .body = ping});
      writable_.cancel();
    }
  }
}

void Session::end(std::string reason) {
  if (!alive_) return;
  alive_ = false;
  reason_ = std::move(reason);
  asio::error_code ignored;
  socket_.close(ignored);
  writable_.cancel();
  silence_.cancel();
  const auto open = std::exchange(open_, {});
  for (const auto& [id, answers] : open) answers->on_lost();
}

}  // namespace shoal::client
