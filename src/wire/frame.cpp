#include "wire/frame.hpp"

#include "base/assert.hpp"
#include "base/format.hpp"
#include "base/hash.hpp"
#include "base/random.hpp"

namespace shoal::wire {
namespace {

constexpr std::string_view kStreamMagic = "shl1";
constexpr std::string_view kDatagramMagic = "shd1";
constexpr std::string_view kDatagramZeros("\0\0\0\0", 4);

template <class Number>
void append(std::string& bytes, Number number) {
  for (std::size_t i = 0; i < sizeof(Number); ++i) {
    bytes.push_back(static_cast<char>(static_cast<unsigned char>(number >> (8 * i))));
  }
}

// REQUIRES: bytes.size() >= from + sizeof(Number).
template <class Number>
Number number_at(std::string_view bytes, std::size_t from) {
  Number number = 0;
  for (std::size_t i = sizeof(Number); i-- > 0;) {
    number = static_cast<Number>(number << 8 | static_cast<unsigned char>(bytes[from + i]));
  }
  return number;
}

std::uint32_t stream_checksum(std::string_view body) {
  return static_cast<std::uint32_t>(hash64(body));
}

std::uint64_t datagram_checksum(const DatagramSource& source, std::string_view body) {
  const std::uint64_t node = mix64(mix64(source.node.high) ^ source.node.low);
  return hash64(body, mix64(mix64(node ^ source.cluster.high) ^ source.cluster.low));
}

}  // namespace

std::string frame(FrameKind kind, std::string_view body) {
  SHOAL_ASSERT(body.size() <= kFrameBytesMax);
  const auto size = static_cast<std::uint32_t>(body.size());
  const FrameHeader header{.kind = kind, .body_bytes = size, .checksum = stream_checksum(body)};
  std::string bytes;
  bytes.reserve(kFrameHeaderBytes + header.padded_bytes());
  bytes += kStreamMagic;
  append(bytes, static_cast<std::uint32_t>(kind));
  append(bytes, header.body_bytes);
  append(bytes, header.checksum);
  bytes += body;
  bytes.resize(kFrameHeaderBytes + header.padded_bytes(), '\0');
  return bytes;
}

Result<FrameHeader> parse_frame_header(std::string_view bytes, std::size_t body_bytes_max) {
  SHOAL_ASSERT(bytes.size() >= kFrameHeaderBytes);
  if (!bytes.starts_with(kStreamMagic)) {
    return fail(ErrorCode::bad_input,
                "The other side does not speak shoal's protocol: the stream does not begin with "
                "\"shl1\". Check the address and port.");
  }
  const auto kind = number_at<std::uint32_t>(bytes, 4);
  if (kind < static_cast<std::uint32_t>(FrameKind::hello) ||
      kind > static_cast<std::uint32_t>(FrameKind::client_messages)) {
    return fail(ErrorCode::bad_input,
                format("A frame is of the unknown kind {}. Check that both sides run the same "
                       "version of shoal.",
                       kind));
  }
  const FrameHeader header{
      .kind = static_cast<FrameKind>(kind),
      .body_bytes = number_at<std::uint32_t>(bytes, 8),
      .checksum = number_at<std::uint32_t>(bytes, 12),
  };
  if (header.body_bytes > body_bytes_max) {
    return fail(ErrorCode::bad_input,
                format("A frame of {} bytes was announced, and the limit here is {}. Check that "
                       "both sides run the same version of shoal.",
                       header.body_bytes, body_bytes_max));
  }
  return header;
}

bool checksum_matches(const FrameHeader& header, std::string_view body) {
  return body.size() == header.body_bytes && stream_checksum(body) == header.checksum;
}

std::string datagram(const DatagramSource& source, std::string_view body) {
  std::string bytes;
  bytes.reserve(kDatagramHeaderBytes + body.size());
  bytes += kDatagramMagic;
  bytes += kDatagramZeros;
  for (const std::uint64_t half :
       {source.node.high, source.node.low, source.cluster.high, source.cluster.low}) {
    append(bytes, half);
  }
  append(bytes, datagram_checksum(source, body));
  bytes += body;
  return bytes;
}

std::optional<DatagramView> parse_datagram(std::string_view bytes) {
  if (bytes.size() < kDatagramHeaderBytes || !bytes.starts_with(kDatagramMagic) ||
      bytes.substr(kDatagramMagic.size(), kDatagramZeros.size()) != kDatagramZeros) {
    return std::nullopt;
  }
  const auto half = [bytes](std::size_t from) { return number_at<std::uint64_t>(bytes, from); };
  const DatagramView view{
      .source = {.node = {half(8), half(16)}, .cluster = {half(24), half(32)}},
      .body = bytes.substr(kDatagramHeaderBytes),
  };
  if (half(40) != datagram_checksum(view.source, view.body)) return std::nullopt;
  return view;
}

}  // namespace shoal::wire
