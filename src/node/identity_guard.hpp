// One key, one store, one process (rule F2; holes 7, 7b, 7c): whether this node may vote.
//
// At a start the node asks the members of its shards' homes how far they saw its store get, and
// does not vote (no shard message leaves or is heard) before those that are reachable have
// answered, or kAskMax has passed. A peer that remembers more than the store holds proves that the
// store was rolled back: the node never votes again and ends with an explanation. The same when
// another live process uses its key.
// Peers remember, on disk, the highest (boot epoch, sequence) each node announced. The sequence is
// a number in the store, raised at most once a second while there are writes, and announced (Load)
// when it is durable. Residue: a rollback to a moment that nobody heard of, up to about a second.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "node/context.hpp"

namespace shoal::node {

class IdentityGuard {
 public:
  explicit IdentityGuard(Context& context) : context_(context) {}

  void restore(std::string_view name, std::string_view value);  // What restore_meta() brought.
  void start(Now now);
  // Votes, and messages of the shard protocol, are withheld until this is true.
  bool may_vote() const { return may_vote_; }
  void on_member(Now now, const membership::Event& event);

  void on_message(Now now, NodeId from, const wire::StoreQuery& message);
  void on_message(Now now, NodeId from, const wire::StoreAnswer& message);
  void on_message(Now now, NodeId from, const wire::SameKey& message);

  void on_time(Now now);
  TimePoint wake_at() const;

 private:
  Context& context_;
  bool may_vote_ = true;
};

}  // namespace shoal::node
