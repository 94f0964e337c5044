// The supervisor's end of the talk with nodes: who is listened to.
//
// One process at a time. Whoever connects and says hello takes the place of the one before, of
// which nothing is read from that moment: what it had sent and was not read is as if never said. (A
// node holds the lock of its data folder, so the one before is dead, or its place is taken on
// purpose by who ends the supervisor.) Until its hello a connection is only a stranger; of those at
// most kStrangersMax are kept, and the oldest gives way.
//
// Whoever sends garbage is dropped; the tasks stay.
#pragma once

#include <poll.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "exec/descriptor.hpp"
#include "exec/protocol.hpp"

namespace shoal::exec {

inline constexpr std::size_t kStrangersMax = 8;

class NodeListener {
 public:
  // `on_hello`: a new node, which is to be told everything. `on_message`: what the node says then.
  struct Events {
    std::function<void(const HelloMessage&)> on_hello;
    std::function<void(const Message&)> on_message;
  };
  NodeListener(Descriptor listener, Events events);

  bool connected() const { return node_.has_value(); }

  void watch(std::vector<pollfd>& set);
  void receive(std::span<const pollfd> set);

  // Without a node nothing is sent. REQUIRES: `message` fits a frame.
  void send(const Message& message);
  void flush();

 private:
  struct Peer {
    Descriptor socket;
    Decoder decoder;
  };
  enum class Heard : std::uint8_t { nothing, bytes, end };

  Heard read(Peer& peer);
  void hear_node();
  void hear_decoded();
  bool hear_stranger(std::size_t index);
  void accept_all();

  Descriptor listener_;
  Events events_;
  std::optional<Peer> node_;
  std::deque<Peer> strangers_;  // The oldest first.
  std::string outgoing_;
  std::size_t first_watched_ = 0;  // The listener's place in the set; then the node, if there is
                                   // one, and the strangers.
  bool node_watched_ = false;
  std::size_t strangers_watched_ = 0;
  std::vector<char> buffer_;
};

}  // namespace shoal::exec
