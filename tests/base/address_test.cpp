#include "base/address.hpp"

#include <doctest/doctest.h>

#include <string>

namespace shoal {

TEST_CASE("address: text and value name each other") {
  for (const std::string text : {"10.0.0.1:7461", "0.0.0.0:0", "255.255.255.255:65535", "[::]:7461",
                                 "[::1]:80", "[fe80::1]:7461", "[2001:db8::8a2e:370:7334]:1"}) {
    const Result<Address> address = parse_address(text);
    REQUIRE_MESSAGE(address, text);
    CHECK(to_string(*address) == text);
  }
  CHECK(parse_address("10.0.0.1:7461") == ipv4(10, 0, 0, 1, 7461));
}

TEST_CASE("address: the mapped form of an IPv4 address is that address") {
  CHECK(parse_address("[::ffff:10.0.0.1]:7461") == ipv4(10, 0, 0, 1, 7461));
}

TEST_CASE("address: the two wildcard addresses are unspecified, no others") {
  CHECK(ipv4(0, 0, 0, 0, 7461).unspecified());
  CHECK(parse_address("[::]:7461")->unspecified());
  CHECK_FALSE(ipv4(127, 0, 0, 1, 7461).unspecified());
  CHECK_FALSE(parse_address("[::1]:7461")->unspecified());
}

TEST_CASE("address: an address without a port is no address of a node") {
  CHECK_FALSE(Address{});
  CHECK_FALSE(parse_address("10.0.0.1"));
  CHECK_FALSE(parse_address("[::1]"));
  CHECK_FALSE(parse_address("::1"));
}

TEST_CASE("address: names are not addresses until a driver resolves them") {
  const Result<Address> address = parse_address("localhost:7461");
  REQUIRE_FALSE(address);
  CHECK(address.error().code == ErrorCode::bad_input);
  CHECK(address.error().message.find("localhost:7461") != std::string::npos);
}

TEST_CASE("address: host and port may each be left out") {
  const auto full = parse_host_port("node-7.example:99");
  REQUIRE(full);
  CHECK(full->host == "node-7.example");
  CHECK(full->port == 99);
  CHECK(parse_host_port("example")->port == kPortDefault);
  CHECK(parse_host_port("example", 1)->port == 1);
  CHECK(parse_host_port(":99")->host.empty());
  CHECK(parse_host_port(":99")->port == 99);
}

TEST_CASE("address: an IPv6 host stands in brackets, or alone without a port") {
  CHECK(parse_host_port("[::1]:99")->host == "::1");
  CHECK(parse_host_port("[::1]:99")->port == 99);
  CHECK(parse_host_port("[::1]")->port == kPortDefault);
  CHECK(parse_host_port("fe80::1")->host == "fe80::1");
}

TEST_CASE("address: what is malformed is refused with an example of what to write") {
  for (const std::string text : {"", ":", "a:", "a:b", "a:65536", "a:-1", "a:1:2", "a b:1", "[::1",
                                 "[::1]7", "[a]:1", "[1.2.3.4]:1", "a/b", "http://a:1"}) {
    const auto parts = parse_host_port(text);
    REQUIRE_FALSE_MESSAGE(parts, text);
    CHECK(parts.error().message.find("HOST:PORT") != std::string::npos);
  }
  CHECK_FALSE(parse_host_port(std::string(256, 'a')));
}

}  // namespace shoal
