// The UDP half of a transport: one message in each datagram, never waited for.
#pragma once

#include <array>
#include <asio/awaitable.hpp>
#include <asio/ip/udp.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "base/address.hpp"

namespace shoal::net {

class DatagramSocket : public std::enable_shared_from_this<DatagramSocket> {
 public:
  using OnDatagram = std::function<void(std::string_view bytes, const Address& from)>;

  // `socket` is bound and does not block.
  DatagramSocket(asio::ip::udp::socket socket, OnDatagram on_datagram);

  void start();
  void close();

  // False when it was not sent: the system's buffer is full, or the address is of another family.
  bool send(std::string_view bytes, const Address& to);

 private:
  static asio::awaitable<void> receive(std::shared_ptr<DatagramSocket> self);
  void drain();

  asio::ip::udp::socket socket_;
  OnDatagram on_datagram_;
  bool v6_ = false;
  bool closed_ = false;
  alignas(8) std::array<char, 65'536> buffer_;
};

}  // namespace shoal::net
