#include "net/frame_reader.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace shoal::net {
namespace {

void feed(FrameReader& reader, std::string_view bytes) {
  while (!bytes.empty()) {
    const std::span<char> space = reader.space();
    const std::size_t count = std::min(space.size(), bytes.size());
    std::ranges::copy(bytes.substr(0, count), space.begin());
    reader.filled(count);
    bytes.remove_prefix(count);
  }
}

}  // namespace

TEST_CASE("net: frames come out whole however their bytes arrive") {
  const std::vector<std::string> bodies{"", "a", std::string(100'000, 'b'), "12345678"};
  std::string stream;
  for (const std::string& body : bodies) {
    stream += wire::frame(wire::FrameKind::messages, body);
  }
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{5000}}) {
    FrameReader reader;
    std::vector<std::string> found;
    for (std::size_t i = 0; i < stream.size(); i += step) {
      feed(reader, std::string_view(stream).substr(i, step));
      while (const auto frame = reader.next(wire::kFrameBytesMax).value()) {
        found.emplace_back(frame->body);
        CHECK(reinterpret_cast<std::uintptr_t>(frame->body.data()) % 8 == 0);
      }
    }
    CHECK(found == bodies);
    CHECK_FALSE(reader.partial());
  }
}

TEST_CASE("net: a frame's announced size allocates nothing and is refused beyond the limit") {
  FrameReader reader;
  const std::string frame = wire::frame(wire::FrameKind::messages, std::string(5000, 'x'));
  feed(reader, std::string_view(frame).substr(0, wire::kFrameHeaderBytes));
  CHECK_FALSE(reader.next(wire::kFrameBytesMax).value().has_value());
  CHECK(reader.partial());
  CHECK(reader.space().size() <= 4096);
  CHECK_FALSE(reader.next(4999));
}

TEST_CASE("net: a frame whose body was changed is an error") {
  std::string bytes = wire::frame(wire::FrameKind::messages, "some body");
  bytes[wire::kFrameHeaderBytes + 2] = 'X';
  FrameReader reader;
  feed(reader, bytes);
  CHECK_FALSE(reader.next(wire::kFrameBytesMax));
}

}  // namespace shoal::net
