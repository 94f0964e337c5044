// Where a node listens: an IPv4 or IPv6 address and a port. Names are resolved by the drivers,
// never here.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "shoal/result.hpp"

namespace shoal {

struct Address {
  std::array<std::uint8_t, 16> ip{};  // IPv4 is kept in its mapped form, ::ffff:a.b.c.d.
  std::uint16_t port = 0;
  auto operator<=>(const Address&) const = default;
  explicit operator bool() const { return port != 0; }
  bool unspecified() const;  // 0.0.0.0 or ::, which is never advertised.
};

Address ipv4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d, std::uint16_t port);
std::string to_string(const Address& address);  // 10.0.0.1:7461 or [fe80::1]:7461

// HOST:PORT, :PORT or HOST, not resolved. REQUIRES: nothing; the error names what is wrong.
struct HostPort {
  std::string host;
  std::uint16_t port = 0;
};
inline constexpr std::uint16_t kPortDefault = 7461;
Result<HostPort> parse_host_port(std::string_view text, std::uint16_t port_default = kPortDefault);

// A numeric address with a port, in the form to_string() gives.
Result<Address> parse_address(std::string_view text);

}  // namespace shoal
