// One stream through a relay: two sockets, and a pipe for each way with what is late in it.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>
#include <deque>
#include <memory>
#include <string>

#include "tools/chaos/relay_rules.hpp"

namespace shoal::chaos {

class RelayStream : public std::enable_shared_from_this<RelayStream> {
 public:
  using Tcp = asio::ip::tcp;

  // `near` was accepted from link.from; an empty name: from a client, whom no rule concerns.
  RelayStream(Tcp::socket near, Link link, RelayRules& rules);

  // Connects to `far` as soon as both ways are open, seen there as `as`; unspecified: whatever the
  // system chooses. Then all passes.
  void start(const Tcp::endpoint& far, const asio::ip::address& as);
  // One end may be gone by the rules; or a half-open stream's last end, when they are.
  void on_rules();
  void close();
  bool closed() const { return closed_; }

 private:
  using Self = std::shared_ptr<RelayStream>;
  struct Piece {
    std::string bytes;
    SteadyTime due;
    bool last = false;   // Nothing comes after it: the sender has ended...
    bool reset = false;  // ... by an error.
  };
  struct Pipe {
    Pipe(Tcp::socket& source, Tcp::socket& sink, Link way)
        : from(source), to(sink), link(std::move(way)), changed(source.get_executor()) {}
    Tcp::socket& from;
    Tcp::socket& to;
    Link link;
    asio::steady_timer changed;  // Cancelled when the queue has changed.
    std::deque<Piece> queue;
    std::size_t bytes = 0;
    SteadyTime last_due;
    bool ended = false;
  };

  bool ruled() const { return !out_.link.from.empty(); }
  bool barred() const;
  static asio::awaitable<void> connect(Self self, Tcp::endpoint far, asio::ip::address as);
  static asio::awaitable<void> read(Self self, Pipe& pipe);
  static asio::awaitable<void> write(Self self, Pipe& pipe);
  static asio::awaitable<bool> pass(Self self, Pipe& pipe, Piece piece);  // False: it failed.
  asio::awaitable<void> sleep_until(SteadyTime time);
  asio::awaitable<void> wait_for_change(Pipe& pipe);
  void take(Pipe& pipe, std::string bytes);
  void end(Pipe& pipe, bool reset);
  void reset(Tcp::socket& socket);

  Tcp::socket near_;
  Tcp::socket far_;
  RelayRules& rules_;
  Pipe out_;
  Pipe back_;
  bool muted_ = false;  // One end is gone, and the other hears nothing of it.
  bool closed_ = false;
};

}  // namespace shoal::chaos
