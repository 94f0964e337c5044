// The frame around every body on a stream, and the header of every datagram.
//
//   stream:    0  magic "shl1"   4  kind (u8), 3 zero bytes   8  body size in bytes (u32, little
//   endian)
//              12 checksum: low 32 bits of XXH3 over the body   16 body, padded with zeros to 8
//              bytes
//   datagram:  0  magic "shd1"   4  4 zero bytes   8  sender's NodeId (16)   24 ClusterId (16)
//              40 checksum of the body (8, XXH3, seeded with the ids)   48 body
//
// Sizes are checked against kFrameBytesMax (kHelloBytesMax before the Hello) before anything is
// allocated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "shoal/id.hpp"
#include "shoal/result.hpp"

namespace shoal::wire {

inline constexpr std::size_t kFrameBytesMax = 1024 * 1024;
inline constexpr std::size_t kHelloBytesMax = 512;
inline constexpr std::size_t kFrameHeaderBytes = 16;
inline constexpr std::size_t kDatagramHeaderBytes = 48;

enum class FrameKind : std::uint8_t { hello = 1, messages = 2, client_messages = 3 };

struct FrameHeader {
  FrameKind kind = FrameKind::messages;
  std::uint32_t body_bytes = 0;
  std::uint32_t checksum = 0;
  std::size_t padded_bytes() const { return (body_bytes + std::size_t{7}) / 8 * 8; }
};

// Header, body and padding: ready to be sent.
std::string frame(FrameKind kind, std::string_view body);

// The header in the first kFrameHeaderBytes of `bytes`. The error says what is wrong with it.
// REQUIRES: bytes.size() >= kFrameHeaderBytes.
Result<FrameHeader> parse_frame_header(std::string_view bytes, std::size_t body_bytes_max);
bool checksum_matches(const FrameHeader& header, std::string_view body);

struct DatagramSource {
  NodeId node;
  ClusterId cluster;
};
std::string datagram(const DatagramSource& source, std::string_view body);
struct DatagramView {
  DatagramSource source;
  std::string_view body;
};
std::optional<DatagramView> parse_datagram(std::string_view bytes);

}  // namespace shoal::wire
