// When a shard's home should change (design, section 6): the owner compares it with the target that
// the ring gives for the members, and starts the change (G1) when they differ.
//
// At once when a member joins or leaves; `dead_after` after a member died, while exactly one member
// or fewer than a fifth are dead and at least 3 are not. A death never lowers R. Members that leave
// count as gone for the target; draining ones keep their shards. Moves are rate-limited.
#pragma once

#include <cstdint>
#include <vector>

#include "node/context.hpp"

namespace shoal::node {

class HomeChanges {
 public:
  explicit HomeChanges(Context& context) : context_(context) {}

  void on_member(Now now, const membership::Event& event);
  void on_owned(Now now, ShardId shard);
  // G4.
  void on_settled(Now now, ShardId shard);

  // This node leaves the cluster: its shards move away; then Output::stopped. `now_at_once`: it
  // does not wait for that.
  void leave(Now now, bool at_once);
  bool leaving() const { return leaving_; }

  void on_time(Now now);
  TimePoint wake_at() const;

 private:
  Context& context_;
  bool leaving_ = false;
};

}  // namespace shoal::node
