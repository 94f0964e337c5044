#include "tools/chaos/relay_stream.hpp"

#include <array>
#include <asio/buffer.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>

namespace shoal::chaos {
namespace {

constexpr std::size_t kReadBytes = 16UL * 1024;
constexpr std::size_t kBacklogBytes = 512UL * 1024;  // Of a pipe; more waits at its sender.
constexpr Ms kLook{10};                              // How often a cut is looked at.
constexpr Ms kConnectLimit{15'000};

Link turned(const Link& link) { return {link.to, link.from}; }

}  // namespace

RelayStream::RelayStream(Tcp::socket near, Link link, RelayRules& rules)
    : near_(std::move(near)),
      far_(near_.get_executor()),
      rules_(rules),
      out_(near_, far_, link),
      back_(far_, near_, turned(link)) {}

void RelayStream::start(const Tcp::endpoint& far, const asio::ip::address& as) {
  asio::co_spawn(near_.get_executor(), connect(shared_from_this(), far, as), asio::detached);
}

void RelayStream::close() {
  closed_ = true;
  std::error_code ignored;
  near_.close(ignored);
  far_.close(ignored);
  out_.changed.cancel();
  back_.changed.cancel();
}

void RelayStream::reset(Tcp::socket& socket) {
  std::error_code ignored;
  socket.set_option(asio::socket_base::linger(true, 0), ignored);
  socket.close(ignored);
}

// No stream opens when the request or its answer is lost.
bool RelayStream::barred() const {
  return ruled() && (rules_.cut(out_.link) || rules_.cut(back_.link) ||
                     rules_.half_open(out_.link) || rules_.half_open(back_.link));
}

void RelayStream::on_rules() {
  if (closed_ || !ruled() || (!muted_ && !far_.is_open())) return;
  const bool far_gone = rules_.half_open(out_.link);
  const bool near_gone = rules_.half_open(back_.link);
  if (muted_ && !far_gone && !near_gone) {
    reset(near_);
    reset(far_);
    close();
  } else if (!muted_ && (far_gone || near_gone)) {
    muted_ = true;
    if (far_gone) reset(far_);
    if (near_gone) reset(near_);
    if (far_gone && near_gone) close();
  }
}

asio::awaitable<void> RelayStream::sleep_until(SteadyTime time) {
  asio::steady_timer timer(near_.get_executor(), time);
  std::error_code ignored;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

asio::awaitable<void> RelayStream::wait_for_change(Pipe& pipe) {
  pipe.changed.expires_at(SteadyTime::max());
  std::error_code ignored;
  co_await pipe.changed.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

asio::awaitable<void> RelayStream::connect(Self self, Tcp::endpoint far, asio::ip::address as) {
  const auto limit = std::chrono::steady_clock::now() + kConnectLimit;
  if (self->ruled()) {
    const auto now = std::chrono::steady_clock::now();
    const auto there = self->rules_.piece(self->out_.link, 1, now).late;
    const auto here = self->rules_.piece(self->back_.link, 1, now).late;
    if ((there + here).count() > 0) co_await self->sleep_until(now + there + here);
  }
  while (!self->closed_ && self->barred()) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= limit) co_return self->close();
    co_await self->sleep_until(now + kLook);
  }
  if (self->closed_) co_return;
  std::error_code error;
  self->far_.open(far.protocol(), error);
  if (!error && !as.is_unspecified()) self->far_.bind({as, 0}, error);
  if (!error) {
    co_await self->far_.async_connect(far, asio::redirect_error(asio::use_awaitable, error));
  }
  if (self->closed_) co_return;
  if (error) {
    self->reset(self->near_);
    co_return self->close();
  }
  for (Tcp::socket* socket : {&self->near_, &self->far_}) {
    socket->set_option(Tcp::no_delay(true), error);
  }
  for (Pipe* pipe : {&self->out_, &self->back_}) {
    asio::co_spawn(self->near_.get_executor(), read(self, *pipe), asio::detached);
    asio::co_spawn(self->near_.get_executor(), write(self, *pipe), asio::detached);
  }
}

void RelayStream::take(Pipe& pipe, std::string bytes) {
  if (muted_) return;
  const auto now = std::chrono::steady_clock::now();
  Fate fate;
  if (ruled()) fate = rules_.piece(pipe.link, bytes.size(), now);
  if (fate.damaged) rules_.damage(bytes.data(), bytes.size());
  pipe.last_due = std::max(pipe.last_due, now + fate.late);
  pipe.bytes += bytes.size();
  pipe.queue.push_back({.bytes = std::move(bytes), .due = pipe.last_due});
  pipe.changed.cancel();
}

void RelayStream::end(Pipe& pipe, bool reset) {
  pipe.queue.push_back({.bytes = {}, .due = pipe.last_due, .last = true, .reset = reset});
  pipe.changed.cancel();
}

asio::awaitable<void> RelayStream::read(Self self, Pipe& pipe) {
  std::array<char, kReadBytes> buffer{};
  while (!self->closed_) {
    if (pipe.bytes >= kBacklogBytes) {
      co_await self->wait_for_change(pipe);
      continue;
    }
    std::error_code error;
    const std::size_t count = co_await pipe.from.async_read_some(
        asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
    if (self->closed_) co_return;
    if (!error) {
      self->take(pipe, std::string(buffer.data(), count));
      continue;
    }
    // Of the end that is gone nothing is heard; with the other one all is over.
    if (self->muted_ && pipe.from.is_open()) self->close();
    if (!self->muted_) self->end(pipe, error != asio::error::eof);
    co_return;
  }
}

asio::awaitable<void> RelayStream::write(Self self, Pipe& pipe) {
  while (!self->closed_) {
    if (pipe.queue.empty()) {
      co_await self->wait_for_change(pipe);
      continue;
    }
    Piece piece = std::move(pipe.queue.front());
    pipe.queue.pop_front();
    const auto bytes = piece.bytes.size();
    if (!co_await pass(self, pipe, std::move(piece))) co_return;
    pipe.bytes -= bytes;
    pipe.changed.cancel();
  }
}

asio::awaitable<bool> RelayStream::pass(Self self, Pipe& pipe, Piece piece) {
  if (piece.due > std::chrono::steady_clock::now()) co_await self->sleep_until(piece.due);
  while (!self->closed_ && self->ruled() && self->rules_.cut(pipe.link)) {
    co_await self->sleep_until(std::chrono::steady_clock::now() + kLook);
  }
  if (self->closed_) co_return false;
  if (self->muted_) co_return !piece.last;
  std::error_code error;
  if (piece.last) {
    pipe.ended = true;
    if (piece.reset) self->reset(pipe.to);
    if (!piece.reset) pipe.to.shutdown(Tcp::socket::shutdown_send, error);
    if (piece.reset || (self->out_.ended && self->back_.ended)) self->close();
    co_return false;
  }
  std::size_t done = 0;
  while (done < piece.bytes.size()) {
    const auto slices = self->ruled() ? self->rules_.slices(pipe.link) : std::nullopt;
    const std::size_t rest = piece.bytes.size() - done;
    const std::size_t count = slices ? std::min(slices->bytes, rest) : rest;
    co_await asio::async_write(pipe.to, asio::buffer(piece.bytes.data() + done, count),
                               asio::redirect_error(asio::use_awaitable, error));
    if (self->closed_) co_return false;
    if (error && self->muted_) co_return true;
    if (error) {
      self->reset(pipe.from);
      self->close();
      co_return false;
    }
    done += count;
    if (slices && done < piece.bytes.size()) {
      co_await self->sleep_until(std::chrono::steady_clock::now() + slices->apart);
    }
  }
  co_return true;
}

}  // namespace shoal::chaos
