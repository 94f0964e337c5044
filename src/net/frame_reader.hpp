// Cuts a byte stream into frames (wire/frame.hpp), in a buffer that grows with what has arrived and
// never with what a peer announces.
//
// Frames start at multiples of 8 in the buffer, so that bodies can be decoded where they lie.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "shoal/result.hpp"
#include "wire/frame.hpp"

namespace shoal::net {

struct FrameView {
  wire::FrameKind kind = wire::FrameKind::messages;
  std::string_view body;  // Valid until the reader is asked for space.
};

class FrameReader {
 public:
  // Where the next bytes go; never empty.
  std::span<char> space();
  // `count` bytes were put there. REQUIRES: count <= the last space().size().
  void filled(std::size_t count);

  // The next whole frame; absent when more bytes are needed. An error ends the stream: it cannot be
  // read on. `body_bytes_max` is checked as soon as the header is there.
  Result<std::optional<FrameView>> next(std::size_t body_bytes_max);

  bool partial() const { return begin_ < end_; }  // A frame has begun and is not whole.

 private:
  static constexpr std::size_t kFirstBytes = 4096;
  static constexpr std::size_t kStepBytes = 64UL * 1024;  // Read at once at most.

  std::vector<char> buffer_;
  std::size_t begin_ = 0;  // Of what is not consumed.
  std::size_t end_ = 0;
  bool was_filled_ = false;
};

}  // namespace shoal::net
