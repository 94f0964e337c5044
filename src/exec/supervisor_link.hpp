// The node's end of the talk with one supervisor: a connection on the node's loop.
//
// Everything said within one turn of the loop is one write.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "exec/descriptor.hpp"
#include "exec/protocol.hpp"

namespace asio {
class io_context;
}

namespace shoal::exec {

class SupervisorLink {
 public:
  // `on_closed`: once, when the other side is gone or sends what is no message. Both are called
  // from the loop, and never after close().
  struct Events {
    std::function<void(Message)> on_message;
    std::function<void()> on_closed;
  };
  SupervisorLink(asio::io_context& io_context, Descriptor socket, Events events);
  ~SupervisorLink();  // As close().
  SupervisorLink(const SupervisorLink&) = delete;
  SupervisorLink& operator=(const SupervisorLink&) = delete;

  // An error when the message is too long for a frame; it is not said then.
  Result<void> say(const Message& message);
  bool idle() const;  // All that was said has been written.
  void close();

 private:
  class State;
  std::shared_ptr<State> state_;
};

}  // namespace shoal::exec
