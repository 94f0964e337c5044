// The executing node: runs attempts within its capacity, keeps their leases alive, and pulls work
// when it has room. How attempts ended is told by node/reports.hpp, leases by node/renewals.hpp.
//
// Invariants: 1. attempts started by this process never need more than the capacity. 2. unstarted
// grants never need more than one capacity again: what is asked for is bounded by it. 3. an attempt
// whose lease has run out here is ended before its owner may grant it again; its supervisor does so
// first, whatever becomes of this process (hole 14). 4. nothing is started from a transfer that a
// renewal has called closed, and nothing at all before each supervisor of a former process of this
// node has answered. A grant that was not started within kUnstartedMax is given back; until a short
// attempt shows that work flows again, nothing is taken in advance.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "node/context.hpp"
#include "node/renewals.hpp"
#include "node/reports.hpp"
#include "scheduling/lease.hpp"
#include "scheduling/pull_policy.hpp"
#include "scheduling/resources.hpp"

namespace shoal::node {

inline constexpr Duration kUnstartedMax = std::chrono::seconds(1);
inline constexpr std::size_t kRunningMax = 4096;
inline constexpr Duration kShortAttempt = std::chrono::seconds(1);
inline constexpr std::chrono::milliseconds kStopGrace{2000};
inline constexpr Duration kLongestMax = std::chrono::seconds(3);  // A stop waits for longer leases.

class Runner {
 public:
  explicit Runner(Context& context);

  // An attempt that this node holds from now on. `spec` is the task's template.
  struct Assignment {
    AttemptId attempt;
    ShardId shard{};
    NodeId owner;  // Who granted it.
    TimePoint lease_end;
  };
  void accept(Now now, const Assignment& assignment, const TaskSpec& spec,
              const std::string& argument);

  // Room for work bound from now on: free capacity, and one capacity in advance while tasks are
  // short.
  scheduling::Resources room() const;
  // New work may be started here at all.
  bool takes_work() const { return recovered_ && context_.takes_work(); }
  // And fewer than kRunningMax are in its books: also tasks that need nothing are bounded.
  bool takes_more() const {
    return takes_work() && running_.size() + held_.size() + reports_.size() < kRunningMax;
  }
  // Room for tasks to start at once.
  scheduling::Resources free() const;
  // A grant of that much may be held here until there is room to start it (invariant 2).
  bool may_hold(const scheduling::Resources& need) const {
    return scheduling::fits(need, capacity_ - unstarted_ - reserved_);
  }
  // The owner's own claims that are not committed yet count against room().
  void reserve(const scheduling::Resources& need) { reserved_ += need; }
  void unreserve(const scheduling::Resources& need) { reserved_ -= need; }

  void on_ended(Now now, task::ProcessEnded ended);
  void on_hint(Now now, NodeId from, const wire::Hint& hint);
  void on_grant(Now now, NodeId from, const wire::Grant& grant);
  void on_renewed(Now now, NodeId from, const wire::Renewed& renewed);
  void on_renew_call(Now now, NodeId from, const wire::RenewCall& call);
  void on_outcome_ack(const wire::OutcomeAck& ack) { reports_.settle(ack.items); }
  void on_give_back_ack(const wire::GiveBackAck& ack) { reports_.settle(ack.items); }
  void on_end_attempts(Now now, const wire::EndAttempts& end);
  void on_member_gone(NodeId node);

  // `end_tasks`: all attempts are ended and given back. Else those of supervisors stay with them,
  // and their owners are asked for the longest lease.
  void on_stop(Now now, bool end_tasks);
  void on_recovered(Now now, std::vector<task::RecoveredAttempt> attempts);
  void on_recovery_complete(Now now);
  // All is said: the process may end.
  bool idle(Now now) const;

  void on_time(Now now);
  // Starts what fits, and asks for work when there is room. `own_ready`: this node's own queue has
  // work for it, though none that fits just now: then others are asked only for what can start at
  // once.
  void pump(Now now, bool own_ready);
  void flush() { reports_.flush(); }  // Gathered outcomes leave.
  TimePoint wake_at() const;

  scheduling::Resources capacity() const { return capacity_; }
  scheduling::Resources started() const { return started_; }
  scheduling::Resources unstarted() const { return unstarted_; }
  std::size_t running_count() const { return running_.size(); }
  std::vector<AttemptId> running() const;
  std::size_t held_count() const { return held_.size(); }
  // Absent when the attempt is neither started nor held. For the simulator's checkers.
  std::optional<TimePoint> lease_end(const AttemptId& attempt) const;
  std::vector<std::uint64_t> open_transfers() const { return pulls_.open_transfers(); }
  void check_invariants() const;

 private:
  struct Held {
    Assignment assignment;
    TaskSpec spec;
    std::string argument;
    scheduling::Resources need;
    TimePoint since;
  };
  struct Running {
    Assignment assignment;
    scheduling::Resources need;
    TimePoint started;
    WallTime started_wall;
    TimePoint sleep_until = kNever;  // Of a built-in sleep.
    TimePoint told;                  // What its supervisor knows of the lease's end.
    bool process = false;
    bool ending = false;     // A kill was sent.
    bool give_back = false;  // Ended by this node, not by itself: no outcome.
    bool longest = false;    // Its owner gave the longest lease, for this node's stop.
  };

  void start(Now now, Held held);
  void finish(Now now, const AttemptId& attempt, AttemptResult result,
              std::array<std::string, 2> tails);
  void report(Now now, wire::OutcomeItem item, NodeId granted_by, bool give_back, bool process);
  void end(Now now, const AttemptId& attempt, Running& running, EndReason reason, bool back,
           std::chrono::milliseconds grace);
  void renewed(Now now, const AttemptId& attempt, TimePoint lease_end, bool longest);
  Renewals::Holdings holdings() const;
  void complain(Now now);
  void check_leases(Now now);
  void drop_held(Now now, Held held);
  void return_unstarted(Now now);
  void pull(Now now);
  scheduling::Resources wanted() const;  // From other nodes, beyond what is asked for already.
  void repeat_pulls(Now now);
  void wake_sleepers(Now now);
  NodeId owner_of(ShardId shard, NodeId fallback) const;

  Context& context_;
  scheduling::Resources capacity_;
  scheduling::Resources started_;
  scheduling::Resources unstarted_;
  scheduling::Resources reserved_;
  bool in_advance_ = true;  // Work may be taken before a slot is free.
  std::deque<Held> held_;
  std::map<AttemptId, Running> running_;
  std::set<std::pair<TimePoint, AttemptId>> sleepers_;
  Reports reports_;
  Renewals renewals_;
  scheduling::PullPolicy pulls_;
  std::uint64_t last_transfer_ = 0;
  TimePoint next_pull_;
  TimePoint next_check_;
  bool wants_work_ = false;  // Others may be asked.
  bool own_ready_ = false;
  bool recovered_ = false;            // What former processes of this node left running is known.
  TimePoint stopped_ = kNever;        // When the stop began that leaves tasks running.
  TimePoint longest_until_ = kNever;  // Then it does not wait for longer leases any more.
};

}  // namespace shoal::node
