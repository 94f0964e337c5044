// What the executing node has to tell of attempts that are over: outcomes, and attempts given back.
//
// Each is told to the owner, and again every kReportRepeat until somebody who recorded it says so.
// From the first repeat on it goes to the nodes of the shard's home in turn as well, who pass it on
// (hole 27), and they hear that the owner is silent. Nothing is forgotten without an
// acknowledgement, so that a renewal names all that was ever started here (hole 15).
// Sans I/O: call on_time() no later than wake_at(), and flush() after each input.
// Limits: repeats are kRepeatBytesMax in one go; the number of reports is for the runner to bound.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <vector>

#include "node/context.hpp"

namespace shoal::node {

inline constexpr Duration kReportRepeat = std::chrono::seconds(1);
inline constexpr std::size_t kRepeatBytesMax = 1024 * 1024;

// What an outcome takes when it is sent, about.
std::size_t outcome_bytes(const wire::OutcomeItem& item);
// In messages of bounded size.
void send_outcomes(Context& context, std::map<NodeId, std::vector<wire::OutcomeItem>> outcomes);

class Reports {
 public:
  explicit Reports(Context& context) : context_(context) {}

  // `process`: a supervisor keeps the end of it until it is settled.
  void ended(Now now, wire::OutcomeItem item, NodeId owner, bool process);
  // To this node as its owner, where nothing is lost on the way.
  void ended_at_home(wire::OutcomeItem item) {
    outcomes_[context_.self()].push_back(std::move(item));
  }
  // REQUIRES: item.running unless this node surely never started it.
  void given_back(Now now, const wire::HeldAttempt& item, NodeId owner, bool process);

  // Recorded, or not wanted any more: forgotten here, and by the supervisors.
  void settle(std::span<const AttemptId> attempts);
  // A new owner wants to hear of these shards.
  void tell_again(Now now, NodeId owner, std::span<const ShardId> shards);

  bool knows(const AttemptId& attempt) const {
    return ended_.contains(attempt) || back_.contains(attempt);
  }
  bool empty() const { return ended_.empty() && back_.empty(); }
  std::size_t size() const { return ended_.size() + back_.size(); }
  // As a renewal names them.
  std::vector<wire::HeldAttempt> open() const;

  void on_time(Now now);
  void flush();  // What was gathered leaves.
  TimePoint wake_at() const { return empty() ? kNever : next_; }

 private:
  struct Repeat {
    TimePoint at;
    std::uint32_t tries = 0;
    bool process = false;
  };
  struct Ended {
    wire::OutcomeItem item;
    Repeat repeat;
  };
  struct Back {
    wire::HeldAttempt item;
    Repeat repeat;
  };
  bool due(Now now, Repeat& repeat, ShardId shard);
  NodeId home_node(ShardId shard, std::uint32_t turn) const;
  wire::OutcomeItem as_outcome(const wire::HeldAttempt& item) const;

  Context& context_;
  std::map<AttemptId, Ended> ended_;
  std::map<AttemptId, Back> back_;
  std::map<NodeId, std::vector<wire::OutcomeItem>> outcomes_;
  std::map<NodeId, std::vector<wire::HeldAttempt>> backs_;
  TimePoint next_;
};

}  // namespace shoal::node
