// A gateway alone: real membership and shard table, and a test that plays the owners, the other
// nodes and the client.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "node/gateway.hpp"

namespace shoal::node {

struct GatewayWorld {
  static constexpr std::uint32_t kShards = 16;
  static constexpr SessionId kClient{7};

  GatewayWorld() {
    context.membership = &members;
    context.table = &table;
    context.shard_count = kShards;
    context.boot_epoch = 3;
    std::vector<wire::MemberRecord> others{record(2), record(3)};
    members.restore(now.steady, others);
    for (std::uint32_t shard = 0; shard < kShards; ++shard) set_owner(ShardId{shard}, 1, id(2));
  }

  static NodeId id(std::uint64_t number) { return {.high = number, .low = number}; }
  static wire::MemberInfo info(std::uint64_t number) {
    return {.address = ipv4(10, 0, 0, static_cast<std::uint8_t>(number), 7461),
            .name = "n" + std::to_string(number)};
  }
  static wire::MemberRecord record(std::uint64_t number) {
    return {.node = id(number), .incarnation = {1, 0}, .accuser = {}, .info = info(number)};
  }
  static NodeConfig config() {
    NodeConfig made;
    made.id = id(1);
    made.name = "n1";
    return made;
  }

  wire::TableEntry entry(ShardId shard, std::uint64_t round, NodeId owner) const {
    return {.shard = shard,
            .config = {.id = {{1, id(1)}, 1}, .home = {id(1), id(2), id(3)}},
            .owner = {round, owner}};
  }
  void set_owner(ShardId shard, std::uint64_t round, NodeId owner) {
    table.merge(entry(shard, round, owner));
  }
  // The member said so itself, which needs no second accuser.
  void kill(std::uint64_t number) {
    wire::MemberRecord dead = record(number);
    dead.state = wire::MemberState::dead;
    dead.accuser = id(number);
    members.on_message(now.steady, {id(3), info(3).address, membership::Channel::stream},
                       wire::Gossip{{dead}});
  }

  void suspect(std::uint64_t number, std::uint64_t accuser) {
    wire::MemberRecord accused = record(number);
    accused.state = wire::MemberState::suspect;
    accused.accuser = id(accuser);
    members.on_message(now.steady,
                       {id(accuser), info(accuser).address, membership::Channel::stream},
                       wire::Gossip{{accused}});
  }

  void client(std::uint64_t request, wire::ClientRequestBody body) {
    gateway.on_client(now, kClient, {request, std::move(body)});
    settle();
  }
  // Time goes on in small steps, as the gateway asks for it.
  void pass(Duration time) {
    const TimePoint end = now.steady + time;
    while (true) {
      const TimePoint next = std::max(gateway.wake_at(), now.steady);
      if (next > end) break;
      now.steady = next;
      gateway.on_time(now);
      settle();
    }
    now.steady = end;
  }
  // Moves effects into the lists below; what the node sends itself is handled as by the node.
  void settle() {
    gateway.flush(now);
    while (!context.inbox.empty()) {
      sent.emplace_back(id(1), std::move(context.inbox.front()));
      context.inbox.pop_front();
    }
    for (Envelope& envelope : context.output.messages) {
      sent.emplace_back(envelope.to, std::move(envelope.message));
    }
    for (ClientAnswer& answer : context.output.errors) heard.push_back(std::move(answer.reply));
    for (ClientAnswer& answer : context.output.replies) heard.push_back(std::move(answer.reply));
    context.output = {};
  }

  struct Asked {
    NodeId to;
    wire::OwnerRequest request;
  };
  // Owner requests of this kind that were sent since the last call.
  template <class Body>
  std::vector<Asked> asked() {
    std::vector<Asked> found;
    for (auto& [to, message] : sent) {
      auto* requests = std::get_if<wire::OwnerRequests>(&message);
      if (requests == nullptr) continue;
      std::erase_if(requests->items, [&, receiver = to](wire::OwnerRequest& item) {
        if (!std::holds_alternative<Body>(item.body)) return false;
        found.push_back({receiver, std::move(item)});
        return true;
      });
    }
    return found;
  }
  template <class Body>
  std::vector<std::pair<NodeId, Body>> messages() {
    std::vector<std::pair<NodeId, Body>> found;
    std::erase_if(sent, [&](auto& item) {
      auto* body = std::get_if<Body>(&item.second);
      if (body != nullptr) found.emplace_back(item.first, std::move(*body));
      return body != nullptr;
    });
    return found;
  }
  void answer(const Asked& asked, wire::OwnerReplyBody body) {
    gateway.on_replies(now, asked.to, {{{asked.request.id, std::move(body)}}});
    settle();
  }
  template <class Body>
  void answer_all(const wire::OwnerReplyBody& body) {
    for (const Asked& one : asked<Body>()) answer(one, body);
  }
  std::vector<wire::ClientReply> take_heard() { return std::exchange(heard, {}); }
  // The error of the last thing the client heard.
  std::optional<Error> refusal() const {
    if (heard.empty()) return std::nullopt;
    const auto* error = std::get_if<Error>(&heard.back().body);
    return error == nullptr ? std::nullopt : std::optional(*error);
  }

  Now now{TimePoint(std::chrono::hours(1)), WallTime(std::chrono::hours(500'000))};
  Context context{config(), 1};
  membership::Membership members{{}, id(1), {1, 0}, info(1), Random(1), now.steady};
  shard::ShardTable table{kShards};
  std::vector<JobStatus> own_jobs;
  Gateway gateway{context,
                  {.jobs = [this](const wire::ListJobs&) { return own_jobs; },
                   .stats = [] { return wire::NodeStats{.tasks_run = 5}; },
                   .cluster = [] { return ClusterId{1, 2}; }}};
  std::vector<std::pair<NodeId, wire::Message>> sent;
  std::vector<wire::ClientReply> heard;
};

}  // namespace shoal::node
