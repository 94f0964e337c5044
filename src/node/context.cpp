#include "node/context.hpp"

namespace shoal::node {

void Context::send(NodeId to, wire::Message message, Channel channel) {
  if (to == self()) {
    inbox.push_back(std::move(message));
    return;
  }
  const membership::Member* member = membership->find(to);
  if (member == nullptr) return;
  output.messages.push_back({to, member->info.address, channel, std::move(message)});
}

NodeId Context::owner(ShardId shard) const {
  const wire::TableEntry* known = table->find(shard);
  if (known == nullptr) return {};
  if (known->owner.node) return known->owner.node;
  return known->config.home.empty() ? NodeId{} : known->config.home.front();
}

wire::TableEntry Context::entry(ShardId shard) const {
  const wire::TableEntry* known = table->find(shard);
  return known == nullptr ? wire::TableEntry{.shard = shard} : *known;
}

void Context::reply(SessionId session, std::uint64_t request, wire::ClientReplyBody body,
                    bool last) {
  output.replies.push_back({session, {request, last, std::move(body)}});
}

void Context::refuse(SessionId session, std::uint64_t request, ErrorCode code,
                     std::string message) {
  output.errors.push_back({session, {request, true, Error{code, std::move(message)}}});
}

}  // namespace shoal::node
