#include "exec/protocol.hpp"

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "base/random.hpp"
#include "exec/supervisor.hpp"

namespace shoal::exec {
namespace {

const LaunchMessage kLaunch{.launch = 7,
                            .timeout = std::chrono::milliseconds(1500),
                            .output_bytes_max = 1 << 20,
                            .scratch = true,
                            .working_folder = "/scratch/1",
                            .stdin_file = "input",
                            .output_files = {"a.out", "a.err"},
                            .argv = {"echo", "", std::string("\0\xff", 2)},
                            .environment = {"A=1", "B="}};

EndedMessage ended_message() {
  EndedMessage message{.launch = 9, .result = {}, .tails = {"tail", std::string(20'000, 'x')}};
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

std::string frames() {
  std::string bytes;
  REQUIRE(append_frame(bytes, kLaunch));
  REQUIRE(append_frame(bytes, KillMessage{.launch = 8,
                                          .reason = EndReason::cancelled,
                                          .grace = std::chrono::milliseconds(5)}));
  REQUIRE(append_frame(bytes, ended_message()));
  return bytes;
}

}  // namespace

TEST_CASE("protocol: messages survive the way, however the stream is cut") {
  const std::string bytes = frames();
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{4096}, bytes.size()}) {
    Decoder decoder;
    std::vector<Message> messages;
    for (std::size_t at = 0; at < bytes.size(); at += step) {
      decoder.feed(std::string_view(bytes).substr(at, step));
      while (true) {
        auto message = decoder.next();
        REQUIRE(message);
        if (!*message) break;
        messages.push_back(std::move(**message));
      }
    }
    REQUIRE(messages.size() == 3);
    CHECK(std::get<LaunchMessage>(messages[0]) == kLaunch);
    CHECK(std::get<KillMessage>(messages[1]).grace.count() == 5);
    CHECK(std::get<EndedMessage>(messages[2]) == ended_message());
  }
}

TEST_CASE("protocol: a message that is too long is refused, and nothing is written") {
  LaunchMessage message = kLaunch;
  message.argv.assign(1, std::string(kFrameBytesMax, 'x'));
  std::string bytes = "before";
  const auto appended = append_frame(bytes, message);
  REQUIRE_FALSE(appended);
  CHECK(appended.error().code == ErrorCode::bad_input);
  CHECK(bytes == "before");
}

TEST_CASE("protocol: damaged bytes give an error or other values, never a crash") {
  const std::string good = frames();
  Random random(42);
  std::size_t errors = 0;
  for (int round = 0; round < 5000; ++round) {
    std::string bytes = good;
    for (std::uint64_t i = 0; i <= random.below(4); ++i) {
      bytes[random.below(400)] = static_cast<char>(random.below(256));
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
  CHECK_FALSE(decoder.next());  // Broken for good.
}

TEST_CASE("protocol: a supervisor that is sent garbage ends its tasks and exits") {
  const auto handles = spawn_supervisors(1, SHOAL_SUPERVISOR_PROGRAM);
  REQUIRE(handles);
  const SupervisorHandle handle = handles->front();
  std::string bytes;
  LaunchMessage launch = kLaunch;
  launch.scratch = false;
  launch.working_folder = "/";
  launch.stdin_file.clear();
  launch.argv = {"sleep", "60"};
  REQUIRE(append_frame(bytes, launch));
  bytes += "garbage that is no frame at all";
  REQUIRE(write(handle.socket, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  pollfd entry{.fd = handle.socket, .events = POLLIN, .revents = 0};
  CHECK(poll(&entry, 1, 5000) == 1);  // End of file.
  int status = -1;
  CHECK(waitpid(handle.pid, &status, 0) == handle.pid);
  CHECK(status == 0);
  close(handle.socket);
}

}  // namespace shoal::exec
