#include "net/transport.hpp"

#include <doctest/doctest.h>

#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/ip/udp.hpp>
#include <asio/read.hpp>
#include <asio/steady_timer.hpp>
#include <asio/write.hpp>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "net/endpoint.hpp"
#include "net/frame_reader.hpp"
#include "wire/codec.hpp"
#include "wire/frame.hpp"

namespace shoal::net {
namespace {

using namespace std::chrono_literals;
using asio::ip::tcp;

const Address kLoopback = ipv4(127, 0, 0, 1, 0);
constexpr ClusterId kCluster{5, 6};

// Short deadlines, so that tests see them pass.
Limits short_limits() {
  return {.handshake = 300ms, .frame = 300ms, .stalled = 300ms, .redial = 50ms, .sweep = 50ms};
}

wire::Message gossip(std::uint64_t sequence) { return wire::PingNack{.sequence = sequence}; }

struct TestNode {
  TestNode(asio::io_context& context, std::uint64_t number, Limits limits = short_limits(),
           const Address& listen = kLoopback)
      : id{number, number} {
    auto made = Transport::listen(
        context, listen, {.node = id, .cluster = kCluster, .listening = {}, .version = "test"},
        limits,
        {.on_messages =
             [this](const Origin& origin, std::vector<wire::Message> messages) {
               origins.push_back(origin);
               for (const wire::Message& message : messages) {
                 heard.push_back(std::get<wire::PingNack>(message).sequence);
               }
             },
         .on_peer_closed = [this](NodeId peer) { closed_peers.push_back(peer); },
         .on_client_messages =
             [this](SessionId session, std::vector<wire::ClientMessage> messages) {
               last_session = session;
               client_messages += messages.size();
             },
         .on_session_closed = [this](SessionId) { ++closed_sessions; },
         .on_local_address = [this](const Address& address) { local = address; }});
    REQUIRE(made);
    transport = std::move(*made);
    transport->set_identity(kCluster, transport->listening());
  }

  Address address() const { return transport->listening(); }
  void send(const TestNode& to, std::vector<std::uint64_t> sequences,
            Channel channel = Channel::stream) {
    std::vector<wire::Message> messages;
    for (const std::uint64_t sequence : sequences) messages.push_back(gossip(sequence));
    transport->send(to.id, to.address(), channel, messages);
  }

  NodeId id;
  std::unique_ptr<Transport> transport;
  std::vector<std::uint64_t> heard;
  std::vector<Origin> origins;
  std::vector<NodeId> closed_peers;
  std::size_t client_messages = 0;
  SessionId last_session{};
  int closed_sessions = 0;
  Address local;
};

// Runs the loop until the condition holds; false when it does not within five seconds.
bool run_until(asio::io_context& context, const std::function<bool()>& holds) {
  const auto deadline = std::chrono::steady_clock::now() + 5s;
  context.restart();
  while (!holds() && std::chrono::steady_clock::now() < deadline) context.run_for(5ms);
  return holds();
}

tcp::socket connect(asio::io_context& context, const Address& address) {
  tcp::socket socket(context);
  socket.connect({to_ip(address), address.port});
  return socket;
}

std::string hello_bytes(bool client, NodeId node) {
  return wire::frame(
      wire::FrameKind::hello,
      wire::encode_hello(
          {.client = client, .node = node, .cluster = {}, .listening = {}, .version = "test"}));
}

// True when the other side has closed: reading ends.
bool closed_by_peer(tcp::socket& socket) {
  socket.non_blocking(true);
  std::string buffer(4096, '\0');
  std::error_code error;
  while (socket.read_some(asio::buffer(buffer), error) > 0) {
  }
  return error && error != asio::error::would_block && error != asio::error::try_again;
}

}  // namespace

TEST_CASE("net: messages arrive on streams in order, and as datagrams") {
  asio::io_context context;
  TestNode a(context, 1);
  TestNode b(context, 2);
  a.send(b, {1, 2, 3});
  a.send(b, {4});
  CHECK(run_until(context, [&] { return b.heard.size() == 4; }));
  CHECK(b.heard == std::vector<std::uint64_t>{1, 2, 3, 4});
  CHECK(b.origins.front().node == a.id);
  CHECK(b.origins.front().cluster == kCluster);
  CHECK(b.origins.front().address == a.address());
  CHECK_FALSE(b.origins.front().datagram);
  CHECK(b.local == b.address());
  a.send(b, {5}, Channel::datagram);
  CHECK(run_until(context, [&] { return b.heard.size() == 5; }));
  CHECK(b.origins.back().address == a.address());
  CHECK(b.origins.back().datagram);
  // The answer takes the stream that the other side dialled.
  b.send(a, {6});
  CHECK(run_until(context, [&] { return a.heard.size() == 1; }));
  CHECK(a.transport->stats().connections == 1);
  a.send(b, {7}, Channel::bulk);
  CHECK(run_until(context, [&] { return b.heard.size() == 6; }));
  CHECK(a.transport->stats().connections == 2);
}

TEST_CASE("net: both may dial at once") {
  asio::io_context context;
  TestNode a(context, 1);
  TestNode b(context, 2);
  a.send(b, {1});
  b.send(a, {2});
  CHECK(run_until(context, [&] { return !a.heard.empty() && !b.heard.empty(); }));
  a.send(b, {3});
  b.send(a, {4});
  CHECK(run_until(context, [&] { return a.heard.size() == 2 && b.heard.size() == 2; }));
  CHECK(a.closed_peers.empty());
}

TEST_CASE("net: a node is dialled by address alone, and not itself") {
  asio::io_context context;
  TestNode a(context, 1);
  TestNode b(context, 2);
  const std::vector<wire::Message> join{gossip(1)};
  a.transport->send({}, b.address(), Channel::stream, join);
  CHECK(run_until(context, [&] { return b.heard.size() == 1; }));
  a.transport->send({}, a.address(), Channel::stream, join);
  CHECK(run_until(context, [&] { return a.transport->stats().connections == 1; }));
  a.transport->send({}, a.address(), Channel::stream, join);
  CHECK(a.transport->stats().dropped_messages == 1);
  CHECK(a.heard.empty());
}

TEST_CASE("net: a node dials from the address it listens on") {
  asio::io_context context;
  TestNode one(context, 1, short_limits(), ipv4(127, 0, 0, 9, 0));
  TestNode two(context, 2);
  one.transport->set_identity(kCluster, ipv4(0, 0, 0, 0, one.address().port));
  one.send(two, {7});
  REQUIRE(run_until(context, [&] { return two.heard.size() == 1; }));
  CHECK(two.origins.front().address == one.address());  // As `two` saw it.
}

TEST_CASE("net: a stream that closes, or that cannot be opened, is told") {
  asio::io_context context;
  TestNode a(context, 1);
  TestNode c(context, 3);
  {
    TestNode b(context, 2);
    a.send(b, {1});
    CHECK(run_until(context, [&] { return b.heard.size() == 1; }));
    b.transport.reset();
    CHECK(run_until(context, [&] { return a.closed_peers == std::vector{NodeId{2, 2}}; }));
  }
  const std::vector<wire::Message> messages{gossip(2)};
  a.transport->send({2, 2}, ipv4(127, 0, 0, 1, 1), Channel::stream, messages);
  CHECK(run_until(context, [&] { return a.closed_peers.size() == 2; }));
  // Somebody else answers there: what was meant for one node is not given to another.
  a.transport->send({9, 9}, c.address(), Channel::stream, messages);
  CHECK(run_until(context, [&] { return a.closed_peers.size() == 3; }));
  CHECK(c.heard.empty());
}

TEST_CASE("net: a changed cluster reaches peers over streams that stand") {
  asio::io_context context;
  TestNode a(context, 1);
  TestNode b(context, 2);
  a.send(b, {1});
  CHECK(run_until(context, [&] { return b.heard.size() == 1; }));
  a.transport->set_identity({8, 8}, a.address());
  a.send(b, {2});
  CHECK(run_until(context, [&] { return b.heard.size() == 2; }));
  CHECK(b.origins.back().cluster == ClusterId{8, 8});
}

TEST_CASE("net: garbage closes its connection and harms no other") {
  asio::io_context context;
  TestNode a(context, 1);
  TestNode b(context, 2);
  a.send(b, {1});
  CHECK(run_until(context, [&] { return b.heard.size() == 1; }));
  std::string wrong_magic = hello_bytes(false, {7, 7});
  wrong_magic[0] = 'x';
  std::string wrong_checksum = hello_bytes(false, {7, 7});
  wrong_checksum.back() = static_cast<char>(wrong_checksum.back() ^ 1);
  wrong_checksum[17] = static_cast<char>(wrong_checksum[17] ^ 1);
  const std::string long_hello =
      wire::frame(wire::FrameKind::hello, std::string(wire::kHelloBytesMax + 1, 'x'));
  const std::string early = wire::frame(wire::FrameKind::messages, wire::encode_message(gossip(1)));
  const std::string nonsense =
      hello_bytes(false, {7, 7}) + wire::frame(wire::FrameKind::messages, "nonsense");
  std::string oversized = wire::frame(wire::FrameKind::messages, "x");
  oversized[11] = '\x7f';
  oversized = hello_bytes(false, {7, 7}) + oversized;
  const std::string client_speaks_peer =
      hello_bytes(true, {}) + wire::frame(wire::FrameKind::messages, "x");
  std::uint64_t count = 0;
  for (const std::string& bytes : {std::string(64, '\xff'), wrong_magic, wrong_checksum, long_hello,
                                   early, nonsense, oversized, client_speaks_peer}) {
    CAPTURE(count);
    tcp::socket socket = connect(context, b.address());
    asio::write(socket, asio::buffer(bytes));
    CHECK(run_until(context, [&] { return closed_by_peer(socket); }));
    CHECK(b.transport->stats().garbage == ++count);
  }
  asio::ip::udp::socket datagrams(context, asio::ip::udp::v4());
  datagrams.send_to(asio::buffer(std::string(100, 'z')), {to_ip(b.address()), b.address().port});
  CHECK(run_until(context, [&] { return b.transport->stats().garbage == count + 1; }));
  a.send(b, {2});
  CHECK(run_until(context, [&] { return b.heard.size() == 2; }));
}

TEST_CASE("net: silence before the greeting and a frame that never ends are closed in time") {
  asio::io_context context;
  TestNode a(context, 1);
  TestNode b(context, 2);
  a.send(b, {1});
  CHECK(run_until(context, [&] { return b.heard.size() == 1; }));
  tcp::socket silent = connect(context, b.address());
  CHECK(run_until(context, [&] { return closed_by_peer(silent); }));
  tcp::socket endless = connect(context, b.address());
  const std::string whole = wire::frame(wire::FrameKind::messages, wire::encode_message(gossip(1)));
  asio::write(endless, asio::buffer(hello_bytes(false, {7, 7}) + whole.substr(0, 20)));
  CHECK(run_until(context, [&] { return closed_by_peer(endless); }));
  CHECK(b.transport->stats().expired_connections == 2);
  a.send(b, {2});
  CHECK(run_until(context, [&] { return b.heard.size() == 2; }));
}

TEST_CASE("net: connections that have not greeted are limited") {
  asio::io_context context;
  Limits limits = short_limits();
  limits.ungreeted_max = 2;
  limits.handshake = 10s;
  TestNode a(context, 1, limits);
  std::vector<tcp::socket> sockets;
  for (int i = 0; i < 5; ++i) sockets.push_back(connect(context, a.address()));
  CHECK(run_until(context, [&] { return a.transport->stats().refused_connections == 3; }));
  CHECK(a.transport->stats().connections == 2);
}

TEST_CASE("net: connections that others open are limited") {
  asio::io_context context;
  Limits limits = short_limits();
  limits.accepted_max = 2;
  limits.handshake = 10s;
  TestNode a(context, 1, limits);
  TestNode b(context, 2);
  std::vector<tcp::socket> sockets;
  for (int i = 0; i < 5; ++i) sockets.push_back(connect(context, a.address()));
  CHECK(run_until(context, [&] { return a.transport->stats().refused_connections == 3; }));
  a.send(b, {1});  // It dials all the same.
  CHECK(run_until(context, [&] { return b.heard.size() == 1; }));
}

TEST_CASE("net: what waits for a dial that hangs leaves on a stream that the peer opens") {
  asio::io_context context;
  TestNode a(context, 1);
  TestNode b(context, 2);
  // A full backlog: further connections are neither taken nor refused.
  tcp::acceptor full(context, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  full.listen(0);
  const Address hanging = ipv4(127, 0, 0, 1, full.local_endpoint().port());
  std::vector<tcp::socket> fillers;
  for (int i = 0; i < 3; ++i) {
    fillers.emplace_back(context);
    fillers.back().async_connect(full.local_endpoint(), [](std::error_code) {});
  }
  context.run_for(20ms);
  const std::vector<wire::Message> waiting{gossip(1), gossip(2)};
  a.transport->send(b.id, hanging, Channel::stream, waiting);
  context.run_for(20ms);
  b.send(a, {7});
  CHECK(run_until(context, [&] { return b.heard.size() == 2; }));
  a.send(b, {3});
  CHECK(run_until(context, [&] { return b.heard == std::vector<std::uint64_t>{1, 2, 3}; }));
  // The dial's end, by its deadline, is nobody's loss.
  CHECK(run_until(context, [&] { return a.transport->stats().connections == 1; }));
  CHECK(a.closed_peers.empty());
}

TEST_CASE("net: a quiet stream gives way to one that the peer dials anew, a busy one does not") {
  asio::io_context context;
  Limits limits = short_limits();
  limits.quiet = 100ms;
  TestNode a(context, 1, limits);
  constexpr NodeId kPeer{9, 9};
  const Address nowhere = ipv4(127, 0, 0, 1, 1);
  const auto dial = [&] {
    tcp::socket socket = connect(context, a.address());
    asio::write(socket, asio::buffer(hello_bytes(false, kPeer)));
    context.run_for(20ms);
    socket.non_blocking(true);
    return socket;
  };
  // How many bytes came since the last call.
  const auto received = [&](tcp::socket& socket) {
    context.run_for(20ms);
    std::string buffer(4096, '\0');
    std::error_code error;
    return socket.read_some(asio::buffer(buffer), error);
  };
  tcp::socket first = dial();
  CHECK(received(first) > 0);  // The greeting.
  tcp::socket second = dial();
  CHECK(received(second) > 0);
  const std::vector<wire::Message> message{gossip(1)};
  a.transport->send(kPeer, nowhere, Channel::stream, message);
  CHECK(received(first) > 0);
  CHECK(received(second) == 0);
  context.run_for(150ms);
  tcp::socket third = dial();
  CHECK(received(third) > 0);
  a.transport->send(kPeer, nowhere, Channel::stream, message);
  CHECK(received(third) > 0);
  CHECK(received(first) == 0);
  CHECK(a.closed_peers.empty());
}

TEST_CASE("net: a client's requests arrive and its replies leave") {
  asio::io_context context;
  TestNode a(context, 1);
  tcp::socket client = connect(context, a.address());
  const std::vector<wire::ClientMessage> request{wire::ClientForget{.id = 3}};
  asio::write(client, asio::buffer(hello_bytes(true, {}) +
                                   wire::frame(wire::FrameKind::client_messages,
                                               wire::encode_client_messages(request).front())));
  CHECK(run_until(context, [&] { return a.client_messages == 1; }));
  CHECK(a.transport->stats().sessions == 1);
  const std::vector<wire::ClientMessage> reply{
      wire::ClientReply{.id = 3, .last = true, .body = Error{ErrorCode::not_found, "no job"}}};
  a.transport->reply(a.last_session, reply);
  CHECK(run_until(context, [&] { return a.transport->idle(); }));
  FrameReader reader;
  std::vector<wire::ClientMessage> received;
  while (received.empty()) {
    const auto space = reader.space();
    reader.filled(client.read_some(asio::buffer(space.data(), space.size())));
    while (const auto frame = reader.next(wire::kFrameBytesMax).value()) {
      if (frame->kind == wire::FrameKind::hello) continue;
      received = wire::decode_client_messages(frame->body).value();
    }
  }
  CHECK(std::get<Error>(std::get<wire::ClientReply>(received.front()).body).message == "no job");
  client.close();
  CHECK(run_until(context, [&] { return a.closed_sessions == 1; }));
}

TEST_CASE("net: a client that takes no replies is closed, and a full peer queue drops") {
  asio::io_context context;
  Limits limits = short_limits();
  limits.session_queue_bytes_max = 1024 * 1024;
  limits.peer_queue_bytes_max = 4096;
  limits.stalled = 10s;
  TestNode a(context, 1, limits);
  TestNode b(context, 2);
  tcp::socket client = connect(context, a.address());
  const std::vector<wire::ClientMessage> request{wire::ClientForget{.id = 3}};
  asio::write(client, asio::buffer(hello_bytes(true, {}) +
                                   wire::frame(wire::FrameKind::client_messages,
                                               wire::encode_client_messages(request).front())));
  CHECK(run_until(context, [&] { return a.client_messages == 1; }));
  const std::vector<wire::ClientMessage> reply{wire::ClientReply{
      .id = 3, .last = false, .body = Error{ErrorCode::internal, std::string(256UL * 1024, 'x')}}};
  for (int i = 0; i < 100; ++i) a.transport->reply(a.last_session, reply);
  CHECK(run_until(context, [&] { return a.closed_sessions == 1; }));
  for (std::uint64_t i = 0; i < 1000; ++i) a.send(b, {i});
  CHECK(a.transport->stats().dropped_messages > 0);
  CHECK(run_until(context, [&] { return a.transport->idle(); }));
  CHECK(run_until(context,
                  [&] { return b.heard.size() + a.transport->stats().dropped_messages == 1000; }));
}

TEST_CASE("net: a port in use gives an error that says what to do") {
  asio::io_context context;
  TestNode a(context, 1);
  const auto second =
      Transport::listen(context, a.address(),
                        {.node = {2, 2}, .cluster = {}, .listening = {}, .version = ""}, {}, {});
  REQUIRE_FALSE(second);
  CHECK(second.error().message.find("--listen") != std::string::npos);
}

}  // namespace shoal::net
