#include "net/datagram_socket.hpp"

#include <asio/buffer.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <utility>

#include "net/endpoint.hpp"

namespace shoal::net {
namespace {

constexpr int kDatagramsAtOnce = 64;  // Before others on the loop have their turn.

}  // namespace

DatagramSocket::DatagramSocket(asio::ip::udp::socket socket, OnDatagram on_datagram)
    : socket_(std::move(socket)), on_datagram_(std::move(on_datagram)) {
  std::error_code ignored;
  v6_ = socket_.local_endpoint(ignored).address().is_v6();
}

void DatagramSocket::start() {
  asio::co_spawn(socket_.get_executor(), receive(shared_from_this()), asio::detached);
}

void DatagramSocket::close() {
  closed_ = true;
  std::error_code ignored;
  socket_.close(ignored);
}

bool DatagramSocket::send(std::string_view bytes, const Address& to) {
  const auto endpoint = to_datagram_endpoint(to, v6_);
  if (closed_ || !endpoint) return false;
  std::error_code error;
  socket_.send_to(asio::buffer(bytes), *endpoint, 0, error);
  // A refusal that an earlier datagram met is reported here; this one was not tried.
  if (error == asio::error::connection_refused) {
    socket_.send_to(asio::buffer(bytes), *endpoint, 0, error);
  }
  return !error;
}

void DatagramSocket::drain() {
  for (int i = 0; i < kDatagramsAtOnce && !closed_; ++i) {
    asio::ip::udp::endpoint from;
    std::error_code error;
    const std::size_t count = socket_.receive_from(asio::buffer(buffer_), from, 0, error);
    if (error == asio::error::would_block || error == asio::error::try_again) return;
    if (error) continue;  // A datagram of ours met nobody: the failure detector notices by itself.
    on_datagram_(std::string_view(buffer_.data(), count), to_address(from.address(), from.port()));
  }
}

asio::awaitable<void> DatagramSocket::receive(std::shared_ptr<DatagramSocket> self) {
  while (!self->closed_) {
    std::error_code error;
    co_await self->socket_.async_wait(asio::ip::udp::socket::wait_read,
                                      asio::redirect_error(asio::use_awaitable, error));
    if (self->closed_ || error) co_return;
    self->drain();
  }
}

}  // namespace shoal::net
