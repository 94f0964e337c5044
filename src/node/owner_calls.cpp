#include "node/owner_calls.hpp"

#include <algorithm>
#include <type_traits>
#include <variant>

#include "base/assert.hpp"
#include "base/format.hpp"
#include "base/probes.hpp"
#include "task/record.hpp"

namespace shoal::node {
namespace {

constexpr std::uint32_t kRedirectsMax = 3;
constexpr std::size_t kBodyFixedBytes = 200;

const char* state_name(wire::MemberState state) {
  switch (state) {
    case wire::MemberState::alive:
      return "alive";
    case wire::MemberState::suspect:
      return "suspect";
    case wire::MemberState::dead:
      return "dead";
    case wire::MemberState::left:
      return "left";
  }
  return "unknown";
}

}  // namespace

std::size_t body_bytes(const wire::OwnerRequestBody& body) {
  return std::visit(
      [](const auto& request) {
        using Request = std::decay_t<decltype(request)>;
        std::size_t bytes = kBodyFixedBytes;
        if constexpr (std::is_same_v<Request, wire::CreateJob>) {
          bytes += task::spec_bytes(request.spec) + request.name.size() + request.argument.size();
        } else if constexpr (std::is_same_v<Request, wire::CreateTasks>) {
          bytes += task::spec_bytes(request.spec);
          for (const wire::NewElement& element : request.elements) {
            bytes += sizeof(element) + element.argument.size();
          }
        }
        return bytes;
      },
      body);
}

std::string member_name(const Context& context, NodeId node) {
  const membership::Member* member = context.membership->find(node);
  if (member == nullptr || member->info.name.empty()) return short_text(node);
  return member->info.name;
}

std::uint64_t OwnerCalls::ask(Now now, ShardId shard, wire::OwnerRequestBody body,
                              TimePoint deadline, Handler handler) {
  const std::uint64_t id = fresh_id(context_, ++last_id_);
  const std::size_t bytes = body_bytes(body);
  kept_bytes_ += bytes;
  Call& call = calls_[id];
  call = {.shard = shard,
          .body = std::move(body),
          .bytes = bytes,
          .deadline = deadline,
          .due = now.steady,
          .handler = std::move(handler)};
  due_.insert({call.due, id});
  schedule(id, call, now.steady + kAnswerTimeout);
  enqueue(id, call);
  return id;
}

void OwnerCalls::tell(ShardId shard, wire::OwnerRequestBody body) {
  told_.emplace_back(shard, std::move(body));
}

void OwnerCalls::drop(std::uint64_t call) {
  const auto found = calls_.find(call);
  if (found == calls_.end()) return;
  due_.erase({found->second.due, call});
  kept_bytes_ -= found->second.bytes;
  calls_.erase(found);
}

NodeId OwnerCalls::owner(ShardId shard) const {
  const wire::TableEntry* entry = context_.table->find(shard);
  if (entry == nullptr) return {};
  const std::vector<NodeId>& home = entry->config.home;
  const bool at_home = std::ranges::find(home, entry->owner.node) != home.end();
  if (entry->owner.node && (at_home || home.empty())) return entry->owner.node;
  return home.empty() ? NodeId{} : home.front();
}

NodeId OwnerCalls::sent_to(std::uint64_t call) const {
  const auto found = calls_.find(call);
  return found == calls_.end() ? NodeId{} : found->second.to;
}

bool OwnerCalls::silent(NodeId node) const {
  if (node == context_.self()) return false;
  const membership::Member* member = context_.membership->find(node);
  return member == nullptr || member->state != wire::MemberState::alive;
}

// While the best known owner is away or suspected, its home is asked in turn: whoever took over is
// there, and the others know it before the table has spread. A suspect may be well all the same, so
// it has its turn too, the last.
NodeId OwnerCalls::target(const Call& call) const {
  const NodeId best = owner(call.shard);
  if (!silent(best)) return best;
  const wire::TableEntry* entry = context_.table->find(call.shard);
  if (entry == nullptr) return {};
  std::vector<NodeId> present;
  for (const NodeId node : entry->config.home) {
    if (!silent(node)) present.push_back(node);
  }
  const membership::Member* member = context_.membership->find(best);
  if (member != nullptr && !member->gone()) present.push_back(best);
  return present.empty() ? best : present[call.tries % present.size()];
}

void OwnerCalls::schedule(std::uint64_t id, Call& call, TimePoint at) {
  due_.erase({call.due, id});
  call.due = std::min(at, call.deadline);
  due_.insert({call.due, id});
}

void OwnerCalls::enqueue(std::uint64_t id, Call& call) {
  if (call.queued) return;
  call.queued = true;
  outbox_.push_back(id);
}

void OwnerCalls::finish(Now now, Calls::iterator found, NodeId from, wire::OwnerReplyBody& body) {
  const Handler handler = std::move(found->second.handler);
  drop(found->first);
  handler(now, from, body);  // May ask and drop other calls.
}

// True when the answer only means that the call has to be sent again.
bool OwnerCalls::retried(Now now, NodeId from, std::uint64_t id, Call& call,
                         const wire::OwnerReplyBody& body) {
  const auto* wrong = std::get_if<wire::WrongOwner>(&body);
  const auto* error = std::get_if<Error>(&body);
  const bool later = error != nullptr && error->code == ErrorCode::unavailable;
  if (wrong == nullptr && !later) {
    call.redirects = 0;
    return false;
  }
  if (wrong != nullptr && wrong->entry.shard == call.shard) context_.table->merge(wrong->entry);
  probes::mark(probes::Mark::call_redirected);
  if (from != call.to || call.queued) return true;  // It was sent on since.
  call.sent = kNever;
  if (later) {
    call.redirects = 0;
    call.excuse = error->message;
    schedule(id, call, now.steady + kOwnerRetry);
  } else if (target(call) != from && call.redirects < kRedirectsMax) {
    ++call.redirects;
    enqueue(id, call);
  } else {
    schedule(id, call, now.steady + kOwnerRetry);
  }
  return true;
}

void OwnerCalls::on_replies(Now now, NodeId from, wire::OwnerReplies replies) {
  for (wire::OwnerReply& reply : replies.items) {
    const auto found = calls_.find(reply.id);
    if (found == calls_.end()) continue;
    if (retried(now, from, reply.id, found->second, reply.body)) continue;
    finish(now, found, from, reply.body);
  }
}

void OwnerCalls::on_peer_closed(Now now, NodeId peer) {
  for (auto& [id, call] : calls_) {
    if (call.to != peer || call.queued) continue;
    schedule(id, call, std::min(call.due, now.steady + kClosedRetry));
  }
}

void OwnerCalls::on_time(Now now) {
  while (!due_.empty() && due_.begin()->first <= now.steady) {
    const std::uint64_t id = due_.begin()->second;
    const auto found = calls_.find(id);
    SHOAL_ASSERT(found != calls_.end());
    Call& call = found->second;
    if (call.deadline <= now.steady) {
      wire::OwnerReplyBody body = Error{ErrorCode::unavailable, why_unavailable(call)};
      finish(now, found, {}, body);
      continue;
    }
    probes::mark(probes::Mark::call_retried);
    if (call.to && call.sent != kNever && now.steady - call.sent >= kAnswerTimeout) {
      context_.unanswered.emplace_back(call.shard, call.to);
    }
    schedule(id, call, now.steady + kAnswerTimeout);
    enqueue(id, call);
  }
}

void OwnerCalls::flush(Now now) {
  std::map<NodeId, std::pair<wire::OwnerRequests, std::size_t>> messages;
  const auto add = [&](NodeId to, std::uint64_t id, ShardId shard, wire::OwnerRequestBody body,
                       std::size_t bytes) {
    auto& [message, size] = messages[to];
    if (size + bytes > kMessageBytes && !message.items.empty()) {
      context_.send(to, std::exchange(message, {}));
      size = 0;
    }
    message.items.push_back({id, shard, std::move(body)});
    size += bytes;
  };
  for (auto& [shard, body] : std::exchange(told_, {})) {
    const NodeId to = owner(shard);
    if (to) add(to, fresh_id(context_, ++last_id_), shard, std::move(body), kBodyFixedBytes);
  }
  for (const std::uint64_t id : std::exchange(outbox_, {})) {
    const auto found = calls_.find(id);
    if (found == calls_.end()) continue;
    Call& call = found->second;
    call.queued = false;
    call.to = target(call);
    call.sent = now.steady;
    ++call.tries;
    schedule(id, call, now.steady + (silent(call.to) ? kOwnerRetry : kAnswerTimeout));
    if (call.to) add(call.to, id, call.shard, call.body, call.bytes);
  }
  for (auto& [to, message] : messages) context_.send(to, std::move(message.first));
}

std::string OwnerCalls::why_unavailable(const Call& call) const {
  const auto shard = static_cast<std::uint32_t>(call.shard);
  const wire::TableEntry* entry = context_.table->find(call.shard);
  if (entry == nullptr) {
    return format(
        "nothing is known of shard {} here yet, since this node joined only now; the same ids can "
        "be sent again safely",
        shard);
  }
  std::string all;
  std::string away;
  std::size_t away_count = 0;
  for (const NodeId node : entry->config.home) {
    const membership::Member* member = context_.membership->find(node);
    const auto state = member == nullptr ? "unknown" : state_name(member->state);
    const std::string text = format("{} ({})", member_name(context_, node), state);
    all += (all.empty() ? "" : ", ") + text;
    if (node == context_.self()) continue;
    if (member != nullptr && member->state == wire::MemberState::alive) continue;
    ++away_count;
    away += (away.empty() ? "" : ", ") + text;
  }
  if (away_count > 0) {
    return format(
        "{} of {} homes of shard {} are not reachable: {}; the same ids can be sent again safely",
        away_count, entry->config.home.size(), shard, away);
  }
  return format(
      "no owner of shard {} answered in time, though its homes are up: {}{}{}; the same ids can be "
      "sent again safely",
      shard, all, call.excuse.empty() ? "" : "; the last answer was: ", call.excuse);
}

}  // namespace shoal::node
