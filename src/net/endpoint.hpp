// Addresses of ours as endpoints of Asio, and back.
#pragma once

#include <algorithm>
#include <asio/ip/address.hpp>
#include <asio/ip/udp.hpp>
#include <optional>

#include "base/address.hpp"

namespace shoal::net {

// IPv4 becomes its mapped form, as Address keeps it.
inline Address to_address(const asio::ip::address& ip, std::uint16_t port) {
  const asio::ip::address_v6 wide =
      ip.is_v4() ? asio::ip::make_address_v6(asio::ip::v4_mapped, ip.to_v4()) : ip.to_v6();
  Address address{.ip = {}, .port = port};
  std::ranges::copy(wide.to_bytes(), address.ip.begin());
  return address;
}

inline asio::ip::address to_ip(const Address& address) {
  const asio::ip::address_v6 wide(address.ip);
  if (wide.is_v4_mapped()) return asio::ip::make_address_v4(asio::ip::v4_mapped, wide);
  return wide;
}

// Where a datagram socket of family `v6` reaches the address. Absent: an IPv4 socket, an IPv6
// address.
inline std::optional<asio::ip::udp::endpoint> to_datagram_endpoint(const Address& address,
                                                                   bool v6) {
  const asio::ip::address_v6 wide(address.ip);
  if (v6) return asio::ip::udp::endpoint(wide, address.port);
  if (!wide.is_v4_mapped()) return std::nullopt;
  return asio::ip::udp::endpoint(to_ip(address), address.port);
}

}  // namespace shoal::net
