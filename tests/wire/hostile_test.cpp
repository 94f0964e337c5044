// What a peer may send that is no message: refused with a sentence, never a crash, and nothing
// large is allocated for it.
#include <doctest/doctest.h>

#include <cstring>

#include "random_message.hpp"
#include "wire/codec.hpp"
#include "wire/frame.hpp"

namespace shoal::wire {
namespace {

std::string words(std::initializer_list<std::uint64_t> values) {
  std::string bytes;
  for (const std::uint64_t value : values) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  return bytes;
}

void check_refused(const Message& message) {
  const auto decoded = decode_messages(encode_message(message));
  REQUIRE(!decoded.has_value());
  CHECK(decoded.error().code == ErrorCode::bad_input);
}

}  // namespace

TEST_CASE("hostile: a body cut short anywhere is refused") {
  Random random(8);
  for (std::size_t kind = 0; kind < std::variant_size_v<Message>; ++kind) {
    const std::string body = encode_message(random_message(random, kind));
    for (std::size_t bytes = 0; bytes < body.size(); ++bytes) {
      REQUIRE(!decode_messages(std::string_view(body).substr(0, bytes)).has_value());
    }
  }
}

TEST_CASE("hostile: flipped bits are refused or give some other message") {
  Random random(9);
  for (std::size_t kind = 0; kind < std::variant_size_v<Message>; ++kind) {
    const std::string body = encode_message(random_message(random, kind));
    for (int round = 0; round < 2000; ++round) {
      std::string bad = body;
      for (std::uint64_t flips = 1 + random.below(3); flips > 0; --flips) {
        char& byte = bad[random.below(bad.size())];
        byte = static_cast<char>(byte ^ 1 << random.below(8));
      }
      const auto decoded = decode_messages(bad);
      if (decoded) (void)encode_messages(*decoded);
    }
  }
}

TEST_CASE("hostile: flipped bits of client messages are refused or give some other message") {
  Random random(11);
  for (int kind = 0; kind < 60; ++kind) {
    const ClientMessage message = random_client_message(random);
    const std::string body = encode_client_messages(std::span(&message, 1)).front();
    for (int round = 0; round < 1000; ++round) {
      std::string bad = body;
      char& byte = bad[random.below(bad.size())];
      byte = static_cast<char>(byte ^ 1 << random.below(8));
      (void)decode_client_messages(bad);
    }
  }
}

TEST_CASE("hostile: a message of an unknown kind is refused") {
  std::string body = encode_message(PingNack{.sequence = 1});
  REQUIRE(body[24] == 3);  // After the root, the list's pointer and its tag.
  body[24] = 120;
  const auto decoded = decode_messages(body);
  REQUIRE(!decoded.has_value());
  CHECK(decoded.error().message.contains("unknown kind"));
}

TEST_CASE("hostile: numbers that name nothing are refused") {
  check_refused(EndAttempts{.reason = static_cast<EndReason>(8)});
  check_refused(Gossip{.news = {{.state = static_cast<MemberState>(4)}}});
  check_refused(ReadOutput{.read = {.stream = static_cast<task::Stream>(2)}});
  check_refused(JobEvent{.status = {.state = static_cast<JobState>(3)}});
  check_refused(JobEvent{.status = {.spec = {.kind = static_cast<TaskKind>(3)}}});
  check_refused(OwnerReplies{.items = {{.body = Error{.code = static_cast<ErrorCode>(0)}}}});
  check_refused(OwnerReplies{.items = {{.body = Error{.code = static_cast<ErrorCode>(11)}}}});
  check_refused(Grant{.specs = {TaskSpec{}}, .items = {{.spec = 1}}});
}

TEST_CASE("hostile: what is beyond a struct's limit is refused") {
  const ShardConfig wide{.home = std::vector<NodeId>(17)};
  check_refused(Prepare{.items = {{.config = wide}}});
  check_refused(MemberTable{.records = std::vector<MemberRecord>(10'001)});
  check_refused(MemberDigest{.buckets = std::vector<std::uint64_t>(65)});
  check_refused(Gossip{.news = {{.info = MemberInfo{.name = std::string(65, 'n')}}}});
  check_refused(Grant{.specs = {TaskSpec{}}, .items = {{.argument = std::string(65'537, 'a')}}});
  check_refused(Grant{.specs = {TaskSpec{.argv = {std::string(262'144, 'a')}}}});
  check_refused(Outcomes{.items = {{.tails = {std::string(16 * 1024 + 1, 't'), ""}}}});
  check_refused(Outcomes{.items = {{.result = {.started = WallTime::max()}}}});
  check_refused(JobEvent{.status = {.spec = {.timeout = std::chrono::milliseconds::max()}}});
}

TEST_CASE("hostile: a list of more elements than words came is refused before it is made") {
  constexpr std::uint64_t kRoot = 1ULL << 48;           // A struct of one pointer.
  constexpr std::uint64_t kComposite = 1 | 7ULL << 32;  // A list of structs, in no words.
  constexpr std::uint64_t kVoids = 1 | 1'000ULL << 35;  // A thousand elements of no size.
  CHECK(!decode_messages(words({kRoot, kComposite, 0x1fffffffULL << 2})));
  CHECK(!decode_messages(words({kRoot, kComposite, 900ULL << 2})));
  CHECK(!decode_messages(words({kRoot, kVoids})));
}

TEST_CASE("hostile: lists that contain themselves are refused") {
  // The list's only element is a message whose pointer leads back to the list.
  std::string body = encode_message(Gossip{.news = {MemberRecord{}}});
  for (std::size_t at = 0; at + 8 <= body.size(); at += 8) {
    for (std::int32_t back = -8; back < 0; ++back) {
      std::string bad = body;
      std::uint64_t pointer = 0;
      std::memcpy(&pointer, bad.data() + at, 8);
      pointer = (pointer & 0xffffffff00000003) | static_cast<std::uint32_t>(back) << 2;
      std::memcpy(bad.data() + at, &pointer, 8);
      (void)decode_messages(bad);
    }
  }
}

TEST_CASE("hostile: bodies of no size, odd size or beyond the frame are refused") {
  CHECK(!decode_messages(""));
  CHECK(!decode_messages("1234567"));
  CHECK(!decode_messages(std::string(kFrameBytesMax + 8, '\0')));
  CHECK(!decode_messages(encode_message(PingNack{}) + "x"));
  CHECK(!decode_hello(std::string(kHelloBytesMax + 8, '\0')));
}

}  // namespace shoal::wire
