#include "net/frame_reader.hpp"

#include <algorithm>
#include <cstring>

#include "base/assert.hpp"

namespace shoal::net {

std::span<char> FrameReader::space() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  // A read that filled a small buffer was probably cut short by it.
  const bool small = was_filled_ && buffer_.size() < kStepBytes;
  if (small || end_ == buffer_.size()) {
    buffer_.resize(std::max(kFirstBytes, buffer_.size() * 2));
  }
  return std::span(buffer_).subspan(end_).first(std::min(kStepBytes, buffer_.size() - end_));
}

void FrameReader::filled(std::size_t count) {
  SHOAL_ASSERT(count <= buffer_.size() - end_);
  end_ += count;
  was_filled_ = end_ == buffer_.size();
}

Result<std::optional<FrameView>> FrameReader::next(std::size_t body_bytes_max) {
  const std::string_view bytes(buffer_.data() + begin_, end_ - begin_);
  if (bytes.size() < wire::kFrameHeaderBytes) return std::nullopt;
  const auto header =
      wire::parse_frame_header(bytes.substr(0, wire::kFrameHeaderBytes), body_bytes_max);
  if (!header) return std::unexpected(header.error());
  const std::size_t whole = wire::kFrameHeaderBytes + header->padded_bytes();
  if (bytes.size() < whole) return std::nullopt;
  const std::string_view body = bytes.substr(wire::kFrameHeaderBytes, header->body_bytes);
  if (!wire::checksum_matches(*header, body)) {
    return fail(ErrorCode::bad_input, "a frame does not match its checksum");
  }
  begin_ += whole;
  return FrameView{.kind = header->kind, .body = body};
}

}  // namespace shoal::net
