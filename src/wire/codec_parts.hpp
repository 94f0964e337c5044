// Private to wire/*.cpp: the tools of the codec. put() fills a schema's builder from a message
// struct, get() makes the struct from a reader.
//
// What is built is one segment without a segment table. What is read was bounded: the reader
// follows pointers for at most four times the bytes that came, lists are counted against the words
// that came before they are allocated, and whatever a struct cannot hold sets Reading::error() and
// is left out, so get() itself never fails.
#pragma once

#include "wire/kj_shim.hpp"
// The line above comes before Cap'n Proto.
#include <capnp/message.h>
#include <kj/exception.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "base/overloaded.hpp"
#include "base/time.hpp"
#include "shoal/result.hpp"
#include "wire/shard_messages.hpp"

namespace shoal::wire {

inline constexpr std::size_t kHomesMax = 16;        // In each list of a shard's config.
inline constexpr std::size_t kMembersMax = 10'000;  // In one message.
inline constexpr std::size_t kNameBytesMax = 4096;  // Of jobs; messages and notes for people too.
inline constexpr std::size_t kBucketsMax = 64;
inline constexpr std::size_t kShardsMax = 65'536;
inline constexpr std::size_t kNoLimit = ~std::size_t{0};  // The bytes that came are the limit.

// One reading of one body: what may still be allocated for it, and the first thing wrong with it.
class Reading {
 public:
  explicit Reading(std::size_t words) : elements_left_(words) {}

  void reject(const char* why) {
    if (error_ == nullptr) error_ = why;
  }
  const char* error() const { return error_; }

  // Whether a list of `count` elements may be made: no more than `max`, nor than words came.
  bool take(std::size_t count, std::size_t max);

  template <class E>
  E enumerated(std::uint8_t number, E last) {
    if (number <= static_cast<std::uint8_t>(last)) return static_cast<E>(number);
    reject("a number that names nothing here");
    return E{};
  }

  // Of Data and Text.
  template <class Bytes>
  std::string string(const Bytes& bytes, std::size_t max = kNoLimit) {
    if (bytes.size() <= max) return {reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
    reject("a text longer than its limit");
    return {};
  }

  // Far from overflow when added to any other, in nanoseconds too.
  std::chrono::milliseconds duration(std::int64_t milliseconds);
  WallTime wall_time(std::int64_t milliseconds);

 private:
  std::size_t elements_left_;
  const char* error_ = nullptr;
};

// Builds into one string. Should the hint have been too small, words_used() says what is enough.
class FlatBuilder final : public capnp::MessageBuilder {
 public:
  explicit FlatBuilder(std::size_t words) : first_(words * sizeof(capnp::word), '\0') {}
  kj::ArrayPtr<capnp::word> allocateSegment(kj::uint minimum) override;
  std::size_t words_used();
  bool flat() const { return more_.empty(); }
  std::string take();  // REQUIRES: flat().

 private:
  std::string first_;
  bool first_given_ = false;
  std::vector<std::unique_ptr<std::uint64_t[]>> more_;
};

// `fill` is called a second time when more than `bytes_hint` is needed.
template <class Root, class Fill>
std::string build(std::size_t bytes_hint, const Fill& fill) {
  std::size_t words = bytes_hint / sizeof(capnp::word) + 2;
  for (int round = 0; round < 2; ++round) {
    FlatBuilder builder(words);
    fill(builder.initRoot<Root>());
    if (builder.flat()) return builder.take();
    words = builder.words_used();
  }
  SHOAL_ASSERT(false);
}

// The words of a body, aligned: the body itself where it is, else a copy.
class AlignedWords {
 public:
  explicit AlignedWords(std::string_view bytes);
  kj::ArrayPtr<const capnp::word> words() const { return words_; }

 private:
  std::unique_ptr<std::uint64_t[]> copy_;
  kj::ArrayPtr<const capnp::word> words_;
};

// Absent when bytes of this size can be a body.
std::optional<Error> check_size(std::string_view bytes, std::size_t bytes_max);
Error unreadable(std::string_view why);
capnp::ReaderOptions reader_options(std::size_t words);

template <class T, class Root, class Get>
Result<T> parse(std::string_view bytes, std::size_t bytes_max, const Get& get) {
  if (auto wrong = check_size(bytes, bytes_max)) return std::unexpected(*std::move(wrong));
  try {
    const AlignedWords aligned(bytes);
    const kj::ArrayPtr<const capnp::word> segments[] = {aligned.words()};
    capnp::SegmentArrayMessageReader reader(segments, reader_options(aligned.words().size()));
    Reading reading(aligned.words().size());
    T value = get(reader.getRoot<Root>(), reading);
    if (reading.error() != nullptr) return std::unexpected(unreadable(reading.error()));
    return value;
  } catch (const kj::Exception& e) {
    return std::unexpected(unreadable(e.getDescription().cStr()));
  }
}

template <class T>
capnp::uint count(const std::vector<T>& values) {
  return static_cast<capnp::uint>(values.size());
}
inline capnp::Data::Reader blob(std::string_view bytes) {
  return {reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size()};
}
inline capnp::Text::Reader text(const std::string& string) {
  return {string.c_str(), string.size()};
}
inline std::uint32_t number(ShardId shard) { return static_cast<std::uint32_t>(shard); }

std::uint64_t ip_half(const Address& address, std::size_t from);
Address make_address(std::uint64_t ip_high, std::uint64_t ip_low, std::uint16_t port);

// Groups and structs with `high` and `low`; and with `round` and `node`; and a task's attempt.
template <class Builder, class Id>
void put_id(Builder out, const Id& id) {
  out.setHigh(id.high);
  out.setLow(id.low);
}
template <class Id = NodeId, class Reader>
Id get_id(Reader in) {
  return {in.getHigh(), in.getLow()};
}
template <class Builder>
void put_ballot(Builder out, const Ballot& ballot) {
  out.setRound(ballot.round);
  put_id(out.getNode(), ballot.node);
}
template <class Reader>
Ballot get_ballot(Reader in) {
  return {in.getRound(), get_id(in.getNode())};
}
template <class Builder>
void put_attempt(Builder out, const AttemptId& attempt) {
  out.setJob(attempt.task.job.value);
  out.setIndex(attempt.task.index);
  out.setNumber(attempt.number);
}
template <class Reader>
AttemptId get_attempt(Reader in) {
  return {{JobId{in.getJob()}, in.getIndex()}, in.getNumber()};
}
// Groups with an address.
template <class Builder>
void put_address(Builder out, const Address& address) {
  out.setIpHigh(ip_half(address, 0));
  out.setIpLow(ip_half(address, 8));
  out.setPort(address.port);
}
template <class Reader>
Address get_address(Reader in) {
  return make_address(in.getIpHigh(), in.getIpLow(), in.getPort());
}

}  // namespace shoal::wire
