// The node's side of execution: hands launches to supervisors, and what they tell to the node.
//
// A launch goes to the supervisor with the fewest running attempts. Every launch is answered by
// exactly one ProcessEnded, always from the loop and never from within launch().
//
// Recovery. Supervisors outlive the node's process. start() finds those that a former one left in
// the data folder, and asks each what it runs and what has ended. They are given nothing new,
// whatever build they are of (there is one path for a crash, a restart and an upgrade), and quit
// when nothing of theirs runs and all they told is settled. `on_recovery_complete` comes once each
// has answered or is gone with its whole tree.
//
// A supervisor that is dead, or leaves a hello or ping unanswered for about `answer_max`, is
// killed, and its whole tree is (tree_sweep.hpp); then its attempts are reported as node_stopped,
// and another one is started in the place of one of our own (at most one a second for each that
// does not last). A tree that cannot be killed within kSweepMax is given up: it is blocked in the
// kernel.
//
// Limits: the executor holds as many attempts as it is given; their number is the node's to limit.
// Of one supervisor at most kUnsettledBytesMax of results stay unsettled: beyond that the oldest
// are taken for settled, and a successor will not hear of them again.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "exec/output_files.hpp"
#include "exec/supervisor.hpp"
#include "shoal/id.hpp"
#include "shoal/result.hpp"
#include "task/process.hpp"

namespace asio {
class io_context;
}

namespace shoal::exec {

inline constexpr std::size_t kUnsettledBytesMax = 64 * 1024 * 1024;
inline constexpr std::chrono::seconds kSweepMax{10};

struct ExecutorConfig {
  NodeId node;
  SpawnConfig supervisors;  // Those that are started later are started alike.
  // Long: a supervisor may wait for a disk, and leases are guarded meanwhile (lease_guard.hpp).
  // Until then nothing of a former one that hangs is known to be over.
  std::chrono::milliseconds answer_max{15'000};
};

class Executor {
 public:
  // All are called from the loop.
  struct Events {
    std::function<void(task::ProcessEnded)> on_ended;
    std::function<void(std::vector<task::RecoveredAttempt>)> on_recovered;
    std::function<void()> on_recovery_complete;  // Once.
  };

  // `io_context` outlives the executor, which is used from its loop alone.
  Executor(asio::io_context& io_context, ExecutorConfig config, Events events);
  ~Executor();  // As leave().
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // Takes over the supervisors that were just started, and looks for former ones. Call it once,
  // first. REQUIRES: this process holds the data folder's lock.
  Result<void> start(std::vector<StartedSupervisor> supervisors);

  // REQUIRES: this attempt was neither launched nor recovered here before.
  void launch(const task::Launch& launch);
  void kill(const task::Kill& kill);        // Unknown attempts are ignored,
  void extend(const task::Extend& extend);  // here
  void settled(const AttemptId& attempt);   // and here.
  task::OutputPiece read_output(const task::OutputRead& request) const;

  // Nothing that was said waits to be written.
  bool idle() const;
  // Supervisors with nothing to run or to tell quit; call it before leave(), and let it be written.
  // REQUIRES: nothing is launched any more.
  void dismiss_idle();
  // The tasks stay with their supervisors. Nothing is reported after it.
  void leave();
  // Ends all supervisors and tasks, and waits for that (a few seconds at most, see
  // end_supervisors()). Nothing is reported after it.
  void end_all();

  std::size_t running() const;      // Attempts launched or recovered, and not yet reported.
  std::size_t supervisors() const;  // Those that take launches.
  std::size_t former() const;       // Those of former processes that are still there.
  OutputFiles& output_files();

 private:
  class State;
  std::shared_ptr<State> state_;
};

}  // namespace shoal::exec
