// One key, one store, one process (rule F2; holes 7, 7b, 7c): whether this node may vote.
//
// Every node remembers how far the stores of others have come (StoreMarks). At a start a node asks
// the members of its shards' homes, and in a small cluster all members, what they remember of it.
// No shard message leaves or is heard
//   1. before those that can be reached have answered, or kAskMax (three times that in `wan`) has
//      passed. Whoever refuses the connection is not waited for, so neither a lone node nor a
//      cluster that starts as a whole waits;
//   2. to or from a node that has not answered since this start. Who comes later is asked when it
//      comes: a node that was away may be the only one that remembers.
// What peers remember must fit the store's own history: its former starts with their random nonces,
// and the sequence that each came to. Else the store was rolled back, or another process has used a
// copy of it: this node never votes again, which is kept on disk, and ends with an explanation
// (Output::refused).
//
// A restart, a move to another address, a refutation or a late message of a former start cannot be
// taken for that: start, nonce and sequence are durable before they are heard of. Two processes of
// one key that live at the same time hear of each other by the others' news, memory and SameKey;
// both end, the one that runs not for good while the copy has not voted.
//
// The sequence rises in the batch of the first shard write, and again a second after the last one
// at most: one tiny write a second while there are others. Peers hear of it when it is durable.
// Residue: a rollback by less than about a second within one start; one that none of those reached
// remembers; starts more than kStartsMax ago are compared by their sequence alone.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "node/context.hpp"
#include "node/store_marks.hpp"

namespace shoal::node {

struct Source;

inline constexpr Duration kAskMax = std::chrono::milliseconds(500);
inline constexpr Duration kAskAgain = std::chrono::milliseconds(200);        // During a start.
inline constexpr Duration kAskAgainLater = std::chrono::milliseconds(1000);  // Who has come since.
inline constexpr Duration kSequenceInterval = std::chrono::seconds(1);
inline constexpr std::size_t kStartsMax = 64;
inline constexpr std::size_t kAskAllMax = 32;  // Members; in larger clusters only home neighbours.

class IdentityGuard {
 public:
  explicit IdentityGuard(Context& context) : context_(context) {}

  // What restore_meta() brought; names that are not its own are passed over. False: unreadable.
  bool restore(std::string_view name, std::string_view value);
  void start(Now now);
  // The boot epoch is on disk: from now on this node may speak, and asks.
  void on_boot_durable(Now now);

  // Rule 1: shards may be taken over, and home nodes spoken to.
  bool may_vote() const { return may_vote_ && !refused_; }
  // Rule 2, for messages of the shard protocol. The node may speak to itself.
  bool may_talk(NodeId peer) const;
  // Such a message was held back: the peer is asked.
  void on_withheld(Now now, NodeId peer, const Address& address);
  bool refused() const { return refused_; }

  void on_shard_writes(Now now);
  void on_member(Now now, const membership::Event& event);
  void on_peer_closed(Now now, NodeId peer);
  // Members' news has this node as only another process of its key could have announced it.
  void on_rival(Now now, const wire::MemberRecord& record);

  void on_message(Now now, const Source& source, const wire::StoreQuery& message);
  void on_message(Now now, const Source& source, const wire::StoreAnswer& message);
  void on_message(Now now, const Source& source, const wire::SameKey& message);

  void on_time(Now now);
  TimePoint wake_at() const;

  std::uint64_t announced() const { return announced_; }  // The durable sequence.

 private:
  bool present(NodeId node) const;
  std::set<NodeId> home_neighbours() const;
  std::vector<NodeId> unasked() const;
  void ask(Now now, NodeId peer, const Address& address);
  void ask_all(Now now);
  void decide(Now now);
  bool fits(const wire::StoreMark& mark) const;
  bool restore_starts(std::string_view value);
  void record_start();
  void raise_sequence(Now now);
  void note_loads(Now now);
  void refuse(std::string why, bool lasting, std::uint64_t other_nonce);
  void pass_on(const Source& source, const wire::SameKey& message);
  wire::StoreQuery query(NodeId to) const;

  Context& context_;
  StoreMarks marks_;

  bool may_vote_ = false;
  bool voted_ = false;  // Rule 1 let it, at some time since the start.
  bool refused_ = false;
  std::string refusal_;  // As kept on disk.
  bool boot_durable_ = false;
  TimePoint deadline_ = kNever;  // Of rule 1.
  TimePoint next_ask_ = kNever;
  std::set<NodeId> waited_for_;  // By rule 1.
  std::set<NodeId> fitting_;     // Their memory fits; they are to count this start.
  std::set<NodeId> cleared_;     // And do.
  std::map<NodeId, TimePoint> asked_at_;

  std::vector<wire::StoreMark> starts_;  // Former ones, by epoch; with the sequence they came to.
  std::uint64_t sequence_ = 0;           // Of the store, perhaps on its way to the disk.
  std::uint64_t announced_ = 0;          // Known to be durable.
  bool wrote_since_ = false;             // Shard writes came after sequence_ rose last.
  TimePoint next_raise_;
  TimePoint next_loads_;
};

}  // namespace shoal::node
