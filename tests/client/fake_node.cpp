#include "fake_node.hpp"

#include <array>
#include <asio/read.hpp>
#include <asio/write.hpp>
#include <utility>

#include "wire/codec.hpp"
#include "wire/frame.hpp"

namespace shoal::client {
namespace {

// What a cluster would answer at once to a well-meant request.
wire::ClientReplyBody ordinary_answer(World& world, const wire::ClientRequestBody& body) {
  if (const auto* create = std::get_if<wire::CreateJob>(&body)) {
    const auto [found, fresh] = world.jobs.try_emplace(create->job);
    if (fresh) found->second.created = *create;
    if (found->second.created.nonce != create->nonce) {
      return Error{ErrorCode::conflict, "id taken"};
    }
    return wire::Done{.copies = 3};
  }
  if (const auto* tasks = std::get_if<wire::CreateTasks>(&body)) {
    FakeJob& job = world.jobs[tasks->job];
    for (const wire::NewElement& element : tasks->elements) {
      const auto [found, fresh] = job.elements.try_emplace(element.index, element.argument);
      if (!fresh && found->second != element.argument) ++job.contradictions;
    }
    return wire::Done{.copies = 3};
  }
  if (const auto* close = std::get_if<wire::CloseJob>(&body)) {
    world.jobs[close->job].closed = true;
    return wire::Done{.copies = 3};
  }
  if (std::holds_alternative<wire::ListMembers>(body)) {
    wire::MemberList list{.serving = true};
    for (const std::uint16_t port : world.ports) {
      wire::MemberRow row{.node = {.high = 1, .low = port}};
      row.info.address = ipv4(127, 0, 0, 1, port);
      row.info.name = "n" + std::to_string(list.members.size() + 1);
      list.members.push_back(std::move(row));
    }
    return list;
  }
  return Error{ErrorCode::bad_input, "the fake node has no answer to this"};
}

}  // namespace

FakeNode::FakeNode(asio::io_context& context, World& world)
    : context_(context),
      world_(world),
      acceptor_(context, tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
      port_(acceptor_.local_endpoint().port()) {}

std::shared_ptr<FakeNode> FakeNode::start(asio::io_context& context, World& world) {
  auto node = std::make_shared<FakeNode>(context, world);
  world.ports.push_back(node->port_);
  asio::co_spawn(context, node->accept_loop(), asio::detached);
  return node;
}

std::string FakeNode::address() const { return "127.0.0.1:" + std::to_string(port_); }

void FakeNode::die() {
  asio::error_code ignored;
  acceptor_.close(ignored);
  for (const auto& socket : std::exchange(sockets_, {})) socket->close(ignored);
}

awaitable<void> FakeNode::accept_loop() {
  const auto self = shared_from_this();
  while (acceptor_.is_open()) {
    auto socket = std::make_shared<tcp::socket>(context_);
    auto [error] = co_await acceptor_.async_accept(*socket, kTuple);
    if (error) co_return;
    sockets_.insert(socket);
    asio::co_spawn(context_, serve(socket), asio::detached);
  }
}

awaitable<std::optional<std::string>> FakeNode::read_frame(std::shared_ptr<tcp::socket> socket) {
  std::string bytes(wire::kFrameHeaderBytes, '\0');
  auto [error, got] = co_await asio::async_read(*socket, asio::buffer(bytes), kTuple);
  if (error) co_return std::nullopt;
  const auto header = wire::parse_frame_header(bytes, wire::kFrameBytesMax);
  if (!header) co_return std::nullopt;
  std::string body(header->padded_bytes(), '\0');
  auto [body_error, body_got] = co_await asio::async_read(*socket, asio::buffer(body), kTuple);
  if (body_error) co_return std::nullopt;
  body.resize(header->body_bytes);
  co_return body;
}

awaitable<void> FakeNode::serve(std::shared_ptr<tcp::socket> socket) {
  const auto self = shared_from_this();
  const auto hello = co_await read_frame(socket);
  if (!hello) co_return;
  if (greets) {
    const wire::Hello ours{.node = {.high = 1, .low = port_}};
    const std::string greeting = wire::frame(wire::FrameKind::hello, wire::encode_hello(ours));
    co_await asio::async_write(*socket, asio::buffer(greeting), kTuple);
  }
  while (socket->is_open()) {
    if (!garbage.empty()) {
      co_await asio::async_write(*socket, asio::buffer(garbage), kTuple);
    }
    const auto body = co_await read_frame(socket);
    if (!body) break;
    auto messages = wire::decode_client_messages(*body);
    if (!messages) break;
    for (const wire::ClientMessage& message : *messages) {
      const auto* request = std::get_if<wire::ClientRequest>(&message);
      if (request != nullptr && socket->is_open()) answer(socket, *request);
    }
  }
  sockets_.erase(socket);
}

void FakeNode::answer(const std::shared_ptr<tcp::socket>& socket,
                      const wire::ClientRequest& request) {
  const auto self = shared_from_this();
  const std::uint64_t id = request.id;
  const World::Send reply = [self, socket, id](wire::ClientReplyBody body, bool last) {
    self->send(socket, {.id = id, .last = last, .body = std::move(body)});
  };
  ++world_.requests;
  if (world_.hook && world_.hook(port_, request.body, reply)) return;
  reply(ordinary_answer(world_, request.body), true);
}

void FakeNode::send(const std::shared_ptr<tcp::socket>& socket, wire::ClientReply reply) {
  const std::array<wire::ClientMessage, 1> messages{std::move(reply)};
  asio::error_code ignored;
  for (const std::string& body : wire::encode_client_messages(messages)) {
    const std::string frame = wire::frame(wire::FrameKind::client_messages, body);
    asio::write(*socket, asio::buffer(frame), ignored);
  }
}

}  // namespace shoal::client
