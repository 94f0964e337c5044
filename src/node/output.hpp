// What a node wants done: the effects of its inputs since the last take_output().
//
// Order is part of the contract. `messages`, `kills`, `extensions`, `settled`, `reads` and error
// replies may go at once.
// `writes` are persisted as one atomic batch and synced off the loop's thread; `promises`,
// `launches` and `replies` wait until the writes of this and of all earlier outputs are durable: a
// promise that a crash can undo must never have been heard by anyone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/time.hpp"
#include "shoal/id.hpp"
#include "task/process.hpp"
#include "wire/message.hpp"
#include "wire/persist.hpp"

namespace shoal::node {

// Datagrams may be lost and are bounded by kDatagramBytesMax. Streams keep order between two nodes
// while the connection lives. Bulk is a second stream, so that output never delays protocol
// messages.
enum class Channel : std::uint8_t { datagram, stream, bulk };

// `to` is zero when only the address is known (a seed): whoever listens there is meant. `to` == the
// node itself: the driver hands the message back as an input.
struct Envelope {
  NodeId to;
  Address address;
  Channel channel = Channel::stream;
  wire::Message message;
};

// One connected client, numbered by the driver; never used twice.
enum class SessionId : std::uint64_t {};

struct ClientAnswer {
  SessionId session{};
  wire::ClientReply reply;
};

// Values of detached records, to be read from the store.
struct StoreRead {
  std::uint64_t request = 0;
  ShardId shard{};
  wire::RecordKey key;
};

struct Output {
  std::vector<Envelope> messages;
  std::vector<task::Kill> kills;
  std::vector<task::Extend> extensions;
  std::vector<AttemptId> settled;    // Outcomes recorded: their supervisors may forget them.
  std::vector<ClientAnswer> errors;  // Refusals: may go at once.
  std::vector<StoreRead> store_reads;
  std::vector<task::OutputRead> output_reads;
  std::vector<wire::Write> writes;
  std::vector<Envelope> promises;
  std::vector<task::Launch> launches;
  std::vector<ClientAnswer> replies;
  TimePoint wake_at = kNever;  // Call on_time() no later than this.
  bool stopped = false;        // After on_stop() or a leave: all is said; the process may exit.
  std::string refused;         // Not empty: this node must not go on (F2); why, for people. Exit.
};

}  // namespace shoal::node
