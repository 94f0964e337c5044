// Requests of this node, as a gateway, to the owners of shards: kept until they are answered.
//
// A request goes to the best known owner and is sent again, with the same content, when the stream
// to it closed, when it answers that another node owns the shard, when it cannot answer now, and
// when it is silent. All requests are harmless to repeat, so an answer to any copy counts, and
// answers may come twice. At the deadline the caller hears ErrorCode::unavailable with a sentence
// that names the shard's homes.
//
// Sans I/O: call on_time() no later than wake_at(), and flush() after each input.
// Limits: the caller bounds what it asks by kept_bytes().
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "node/context.hpp"

namespace shoal::node {

// A client's request: unique while it is open.
struct ClientRef {
  SessionId session{};
  std::uint64_t request = 0;
  auto operator<=>(const ClientRef&) const = default;
};

// Less than a client waits (ClientOptions::timeout): it should hear who does not answer.
inline constexpr Duration kClientPatience = std::chrono::seconds(10);
inline constexpr Duration kAnswerTimeout = std::chrono::seconds(1);
inline constexpr Duration kOwnerRetry = std::chrono::milliseconds(200);
inline constexpr Duration kClosedRetry = std::chrono::milliseconds(100);
// Of one message, about: half of what a frame takes, since the estimate is rough.
inline constexpr std::size_t kMessageBytes = 512 * 1024;

// An estimate of what a request takes when it is kept or sent.
std::size_t body_bytes(const wire::OwnerRequestBody& body);

// For people: a member's name, or its id when it is not known.
std::string member_name(const Context& context, NodeId node);

// Ids that a former run of this node did not use, so that a late answer to it is nobody's.
inline std::uint64_t fresh_id(const Context& context, std::uint64_t counter) {
  return context.boot_epoch << 40 | (counter & ((std::uint64_t{1} << 40) - 1));
}

class OwnerCalls {
 public:
  // Called once. `from` is zero when nobody answered in time. The body may be moved from.
  using Handler = std::function<void(Now now, NodeId from, wire::OwnerReplyBody& body)>;

  explicit OwnerCalls(Context& context) : context_(context) {}

  // kNever as deadline: tried until it is answered or dropped. The call's number is never 0.
  std::uint64_t ask(Now now, ShardId shard, wire::OwnerRequestBody body, TimePoint deadline,
                    Handler handler);
  // Once, without an answer; leaves before requests asked since the last flush().
  void tell(ShardId shard, wire::OwnerRequestBody body);
  // Unknown calls, and 0, are ignored.
  void drop(std::uint64_t call);

  // The best known owner: rank 0 of the home when none is known; zero for an unknown shard.
  NodeId owner(ShardId shard) const;
  // Where the call was sent last; zero when it was not sent yet or is not open.
  NodeId sent_to(std::uint64_t call) const;
  std::size_t kept_bytes() const { return kept_bytes_; }
  std::size_t size() const { return calls_.size(); }

  void on_replies(Now now, NodeId from, wire::OwnerReplies replies);
  // Its stream closed, or it is suspected: what it was asked is asked again soon.
  void on_peer_closed(Now now, NodeId peer);
  void on_time(Now now);
  TimePoint wake_at() const { return due_.empty() ? kNever : due_.begin()->first; }
  // Requests gathered since the last call leave, as few messages to each owner.
  void flush(Now now);

 private:
  struct Call {
    ShardId shard{};
    wire::OwnerRequestBody body;
    std::size_t bytes = 0;
    TimePoint deadline = kNever;
    TimePoint due = kNever;  // Of the next attempt, or the deadline; as it stands in due_.
    NodeId to;
    std::uint32_t tries = 0;
    std::uint32_t redirects = 0;  // WrongOwner in a row.
    bool queued = false;          // In outbox_.
    TimePoint sent = kNever;      // The last time; kNever once it was answered somehow.
    std::string excuse;           // What the owner said when it could not answer.
    Handler handler;
  };
  using Calls = std::map<std::uint64_t, Call>;

  void schedule(std::uint64_t id, Call& call, TimePoint at);
  void enqueue(std::uint64_t id, Call& call);
  void finish(Now now, Calls::iterator call, NodeId from, wire::OwnerReplyBody& body);
  bool retried(Now now, NodeId from, std::uint64_t id, Call& call,
               const wire::OwnerReplyBody& body);
  bool silent(NodeId node) const;
  NodeId target(const Call& call) const;
  std::string why_unavailable(const Call& call) const;

  Context& context_;
  Calls calls_;
  std::set<std::pair<TimePoint, std::uint64_t>> due_;  // One for each call.
  std::vector<std::uint64_t> outbox_;
  std::vector<std::pair<ShardId, wire::OwnerRequestBody>> told_;
  std::size_t kept_bytes_ = 0;
  std::uint64_t last_id_ = 0;
};

}  // namespace shoal::node
