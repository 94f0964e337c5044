#include "net/transport.hpp"

#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <map>
#include <unordered_map>
#include <utility>

#include "base/format.hpp"
#include "base/log.hpp"
#include "net/connection.hpp"
#include "net/datagram_socket.hpp"
#include "net/endpoint.hpp"
#include "net/listen.hpp"
#include "wire/codec.hpp"
#include "wire/frame.hpp"

namespace shoal::net {
namespace {

using asio::ip::tcp;
using ConnectionPtr = std::shared_ptr<Connection>;

constexpr std::uint32_t kProtocol = 1;
constexpr std::size_t kOwnAddressesMax = 64;

// A connection and what is known of its other side.
struct Link {
  ConnectionPtr connection;
  bool greeted = false;
  bool client = false;
  bool dialled = false;
  Channel channel = Channel::stream;
  NodeId node;          // Whom we dialled; once greeted, who it is.
  Address dialled_at;   // Where, when we dialled.
  Origin origin;        // Once greeted, of a peer.
  SessionId session{};  // Of a client.
};
using LinkPtr = std::shared_ptr<Link>;

struct Peer {
  LinkPtr stream;
  LinkPtr bulk;
  Clock::time_point redial_at = Clock::time_point::min();
};

struct NodeHash {
  std::size_t operator()(const NodeId& id) const { return id.low ^ id.high; }
};

}  // namespace

class Transport::State : public std::enable_shared_from_this<State> {
 public:
  State(asio::io_context& context, ListeningSockets sockets, Identity identity, Limits limits,
        Handlers handlers)
      : context_(context),
        acceptor_(std::move(sockets.acceptor)),
        sweep_timer_(context),
        accept_pause_(context),
        bound_(sockets.address),
        identity_(std::move(identity)),
        limits_(limits),
        handlers_(std::move(handlers)),
        datagrams_(std::make_shared<DatagramSocket>(
            std::move(sockets.datagrams),
            [this](std::string_view bytes, const Address& from) { on_datagram(bytes, from); })) {
    if (identity_.listening.port == 0) identity_.listening.port = bound_.port;
  }

  void start() {
    datagrams_->start();
    asio::co_spawn(context_, accept(shared_from_this()), asio::detached);
    asio::co_spawn(context_, sweep(shared_from_this()), asio::detached);
  }
  void close();

  const Address& bound() const { return bound_; }
  void set_identity(ClusterId cluster, const Address& listening);
  void send(NodeId to, const Address& address, Channel channel,
            std::span<const wire::Message> messages);
  void reply(SessionId session, std::span<const wire::ClientMessage> messages);
  void close_session(SessionId session);
  bool idle() const;
  TransportStats stats() const;

 private:
  static asio::awaitable<void> accept(std::shared_ptr<State> self);
  static asio::awaitable<void> sweep(std::shared_ptr<State> self);

  // Streams
  void adopt(tcp::socket socket);
  LinkPtr dial(NodeId to, const Address& address, Channel channel);
  LinkPtr link_to(NodeId to, const Address& address, Channel channel);
  LinkPtr seed_link(const Address& address, Channel channel);
  Connection::Events events_of(const LinkPtr& link);
  Result<void> on_frame(const LinkPtr& link, const FrameView& frame);
  Result<void> on_hello(const LinkPtr& link, const wire::Hello& hello);
  Result<void> greet_client(const LinkPtr& link);
  Result<void> greet_peer(const LinkPtr& link, const wire::Hello& hello);
  void choose_stream(const LinkPtr& link);
  Origin origin_of(const Link& link, const wire::Hello& hello) const;
  void on_closed(const LinkPtr& link, const std::string& why, bool garbage);
  void forget_in_peers(const LinkPtr& link);
  bool peer_stream_stands(NodeId node) const;
  void check_deadlines(Link& link, Clock::time_point now);
  std::string hello_frame() const;
  std::size_t accepted() const;
  std::size_t ungreeted() const;

  // Datagrams
  void send_datagrams(const Address& address, std::span<const wire::Message> messages);
  void on_datagram(std::string_view bytes, const Address& from);

  asio::io_context& context_;
  tcp::acceptor acceptor_;
  asio::steady_timer sweep_timer_;
  asio::steady_timer accept_pause_;
  Address bound_;
  Identity identity_;
  const Limits limits_;
  Handlers handlers_;
  std::shared_ptr<DatagramSocket> datagrams_;
  std::vector<LinkPtr> links_;  // All that are not closed.
  std::unordered_map<NodeId, Peer, NodeHash> peers_;
  std::map<Address, LinkPtr> seeds_;  // Dialled by address alone.
  std::vector<Address> own_addresses_;
  std::unordered_map<std::uint64_t, LinkPtr> sessions_;
  std::uint64_t last_session_ = 0;
  TransportStats stats_;
  bool closed_ = false;
};

// --- Life --------------------------------------------------------------------------------------

void Transport::State::close() {
  closed_ = true;
  handlers_ = {};
  std::error_code ignored;
  acceptor_.close(ignored);
  sweep_timer_.cancel();
  accept_pause_.cancel();
  datagrams_->close();
  const std::vector<LinkPtr> links = std::exchange(links_, {});
  for (const LinkPtr& link : links) link->connection->close("this node stops");
  peers_.clear();
  seeds_.clear();
  sessions_.clear();
}

asio::awaitable<void> Transport::State::accept(std::shared_ptr<State> self) {
  constexpr std::chrono::milliseconds kPause{100};  // Descriptors may have run out.
  while (!self->closed_) {
    tcp::socket socket(self->context_);
    std::error_code error;
    co_await self->acceptor_.async_accept(socket, asio::redirect_error(asio::use_awaitable, error));
    if (self->closed_) co_return;
    if (!error) {
      self->adopt(std::move(socket));
      continue;
    }
    log::warn("net", "a connection cannot be accepted: {}", error.message());
    self->accept_pause_.expires_after(kPause);
    co_await self->accept_pause_.async_wait(asio::redirect_error(asio::use_awaitable, error));
  }
}

asio::awaitable<void> Transport::State::sweep(std::shared_ptr<State> self) {
  while (!self->closed_) {
    self->sweep_timer_.expires_after(self->limits_.sweep);
    std::error_code error;
    co_await self->sweep_timer_.async_wait(asio::redirect_error(asio::use_awaitable, error));
    if (self->closed_) co_return;
    const Clock::time_point now = Clock::now();
    const std::vector<LinkPtr> links = self->links_;
    for (const LinkPtr& link : links) self->check_deadlines(*link, now);
    std::erase_if(self->peers_, [now](const auto& entry) {
      const Peer& peer = entry.second;
      return !peer.stream && !peer.bulk && peer.redial_at <= now;
    });
  }
}

void Transport::State::check_deadlines(Link& link, Clock::time_point now) {
  Connection& connection = *link.connection;
  if (connection.closed()) return;
  const char* why = nullptr;
  if (!link.greeted && now - connection.created() > limits_.handshake) {
    why = "no greeting came in time";
  } else if (connection.frame_began() < now && now - connection.frame_began() > limits_.frame) {
    why = "a frame did not end in time";
  } else if (connection.queued_bytes() > 0 && connection.open() &&
             now - connection.last_progress() > limits_.stalled) {
    why = "the other side takes nothing";
  }
  if (why == nullptr) return;
  ++stats_.expired_connections;
  connection.close(why);
}

// --- Connections -------------------------------------------------------------------------------

std::size_t Transport::State::accepted() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(links_, [](const LinkPtr& link) { return !link->dialled; }));
}

std::size_t Transport::State::ungreeted() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      links_, [](const LinkPtr& link) { return !link->greeted && !link->dialled; }));
}

void Transport::State::adopt(tcp::socket socket) {
  const bool full = links_.size() >= limits_.accepted_max && accepted() >= limits_.accepted_max;
  const bool strange =
      links_.size() >= limits_.ungreeted_max && ungreeted() >= limits_.ungreeted_max;
  if (full || strange) {
    ++stats_.refused_connections;
    return;
  }
  const auto link = std::make_shared<Link>();
  link->connection = std::make_shared<Connection>(std::move(socket), limits_.peer_queue_bytes_max);
  links_.push_back(link);
  link->connection->accept(events_of(link));
}

Connection::Events Transport::State::events_of(const LinkPtr& link) {
  // Weak: a link owns its connection. `this` outlives open connections: close() closes them.
  const std::weak_ptr<Link> weak = link;
  return {.on_open =
              [this, weak] {
                if (const LinkPtr opened = weak.lock()) {
                  opened->connection->send_first(hello_frame());
                }
              },
          .on_frame = [this, weak](const FrameView& frame) -> Result<void> {
            const LinkPtr reading = weak.lock();
            if (!reading) return {};
            return on_frame(reading, frame);
          },
          .on_closed =
              [this, weak](const std::string& why, bool garbage) {
                if (const LinkPtr ended = weak.lock()) on_closed(ended, why, garbage);
              }};
}

LinkPtr Transport::State::dial(NodeId to, const Address& address, Channel channel) {
  const auto link = std::make_shared<Link>();
  link->dialled = true;
  link->channel = channel;
  link->node = to;
  link->dialled_at = address;
  link->connection =
      std::make_shared<Connection>(tcp::socket(context_), limits_.peer_queue_bytes_max);
  links_.push_back(link);
  link->connection->dial({to_ip(address), address.port}, to_ip(bound_), events_of(link));
  return link;
}

LinkPtr Transport::State::link_to(NodeId to, const Address& address, Channel channel) {
  Peer& peer = peers_[to];
  LinkPtr& link = channel == Channel::bulk ? peer.bulk : peer.stream;
  if (link) return link;
  if (channel == Channel::stream) {
    const auto other = std::ranges::find_if(links_, [&](const LinkPtr& each) {
      return each->greeted && !each->client && each->node == to && !each->connection->closed() &&
             each->channel == Channel::stream;
    });
    if (other != links_.end()) return link = *other;
  }
  if (!address || Clock::now() < peer.redial_at) return nullptr;
  return link = dial(to, address, channel);
}

LinkPtr Transport::State::seed_link(const Address& address, Channel channel) {
  if (!address || std::ranges::find(own_addresses_, address) != own_addresses_.end()) {
    return nullptr;
  }
  LinkPtr& link = seeds_[address];
  if (!link) link = dial({}, address, channel);
  return link;
}

void Transport::State::forget_in_peers(const LinkPtr& link) {
  const auto found = peers_.find(link->node);
  if (found == peers_.end()) return;
  Peer& peer = found->second;
  if (peer.stream == link) peer.stream.reset();
  if (peer.bulk == link) peer.bulk.reset();
  if (!link->greeted) peer.redial_at = Clock::now() + limits_.redial;
}

void Transport::State::on_closed(const LinkPtr& link, const std::string& why, bool garbage) {
  if (closed_) return;
  std::erase(links_, link);
  if (garbage) ++stats_.garbage;
  log::debug("net", "connection with {} closed: {}",
             link->node ? short_text(link->node) : std::string("an unnamed side"), why);
  if (link->client) {
    const bool known = sessions_.erase(static_cast<std::uint64_t>(link->session)) > 0;
    if (known && handlers_.on_session_closed) handlers_.on_session_closed(link->session);
    return;
  }
  std::erase_if(seeds_, [&](const auto& entry) { return entry.second == link; });
  if (!link->node) return;
  forget_in_peers(link);
  const bool replaced = !link->greeted && link->channel == Channel::stream;
  if (replaced && peer_stream_stands(link->node)) return;  // By one that the peer dialled.
  if (handlers_.on_peer_closed) handlers_.on_peer_closed(link->node);
}

// --- What arrives on streams -------------------------------------------------------------------

std::string Transport::State::hello_frame() const {
  return wire::frame(wire::FrameKind::hello, wire::encode_hello({.protocol = kProtocol,
                                                                 .client = false,
                                                                 .node = identity_.node,
                                                                 .cluster = identity_.cluster,
                                                                 .listening = identity_.listening,
                                                                 .version = identity_.version}));
}

Result<void> Transport::State::on_frame(const LinkPtr& link, const FrameView& frame) {
  switch (frame.kind) {
    case wire::FrameKind::hello: {
      const auto hello = wire::decode_hello(frame.body);
      if (!hello) return std::unexpected(hello.error());
      return on_hello(link, *hello);
    }
    case wire::FrameKind::messages: {
      if (!link->greeted || link->client) break;
      auto messages = wire::decode_messages(frame.body);
      if (!messages) return std::unexpected(messages.error());
      handlers_.on_messages(link->origin, std::move(*messages));
      return {};
    }
    case wire::FrameKind::client_messages: {
      if (!link->client) break;
      auto messages = wire::decode_client_messages(frame.body);
      if (!messages) return std::unexpected(messages.error());
      handlers_.on_client_messages(link->session, std::move(*messages));
      return {};
    }
  }
  return fail(ErrorCode::bad_input, "a frame came that this side may not send, or not yet");
}

Result<void> Transport::State::on_hello(const LinkPtr& link, const wire::Hello& hello) {
  if (hello.protocol != kProtocol) {
    return fail(ErrorCode::bad_input,
                format("it speaks protocol {}, this node {}", hello.protocol, kProtocol));
  }
  if (link->greeted) {
    if (link->client || hello.client || hello.node != link->node) {
      return fail(ErrorCode::bad_input, "it changed its identity");
    }
    link->origin = origin_of(*link, hello);
    return {};
  }
  if (hello.client != !hello.node || (hello.client && link->dialled)) {
    return fail(ErrorCode::bad_input, "it is neither a node nor a client");
  }
  if (!link->dialled) link->connection->send_first(hello_frame());
  return hello.client ? greet_client(link) : greet_peer(link, hello);
}

Result<void> Transport::State::greet_client(const LinkPtr& link) {
  if (sessions_.size() >= limits_.sessions_max) {
    ++stats_.refused_connections;
    return fail(ErrorCode::overload, "there are too many clients");
  }
  link->greeted = true;
  link->client = true;
  link->session = SessionId{++last_session_};
  link->connection->set_frame_bytes_max(wire::kFrameBytesMax);
  sessions_.emplace(last_session_, link);
  return {};
}

Result<void> Transport::State::greet_peer(const LinkPtr& link, const wire::Hello& hello) {
  if (hello.node == identity_.node) {
    if (link->dialled && own_addresses_.size() < kOwnAddressesMax) {
      own_addresses_.push_back(link->dialled_at);
    }
    forget_in_peers(link);
    link->node = {};
    link->connection->close("this node itself");
    return {};
  }
  if (link->node && link->node != hello.node) {
    link->connection->close("another node answers at its address: " + short_text(hello.node));
    return {};
  }
  link->greeted = true;
  link->node = hello.node;
  link->origin = origin_of(*link, hello);
  link->connection->set_frame_bytes_max(wire::kFrameBytesMax);
  link->connection->set_unacknowledged_max(limits_.unacknowledged);
  link->connection->release();
  if (link->channel == Channel::stream) choose_stream(link);
  const tcp::endpoint local = link->connection->local();
  if (handlers_.on_local_address) {
    handlers_.on_local_address(to_address(local.address(), bound_.port));
  }
  return {};
}

// A newly greeted stream takes the place of none, of a dial that still hangs, and of one that has
// gone quiet when it was the peer who dialled anew: it would not, did it hold the old one for good.
void Transport::State::choose_stream(const LinkPtr& link) {
  Peer& peer = peers_[link->node];
  const LinkPtr old = peer.stream;
  if (old == link) return;
  if (!old) {
    peer.stream = link;
  } else if (!old->greeted) {
    peer.stream = link;  // The dial goes on: the peer may have chosen its other end.
    for (std::string& frame : old->connection->take_held()) {
      if (!link->connection->send(std::move(frame))) ++stats_.dropped_messages;
    }
  } else if (!link->dialled && Clock::now() - old->connection->last_received() > limits_.quiet) {
    peer.stream = link;
    // What waits there would come after what is sent from now on.
    if (old->connection->queued_bytes() > 0) old->connection->close("its peer dialled anew");
  }
}

bool Transport::State::peer_stream_stands(NodeId node) const {
  const auto found = peers_.find(node);
  return found != peers_.end() && found->second.stream && found->second.stream->greeted;
}

Origin Transport::State::origin_of(const Link& link, const wire::Hello& hello) const {
  Origin origin{.node = hello.node, .cluster = hello.cluster, .address = hello.listening};
  if (hello.listening.unspecified()) {
    origin.address = to_address(link.connection->remote().address(), hello.listening.port);
  }
  return origin;
}

// --- What leaves -------------------------------------------------------------------------------

void Transport::State::set_identity(ClusterId cluster, const Address& listening) {
  Address advertised = listening;
  if (advertised.port == 0) advertised.port = bound_.port;
  if (cluster == identity_.cluster && advertised == identity_.listening) return;
  identity_.cluster = cluster;
  identity_.listening = advertised;
  for (const LinkPtr& link : links_) {
    const bool heard = link->dialled ? link->connection->open() : link->greeted;
    if (heard && !link->client) link->connection->send_first(hello_frame());
  }
}

void Transport::State::send(NodeId to, const Address& address, Channel channel,
                            std::span<const wire::Message> messages) {
  if (messages.empty()) return;
  if (channel == Channel::datagram) return send_datagrams(address, messages);
  const bool self = to == identity_.node;
  LinkPtr link;
  if (!self) link = to ? link_to(to, address, channel) : seed_link(address, channel);
  if (!link) {
    stats_.dropped_messages += messages.size();
    return;
  }
  for (const std::string& body : wire::encode_messages(messages)) {
    if (!link->connection->send(wire::frame(wire::FrameKind::messages, body))) {
      ++stats_.dropped_messages;
    }
  }
}

void Transport::State::send_datagrams(const Address& address,
                                      std::span<const wire::Message> messages) {
  for (const wire::Message& message : messages) {
    const std::string bytes = wire::datagram({.node = identity_.node, .cluster = identity_.cluster},
                                             wire::encode_message(message));
    if (!datagrams_->send(bytes, address)) ++stats_.dropped_messages;
  }
}

void Transport::State::on_datagram(std::string_view bytes, const Address& from) {
  if (closed_) return;
  const auto datagram = wire::parse_datagram(bytes);
  if (!datagram) {
    ++stats_.garbage;
    return;
  }
  auto messages = wire::decode_messages(datagram->body);
  if (!messages || !datagram->source.node || datagram->source.node == identity_.node) {
    ++stats_.garbage;
    return;
  }
  handlers_.on_messages({.node = datagram->source.node,
                         .cluster = datagram->source.cluster,
                         .address = from,
                         .datagram = true},
                        std::move(*messages));
}

void Transport::State::reply(SessionId session, std::span<const wire::ClientMessage> messages) {
  const auto found = sessions_.find(static_cast<std::uint64_t>(session));
  if (found == sessions_.end()) return;
  const ConnectionPtr connection = found->second->connection;
  for (const std::string& body : wire::encode_client_messages(messages)) {
    std::string frame = wire::frame(wire::FrameKind::client_messages, body);
    const bool fits = connection->queued_bytes() + frame.size() <= limits_.session_queue_bytes_max;
    if (fits && connection->send(std::move(frame))) continue;
    ++stats_.expired_connections;
    // Later: the caller does not expect its own session to end here.
    asio::post(context_, [connection] { connection->close("its replies are not taken"); });
    return;
  }
}

void Transport::State::close_session(SessionId session) {
  const auto found = sessions_.find(static_cast<std::uint64_t>(session));
  if (found == sessions_.end()) return;
  const LinkPtr link = found->second;
  sessions_.erase(found);
  link->connection->close("this node ends the session");
}

bool Transport::State::idle() const {
  return std::ranges::all_of(
      links_, [](const LinkPtr& link) { return link->connection->queued_bytes() == 0; });
}

TransportStats Transport::State::stats() const {
  TransportStats now = stats_;
  now.connections = links_.size();
  now.sessions = sessions_.size();
  return now;
}

// --- The face ----------------------------------------------------------------------------------

Transport::Transport(std::shared_ptr<State> state) : state_(std::move(state)) {}
Transport::~Transport() { state_->close(); }

Result<std::unique_ptr<Transport>> Transport::listen(asio::io_context& context,
                                                     const Address& address, Identity identity,
                                                     Limits limits, Handlers handlers) {
  auto sockets = open_listening(context, address);
  if (!sockets) return std::unexpected(sockets.error());
  auto state = std::make_shared<State>(context, std::move(*sockets), std::move(identity), limits,
                                       std::move(handlers));
  state->start();
  return std::make_unique<Transport>(std::move(state));
}

Address Transport::listening() const { return state_->bound(); }
void Transport::set_identity(ClusterId cluster, const Address& listening) {
  state_->set_identity(cluster, listening);
}
void Transport::send(NodeId to, const Address& address, Channel channel,
                     std::span<const wire::Message> messages) {
  state_->send(to, address, channel, messages);
}
void Transport::reply(SessionId session, std::span<const wire::ClientMessage> messages) {
  state_->reply(session, messages);
}
void Transport::close_session(SessionId session) { state_->close_session(session); }
bool Transport::idle() const { return state_->idle(); }
TransportStats Transport::stats() const { return state_->stats(); }

}  // namespace shoal::net
