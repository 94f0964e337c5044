#include "net/listen.hpp"

#include <asio/ip/v6_only.hpp>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/format.hpp"
#include "net/endpoint.hpp"

namespace shoal::net {
namespace {

std::error_code open_acceptor(asio::ip::tcp::acceptor& acceptor,
                              const asio::ip::tcp::endpoint& endpoint) {
  std::error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error && endpoint.address().is_v6()) acceptor.set_option(asio::ip::v6_only(false), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  return error;
}

std::error_code open_datagrams(asio::ip::udp::socket& socket,
                               const asio::ip::udp::endpoint& endpoint) {
  constexpr int kBufferBytes = 4 * 1024 * 1024;
  std::error_code error;
  socket.open(endpoint.protocol(), error);
  if (!error && endpoint.address().is_v6()) socket.set_option(asio::ip::v6_only(false), error);
  if (!error) socket.bind(endpoint, error);
  if (!error) socket.non_blocking(true, error);
  std::error_code ignored;  // The system may allow less.
  socket.set_option(asio::socket_base::receive_buffer_size(kBufferBytes), ignored);
  return error;
}

std::unexpected<Error> cannot_listen(const Address& address, const std::error_code& error) {
  const std::string place = to_string(address);
  if (error.value() == EADDRINUSE) {
    return fail(ErrorCode::io,
                format("Cannot listen on {}: another program uses this port. Stop it, or choose "
                       "another address with --listen.",
                       place));
  }
  if (error.value() == EADDRNOTAVAIL) {
    return fail(ErrorCode::io,
                format("Cannot listen on {}: this machine does not have that address. Choose one "
                       "of its own, or 0.0.0.0 for all, with --listen.",
                       place));
  }
  return fail(ErrorCode::io,
              format("Cannot listen on {}: {}. Choose another address with --listen.", place,
                     error.message()));
}

}  // namespace

Result<ListeningSockets> open_listening(asio::io_context& context, const Address& address) {
  constexpr int kTries = 32;  // A port free for streams may be taken for datagrams.
  const asio::ip::address ip = to_ip(address);
  std::error_code error;
  for (int i = 0; i < kTries; ++i) {
    ListeningSockets sockets{.acceptor = asio::ip::tcp::acceptor(context),
                             .datagrams = asio::ip::udp::socket(context),
                             .address = address};
    error = open_acceptor(sockets.acceptor, {ip, address.port});
    if (error) break;
    sockets.address.port = sockets.acceptor.local_endpoint().port();
    error = open_datagrams(sockets.datagrams, {ip, sockets.address.port});
    if (!error) return sockets;
    if (address.port != 0) break;
  }
  return cannot_listen(address, error);
}

}  // namespace shoal::net
