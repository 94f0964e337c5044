#include "base/address.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <span>

#include "base/format.hpp"

namespace shoal {
namespace {

constexpr std::array<std::uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr std::size_t kHostBytesMax = 255;

bool mapped(const Address& address) {
  return std::ranges::equal(std::span(address.ip).first<12>(), kMappedPrefix);
}

std::optional<std::array<std::uint8_t, 16>> parse_ip(const std::string& text) {
  std::array<std::uint8_t, 16> ip{};
  if (inet_pton(AF_INET6, text.c_str(), ip.data()) == 1) return ip;
  std::ranges::copy(kMappedPrefix, ip.begin());
  if (inet_pton(AF_INET, text.c_str(), ip.data() + kMappedPrefix.size()) == 1) return ip;
  return std::nullopt;
}

bool host_character(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
         c == '.' || c == '_';
}

std::unexpected<Error> bad_address(std::string_view text, std::string_view why) {
  constexpr std::size_t kShown = 80;
  return fail(ErrorCode::bad_input,
              format("'{}' is not an address: {}. Write HOST:PORT, for example 10.0.0.1:{} or "
                     "[fe80::1]:{}.",
                     text.substr(0, kShown), why, kPortDefault, kPortDefault));
}

Result<std::uint16_t> parse_port(std::string_view text, std::string_view port) {
  std::uint16_t value = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), value);
  if (port.empty() || error != std::errc{} || end != port.data() + port.size()) {
    return bad_address(text, "the port must be a number from 0 to 65535");
  }
  return value;
}

// Splits [HOST]:PORT or [HOST].
Result<HostPort> parse_bracketed(std::string_view text, std::uint16_t port_default) {
  const std::size_t close = text.find(']');
  if (close == std::string_view::npos) return bad_address(text, "the bracket is never closed");
  const std::string host(text.substr(1, close - 1));
  if (host.find(':') == std::string::npos || !parse_ip(host)) {
    return bad_address(text, "brackets hold a numeric IPv6 address");
  }
  const std::string_view rest = text.substr(close + 1);
  if (rest.empty()) return HostPort{.host = host, .port = port_default};
  if (rest.front() != ':') return bad_address(text, "after the bracket only :PORT may follow");
  const Result<std::uint16_t> port = parse_port(text, rest.substr(1));
  if (!port) return std::unexpected(port.error());
  return HostPort{.host = host, .port = *port};
}

}  // namespace

bool Address::unspecified() const {
  const std::span<const std::uint8_t> bytes(ip);
  const auto zero = [](std::uint8_t byte) { return byte == 0; };
  return std::ranges::all_of(bytes, zero) ||
         (mapped(*this) && std::ranges::all_of(bytes.subspan(kMappedPrefix.size()), zero));
}

Address ipv4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d, std::uint16_t port) {
  Address address{.ip = {}, .port = port};
  std::ranges::copy(kMappedPrefix, address.ip.begin());
  std::ranges::copy(std::array{a, b, c, d}, address.ip.begin() + kMappedPrefix.size());
  return address;
}

std::string to_string(const Address& address) {
  if (mapped(address)) {
    const auto& ip = address.ip;
    return format("{}.{}.{}.{}:{}", ip[12], ip[13], ip[14], ip[15], address.port);
  }
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(AF_INET6, address.ip.data(), text.data(), text.size());
  return format("[{}]:{}", text.data(), address.port);
}

Result<HostPort> parse_host_port(std::string_view text, std::uint16_t port_default) {
  if (text.empty()) return bad_address(text, "it is empty");
  if (text.front() == '[') return parse_bracketed(text, port_default);

  const std::size_t colon = text.find(':');
  if (colon != text.rfind(':')) {
    if (!parse_ip(std::string(text))) {
      return bad_address(text, "a numeric IPv6 address with a port needs brackets");
    }
    return HostPort{.host = std::string(text), .port = port_default};
  }
  const std::string_view host = text.substr(0, colon);
  if (host.size() > kHostBytesMax) return bad_address(text, "the host name is too long");
  if (!std::ranges::all_of(host, host_character)) {
    return bad_address(text, "the host name has a character that no host name has");
  }
  if (colon == std::string_view::npos) {
    return HostPort{.host = std::string(host), .port = port_default};
  }
  const Result<std::uint16_t> port = parse_port(text, text.substr(colon + 1));
  if (!port) return std::unexpected(port.error());
  return HostPort{.host = std::string(host), .port = *port};
}

Result<Address> parse_address(std::string_view text) {
  const bool has_port = text.starts_with('[') ? text.find("]:") != std::string_view::npos
                                              : std::ranges::count(text, ':') == 1;
  if (!has_port) return bad_address(text, "the port is missing");
  const Result<HostPort> parts = parse_host_port(text);
  if (!parts) return std::unexpected(parts.error());
  const auto ip = parse_ip(parts->host);
  if (!ip) return bad_address(text, "the host must be numeric here");
  return Address{.ip = *ip, .port = parts->port};
}

}  // namespace shoal
