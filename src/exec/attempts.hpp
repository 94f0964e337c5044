// The attempts of one supervisor: children, their output, their limits and their ends.
//
// 1. Every launch is answered with exactly one `ended`, after nothing of its tree runs (what can be
//    missed stands in control_groups.hpp and process_tree.hpp). A process that cannot be killed
//    (blocked in the kernel) delays it.
// 2. An attempt ends with its first process: what that leaves behind in the background is killed.
// 3. At the end of its lease the whole tree is killed at once, for the reason node_stopped.
// 4. An attempt's first process is killed by the kernel if the supervisor itself dies.
//
// A kill with grace sends SIGTERM to the process group; after the grace, or as soon as the first
// process ends, the rest of the tree gets SIGKILL. Timeouts have a grace of kTimeoutGrace.
//
// cpu_time and memory_bytes_peak are those of the first process and of the children that it waited
// for (wait4(2)). The kernel counts the memory of the supervisor at the time of the start as the
// least peak.
//
// The caller polls what watch() asks for, and then calls the rest once each, in the order in which
// they are declared.
#pragma once

#include <poll.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <array>
#include <chrono>
#include <expected>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "exec/capture.hpp"
#include "exec/child.hpp"
#include "exec/control_groups.hpp"
#include "exec/lease_guard.hpp"
#include "exec/process_tree.hpp"
#include "exec/protocol.hpp"

namespace shoal::exec {

inline constexpr std::chrono::milliseconds kTimeoutGrace{2000};

class Attempts {
 public:
  using SteadyTime = std::chrono::steady_clock::time_point;
  using OnEnded = std::function<void(EndedMessage)>;
  static constexpr SteadyTime kNoTime = SteadyTime::max();

  // `mark` is added to each child's environment. REQUIRES: prepare_for_children() was called.
  Attempts(ControlGroups& groups, std::string mark, OnEnded on_ended);

  void launch(const LaunchMessage& message);
  void kill(const KillMessage& message);      // Unknown attempts are ignored,
  void extend(const ExtendMessage& message);  // here as well; leases only grow.

  bool empty() const { return tasks_.empty(); }
  bool contains(const AttemptId& attempt) const { return tasks_.contains(attempt); }
  std::vector<RunningMessage> running() const;

  void watch(std::vector<pollfd>& set);
  SteadyTime wake_at() const;
  void pump(std::span<const pollfd> set);
  void collect_ends();  // After a SIGCHLD.
  void enforce_deadlines();
  void settle();  // Answers every launch whose tree is gone.

  // Kills every tree and waits for its end, at most kEndAllMax. Nothing is answered.
  void end_all();

 private:
  struct Task {
    pid_t pid = -1;
    RunningMessage about;
    Marks marks;
    std::optional<TaskGroup> group;
    std::array<Capture, 2> streams;
    std::string scratch;  // To be removed if empty; or nothing.
    SteadyTime timeout_at = kNoTime;
    SteadyTime kill_at = kNoTime;         // SIGKILL follows SIGTERM.
    std::optional<EndReason> killed_for;  // Somebody here ends it.
    bool over = false;                    // Its first process is collected; `result` is complete.
    bool tree_remains = false;            // It is over, but some of its tree may still run.
    int ownerless_checks = 0;
    AttemptResult result;
  };

  std::expected<pid_t, StartFailure> start(Task& task, const LaunchMessage& message);
  void refuse(const AttemptId& attempt, Task task, StartFailure failure);
  void begin_kill(Task& task, EndReason reason, std::chrono::milliseconds grace);
  static void kill_tree(Task& task);
  void on_first_process_ended(Task& task, int status, const rusage& usage, bool lease_over);
  void explain(Task& task, bool lease_over);
  void kill_remains();
  void kill_orphans();
  Task* owner_of(pid_t orphan);
  void finish(const AttemptId& attempt, Task& task);

  ControlGroups& groups_;
  std::string mark_;
  OnEnded on_ended_;
  LeaseGuard guard_;
  std::map<AttemptId, Task> tasks_;
  std::unordered_map<pid_t, AttemptId> first_processes_;  // Not yet collected ones.
  std::size_t over_count_ = 0;                            // Tasks that are over but not settled.
  SteadyTime remains_check_at_ = kNoTime;
  std::chrono::milliseconds remains_check_interval_{1};
  ChildList children_;
  std::size_t first_stream_ = 0;          // Its place in the set that is polled.
  std::vector<Capture*> polled_streams_;  // The streams from there on.
  std::vector<char> buffer_;
};

}  // namespace shoal::exec
