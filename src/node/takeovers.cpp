#include "node/takeovers.hpp"

namespace shoal::node {

void Takeovers::start(Now) {}
void Takeovers::on_member(Now, const membership::Event&) {}
void Takeovers::on_refused(Now, const shard::RefusedEvent&) {}
void Takeovers::on_owned(Now, ShardId) {}
void Takeovers::on_lost(Now, ShardId) {}
void Takeovers::on_unanswered(Now, ShardId, NodeId) {}
void Takeovers::on_message(Now, NodeId, const wire::OwnerSilent&) {}
void Takeovers::on_message(Now, NodeId, const wire::OwnerQuery&) {}
void Takeovers::on_message(Now, NodeId, const wire::OwnerAnswer&) {}
void Takeovers::on_message(Now, NodeId, const wire::HandOver&) {}
void Takeovers::on_time(Now) {}
void Takeovers::flush() { static_cast<void>(context_); }
TimePoint Takeovers::wake_at() const { return kNever; }

}  // namespace shoal::node
