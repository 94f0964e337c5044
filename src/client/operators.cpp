// Operators' commands to single nodes, through any gateway.
#include <utility>

#include "base/format.hpp"
#include "client/impl.hpp"

namespace shoal {
namespace {

using SteadyClock = std::chrono::steady_clock;

// The gateway knows sooner than this that a node does not answer, and says so.
constexpr std::chrono::seconds kGatewayMargin{5};

BallotView view_of(const wire::Ballot& ballot) {
  return {.round = ballot.round, .node = ballot.node};
}

ShardRole role_of(wire::Ownership state) {
  switch (state) {
    case wire::Ownership::none:
      return ShardRole::none;
    case wire::Ownership::candidate:
      return ShardRole::candidate;
    case wire::Ownership::owner:
      return ShardRole::owner;
  }
  return ShardRole::none;
}

ShardCopy view_of(wire::ShardCopy copy) {
  return {.known = copy.known,
          .role = role_of(copy.state),
          .promised = view_of(copy.promised),
          .ballot = view_of(copy.config.id.ballot),
          .seq = copy.config.id.seq,
          .home = std::move(copy.config.home),
          .next = std::move(copy.config.next),
          .learners = std::move(copy.config.learners),
          .floor = std::chrono::sys_seconds(std::chrono::seconds(copy.floor)),
          .records = copy.records,
          .bad = copy.bad};
}

}  // namespace

// A refusal is the node's answer and is not asked for again: what it was told may be under way.
Client::Impl::Task<Result<void>> Client::Impl::command(NodeId node, wire::NodeCommandBody body) {
  const auto self = shared_from_this();
  const CallOptions once{.deadline = deadline() + kGatewayMargin, .retry_refusals = false};
  wire::CommandNode command{.node = node, .body = std::move(body)};
  const auto reply = co_await call_for<wire::Done>(std::move(command), once);
  if (!reply) co_return std::unexpected(reply.error());
  co_return Result<void>{};
}

Client::Impl::Task<Result<ShardCopy>> Client::Impl::shard_copy(NodeId node, ShardId shard,
                                                               std::chrono::milliseconds patience) {
  const auto self = shared_from_this();
  const CallOptions once{.deadline = SteadyClock::now() + patience, .retry_refusals = false};
  wire::CommandNode command{.node = node, .body = wire::ShowShard{shard}};
  auto reply = co_await call_for<wire::ShardCopy>(std::move(command), once);
  if (!reply) co_return std::unexpected(reply.error());
  co_return view_of(std::move(*reply));
}

}  // namespace shoal
