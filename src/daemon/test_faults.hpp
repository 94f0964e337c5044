// Faults that a node plays on itself: clocks that are wrong, a disk that is slow or read-only. Only
// a node that was started for tests has any, and it says so in its log.
//
// SHOAL_TEST_FAULTS names a folder; the node looks at two files there, again and again:
//
//   NAME.clock   wall_ms N       the wall clock is off by so much; it may be negative
//                every_ms N      it jumps there and back that often; 0: it stays there
//                percent N       the boot-time clock runs faster by so much; negative: slower
//   NAME.disk    sync_ms N       each sync takes so much longer
//                read_only N     1: each sync fails
//
// Words and numbers, parted by white space; a missing file or word stands for 0. What the boot-time
// clock has gained it keeps, since it never jumps. Supervisors go by the machine's clock: leases
// are translated on their way to and from them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "daemon/effect_order.hpp"
#include "shoal/result.hpp"
#include "store/commit_writer.hpp"
#include "task/process.hpp"

namespace shoal::daemon {

// The clock of a node under test; the loop's thread alone uses it.
class TestClock {
 public:
  explicit TestClock(std::filesystem::path file) : file_(std::move(file)) {}  // Empty: none.

  // What the node takes the time to be.
  Now now(Now machine);
  TimePoint to_machine(TimePoint node) const { return shifted(node, -gained_); }
  TimePoint to_node(TimePoint machine) const { return shifted(machine, gained_); }
  void to_node(std::vector<task::RecoveredAttempt>& attempts) const;

 private:
  static TimePoint shifted(TimePoint time, Duration by) {
    return time == kNever ? time : time + by;
  }
  void look();

  std::filesystem::path file_;
  TimePoint looked_;  // By the machine's clock, as is `last_`.
  TimePoint last_;
  Duration gained_{0};
  Duration wall_offset_{0};
  Duration every_{0};
  std::int64_t percent_ = 0;
};

struct TestFaults {
  std::filesystem::path clock;  // Empty: the node was not started for tests.
  std::filesystem::path disk;
};
// From the environment; logs that there are any.
TestFaults test_faults_of(const std::string& node);

// The same with what `file` says done to each sync.
store::CommitWriter::Commit with_test_disk(const std::filesystem::path& file,
                                           store::CommitWriter::Commit commit);

}  // namespace shoal::daemon
