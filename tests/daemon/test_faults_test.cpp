// Clocks and disks that a node is told to be wrong.
#include "daemon/test_faults.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <fstream>

namespace shoal::daemon {
namespace {

using namespace std::chrono_literals;

// A file that is gone afterwards.
class File {
 public:
  explicit File(const std::string& name)
      : path_(std::filesystem::temp_directory_path() / (name + "-" + std::to_string(::getpid()))) {}
  ~File() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  void write(const std::string& words) { std::ofstream(path_, std::ios::trunc) << words; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

Now machine_at(Duration since_boot) {
  return {.steady = TimePoint(since_boot), .wall = WallTime(1'000'000s)};
}

}  // namespace

TEST_CASE("test faults: without a file, or with an empty one, the clocks are the machine's") {
  TestClock none({});
  CHECK(none.now(machine_at(5s)).steady == TimePoint(5s));
  File file("clock-none");
  TestClock clock(file.path());
  CHECK(clock.now(machine_at(5s)).wall == WallTime(1'000'000s));
  CHECK(clock.now(machine_at(6s)).steady == TimePoint(6s));
}

TEST_CASE("test faults: the wall clock is off, jumps there and back, and is right again") {
  File file("clock-wall");
  TestClock clock(file.path());
  file.write("wall_ms -90000 every_ms 0");
  CHECK(clock.now(machine_at(10s)).wall == WallTime(1'000'000s - 90s));
  CHECK(clock.now(machine_at(10s)).steady == TimePoint(10s));
  file.write("wall_ms 60000 every_ms 500");
  CHECK(clock.now(machine_at(11s)).wall == WallTime(1'000'060s));
  CHECK(clock.now(machine_at(11s + 600ms)).wall == WallTime(1'000'000s));
  CHECK(clock.now(machine_at(12s + 100ms)).wall == WallTime(1'000'060s));
  file.write("");
  CHECK(clock.now(machine_at(13s)).wall == WallTime(1'000'000s));
}

TEST_CASE("test faults: a boot-time clock that drifts never jumps, and leases are translated") {
  File file("clock-boot");
  TestClock clock(file.path());
  CHECK(clock.now(machine_at(100s)).steady == TimePoint(100s));
  file.write("percent 4");
  CHECK(clock.now(machine_at(110s)).steady == TimePoint(110s + 400ms));
  file.write("");
  CHECK(clock.now(machine_at(120s)).steady == TimePoint(120s + 400ms));
  CHECK(clock.to_machine(TimePoint(125s)) == TimePoint(125s - 400ms));
  CHECK(clock.to_machine(kNever) == kNever);
  std::vector<task::RecoveredAttempt> attempts(1);
  attempts.front().lease_end = TimePoint(125s);
  clock.to_node(attempts);
  CHECK(attempts.front().lease_end == TimePoint(125s + 400ms));
}

TEST_CASE("test faults: a read-only disk takes no write until it is mended") {
  File file("disk");
  int writes = 0;
  const auto commit = with_test_disk(file.path(), [&](auto) -> Result<void> {
    ++writes;
    return {};
  });
  CHECK(commit({}));
  file.write("read_only 1");
  const auto refused = commit({});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("read-only") != std::string::npos);
  file.write("sync_ms 30");
  const auto began = std::chrono::steady_clock::now();
  CHECK(commit({}));
  CHECK(std::chrono::steady_clock::now() - began >= 30ms);
  CHECK(writes == 2);
}

}  // namespace shoal::daemon
