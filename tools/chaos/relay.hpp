// A network in one process: every node's front, at which the others and clients reach it, and
// behind it the node's own address.
//
// A node listens on its own address, advertises its front, and is the only one that sends from its
// own address: that tells who speaks. What the relay passes on to another node comes from the
// sender's front. Clients come from elsewhere; no rule concerns them.
//
//   n1 (127.9.9.1) -> front of n2 (127.9.9.102) -> [rules of n1 to n2] -> n2 (127.9.9.2)
//
// It is told what to do through a socket of the file system: one line each, answered by one.
//   set ID FOR FAULT LINKS [NAME=VALUE...]    LINKS as n1>n2,n2>n1; over after FOR by itself
//   unset ID                                  also when there is no such rule
//   state                                     how many rules and streams there are
#pragma once

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/ip/udp.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/steady_timer.hpp>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tools/chaos/relay_rules.hpp"
#include "tools/chaos/relay_stream.hpp"

namespace shoal::chaos {

struct RelayPlace {
  std::string name;
  asio::ip::address front;
  asio::ip::address own;
  std::uint16_t port = 0;  // Of both.
};
// Of `subnet`, such as "127.9.9.". Those above the cluster's `nodes` are for nodes that join later.
// REQUIRES: from 1 to kRelayPlaces.
RelayPlace relay_place(const std::string& subnet, std::uint32_t number, std::uint32_t nodes);
inline constexpr std::uint32_t kRelayPlaces = 99;

class Relay {
 public:
  Relay(asio::io_context& context, std::vector<RelayPlace> places, std::uint64_t seed);

  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  // Fronts, and the control socket at that path.
  Result<void> open(const std::filesystem::path& control);
  // The answer to one line of the control socket, without the line's end.
  std::string command(std::string_view line);

 private:
  struct Front;
  struct Packet {
    std::size_t sender = 0;
    std::size_t receiver = 0;
    std::string bytes;
  };
  Result<void> open_front(Front& front);
  asio::awaitable<void> accept(Front& front);
  asio::awaitable<void> receive(Front& front);
  asio::awaitable<void> send_late();
  asio::awaitable<void> expire();
  asio::awaitable<void> listen_to_commands();
  asio::awaitable<void> converse(asio::local::stream_protocol::socket socket);
  void drain(Front& front);
  void on_datagram(const Front& front, const asio::ip::udp::endpoint& from, std::string bytes);
  void send(const Packet& packet);
  void on_rules();
  Result<void> set(const std::vector<std::string>& words);
  // Whose own address that is; its front when there is one.
  Front* sender_at(const asio::ip::address& address);

  asio::io_context& context_;
  RelayRules rules_;
  std::vector<std::unique_ptr<Front>> fronts_;
  std::multimap<SteadyTime, Packet> late_;
  asio::steady_timer late_timer_;
  std::vector<std::weak_ptr<RelayStream>> streams_;
  asio::local::stream_protocol::acceptor control_;
};

struct RelayOptions {
  std::string control;
  std::string subnet;
  std::uint32_t nodes = 0;
};
// What the hidden command `relay` does, until it is ended.
int run_relay(const RelayOptions& options);

// One line to a relay that may only just be starting; its answer.
Result<std::string> tell_relay(const std::filesystem::path& control, const std::string& line);

// What `set` is told of a fault, the id left to the caller.
std::vector<std::string> relay_words(std::uint32_t id, Ms limit, const Fault& fault,
                                     const std::vector<Link>& links);

}  // namespace shoal::chaos
