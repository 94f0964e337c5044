#include "sim/processes.hpp"

#include <doctest/doctest.h>

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kStart{1h};
const AttemptId kAttempt{{JobId{7}, 3}, 1};

task::Launch launch(std::vector<std::string> argv) {
  return {kAttempt, {.argv = std::move(argv), .cpu_millis = 500, .memory_bytes = 1 << 20}};
}

}  // namespace

TEST_CASE("processes: sleep runs as long as it says and leaves its resources") {
  Processes processes({});
  Random random(1);
  const auto ending = processes.launch(kStart, {}, launch({"sleep", "0.5"}), random);
  CHECK(ending.at == kStart + 500ms);
  CHECK(processes.cpu_millis() == 500);
  const auto ended = processes.end(kAttempt, ending.token, {});
  REQUIRE(ended);
  CHECK(ended->result.good());
  CHECK(processes.cpu_millis() == 0);
  CHECK_FALSE(processes.end(kAttempt, ending.token, {}));  // Once only.
}

TEST_CASE("processes: a command's words say how it ends") {
  Random random(1);
  const auto status = [&random](std::vector<std::string> argv) {
    Processes processes({});
    const auto ending = processes.launch(kStart, {}, launch(std::move(argv)), random);
    return processes.end(kAttempt, ending.token, {})->result;
  };
  CHECK(status({"true"}).good());
  CHECK(status({"false"}).exit_status == 1);
  CHECK(status({"exit", "9"}).exit_status == 9);
  CHECK(status({"flaky", "2"}).exit_status == 1);  // This is attempt 1.
  CHECK(status({"missing"}).reason == EndReason::not_found);
}

TEST_CASE("processes: a kill makes the natural end void") {
  Processes processes({});
  Random random(1);
  const auto natural = processes.launch(kStart, {}, launch({"sleep", "10"}), random);
  const auto killed = processes.kill(kStart + 1s, {kAttempt, EndReason::cancelled});
  REQUIRE(killed);
  CHECK_FALSE(processes.end(kAttempt, natural.token, {}));
  const auto ended = processes.end(kAttempt, killed->token, {});
  REQUIRE(ended);
  CHECK(ended->result.reason == EndReason::cancelled);
}

TEST_CASE("processes: a suspended host's processes go on with what was left") {
  Processes processes({});
  Random random(1);
  const auto natural = processes.launch(kStart, {}, launch({"sleep", "10"}), random);
  processes.freeze(kStart + 4s);
  CHECK_FALSE(processes.end(kAttempt, natural.token, {}));
  const auto endings = processes.thaw(kStart + 100s);
  REQUIRE(endings.size() == 1);
  CHECK(endings[0].at == kStart + 106s);
}

TEST_CASE("processes: a timeout ends the process when it passes") {
  Processes processes({});
  Random random(1);
  task::Launch limited = launch({"sleep", "10"});
  limited.spec.timeout = 2s;
  const auto ending = processes.launch(kStart, {}, limited, random);
  CHECK(ending.at == kStart + 2s);
  CHECK(processes.end(kAttempt, ending.token, {})->result.reason == EndReason::timed_out);
}

}  // namespace shoal::sim
