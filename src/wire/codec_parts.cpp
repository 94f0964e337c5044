#include "wire/codec_parts.hpp"

#include <algorithm>
#include <cstring>

#include "base/format.hpp"

namespace shoal::wire {
namespace {

constexpr std::size_t kWordBytes = sizeof(capnp::word);
constexpr std::size_t kTraversalWordsMin = 1024;
constexpr std::int64_t kDurationMsMax = std::int64_t{1} << 42;  // 139 years.
constexpr std::int64_t kWallTimeMsMax = std::int64_t{1} << 53;

}  // namespace

bool Reading::take(std::size_t count, std::size_t max) {
  if (count > max || count > elements_left_) {
    reject("a list longer than its limit");
    return false;
  }
  elements_left_ -= count;
  return true;
}

std::chrono::milliseconds Reading::duration(std::int64_t milliseconds) {
  if (milliseconds >= -kDurationMsMax && milliseconds <= kDurationMsMax) {
    return std::chrono::milliseconds(milliseconds);
  }
  reject("a time of more than a hundred years");
  return {};
}

WallTime Reading::wall_time(std::int64_t milliseconds) {
  if (milliseconds >= -kWallTimeMsMax && milliseconds <= kWallTimeMsMax) {
    return WallTime(std::chrono::milliseconds(milliseconds));
  }
  reject("a date out of all bounds");
  return {};
}

kj::ArrayPtr<capnp::word> FlatBuilder::allocateSegment(kj::uint minimum) {
  if (!first_given_ && minimum * kWordBytes <= first_.size()) {
    first_given_ = true;
    SHOAL_ASSERT(reinterpret_cast<std::uintptr_t>(first_.data()) % kWordBytes == 0);
    return {reinterpret_cast<capnp::word*>(first_.data()), first_.size() / kWordBytes};
  }
  first_given_ = true;
  const std::size_t words = std::max<std::size_t>(minimum, 4096);
  more_.push_back(std::make_unique<std::uint64_t[]>(words));
  return {reinterpret_cast<capnp::word*>(more_.back().get()), words};
}

std::size_t FlatBuilder::words_used() {
  std::size_t words = 0;
  for (const auto segment : getSegmentsForOutput()) words += segment.size();
  return words;
}

std::string FlatBuilder::take() {
  SHOAL_ASSERT(flat());
  first_.resize(words_used() * kWordBytes);
  return std::move(first_);
}

AlignedWords::AlignedWords(std::string_view bytes) {
  const std::size_t count = bytes.size() / kWordBytes;
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % kWordBytes == 0) {
    words_ = {reinterpret_cast<const capnp::word*>(bytes.data()), count};
    return;
  }
  copy_ = std::make_unique_for_overwrite<std::uint64_t[]>(count);
  std::memcpy(copy_.get(), bytes.data(), count * kWordBytes);
  words_ = {reinterpret_cast<const capnp::word*>(copy_.get()), count};
}

std::optional<Error> check_size(std::string_view bytes, std::size_t bytes_max) {
  if (bytes.size() > bytes_max) {
    return unreadable(format("{} bytes, and the limit is {}", bytes.size(), bytes_max));
  }
  if (bytes.empty() || bytes.size() % kWordBytes != 0) {
    return unreadable(format("{} bytes, not a whole number of words", bytes.size()));
  }
  return std::nullopt;
}

Error unreadable(std::string_view why) {
  return {ErrorCode::bad_input,
          format("Bytes that are no message of this version: {}. They were ignored; check that all "
                 "nodes and clients run the same version of shoal.",
                 why)};
}

capnp::ReaderOptions reader_options(std::size_t words) {
  return {.traversalLimitInWords = std::max(4 * words, kTraversalWordsMin), .nestingLimit = 16};
}

std::uint64_t ip_half(const Address& address, std::size_t from) {
  std::uint64_t half = 0;
  for (std::size_t i = 0; i < 8; ++i) half = half << 8 | address.ip.at(from + i);
  return half;
}

Address make_address(std::uint64_t ip_high, std::uint64_t ip_low, std::uint16_t port) {
  Address address{.port = port};
  for (std::size_t i = 0; i < 8; ++i) {
    address.ip.at(i) = static_cast<std::uint8_t>(ip_high >> (56 - 8 * i));
    address.ip.at(8 + i) = static_cast<std::uint8_t>(ip_low >> (56 - 8 * i));
  }
  return address;
}

}  // namespace shoal::wire
