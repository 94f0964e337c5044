// Who answers: SWIM's failure detector (Das et al., DSN 2002, section 3.1, with the round-robin
// order of 4.3) under Lifeguard's local health (Dadgar et al., 2018).
//
// A probe is a ping; without an ack in time, `indirect_probes` members ping for us and we ping over
// a stream; without an ack by the end of the round, the probe failed. Local health (0 is well)
// stretches the rounds of a node that has reason to think that it is the slow one; the first
// timeout stays.
//
// Departures: a failed probe costs budget that five probes earn, so that a node most of whose
// probes fail originates few accusations (after HashiCorp's experience that a few sick members can
// make a whole cluster flap). A probe out of turn, asked for when a stream broke, does all at once
// and ends after one timeout.
//
// Sans I/O: steps say what to send and which probe failed. Call on_time() no later than wake_at().
// Limits: 32 probes and `relays_max` indirect probes for others at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/random.hpp"
#include "base/time.hpp"
#include "membership/config.hpp"
#include "shoal/id.hpp"

namespace shoal::membership {

class FailureDetector {
 public:
  struct Step {
    enum class Kind : std::uint8_t {
      ping,            // To `to`, meant for `target`.
      ping_by_stream,  // The same over a stream.
      indirect_ping,   // Asks `to` to ping `target`.
      ack,             // Tells `to` that the target it asked about answered.
      nack,            // Tells `to` that the target it asked about has not answered.
      failed,          // The probe of `target` failed.
    };
    Kind kind = Kind::ping;
    NodeId to;
    NodeId target;
    std::uint64_t sequence = 0;
  };

  FailureDetector(const MembershipConfig& config, TimePoint now, Random& random);

  // Members to be probed: those alive or suspect, without this node. In no particular order.
  void add(NodeId member, Random& random);
  void remove(NodeId member);
  std::span<const NodeId> members() const { return members_; }

  // Up to `count` distinct members other than `except`, at random.
  std::vector<NodeId> pick(std::size_t count, NodeId except, Random& random) const;

  std::vector<Step> on_time(TimePoint now, Random& random);
  TimePoint wake_at() const;

  // A probe out of turn. `urgent`: all ways at once, and over after one timeout. Nothing happens
  // while a probe of that member is under way.
  std::vector<Step> probe(TimePoint now, NodeId member, bool urgent, Random& random);

  // The answer to one of our pings, or to an indirect ping through `from`. A step if it is to be
  // passed on to who asked.
  std::optional<Step> on_ack(TimePoint now, NodeId from, std::uint64_t sequence);
  void on_nack(NodeId from, std::uint64_t sequence);
  // `from` asks for a probe of `target`; `reachable` if its address is known here.
  Step on_indirect_ping(TimePoint now, NodeId from, NodeId target, std::uint64_t sequence,
                        bool reachable);

  // An accusation of this node reached it: a sign that it is slow.
  void on_accused() { change_health(1); }

  // Takes budget for one accusation; false if there is none left.
  bool may_accuse();

  std::uint32_t health() const { return health_; }
  // Most of its recent probes failed, or it is as slow as it can be: its operator should look.
  bool degraded() const { return budget_ < 2 * kAccusationCost || health_ == health_max_; }
  std::uint64_t next_sequence() { return ++sequence_; }

 private:
  struct Probe {
    NodeId target;
    std::uint64_t sequence = 0;
    TimePoint timeout{};  // When the other ways are tried; kNever once they are.
    TimePoint ends{};
    bool urgent = false;
    bool acked = false;
    bool other_ways = false;
    std::vector<NodeId> relays;  // Asked, and not heard of.
    std::uint32_t relays_asked = 0;
  };
  struct Relay {
    NodeId requester;
    NodeId target;
    std::uint64_t requested_sequence = 0;
    std::uint64_t sequence = 0;
    TimePoint ends{};
  };

  static constexpr std::int32_t kAccusationCost = 5;
  static constexpr std::int32_t kBudgetMax = 20;
  static constexpr std::size_t kProbesMax = 32;

  void change_health(std::int32_t by);
  void ask_relays(Probe& probe, std::vector<Step>& steps, Random& random);
  void end_probe(const Probe& probe, std::vector<Step>& steps);
  NodeId next_target(Random& random);

  MembershipConfig config_;
  std::uint32_t health_max_;
  std::vector<NodeId> members_;  // Shuffled; probed in this order from `position_` on.
  std::size_t position_ = 0;
  TimePoint next_round_;
  std::vector<Probe> probes_;
  std::vector<Relay> relays_;
  std::uint64_t sequence_;
  std::uint32_t health_ = 0;
  std::int32_t budget_ = kBudgetMax;
};

}  // namespace shoal::membership
