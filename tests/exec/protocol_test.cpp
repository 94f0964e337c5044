#include "exec/protocol.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/random.hpp"

namespace shoal::exec {
namespace {

const AttemptId kAttempt{.task = {.job = {0x0102030405060708}, .index = 9}, .number = 3};
const TimePoint kMoment{std::chrono::nanoseconds(1'234'567'890'123)};

LaunchMessage launch_message() {
  return {.attempt = kAttempt,
          .shard = ShardId{77},
          .cpu_millis = 1500,
          .memory_bytes = 1ULL << 33,
          .lease_end = kMoment,
          .timeout = std::chrono::milliseconds(1500),
          .output_bytes_max = 1 << 20,
          .scratch = true,
          .working_folder = "/scratch/1",
          .stdin_file = "input",
          .output_files = {"a.out", "a.err"},
          .argv = {"echo", "", std::string("\0\xff", 2)},
          .environment = {"A=1", "B="}};
}

EndedMessage ended_message() {
  EndedMessage message{
      .attempt = kAttempt, .result = {}, .tails = {"tail", std::string(16'384, 'x')}};
  message.result.reason = EndReason::signalled;
  message.result.exit_status = 137;
  message.result.signal = 9;
  message.result.started = WallTime(std::chrono::milliseconds(1'700'000'000'123));
  message.result.ended = WallTime(std::chrono::milliseconds(1'700'000'000'456));
  message.result.cpu_time = std::chrono::microseconds(12'345);
  message.result.memory_bytes_peak = 1 << 30;
  message.result.output_bytes = {4, 20'000};
  message.result.output_capped = {false, true};
  message.result.message = "why";
  return message;
}

// One of each kind.
std::vector<Message> messages() {
  return {HelloMessage{.build = "abc"},
          launch_message(),
          KillMessage{.attempt = kAttempt,
                      .reason = EndReason::cancelled,
                      .grace = std::chrono::milliseconds(5)},
          ExtendMessage{.attempt = kAttempt, .lease_end = kNever},
          SettledMessage{kAttempt},
          PingMessage{41},
          QuitMessage{},
          WelcomeMessage{.protocol = 4, .build = "def", .grouping = "none"},
          RunningMessage{{.attempt = kAttempt,
                          .shard = ShardId{3},
                          .cpu_millis = 250,
                          .memory_bytes = 1024,
                          .started = WallTime(std::chrono::milliseconds(99)),
                          .lease_end = kMoment}},
          ended_message(),
          ReportedMessage{},
          PongMessage{42}};
}

std::string frames() {
  std::string bytes;
  for (const Message& message : messages()) REQUIRE(append_frame(bytes, message));
  return bytes;
}

std::string frame_of(const Message& message) {
  std::string bytes;
  REQUIRE(append_frame(bytes, message));
  return bytes;
}

// The only message in these bytes, if they hold one.
std::optional<Message> decoded(const std::string& bytes) {
  Decoder decoder;
  decoder.feed(bytes);
  auto message = decoder.next();
  REQUIRE(message);
  return std::move(*message);
}

}  // namespace

TEST_CASE("protocol: messages survive the way, however the stream is cut") {
  const std::string bytes = frames();
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{4096}, bytes.size()}) {
    Decoder decoder;
    std::vector<Message> arrived;
    for (std::size_t at = 0; at < bytes.size(); at += step) {
      decoder.feed(std::string_view(bytes).substr(at, step));
      while (true) {
        auto message = decoder.next();
        REQUIRE(message);
        if (!*message) break;
        arrived.push_back(std::move(**message));
      }
    }
    CHECK(arrived == messages());
  }
}

TEST_CASE("protocol: a message that is too long is refused, and nothing is written") {
  LaunchMessage message = launch_message();
  message.argv.assign(1, std::string(kFrameBytesMax, 'x'));
  std::string bytes = "before";
  const auto appended = append_frame(bytes, message);
  REQUIRE_FALSE(appended);
  CHECK(appended.error().code == ErrorCode::bad_input);
  CHECK(bytes == "before");
}

TEST_CASE("protocol: what a newer build adds at the end of a body is passed over") {
  for (const Message& message : messages()) {
    std::string bytes = frame_of(message) + "more";
    bytes[0] = static_cast<char>(bytes[0] + 4);
    if (static_cast<unsigned char>(bytes[0]) < 4) ++bytes[1];  // The carry.
    CHECK(decoded(bytes) == message);
  }
}

TEST_CASE("protocol: a type that is not known is passed over, with what is behind it kept") {
  std::string bytes{"\x03\x00\x00\x00\xc8?!", 7};
  CHECK_FALSE(decoded(bytes).has_value());
  bytes += frame_of(PongMessage{5});
  CHECK(decoded(bytes) == Message(PongMessage{5}));
}

TEST_CASE("protocol: a reason that is not known is never held against the task") {
  EndedMessage message = ended_message();
  message.result.reason = EndReason{200};
  const auto arrived = decoded(frame_of(message));
  REQUIRE(arrived);
  CHECK(std::get<EndedMessage>(*arrived).result.reason == EndReason::node_stopped);
}

TEST_CASE("protocol: a body that ends early is an error, of every kind and at every place") {
  for (const Message& message : messages()) {
    const std::string whole = frame_of(message);
    const std::size_t body = whole.size() - 4;
    for (std::size_t length = 0; length < std::min<std::size_t>(body, 300); ++length) {
      std::string bytes = whole.substr(0, 4 + length);
      bytes[0] = static_cast<char>(length);
      bytes[1] = static_cast<char>(length >> 8);
      bytes[2] = bytes[3] = 0;
      Decoder decoder;
      decoder.feed(bytes);
      CHECK_FALSE(decoder.next());
      decoder.feed(frames());
      CHECK_FALSE(decoder.next());  // Broken for good.
    }
  }
}

TEST_CASE("protocol: damaged bytes give an error or other values, never a crash") {
  const std::string good = frames();
  Random random(42);
  std::size_t errors = 0;
  for (int round = 0; round < 5000; ++round) {
    std::string bytes = good;
    for (std::uint64_t i = 0; i <= random.below(4); ++i) {
      bytes[random.below(700)] = static_cast<char>(random.below(256));
    }
    if (random.below(4) == 0) bytes.resize(random.below(bytes.size()));
    Decoder decoder;
    decoder.feed(bytes);
    while (true) {
      const auto message = decoder.next();
      if (!message) ++errors;
      if (!message || !*message) break;
    }
  }
  CHECK(errors > 100);
}

TEST_CASE("protocol: an announced length beyond the limit is an error before anything is kept") {
  Decoder decoder;
  decoder.feed("\xff\xff\xff\x7f");
  CHECK_FALSE(decoder.next());
  decoder.feed(frames());
  CHECK_FALSE(decoder.next());
}

}  // namespace shoal::exec
