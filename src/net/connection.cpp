#include "net/connection.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <array>
#include <asio/buffer.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>
#include <utility>
#include <vector>

namespace shoal::net {
namespace {

constexpr std::size_t kWriteBytesMax = 256UL * 1024;  // At once, so that progress is seen.
constexpr std::size_t kWriteFramesMax = 64;           // One system call takes as many pieces.

}  // namespace

Connection::Connection(asio::ip::tcp::socket socket, std::size_t queue_bytes_max)
    : socket_(std::move(socket)), queue_bytes_max_(queue_bytes_max) {}

void Connection::dial(const asio::ip::tcp::endpoint& endpoint, const asio::ip::address& from,
                      Events events) {
  events_ = std::move(events);
  if (from.is_v4() == endpoint.address().is_v4() && !from.is_unspecified()) bind_to(from);
  asio::co_spawn(socket_.get_executor(), connect_and_read(shared_from_this(), endpoint),
                 asio::detached);
}

// What fails here fails again, and is told, when the socket connects.
void Connection::bind_to(const asio::ip::address& from) {
  using PortLater = asio::detail::socket_option::boolean<IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT>;
  std::error_code ignored;
  socket_.open(from.is_v4() ? asio::ip::tcp::v4() : asio::ip::tcp::v6(), ignored);
  socket_.set_option(PortLater(true), ignored);
  socket_.bind({from, 0}, ignored);
}

void Connection::accept(Events events) {
  events_ = std::move(events);
  released_ = true;
  begin();
  asio::co_spawn(socket_.get_executor(), read(shared_from_this()), asio::detached);
}

void Connection::begin() {
  std::error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  open_ = true;
  last_progress_ = Clock::now();
}

bool Connection::send(std::string frame) {
  if (closed_ || queued_bytes_ + frame.size() > queue_bytes_max_) return false;
  queued_bytes_ += frame.size();
  (released_ ? queue_ : held_).push_back(std::move(frame));
  pump();
  return true;
}

void Connection::send_first(std::string frame) {
  if (closed_) return;
  queued_bytes_ += frame.size();
  queue_.push_back(std::move(frame));
  pump();
}

void Connection::release() {
  if (released_) return;
  released_ = true;
  for (std::string& frame : held_) queue_.push_back(std::move(frame));
  held_.clear();
  pump();
}

std::deque<std::string> Connection::take_held() {
  for (const std::string& frame : held_) queued_bytes_ -= frame.size();
  return std::exchange(held_, {});
}

void Connection::set_unacknowledged_max(std::chrono::milliseconds time) {
  using UserTimeout = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_USER_TIMEOUT>;
  std::error_code ignored;
  socket_.set_option(UserTimeout(static_cast<int>(time.count())), ignored);
}

void Connection::close(const std::string& why, bool garbage) {
  if (closed_) return;
  closed_ = true;
  std::error_code ignored;
  socket_.close(ignored);
  if (events_.on_closed) events_.on_closed(why, garbage);
}

asio::ip::tcp::endpoint Connection::local() const {
  std::error_code ignored;
  return socket_.local_endpoint(ignored);
}

asio::ip::tcp::endpoint Connection::remote() const {
  std::error_code ignored;
  return socket_.remote_endpoint(ignored);
}

asio::awaitable<void> Connection::connect_and_read(Self self, asio::ip::tcp::endpoint endpoint) {
  std::error_code error;
  co_await self->socket_.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, error));
  if (self->closed_) co_return;
  if (error) {
    self->close("cannot connect: " + error.message());
    co_return;
  }
  self->begin();
  if (self->events_.on_open) self->events_.on_open();
  self->pump();
  co_await read(self);
}

asio::awaitable<void> Connection::read(Self self) {
  while (!self->closed_) {
    const std::span<char> space = self->reader_.space();
    std::error_code error;
    const std::size_t count = co_await self->socket_.async_read_some(
        asio::buffer(space.data(), space.size()), asio::redirect_error(asio::use_awaitable, error));
    if (self->closed_) co_return;
    if (error) {
      self->close(error.message());
      co_return;
    }
    self->last_received_ = Clock::now();
    self->reader_.filled(count);
    if (!self->take_frames()) co_return;
  }
}

bool Connection::take_frames() {
  bool any = false;
  while (true) {
    const auto frame = reader_.next(frame_bytes_max_);
    if (!frame) {
      close(frame.error().message, true);
      return false;
    }
    if (!*frame) break;
    any = true;
    const auto taken = events_.on_frame(**frame);
    if (closed_) return false;
    if (!taken) {
      close(taken.error().message, true);
      return false;
    }
  }
  if (!reader_.partial()) {
    frame_began_ = Clock::time_point::max();
  } else if (any || frame_began_ == Clock::time_point::max()) {
    frame_began_ = Clock::now();
  }
  return true;
}

void Connection::pump() {
  if (writing_ || !open() || queue_.empty()) return;
  writing_ = true;
  last_progress_ = Clock::now();
  asio::co_spawn(socket_.get_executor(), write(shared_from_this()), asio::detached);
}

asio::awaitable<void> Connection::write(Self self) {
  std::vector<std::string> sending;
  std::vector<asio::const_buffer> buffers;
  while (!self->queue_.empty() && !self->closed_) {
    sending.clear();
    buffers.clear();
    std::size_t bytes = 0;
    while (!self->queue_.empty() && bytes < kWriteBytesMax && sending.size() < kWriteFramesMax) {
      bytes += self->queue_.front().size();
      sending.push_back(std::move(self->queue_.front()));
      self->queue_.pop_front();
    }
    for (const std::string& frame : sending) buffers.push_back(asio::buffer(frame));
    std::error_code error;
    co_await asio::async_write(self->socket_, buffers,
                               asio::redirect_error(asio::use_awaitable, error));
    if (self->closed_) co_return;
    if (error) {
      self->close(error.message());
      co_return;
    }
    self->queued_bytes_ -= bytes;
    self->last_progress_ = Clock::now();
  }
  self->writing_ = false;
}

}  // namespace shoal::net
