// One stream to a peer or a client: a reader and a writer coroutine with a bounded queue between
// the writer and whoever sends.
//
// The reader hands over frames as they arrive; the writer gathers what queues during one write into
// the next. Nothing is called back from within send(). Connections are shared with their coroutines
// and live until both have ended.
//
// Limits: `queue_bytes_max` waiting to be sent (more is refused, and counted by the caller);
// frames within what `on_frame`'s owner allows (frame_bytes_max).
#pragma once

#include <asio/awaitable.hpp>
#include <asio/ip/tcp.hpp>
#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "net/frame_reader.hpp"
#include "wire/frame.hpp"

namespace shoal::net {

using Clock = std::chrono::steady_clock;

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  struct Events {
    std::function<void()> on_open;  // A dialled connection stands.
    // An error closes the connection: the peer broke the protocol.
    std::function<Result<void>(const FrameView&)> on_frame;
    // Once, with the reason, for people. `garbage`: what arrived could not be read.
    std::function<void(const std::string& why, bool garbage)> on_closed;
  };

  Connection(asio::ip::tcp::socket socket, std::size_t queue_bytes_max);

  // `from`: the address of ours that the peer sees; unspecified: the system chooses.
  void dial(const asio::ip::tcp::endpoint& endpoint, const asio::ip::address& from, Events events);
  void accept(Events events);  // The socket is connected already.

  // Queues a frame; false when it does not fit or the connection is closed. What is sent before
  // release() waits for it.
  bool send(std::string frame);
  // Does not wait for release(), and always fits: for greetings.
  void send_first(std::string frame);
  void release();
  // What waits for release(), which it will not hear of any more.
  std::deque<std::string> take_held();

  // TCP_USER_TIMEOUT: the connection closes when bytes stay unacknowledged for so long.
  void set_unacknowledged_max(std::chrono::milliseconds time);

  void close(const std::string& why, bool garbage = false);

  void set_frame_bytes_max(std::size_t bytes) { frame_bytes_max_ = bytes; }
  bool open() const { return open_ && !closed_; }
  bool closed() const { return closed_; }
  std::size_t queued_bytes() const { return queued_bytes_; }
  Clock::time_point created() const { return created_; }
  // When the frame that is arriving began; when bytes were last accepted by the other side, or had
  // not to be. Absent (max) when there is none.
  Clock::time_point frame_began() const { return frame_began_; }
  Clock::time_point last_received() const { return last_received_; }
  Clock::time_point last_progress() const { return last_progress_; }

  asio::ip::tcp::endpoint local() const;
  asio::ip::tcp::endpoint remote() const;

 private:
  using Self = std::shared_ptr<Connection>;
  static asio::awaitable<void> connect_and_read(Self self, asio::ip::tcp::endpoint endpoint);
  void bind_to(const asio::ip::address& from);
  static asio::awaitable<void> read(Self self);
  static asio::awaitable<void> write(Self self);
  bool take_frames();  // False when the connection was closed.
  void begin();
  void pump();

  asio::ip::tcp::socket socket_;
  const std::size_t queue_bytes_max_;
  Events events_;
  FrameReader reader_;
  std::size_t frame_bytes_max_ = wire::kHelloBytesMax;
  std::deque<std::string> queue_;
  std::deque<std::string> held_;
  std::size_t queued_bytes_ = 0;  // Of both, and of what is being written.
  bool released_ = false;
  bool open_ = false;
  bool writing_ = false;
  bool closed_ = false;
  Clock::time_point created_ = Clock::now();
  Clock::time_point frame_began_ = Clock::time_point::max();
  Clock::time_point last_received_ = created_;
  Clock::time_point last_progress_ = created_;
};

}  // namespace shoal::net
