#include "node/commands.hpp"

namespace shoal::node {

void Commands::restore(std::string_view, std::string_view) {}
void Commands::start(Now) {}
void Commands::on_client(Now, SessionId session, std::uint64_t request, wire::CommandNode) {
  context_.refuse(session, request, ErrorCode::unavailable, "this node takes no commands yet");
}
void Commands::on_closed(SessionId) {}
void Commands::on_message(Now, NodeId, wire::NodeCommand) {}
void Commands::on_message(Now, NodeId, wire::NodeCommandReply) {}
void Commands::on_message(Now, NodeId, const wire::LostNodes&) {}
void Commands::on_time(Now) {}
TimePoint Commands::wake_at() const {
  static_cast<void>(home_changes_);
  return kNever;
}

}  // namespace shoal::node
