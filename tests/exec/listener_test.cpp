// Whom a supervisor listens to: its socket under friendly and hostile hands.
#include <doctest/doctest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>

#include "base/random.hpp"
#include "exec/build_id.hpp"
#include "exec/descriptor.hpp"
#include "exec/protocol.hpp"
#include "node_side.hpp"

namespace shoal::exec {

using namespace std::chrono_literals;

namespace {

// A connection to the node's only supervisor, made by hand.
class Caller {
 public:
  explicit Caller(const NodeSide& node) {
    const auto folder = SupervisorFolder::open(node.folder);
    REQUIRE(folder);
    const auto socket = folder->connect(node.listed().front());
    REQUIRE(socket);
    socket_ = Descriptor(*socket);
  }

  void say_bytes(std::string_view bytes) {
    const ssize_t count = send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    CHECK(count == static_cast<ssize_t>(bytes.size()));
  }
  void say(const Message& message) {
    std::string bytes;
    REQUIRE(append_frame(bytes, message));
    say_bytes(bytes);
  }

  // The next message; absent when the other side has closed.
  std::optional<Message> hear() {
    while (true) {
      auto message = decoder_.next();
      REQUIRE(message);
      if (*message) return std::move(*message);
      pollfd entry{.fd = socket_.get(), .events = POLLIN, .revents = 0};
      REQUIRE(poll(&entry, 1, 5000) == 1);
      std::array<char, 4096> buffer;
      const ssize_t count = recv(socket_.get(), buffer.data(), buffer.size(), 0);
      if (count <= 0) return std::nullopt;
      decoder_.feed({buffer.data(), static_cast<std::size_t>(count)});
    }
  }

  // All up to `reported`.
  std::vector<Message> hear_report() {
    std::vector<Message> report;
    while (true) {
      auto message = hear();
      REQUIRE(message);
      report.push_back(std::move(*message));
      if (std::holds_alternative<ReportedMessage>(report.back())) return report;
    }
  }

 private:
  Descriptor socket_;
  Decoder decoder_;
};

LaunchMessage sleeper(std::uint32_t index) {
  return {.attempt = NodeSide::attempt(index),
          .output_bytes_max = 1000,
          .working_folder = "/",
          .output_files = {"/dev/null", "/dev/null"},
          .argv = {"sleep", "60"},
          .environment = {}};
}

// Ends the node so that its supervisor is free for others.
void free_supervisor(NodeSide& node) {
  REQUIRE(node.run_until([&] { return node.recovery_complete && node.executor->idle(); }));
  node.run_for(50ms);
  node.crash();
}

}  // namespace

TEST_CASE("listener: hello is answered by a welcome, the report and its end, in this order") {
  NodeSide node;
  free_supervisor(node);
  Caller caller(node);
  caller.say(HelloMessage{.build = "x"});
  caller.say(sleeper(1));
  caller.say(PingMessage{77});
  auto report = caller.hear_report();
  REQUIRE(report.size() == 2);
  const auto& welcome = std::get<WelcomeMessage>(report[0]);
  CHECK(welcome.protocol == kProtocol);
  CHECK_FALSE(welcome.build.empty());
  CHECK_FALSE(welcome.grouping.empty());
  CHECK(caller.hear() == std::optional<Message>(PongMessage{77}));
  Caller next(node);
  next.say(HelloMessage{});
  report = next.hear_report();
  REQUIRE(report.size() == 3);
  CHECK(std::get<RunningMessage>(report[1]).running.attempt == NodeSide::attempt(1));
}

TEST_CASE("listener: the newest to say hello is heard alone, and the one before is hung up on") {
  NodeSide node;
  free_supervisor(node);
  Caller first(node);
  first.say(HelloMessage{});
  first.hear_report();
  Caller second(node);
  second.say(HelloMessage{});
  second.hear_report();
  CHECK_FALSE(first.hear().has_value());
  second.say(PingMessage{1});
  CHECK(second.hear().has_value());
}

TEST_CASE("listener: what the one before had sent and was not read is as if never said") {
  NodeSide node;
  free_supervisor(node);
  Caller first(node);
  first.say(HelloMessage{});
  first.hear_report();
  const pid_t supervisor = node.supervisor_pids.front();
  kill(supervisor, SIGSTOP);
  first.say(sleeper(5));
  Caller second(node);
  second.say(HelloMessage{});
  usleep(20'000);
  kill(supervisor, SIGCONT);
  // Accepted before it is heard, the second one is a stranger for one turn: the launch may be
  // obeyed before its hello, and is reported then; or not at all. Never in between.
  const auto report = second.hear_report();
  const bool reported = report.size() == 3;
  Caller third(node);
  third.say(HelloMessage{});
  CHECK(third.hear_report().size() == (reported ? 3 : 2));
}

TEST_CASE("listener: who speaks without hello, or garbage, is hung up on, and tasks run on") {
  NodeSide node;
  const AttemptId id = node.launch({.argv = {"sh", "-c", "sleep 1; echo fine"}});
  REQUIRE(node.run_until([&] { return node.recovery_complete; }));
  Random random(7);
  for (int round = 0; round < 60; ++round) {
    Caller stranger(node);
    if (round % 3 == 0) {
      stranger.say(QuitMessage{});
    } else {
      std::string noise(1 + random.below(200), '\0');
      for (char& each : noise) each = static_cast<char>(random.below(256));
      noise[3] = '\x7f';  // A length beyond every limit, so that it is garbage for sure.
      if (noise.size() < 5) noise.resize(5);
      stranger.say_bytes(noise);
    }
    CHECK_FALSE(stranger.hear().has_value());
  }
  REQUIRE(node.run_until([&] { return node.ended.contains(id); }));
  CHECK(node.ended.at(id).result.good());
}

TEST_CASE("listener: silent strangers keep nobody out") {
  NodeSide node;
  std::vector<std::unique_ptr<Caller>> silent;
  for (int i = 0; i < 12; ++i) {
    silent.push_back(std::make_unique<Caller>(node));
    node.run_for(10ms);
  }
  CHECK(node.shell("echo on").tails[0] == "on\n");
  free_supervisor(node);
  Caller caller(node);
  caller.say(HelloMessage{});
  CHECK(caller.hear_report().size() >= 2);
}

TEST_CASE("listener: a node that sends garbage is dropped, its tasks are found by the next one") {
  NodeSide node;
  free_supervisor(node);
  Caller caller(node);
  caller.say(HelloMessage{});
  caller.hear_report();
  caller.say(sleeper(9));
  caller.say(PingMessage{1});
  CHECK(caller.hear().has_value());
  caller.say_bytes("\xff\xff\xff\xff garbage");
  CHECK_FALSE(caller.hear().has_value());
  node.begin();
  REQUIRE(node.run_until([&] { return node.recovery_complete; }));
  CHECK(node.recovered.contains(NodeSide::attempt(9)));
}

TEST_CASE("listener: a launch that comes twice runs once") {
  NodeSide node;
  free_supervisor(node);
  Caller caller(node);
  caller.say(HelloMessage{});
  caller.hear_report();
  LaunchMessage launch = sleeper(3);
  launch.argv = {"sh", "-c", "echo once >> " + node.folder + "/count; sleep 0.2"};
  caller.say(launch);
  caller.say(launch);
  const auto ended = caller.hear();
  REQUIRE(ended);
  CHECK(std::get<EndedMessage>(*ended).result.good());
  caller.say(launch);  // Not settled: it is not forgotten.
  caller.say(PingMessage{1});
  CHECK(caller.hear() == std::optional<Message>(PongMessage{1}));
  CHECK(read_whole(node.folder + "/count") == "once\n");
}

TEST_CASE("listener: after quit nothing is left by the time it hangs up") {
  NodeSide node;
  free_supervisor(node);
  const pid_t supervisor = node.supervisor_pids.front();
  Caller caller(node);
  caller.say(HelloMessage{});
  caller.hear_report();
  caller.say(sleeper(1));
  caller.say(QuitMessage{});
  while (caller.hear().has_value()) {
  }
  CHECK(node.listed().empty());
  CHECK(eventually([&] { return !runs(supervisor); }, 2s));
}

TEST_CASE("listener: another program's supervisor folder is private to its owner") {
  NodeSide node;
  const auto status = std::filesystem::status(node.folder + "/supervisors");
  CHECK((status.permissions() &
         (std::filesystem::perms::group_all | std::filesystem::perms::others_all)) ==
        std::filesystem::perms::none);
}

TEST_CASE("listener: a data folder with a path longer than a socket's address works") {
  std::string pattern = "/tmp/shoal-exec-XXXXXX";
  REQUIRE(mkdtemp(pattern.data()) != nullptr);
  const std::string folder = pattern + "/" + std::string(120, 'd') + "/" + std::string(120, 'e');
  const auto started =
      spawn_supervisors({.data_folder = folder, .program = SHOAL_SUPERVISOR_PROGRAM, .count = 1});
  REQUIRE(started);
  const auto supervisors = SupervisorFolder::open(folder);
  REQUIRE(supervisors);
  CHECK(eventually([&] { return supervisors->facts(started->front().id).has_value(); }));
  CHECK(end_supervisors(folder, 5s));
  CHECK(supervisors->ids().empty());
  std::filesystem::remove_all(pattern);
}

}  // namespace shoal::exec
