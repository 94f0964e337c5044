#include "exec/node_listener.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "base/assert.hpp"
#include "base/log.hpp"

namespace shoal::exec {
namespace {

constexpr std::size_t kBufferBytes = 64 * 1024;

}  // namespace

NodeListener::NodeListener(Descriptor listener, Events events)
    : listener_(std::move(listener)), events_(std::move(events)), buffer_(kBufferBytes) {}

void NodeListener::watch(std::vector<pollfd>& set) {
  first_watched_ = set.size();
  set.push_back({.fd = listener_.get(), .events = POLLIN, .revents = 0});
  node_watched_ = node_.has_value();
  if (node_) {
    const short events = outgoing_.empty() ? POLLIN : POLLIN | POLLOUT;
    set.push_back({.fd = node_->socket.get(), .events = events, .revents = 0});
  }
  strangers_watched_ = strangers_.size();
  for (const Peer& stranger : strangers_) {
    set.push_back({.fd = stranger.socket.get(), .events = POLLIN, .revents = 0});
  }
}

// Newcomers before the node: what a dead node left unread is not obeyed once its successor is here.
void NodeListener::receive(std::span<const pollfd> set) {
  const std::size_t first_stranger = first_watched_ + (node_watched_ ? 2 : 1);
  std::size_t at = 0;  // One that leaves its place makes the next ones move up.
  for (std::size_t i = 0; i < strangers_watched_; ++i) {
    const bool heard = set[first_stranger + i].revents != 0;
    if (!heard || !hear_stranger(at)) ++at;
  }
  if (node_watched_ && node_ && set[first_watched_ + 1].revents != 0) hear_node();
  if (set[first_watched_].revents != 0) accept_all();
}

void NodeListener::accept_all() {
  while (true) {
    Descriptor socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) return;
    if (strangers_.size() == kStrangersMax) strangers_.pop_front();
    strangers_.push_back({.socket = std::move(socket), .decoder = {}});
  }
}

NodeListener::Heard NodeListener::read(Peer& peer) {
  const ssize_t count = recv(peer.socket.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
  if (count < 0) return errno == EAGAIN || errno == EINTR ? Heard::nothing : Heard::end;
  if (count == 0) return Heard::end;
  peer.decoder.feed({buffer_.data(), static_cast<std::size_t>(count)});
  return Heard::bytes;
}

// Whether it has left its place: it is the node now, or nobody.
bool NodeListener::hear_stranger(std::size_t index) {
  Peer& stranger = strangers_[index];
  const Heard heard = read(stranger);
  if (heard == Heard::nothing) return false;
  auto message = heard == Heard::bytes ? stranger.decoder.next() : fail(ErrorCode::io, "");
  if (message && !*message) return false;
  const HelloMessage* hello = message ? std::get_if<HelloMessage>(&**message) : nullptr;
  Peer peer = std::move(stranger);
  strangers_.erase(strangers_.begin() + static_cast<std::ptrdiff_t>(index));
  if (hello == nullptr) return true;
  node_ = std::move(peer);
  node_watched_ = false;  // Its predecessor's events are not its own.
  outgoing_.clear();
  events_.on_hello(*hello);
  hear_decoded();
  return true;
}

void NodeListener::hear_node() {
  const Heard heard = read(*node_);
  if (heard == Heard::end) {
    node_.reset();
    return;
  }
  hear_decoded();
}

void NodeListener::hear_decoded() {
  while (node_) {
    const auto message = node_->decoder.next();
    if (!message) {
      log::error("exec", "a node sent what is no message; it is not listened to any more");
      node_.reset();
    }
    if (!message || !*message) return;
    events_.on_message(**message);
  }
}

void NodeListener::send(const Message& message) {
  if (!node_) return;
  SHOAL_ASSERT(append_frame(outgoing_, message).has_value());
}

void NodeListener::flush() {
  if (!node_ || outgoing_.empty()) return;
  const ssize_t count =
      ::send(node_->socket.get(), outgoing_.data(), outgoing_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (count > 0) outgoing_.erase(0, static_cast<std::size_t>(count));
  if (count < 0 && errno != EAGAIN && errno != EINTR) node_.reset();
}

}  // namespace shoal::exec
