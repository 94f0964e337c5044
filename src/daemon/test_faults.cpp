#include "daemon/test_faults.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <thread>
#include <utility>

#include "base/log.hpp"

namespace shoal::daemon {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kLookEvery{20};
constexpr std::int64_t kPercentMax = 50;  // The clock goes on, whatever the file says.

std::map<std::string, std::int64_t> read_words(const fs::path& path) {
  std::map<std::string, std::int64_t> words;
  std::ifstream file(path);
  std::string word;
  for (std::int64_t value = 0; file >> word >> value;) words[word] = value;
  return words;
}

}  // namespace

Now TestClock::now(Now machine) {
  if (file_.empty()) return machine;
  if (machine.steady - looked_ >= kLookEvery) {
    looked_ = machine.steady;
    look();
  }
  if (last_ != TimePoint{}) gained_ += (machine.steady - last_) / 100 * percent_;
  last_ = machine.steady;
  const bool there =
      every_ <= Duration::zero() || machine.steady.time_since_epoch() / every_ % 2 == 0;
  if (there) machine.wall += std::chrono::floor<WallTime::duration>(wall_offset_);
  machine.steady = to_node(machine.steady);
  return machine;
}

void TestClock::to_node(std::vector<task::RecoveredAttempt>& attempts) const {
  for (task::RecoveredAttempt& each : attempts) each.lease_end = to_node(each.lease_end);
}

void TestClock::look() {
  auto words = read_words(file_);
  wall_offset_ = std::chrono::milliseconds(words["wall_ms"]);
  every_ = std::chrono::milliseconds(words["every_ms"]);
  percent_ = std::clamp(words["percent"], -kPercentMax, kPercentMax);
}

TestFaults test_faults_of(const std::string& node) {
  const char* folder = std::getenv("SHOAL_TEST_FAULTS");
  if (folder == nullptr || *folder == 0) return {};
  log::warn("daemon",
            "this node was started for tests: its clocks and its disk are as bad as {}/{}.clock "
            "and .disk say (SHOAL_TEST_FAULTS)",
            folder, node);
  return {.clock = fs::path(folder) / (node + ".clock"),
          .disk = fs::path(folder) / (node + ".disk")};
}

store::CommitWriter::Commit with_test_disk(const fs::path& file,
                                           store::CommitWriter::Commit commit) {
  if (file.empty()) return commit;
  return [file, commit = std::move(commit)](
             std::span<const std::vector<wire::Write>> batches) -> Result<void> {
    auto words = read_words(file);
    std::this_thread::sleep_for(std::chrono::milliseconds(words["sync_ms"]));
    if (words["read_only"] == 0) return commit(batches);
    return fail(ErrorCode::io, "the disk is read-only, says " + file.string());
  };
}

}  // namespace shoal::daemon
