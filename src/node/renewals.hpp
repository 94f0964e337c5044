// The executing node's side of leases: one renewal for each owner, every second (rules L1, L2;
// holes 13 and 15).
//
// A renewal goes to the best known owner of each attempt's shard, and to whoever called for it
// since. It names all attempts held here, whoever owns them, so that an owner may conclude from
// what is missing: this node's beliefs about owners may be out of date. Nodes that must conclude
// something are owed a report, even an empty one, until they answer: after a restart all members,
// a new owner that called, and the victim of a pull that nobody waits for any more.
//
// An answer counts only with the very send time of a renewal of this process: what an owner says to
// a former process, by a clock that may have begun anew, extends nothing.
// Limits: beyond kCompleteMax attempts a renewal names its owner's alone and is not complete; a
// report that is owed is complete up to kItemsMax.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <vector>

#include "node/context.hpp"

namespace shoal::node {

inline constexpr Duration kRenewInterval = std::chrono::seconds(1);
inline constexpr Duration kRenewHurry = std::chrono::milliseconds(200);
inline constexpr Duration kRenewPatience = std::chrono::seconds(1);
inline constexpr std::size_t kCompleteMax = 512;

class Renewals {
 public:
  explicit Renewals(Context& context) : context_(context) {}

  struct Item {
    wire::HeldAttempt held;
    NodeId owner;  // Who granted it; for when no owner is known.
  };
  // What this node holds, and what may still come.
  struct Holdings {
    std::vector<Item> items;
    std::vector<std::uint64_t> open_transfers;
    std::uint64_t last_transfer = 0;
    bool all = false;  // Nothing is missing: the former supervisors have answered.
    bool longest = false;
  };

  bool due(Now now) const { return now.steady >= next_; }
  void send(Now now, const Holdings& holdings);
  // A new owner called. REQUIRES: send_to() follows.
  void on_call(Now now, NodeId from, const std::vector<ShardId>& shards);
  void send_to(Now now, const Holdings& holdings, NodeId owner);

  // False: the answer is to nothing that this process sent.
  bool on_renewed(NodeId from, TimePoint sent);

  void owe(Now now, NodeId node) { owed_[node] = now.steady; }
  void owe_all(Now now);
  void on_member_gone(NodeId node);
  // Until then renewals go out every kRenewHurry.
  void hurry(Now now, Duration length);
  void soon(Now now) { next_ = std::min(next_, now.steady); }

  // Whom a renewal of kRenewPatience ago has not been answered by.
  std::set<NodeId> silent(Now now) const;
  bool owes() const { return !owed_.empty(); }
  TimePoint wake_at() const { return next_; }

 private:
  struct Caller {
    NodeId node;
    wire::Ballot known;  // The shard's owner in the table at that time; a newer one is believed.
  };
  using Outgoing = std::map<NodeId, std::vector<wire::HeldAttempt>>;
  Outgoing by_owner(const Holdings& holdings);
  void send_one(Now now, const Holdings& holdings, NodeId owner,
                std::vector<wire::HeldAttempt> items);

  Context& context_;
  std::map<ShardId, Caller> callers_;
  std::map<NodeId, TimePoint> owed_;   // Since when; an answer to an older renewal is not enough.
  std::map<NodeId, TimePoint> asked_;  // The oldest renewal without an answer.
  std::deque<TimePoint> sent_;         // Ascending; the newest kSentMax.
  TimePoint next_;
  TimePoint hurry_until_;
};

}  // namespace shoal::node
