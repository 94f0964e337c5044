// Opens a node's two sockets on one port.
#pragma once

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/ip/udp.hpp>

#include "base/address.hpp"
#include "shoal/result.hpp"

namespace shoal::net {

struct ListeningSockets {
  asio::ip::tcp::acceptor acceptor;
  asio::ip::udp::socket datagrams;
  Address address;  // With the port that was chosen.
};

// Port 0: some port that is free for both. An IPv6 socket takes IPv4 as well.
Result<ListeningSockets> open_listening(asio::io_context& context, const Address& address);

}  // namespace shoal::net
