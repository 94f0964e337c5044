// The supervisors of one host and the processes they own: how long a command runs and how it ends,
// told by its argv.
//
//   sleep S        runs S seconds             true, anything else   a seeded duration, exit 0
//   exit N         a seeded duration, exit N  false                 a seeded duration, exit 1
//   flaky N        exit 1 before attempt N    missing               not found, exit 127
//   stubborn S     runs S seconds, ignores SIGTERM
//   poison S       takes its host down after S seconds
//
// Supervisors outlive their node (design, section 9). Whether a node runs or not, a process ends by
// itself, by its timeout, by a kill, or when its supervisor kills it at the end of its lease. What
// ended is kept until the node says that it is settled; a restarted node is told again of all that
// runs and of all that is kept. A supervisor without a node leaves `unattended_max` after its last
// task, and what it kept is gone. When the host is suspended tasks stop and leases run on; when it
// goes on, supervisors come first, so that no task runs beyond its lease.
//
// It holds no calendar: the simulator schedules each Ending that is returned. Times are the
// world's; only `Launch::lease_end` is the host's own clock, and comes translated beside it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "base/random.hpp"
#include "base/time.hpp"
#include "task/process.hpp"

namespace shoal::sim {

struct ProcessOptions {
  Duration duration_mean = std::chrono::milliseconds(100);  // Of commands that do not say.
  Duration kill_delay = std::chrono::milliseconds(2);       // From a kill to the end of the tree.
  // False: as in a container whose first process is the node. Supervisors and tasks die with it,
  // and nothing is kept for the next one.
  bool supervised = true;
  std::uint32_t supervisors = 2;
  Duration report_delay = std::chrono::milliseconds(3);  // From a node's start to their report.
  std::uint32_t report_late_percent = 10;                // These take up to `report_late_max`.
  Duration report_late_max = std::chrono::seconds(2);
  std::uint32_t report_pieces_percent = 30;  // These come in pieces.
  Duration unattended_max = std::chrono::seconds(60);
  // A mutation, for the checkers' own tests: kills are not heard.
  bool deaf = false;
};

// What a host has, or what its processes use.
struct Capacity {
  std::uint64_t cpu_millis = 0;
  std::uint64_t memory_bytes = 0;  // 0: not counted.
};

class Processes {
 public:
  explicit Processes(const ProcessOptions& options) : options_(options) {}

  ProcessOptions& options() { return options_; }
  const ProcessOptions& options() const { return options_; }

  // When due() is to be called. A later Ending of the same attempt makes an earlier one void.
  struct Ending {
    AttemptId attempt;
    std::uint64_t token = 0;
    TimePoint at;
  };
  // Absent: its lease is over, so its supervisor does not start it; reported like one that ended.
  std::optional<Ending> launch(TimePoint now, WallTime wall, const task::Launch& launch,
                               TimePoint lease_end, Random& random);
  void extend(const task::Extend& extend, TimePoint lease_end);
  void settle(const AttemptId& attempt) { kept_.erase(attempt); }
  std::optional<Ending> kill(TimePoint now, const task::Kill& kill);

  struct Due {
    bool ended = false;           // The process tree is gone.
    bool poison = false;          // And it takes the host with it.
    std::optional<Ending> again;  // It has longer to go, or is being killed.
  };
  Due due(TimePoint now, const Ending& ending, WallTime wall);
  // What the node is to hear of an attempt that is over; absent while it waits for its report, and
  // for attempts that run, are settled or unknown.
  std::optional<task::ProcessEnded> take_ended(const AttemptId& attempt);

  // The host is suspended. When it goes on, first its supervisors, then its tasks.
  void freeze(TimePoint now);
  std::vector<Ending> resume_supervisors(TimePoint now);
  std::vector<Ending> thaw(TimePoint now);
  // The host's clock runs at another rate from now on: `world` translates its times.
  template <class Translate>
  std::vector<Ending> reclock(Translate&& world) {
    std::vector<Ending> endings;
    for (auto& [attempt, process] : running_) {
      process.lease_end = world(process.lease_end_local);
      endings.push_back(reschedule(attempt, process));
    }
    return endings;
  }

  // The node's process is gone; without supervisors so are the processes. Returns which ended.
  std::vector<AttemptId> orphan(TimePoint now);
  // The supervisor is gone: its tree is killed, and what it kept nobody hears of any more.
  std::vector<Ending> lose(std::uint32_t supervisor, TimePoint now);
  // The power is gone: all end at once, unheard, and nothing is kept. Returns what ran.
  std::vector<AttemptId> clear();

  // A supervisor's report to a restarted node. First what it holds, then that in pieces: a
  // RecoveredAttempt for what still runs, what ended, or nothing.
  std::vector<AttemptId> held_by(std::uint32_t supervisor, TimePoint now);
  using Reported = std::variant<std::monostate, task::RecoveredAttempt, task::ProcessEnded>;
  Reported report(const AttemptId& attempt);

  task::OutputPiece read(const task::OutputRead& read) const;

  // What the running ones need together.
  std::uint64_t cpu_millis() const { return cpu_millis_; }
  std::uint64_t memory_bytes() const { return memory_bytes_; }
  std::vector<AttemptId> running() const;
  std::size_t kept_count() const { return kept_.size(); }
  bool frozen() const { return frozen_; }

 private:
  struct Process {
    std::uint32_t cpu_millis = 0;
    std::uint64_t memory_bytes = 0;
    ShardId shard{};
    WallTime started;
    TimePoint lease_end_local = kNever;
    TimePoint lease_end = kNever;
    std::uint64_t token = 0;
    TimePoint ends;   // By itself; void while frozen.
    Duration left{};  // While frozen.
    TimePoint killed_at = kNever;
    EndReason kill_reason = EndReason::exited;
    bool stubborn = false;  // Only SIGKILL ends it.
    bool poison = false;
    bool told = true;   // The node that runs knows of it.
    bool lost = false;  // Its supervisor is gone.
    AttemptResult result;
  };
  struct Kept {
    task::ProcessEnded ended;
    bool told = true;
    bool lost = false;  // Not for the next node.
  };
  std::uint32_t supervisor_of(const AttemptId& attempt) const;
  TimePoint next(const Process& process) const;
  Ending reschedule(const AttemptId& attempt, Process& process);

  ProcessOptions options_;
  std::map<AttemptId, Process> running_;
  std::map<AttemptId, Kept> kept_;
  std::map<AttemptId, bool> outputs_;  // Files on this host; true once the attempt is over.
  std::map<std::uint32_t, TimePoint> last_end_;  // By supervisor.
  TimePoint orphaned_at_;
  std::uint64_t cpu_millis_ = 0;
  std::uint64_t memory_bytes_ = 0;
  std::uint64_t token_ = 0;
  bool frozen_ = false;
  bool supervisors_frozen_ = false;
};

}  // namespace shoal::sim
