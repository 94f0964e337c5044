// One connection to one node: requests with ids go out, replies come back to whoever asked. Many
// requests may be in flight.
//
// When the connection ends, for whatever reason, every open request hears `lost` once and the
// session is of no further use: its owner makes another one. A node that answers nothing for
// kSilenceMax while requests are open counts as gone (a stopped process keeps its sockets).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "client/asio.hpp"
#include "shoal/result.hpp"
#include "wire/message.hpp"

namespace shoal::client {

inline constexpr std::chrono::seconds kSilenceMax{10};

// The answers to one request, in order.
class Answers {
 public:
  enum class Event : std::uint8_t { reply, lost, timeout };

  explicit Answers(const asio::any_io_executor& executor) : wake_(executor) {}

  // Takes the next reply into `reply()`, or says why there is none by `deadline`.
  awaitable<Event> next(SteadyTime deadline);
  wire::ClientReply& reply() { return current_; }

  void on_reply(wire::ClientReply reply);
  void on_lost();

 private:
  asio::steady_timer wake_;  // Expires at the deadline; cancelled when something has come.
  std::deque<wire::ClientReply> waiting_;
  wire::ClientReply current_;
  bool lost_ = false;
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(asio::io_context& context, std::string address);

  // Connects and exchanges Hellos. The error is one phrase, without the address.
  awaitable<Result<void>> open(std::chrono::milliseconds timeout);

  // REQUIRES: open() succeeded. A session that has ended since answers `lost`.
  std::shared_ptr<Answers> ask(wire::ClientRequestBody body, std::uint64_t& id);
  // No further replies to `id` are wanted. `tell` says so to the node: for streaming answers.
  void forget(std::uint64_t id, bool tell);

  void close();
  bool alive() const { return alive_; }
  const std::string& address() const { return address_; }
  SteadyTime opened() const { return opened_; }
  // Why the session ended; for people.
  const std::string& reason() const { return reason_; }

 private:
  awaitable<Result<void>> connect();
  awaitable<Result<void>> greet();
  awaitable<void> read_loop();
  awaitable<void> write_loop();
  awaitable<void> watch_silence();
  // Takes whole frames off the front of `buffer`; an error ends the session.
  Result<void> consume(std::string& buffer);
  void dispatch(std::vector<wire::ClientMessage> messages);
  void end(std::string reason);

  std::string address_;
  tcp::resolver resolver_;
  tcp::socket socket_;
  asio::steady_timer writable_;  // Cancelled when `outgoing_` is no longer empty.
  asio::steady_timer silence_;
  std::vector<wire::ClientMessage> outgoing_;  // Bounded by the callers' windows.
  std::map<std::uint64_t, std::shared_ptr<Answers>> open_;
  std::uint64_t last_id_ = 0;
  SteadyTime heard_;
  SteadyTime opened_;
  std::string reason_;
  bool alive_ = false;
};

}  // namespace shoal::client
