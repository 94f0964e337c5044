#include "exec/supervisor_link.hpp"

#include <array>
#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/post.hpp>
#include <asio/write.hpp>
#include <utility>

namespace shoal::exec {

// Shared with the handlers in flight, which may outlive the link by one turn of the loop.
class SupervisorLink::State : public std::enable_shared_from_this<State> {
 public:
  State(asio::io_context& io_context, Descriptor socket, Events events)
      : io_context_(io_context),
        socket_(io_context, asio::local::stream_protocol(), socket.release()),
        events_(std::move(events)) {
    socket_.non_blocking(true);
  }

  void read() {
    socket_.async_read_some(
        asio::buffer(buffer_),
        [self = shared_from_this()](const asio::error_code& error, std::size_t count) {
          if (!self->open_) return;
          if (error) {
            self->end();
            return;
          }
          self->decoder_.feed({self->buffer_.data(), count});
          self->decode();
          if (self->open_) self->read();
        });
  }

  Result<void> say(const Message& message) {
    if (!open_) return {};
    if (auto appended = append_frame(queued_, message); !appended) return appended;
    if (flush_posted_ || writing_) return {};
    flush_posted_ = true;
    asio::post(io_context_, [self = shared_from_this()] {
      self->flush_posted_ = false;
      if (!self->writing_) self->write();
    });
    return {};
  }

  bool idle() const { return !open_ || (queued_.empty() && !writing_); }

  void close() {
    if (!std::exchange(open_, false)) return;
    asio::error_code ignored;
    socket_.close(ignored);
  }

 private:
  void decode() {
    while (open_) {
      auto message = decoder_.next();
      if (!message) {
        end();
        return;
      }
      if (!*message) return;
      events_.on_message(std::move(**message));
    }
  }

  void write() {
    if (!open_ || queued_.empty()) return;
    writing_ = true;
    written_ = std::exchange(queued_, {});
    // Writing to a dead peer raises no SIGPIPE.
    asio::async_write(socket_, asio::buffer(written_),
                      [self = shared_from_this()](const asio::error_code& error, std::size_t) {
                        self->writing_ = false;
                        if (!error) self->write();  // Else the reader finds out as well.
                      });
  }

  void end() {
    close();
    events_.on_closed();
  }

  asio::io_context& io_context_;
  asio::local::stream_protocol::socket socket_;
  Events events_;
  bool open_ = true;
  bool flush_posted_ = false;
  bool writing_ = false;
  std::string queued_;   // To be written next.
  std::string written_;  // Being written.
  Decoder decoder_;
  std::array<char, 64 * 1024> buffer_;
};

SupervisorLink::SupervisorLink(asio::io_context& io_context, Descriptor socket, Events events)
    : state_(std::make_shared<State>(io_context, std::move(socket), std::move(events))) {
  state_->read();
}

SupervisorLink::~SupervisorLink() { close(); }

Result<void> SupervisorLink::say(const Message& message) { return state_->say(message); }
bool SupervisorLink::idle() const { return state_->idle(); }
void SupervisorLink::close() { state_->close(); }

}  // namespace shoal::exec
