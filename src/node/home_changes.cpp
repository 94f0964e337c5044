#include "node/home_changes.hpp"

namespace shoal::node {

void HomeChanges::on_member(Now, const membership::Event&) {}
void HomeChanges::on_owned(Now, ShardId) {}
void HomeChanges::on_settled(Now, ShardId) {}
void HomeChanges::leave(Now, bool) { leaving_ = true; }
void HomeChanges::on_time(Now) {}
TimePoint HomeChanges::wake_at() const {
  static_cast<void>(context_);
  return kNever;
}

}  // namespace shoal::node
