// A whole shoal node as a deterministic function of its inputs: the same object runs over sockets,
// disks and processes (daemon) and in virtual time (sim).
//
// Sans I/O: the driver calls on_*() with what happened, in the order it happened, and take_output()
// after each input or batch of inputs; it carries the output out as node/output.hpp says. All
// inputs take the current time first; time never runs backwards.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.hpp"
#include "node/config.hpp"
#include "node/output.hpp"
#include "wire/message.hpp"

namespace shoal::node {

// Where a message came from: what the sender's stream or datagram says of itself.
struct Source {
  NodeId node;
  ClusterId cluster;
  Address address;
  Channel channel = Channel::stream;
};

class Node {
 public:
  // REQUIRES: `config` passed validate(); config.id is the id that belongs to the restored store.
  Node(const NodeConfig& config, std::uint64_t seed);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Recovery: everything the store holds, in any order, before start().
  // False: this fact cannot be read, so what the node promised is not known: it must not start.
  bool restore_meta(std::string_view name, std::string_view value);
  void restore_shard(ShardId shard, wire::ShardState state);
  // `intact` is false when the value does not match its checksum. Detached records (task::detached)
  // come with an empty value.
  void restore_record(ShardId shard, wire::Record record, bool intact);

  // The node begins: boot epoch, founding or joining, takeover of its own shards.
  void start(Now now);

  // Inputs.
  void on_seeds(Now now,
                std::span<const Address> seeds);  // Resolved --join addresses; may come again.
  void on_message(Now now, const Source& source, wire::Message message);
  void on_peer_closed(Now now,
                      NodeId peer);  // A stream to this peer closed, or could not be opened.
  void on_client(Now now, SessionId session, wire::ClientRequest request);
  void on_client_forget(Now now, SessionId session, std::uint64_t request);
  void on_client_closed(Now now, SessionId session);
  void on_process_ended(Now now, task::ProcessEnded ended);
  // What supervisors of this node's former processes still run; may come in parts, after start().
  void on_recovered(Now now, std::vector<task::RecoveredAttempt> attempts);
  // Each former supervisor has answered, or is gone with its whole tree: what was not reported is
  // over. Called once after start(), also when there were none.
  void on_recovery_complete(Now now);
  // The disk has less than its reserve left (or enough again): no new work and no new records.
  void on_disk_low(Now now, bool low);
  // Absent: the record is not there any more, or does not match its checksum.
  void on_store_read(Now now, std::uint64_t request, std::optional<wire::Record> record);
  void on_output_read(Now now, task::OutputPiece piece);
  void on_sync_time(Duration duration);  // For statistics: how long one durable batch took.
  void on_advertised(Now now,
                     const Address& address);  // The driver learnt where peers reach this node.
  // SIGTERM. Tasks stay with their supervisors, unless `end_tasks` (nothing outlives this process):
  // then they are ended and given back.
  void on_stop(Now now, bool end_tasks = false);
  void on_time(Now now);

  Output take_output();

  // What drivers and checkers look at.
  NodeId id() const;
  ClusterId cluster() const;  // Zero until founded or joined.
  bool serving() const;
  void set_resident_bytes(std::uint64_t bytes);  // For statistics.

  struct Parts;  // node/parts.hpp: the wiring.

  // Internal state for the simulator's checkers and for tests; never for decisions of a driver.
  struct Inspection;
  Inspection inspect() const;

 private:
  std::unique_ptr<Parts> parts_;
};

}  // namespace shoal::node
