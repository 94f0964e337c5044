// How a node talks to its peers and clients: datagrams and streams on one port.
//
// 1. The first frame of a stream, in both directions, is a Hello. Before it, a connection may send
//    at most kHelloBytesMax bytes within `handshake`, and nothing is answered.
// 2. Streams to a peer are dialled when something is to be sent and none stands; a stream that the
//    peer dialled serves as well. When both dial at once, each sends on the first that stood and
//    reads from all. Order holds among what is sent on one stream. A stream on which nothing has
//    come for `quiet` gives way to one that the peer dials anew.
// 3. Messages sent in one call to one peer on one stream channel leave as one frame (more when
//    they exceed kFrameBytesMax) and arrive as one call of on_messages.
// 4. Delivery is not promised: what does not fit a queue, or meets a closed stream, is dropped and
//    counted; protocols above repeat it. A session whose queue is full, or that takes nothing for
//    `stalled`, is closed instead: a client that misses a reply would wait for it for ever.
// 5. A Hello that comes again, when the sender's cluster or address has changed, replaces the
// first.
// 6. A node that listens on one address dials from it too, as its datagrams come from there.
// 7. Handlers run on the loop's thread, never from within a call of this class.
//
// Not encrypted: whoever reaches the port can speak. The cluster's boundary is its network.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "shoal/id.hpp"
#include "shoal/result.hpp"
#include "wire/message.hpp"

namespace asio {
class io_context;
}

namespace shoal::net {

// `bulk` is a second stream to the same peer, so that output never delays protocol messages.
enum class Channel : std::uint8_t { datagram, stream, bulk };

// One connected client; never used twice.
enum class SessionId : std::uint64_t {};

// What a message's sender says of itself; of a stream, what its last Hello said.
struct Origin {
  NodeId node;
  ClusterId cluster;
  Address address;
  bool datagram = false;  // It came as one: `address` is where from.
};

struct Identity {
  NodeId node;
  ClusterId cluster;
  Address listening;  // Advertised. An unspecified ip: peers use the one they see; port 0: unknown.
  std::string version;
};

struct Limits {
  std::size_t peer_queue_bytes_max = 64UL * 1024 * 1024;
  std::size_t session_queue_bytes_max = 64UL * 1024 * 1024;
  std::size_t accepted_max = 16'384;  // Connections that others opened.
  std::size_t ungreeted_max = 1024;   // Connections that have not said Hello.
  std::size_t sessions_max = 4096;
  std::chrono::milliseconds handshake{10'000};
  std::chrono::milliseconds frame{30'000};           // From a frame's first byte to its last.
  std::chrono::milliseconds stalled{30'000};         // Bytes wait, and the other side takes none.
  std::chrono::milliseconds unacknowledged{10'000};  // Bytes to a peer, by its kernel.
  std::chrono::milliseconds quiet{2000};             // Rule 2.
  std::chrono::milliseconds redial{100};  // After a failed dial; until then messages drop.
  std::chrono::milliseconds sweep{1000};  // How often the deadlines are looked at.
};

struct Handlers {
  std::function<void(const Origin&, std::vector<wire::Message>)> on_messages;
  // A stream to this peer closed, or could not be opened.
  std::function<void(NodeId)> on_peer_closed;
  std::function<void(SessionId, std::vector<wire::ClientMessage>)> on_client_messages;
  std::function<void(SessionId)> on_session_closed;  // Not after close_session().
  // The local address of a stream with a peer, with the port listened on: others may reach it
  // there.
  std::function<void(const Address&)> on_local_address;
};

struct TransportStats {
  std::uint64_t garbage = 0;           // Datagrams and connections that could not be read.
  std::uint64_t dropped_messages = 0;  // Not sent: full queue, no route, back-off after a dial.
  std::uint64_t refused_connections = 0;
  std::uint64_t expired_connections = 0;  // Closed by a deadline.
  std::size_t connections = 0;
  std::size_t sessions = 0;
};

class Transport {
 public:
  class State;
  explicit Transport(std::shared_ptr<State> state);  // Made by listen().
  // Port 0: any that is free for both. The error says what to do. `context` outlives this object.
  static Result<std::unique_ptr<Transport>> listen(asio::io_context& context,
                                                   const Address& address, Identity identity,
                                                   Limits limits, Handlers handlers);
  ~Transport();  // Closes everything, without handlers.
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  Address listening() const;  // As bound, with the port.

  // Peers with a stream hear of it.
  void set_identity(ClusterId cluster, const Address& listening);

  // `to` zero: whoever listens at `address`. Nothing is sent to the node itself.
  void send(NodeId to, const Address& address, Channel channel,
            std::span<const wire::Message> messages);
  void reply(SessionId session, std::span<const wire::ClientMessage> messages);
  void close_session(SessionId session);

  bool idle() const;  // Nothing waits to be sent.
  TransportStats stats() const;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace shoal::net
