#include "wire/frame.hpp"

#include <doctest/doctest.h>

namespace shoal::wire {

TEST_CASE("frame: header, body and padding come back as they went") {
  for (std::size_t bytes = 0; bytes < 40; ++bytes) {
    const std::string body(bytes, 'b');
    const std::string whole = frame(FrameKind::client_messages, body);
    const auto header = parse_frame_header(whole, kFrameBytesMax);
    REQUIRE(header.has_value());
    CHECK(header->kind == FrameKind::client_messages);
    CHECK(header->body_bytes == bytes);
    CHECK(whole.size() == kFrameHeaderBytes + header->padded_bytes());
    CHECK(whole.size() % 8 == 0);
    CHECK(checksum_matches(*header, std::string_view(whole).substr(kFrameHeaderBytes, bytes)));
  }
}

TEST_CASE("frame: the layout on the wire is the one that is written down") {
  const std::string whole = frame(FrameKind::messages, "12345678");
  CHECK(whole.starts_with(std::string_view("shl1\2\0\0\0\10\0\0\0", 12)));
  const std::string packet = datagram({.node = {0x0102, 3}, .cluster = {4, 5}}, "body");
  CHECK(packet.starts_with(std::string_view("shd1\0\0\0\0\2\1\0\0\0\0\0\0\3", 17)));
  CHECK(packet.size() == kDatagramHeaderBytes + 4);
}

TEST_CASE("frame: a header that is none is refused with a reason") {
  const std::string good = frame(FrameKind::hello, "hello");
  std::string bad = good;
  bad[0] = 'X';
  CHECK(parse_frame_header(bad, kFrameBytesMax).error().message.contains("shl1"));
  for (const std::size_t place : {4UL, 5UL, 7UL}) {
    bad = good;
    bad[place] = 9;
    CHECK(parse_frame_header(bad, kFrameBytesMax).error().message.contains("kind"));
  }
  bad = good;
  bad[4] = 0;
  CHECK(!parse_frame_header(bad, kFrameBytesMax));
  CHECK(parse_frame_header(good, 4).error().message.contains("limit here is 4"));
}

TEST_CASE("frame: a changed or shortened body does not match its checksum") {
  const auto header = parse_frame_header(frame(FrameKind::hello, "hello"), kFrameBytesMax);
  REQUIRE(header.has_value());
  CHECK(checksum_matches(*header, "hello"));
  CHECK(!checksum_matches(*header, "hellO"));
  CHECK(!checksum_matches(*header, "hell"));
}

TEST_CASE("frame: a datagram comes back with its source, and not when any bit has changed") {
  const DatagramSource source{.node = {1, 2}, .cluster = {3, 4}};
  const std::string packet = datagram(source, "some body");
  const auto view = parse_datagram(packet);
  REQUIRE(view.has_value());
  CHECK(view->source.node == source.node);
  CHECK(view->source.cluster == source.cluster);
  CHECK(view->body == "some body");
  for (std::size_t bit = 0; bit < packet.size() * 8; ++bit) {
    std::string bad = packet;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ 1 << bit % 8);
    REQUIRE(!parse_datagram(bad));
  }
  for (std::size_t bytes = 0; bytes < packet.size(); ++bytes) {
    REQUIRE(!parse_datagram(std::string_view(packet).substr(0, bytes)));
  }
}

}  // namespace shoal::wire
