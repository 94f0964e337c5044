// A node as a client sees it, without a cluster behind it: on loopback, in the test's own loop.
// What it knows stands in a World that several of them share, as the shards of a cluster would.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "client/asio.hpp"
#include "wire/message.hpp"

namespace shoal::client {

struct FakeJob {
  wire::CreateJob created;
  std::map<std::uint32_t, std::string> elements;
  std::uint32_t contradictions = 0;  // Elements that came again with another argument.
  bool closed = false;
};

struct World {
  std::map<JobId, FakeJob> jobs;
  std::vector<std::uint16_t> ports;  // Of all members.
  std::uint32_t requests = 0;
  // Looks at a request before the default answer; true: it is dealt with.
  using Send = std::function<void(wire::ClientReplyBody, bool last)>;
  std::function<bool(std::uint16_t port, const wire::ClientRequestBody&, const Send&)> hook;
};

class FakeNode : public std::enable_shared_from_this<FakeNode> {
 public:
  FakeNode(asio::io_context& context, World& world);
  static std::shared_ptr<FakeNode> start(asio::io_context& context, World& world);

  std::uint16_t port() const { return port_; }
  std::string address() const;
  // From now on nobody is listened to, and all connections are gone.
  void die();
  // What is sent in place of frames after the greeting; for tests of bad answers.
  std::string garbage;
  bool greets = true;

 private:
  awaitable<void> accept_loop();
  awaitable<void> serve(std::shared_ptr<tcp::socket> socket);
  awaitable<std::optional<std::string>> read_frame(std::shared_ptr<tcp::socket> socket);
  void answer(const std::shared_ptr<tcp::socket>& socket, const wire::ClientRequest& request);
  void send(const std::shared_ptr<tcp::socket>& socket, wire::ClientReply reply);

  asio::io_context& context_;
  World& world_;
  tcp::acceptor acceptor_;
  std::uint16_t port_ = 0;
  std::set<std::shared_ptr<tcp::socket>> sockets_;
};

}  // namespace shoal::client
