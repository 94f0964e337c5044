// Requests of gateways that wait for commits: an answer leaves when every record it speaks of is
// committed (O4, B2), and never before.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "node/context.hpp"

namespace shoal::node {

class Operations {
 public:
  explicit Operations(Context& context) : context_(context) {}

  // A new operation for request `request` of gateway `gateway`, touching `shard`. It waits for as
  // many commits as are added before its seal.
  std::uint64_t open(NodeId gateway, std::uint64_t request, ShardId shard);
  void add(std::uint64_t operation) { ++open_.at(operation).waiting; }
  // No more commits will be added. Answers at once when there are none to wait for.
  void seal(std::uint64_t operation);
  void on_commit(std::uint64_t operation);  // Unknown operations are ignored.

  // It cannot be done: its request is refused.
  void fail(std::uint64_t operation, ErrorCode code, std::string message);

  // The shard is owned elsewhere now: its operations are answered "unknown, ask again" (O5).
  void drop_shard(ShardId shard);

  void answer(NodeId gateway, std::uint64_t request, wire::OwnerReplyBody body);
  void refuse(NodeId gateway, std::uint64_t request, ErrorCode code, std::string message);
  // How many disks a quorum of this shard's home is.
  std::uint32_t copies(ShardId shard) const;

  // Answers gathered since the last call leave as one message to each gateway.
  void flush();

 private:
  struct Operation {
    NodeId gateway;
    std::uint64_t request = 0;
    ShardId shard{};
    std::uint32_t waiting = 1;  // One for the seal.
  };

  Context& context_;
  std::map<std::uint64_t, Operation> open_;
  std::uint64_t last_ = 0;
  std::map<NodeId, std::vector<wire::OwnerReply>> answers_;
};

}  // namespace shoal::node
