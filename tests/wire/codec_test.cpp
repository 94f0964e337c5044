#include "wire/codec.hpp"

#include <doctest/doctest.h>

#include "random_message.hpp"
#include "wire/frame.hpp"

namespace shoal::wire {
namespace {

MemberRecord member(std::uint64_t number, bool with_info) {
  MemberRecord record{.node = {number, number}, .incarnation = {1, 1}};
  if (with_info) {
    record.info =
        MemberInfo{.address = ipv4(10, 0, 0, 1, 7461), .name = "node-" + std::to_string(number)};
  }
  return record;
}

std::size_t ping_bytes(std::size_t records, bool with_info) {
  Ping ping;
  for (std::size_t i = 0; i < records; ++i) ping.news.push_back(member(i + 10, with_info));
  return encode_message(ping).size();
}

Record record(std::uint64_t key, const Ballot& ballot, std::size_t bytes) {
  return {.key = {1, key}, .version = {ballot, 1}, .value = std::string(bytes, 'v')};
}

}  // namespace

TEST_CASE("codec: every kind of message between nodes arrives as it was sent") {
  Random random(1);
  for (std::size_t kind = 0; kind < std::variant_size_v<Message>; ++kind) {
    for (int round = 0; round < 40; ++round) {
      const Message message = random_message(random, kind);
      const std::string body = encode_message(message);
      const auto decoded = decode_messages(body);
      REQUIRE_MESSAGE(decoded.has_value(), kind, ": ", decoded.error().message);
      REQUIRE_MESSAGE(same(*decoded, {message}), kind);

      REQUIRE(encode_message(decoded->front()) == body);
    }
  }
}

TEST_CASE("codec: every kind of client message arrives as it was sent") {
  Random random(2);
  for (int round = 0; round < 1000; ++round) {
    const ClientMessage message = random_client_message(random);
    const auto bodies = encode_client_messages(std::span(&message, 1));
    REQUIRE(bodies.size() == 1);
    const auto decoded = decode_client_messages(bodies.front());
    REQUIRE_MESSAGE(decoded.has_value(), decoded.error().message);
    REQUIRE(same(*decoded, {message}));
  }
}

TEST_CASE("codec: a result's message beyond its limit is cut, and the rest stays readable") {
  TasksReply reply;
  reply.tasks.emplace_back().result =
      AttemptResult{.exit_status = 127, .message = std::string(9000, 'x')};
  const std::vector<ClientMessage> messages{ClientReply{.id = 4, .last = true, .body = reply}};
  const auto decoded = decode_client_messages(encode_client_messages(messages).front());
  REQUIRE(decoded.has_value());
  const auto& body = std::get<TasksReply>(std::get<ClientReply>(decoded->front()).body);
  REQUIRE(body.tasks.size() == 1);
  REQUIRE(body.tasks.front().result.has_value());
  CHECK(body.tasks.front().result->message == std::string(4096, 'x'));
  CHECK(body.tasks.front().result->exit_status == 127);
}

TEST_CASE("codec: a hello arrives as it was sent, within its limit") {
  Random random(3);
  for (int round = 0; round < 100; ++round) {
    const Hello hello = random_hello(random);
    const std::string body = encode_hello(hello);
    CHECK(body.size() <= kHelloBytesMax);
    const auto decoded = decode_hello(body);
    REQUIRE(decoded.has_value());
    CHECK(same(*decoded, hello));
  }
}

TEST_CASE("codec: many messages share a body, in order, at any alignment") {
  Random random(4);
  std::vector<Message> messages;
  for (std::size_t kind = 0; kind < std::variant_size_v<Message>; ++kind) {
    messages.push_back(random_message(random, kind));
  }
  const auto bodies = encode_messages(messages);
  REQUIRE(bodies.size() == 1);
  for (std::size_t offset = 0; offset < 8; ++offset) {
    const std::string shifted = std::string(offset, 'x') + bodies.front();
    const auto decoded = decode_messages(std::string_view(shifted).substr(offset));
    REQUIRE(decoded.has_value());
    CHECK(same(*decoded, messages));
  }
  CHECK(encode_messages({}).empty());
}

TEST_CASE("codec: what does not fit a frame goes into further bodies, in order") {
  const Ballot ballot{3, {1, 2}};
  std::vector<Message> messages;
  for (std::uint64_t i = 0; i < 40; ++i) {
    WriteItem item{.shard = ShardId{1}, .ballot = ballot, .number = i};
    for (std::uint64_t key = 0; key < 100; ++key) item.records.push_back(record(key, ballot, 500));
    messages.emplace_back(WriteRecords{.items = {item}});
    messages.emplace_back(MemberTable{.records = {member(i, true)}});
  }
  std::vector<Message> decoded;
  const auto bodies = encode_messages(messages);
  CHECK(bodies.size() == 3);
  for (const std::string& body : bodies) {
    CHECK(body.size() <= kFrameBytesMax);
    auto some = decode_messages(body);
    REQUIRE(some.has_value());
    for (Message& message : *some) decoded.push_back(std::move(message));
  }
  CHECK(same(decoded, messages));
}

TEST_CASE("codec: lists without a size hint are split as well") {
  MemberTable table;
  for (std::uint64_t i = 0; i < 3000; ++i) table.records.push_back(member(i, true));
  const std::vector<Message> messages(5, table);
  const auto bodies = encode_messages(messages);
  CHECK(bodies.size() > 1);
  for (const std::string& body : bodies) CHECK(body.size() <= kFrameBytesMax);
}

TEST_CASE("codec: a record in a write costs 40 bytes beside its value, whatever its ballot") {
  const Ballot own{7, {1, 2}}, older{6, {3, 4}};
  const auto bytes = [&](std::size_t records, const Ballot& ballot) {
    WriteItem item{.shard = ShardId{1}, .ballot = own, .config_id = {own, 1}};
    for (std::size_t i = 0; i < records; ++i) item.records.push_back(record(i, ballot, 88));
    return encode_message(WriteRecords{.items = {item}}).size();
  };
  CHECK(bytes(257, own) - bytes(1, own) == 256 * (40 + 88));
  CHECK(bytes(257, older) - bytes(1, older) == 256 * (40 + 88));
  CHECK(bytes(1, own) <= 300);
}

TEST_CASE("codec: a digest entry costs 32 bytes") {
  const auto bytes = [&](std::size_t entries) {
    PromiseItem item{.ballot = {7, {1, 2}}};
    for (std::size_t i = 0; i < entries; ++i) item.digest.push_back({.key = {1, i}});
    return encode_message(Promise{.items = {item}}).size();
  };
  CHECK(bytes(1001) - bytes(1) == 32'000);
}

TEST_CASE("codec: a probe with ten pieces of news fits a datagram") {
  MESSAGE("news without info: " << ping_bytes(11, false) - ping_bytes(10, false)
                                << " B, with info: " << ping_bytes(11, true) - ping_bytes(10, true)
                                << " B, ping alone: " << ping_bytes(0, false) << " B");
  CHECK(kDatagramHeaderBytes + ping_bytes(10, false) <= kDatagramBytesMax);
  CHECK(kDatagramHeaderBytes + ping_bytes(7, true) <= kDatagramBytesMax);
}

}  // namespace shoal::wire
