#include "node/commands.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/format.hpp"
#include "base/log.hpp"
#include "base/overloaded.hpp"
#include "node/owner_calls.hpp"
#include "shard/quorum.hpp"
#include "wire/codec.hpp"

namespace shoal::node {
namespace {

constexpr std::string_view kMetaLost = "lost";
constexpr std::string_view kMetaDraining = "draining";
constexpr Duration kTellAgain = std::chrono::seconds(5);
constexpr Duration kRecoveryMax = std::chrono::seconds(10);
constexpr Duration kSilentMin = std::chrono::seconds(30);  // A suspect that may be declared lost.

Error refuse(ErrorCode code, std::string message) { return {code, std::move(message)}; }

}  // namespace

void Commands::restore(std::string_view name, std::string_view value) {
  if (name == kMetaDraining) drained_before_ = value == "1";
  if (name != kMetaLost) return;
  const auto decoded = wire::decode_messages(value);
  if (!decoded || decoded->size() != 1) return;
  if (const auto* list = std::get_if<wire::LostNodes>(&decoded->front())) {
    lost_.insert(list->nodes.begin(), list->nodes.end());
  }
}

void Commands::start(Now now) {
  next_gossip_ = now.steady + kLostInterval;
  if (lost(context_.self())) refuse_self();  // As it was told before it was started again.
  if (drained_before_) set_draining(now, true);
}

// --- Gateway ---

void Commands::on_client(Now now, SessionId session, std::uint64_t request,
                         wire::CommandNode command) {
  const NodeId to = command.node ? command.node : context_.self();
  const membership::Member* known = member(to);
  if (known == nullptr || (known->gone() && to != context_.self())) {
    context_.refuse(session, request, ErrorCode::not_found,
                    known == nullptr
                        ? format("no member has the id {}; see `shoal nodes`", to_string(to))
                        : format("{} is not there, so it cannot be told; see `shoal nodes`",
                                 member_name(context_, to)));
    return;
  }
  const std::uint64_t id = fresh_id(context_, ++last_);
  open_[id] = {session, request, to, now.steady + kCommandPatience};
  context_.send(to, wire::NodeCommand{id, std::move(command.body)});
}

void Commands::on_closed(SessionId session) {
  std::erase_if(open_, [session](const auto& entry) { return entry.second.session == session; });
}

void Commands::on_message(Now, NodeId from, wire::NodeCommandReply message) {
  const auto found = open_.find(message.id);
  if (found == open_.end() || found->second.node != from) return;
  const Open open = found->second;
  open_.erase(found);
  std::visit(
      Overloaded{
          [&](wire::Done& done) { context_.reply(open.session, open.request, std::move(done)); },
          [&](wire::ShardCopy& copy) {
            context_.reply(open.session, open.request, std::move(copy));
          },
          [&](Error& error) {
            context_.refuse(open.session, open.request, error.code, std::move(error.message));
          }},
      message.body);
}

// --- The node that is told ---

void Commands::answer(NodeId gateway, std::uint64_t id, Answer body) {
  // What was written for it is on disk when the operator hears of it.
  const membership::Member* known = member(gateway);
  const Address address = known == nullptr ? Address{} : known->info.address;
  context_.output.promises.push_back(
      {gateway, address, Channel::stream, wire::NodeCommandReply{id, std::move(body)}});
}

void Commands::on_message(Now now, NodeId from, wire::NodeCommand message) {
  std::optional<Answer> body =
      std::visit(Overloaded{[&](const wire::RecoverShard& command) {
                              return begin_recovery(now, from, message.id, command);
                            },
                            [&](const auto& command) { return obey(now, command); }},
                 message.body);
  if (body) answer(from, message.id, std::move(*body));
}

void Commands::set_draining(Now now, bool on) {
  context_.draining = on;
  wire::MemberInfo info = member(context_.self())->info;
  info.draining = on;
  context_.membership->set_info(now.steady, info);
}

std::optional<Commands::Answer> Commands::obey(Now now, const wire::SetDraining& command) {
  if (home_changes_.leaving()) {
    return refuse(ErrorCode::conflict, "this node is leaving the cluster; start it again instead");
  }
  if (context_.draining != command.on) {
    context_.output.writes.emplace_back(
        wire::PutMeta{std::string(kMetaDraining), command.on ? "1" : "0"});
    set_draining(now, command.on);
    log::info("node", "{}",
              command.on ? "an operator drains this node: it starts nothing new"
                         : "this node takes work again");
  }
  return wire::Done{};
}

std::optional<Commands::Answer> Commands::obey(Now now, const wire::LeaveCluster& command) {
  const auto& members = context_.membership->members();
  const auto stays = [&](const auto& entry) {
    return entry.first != context_.self() && !entry.second.gone() && !entry.second.info.leaving;
  };
  if (!command.now && std::ranges::none_of(members, stays)) {
    return refuse(ErrorCode::conflict,
                  "no other member is there to take this node's records: to end the cluster, stop "
                  "the node; --now leaves all the same");
  }
  log::info("node", "an operator asks this node to leave the cluster");
  home_changes_.leave(now, command.now);
  return wire::Done{};
}

std::optional<Commands::Answer> Commands::obey(Now now, const wire::ForgetNode& command) {
  const membership::Member* known = member(command.node);
  if (known == nullptr) {
    return refuse(ErrorCode::not_found,
                  format("no member has the id {}; see `shoal nodes`", to_string(command.node)));
  }
  if (!known->gone()) {
    return refuse(ErrorCode::conflict,
                  format("{} is there: stop it first, or let it go with `shoal leave`",
                         member_name(context_, command.node)));
  }
  context_.membership->forget(now.steady, command.node);
  return wire::Done{};
}

std::optional<Commands::Answer> Commands::obey(Now, const wire::ShowShard& command) {
  if (static_cast<std::uint32_t>(command.shard) >= context_.shard_count) {
    return refuse(ErrorCode::bad_input,
                  format("there is no shard {}: they are numbered 0 to {}",
                         static_cast<std::uint32_t>(command.shard), context_.shard_count - 1));
  }
  wire::ShardCopy copy;
  if (const wire::ShardConfig* config = context_.shards->config(command.shard)) {
    copy.known = true;
    copy.config = *config;
    copy.promised = context_.shards->promised(command.shard);
    copy.floor = context_.shards->floor(command.shard);
    copy.records = context_.shards->record_count(command.shard);
    copy.bad = context_.shards->bad_count(command.shard);
  }
  if (context_.shards->candidate(command.shard)) copy.state = wire::Ownership::candidate;
  if (context_.shards->owns(command.shard)) copy.state = wire::Ownership::owner;
  return copy;
}

// --- Recovery ---

std::optional<Commands::Answer> Commands::begin_recovery(Now now, NodeId gateway, std::uint64_t id,
                                                         const wire::RecoverShard& command) {
  const wire::ShardConfig* config = static_cast<std::uint32_t>(command.shard) < context_.shard_count
                                        ? context_.shards->config(command.shard)
                                        : nullptr;
  const auto shard = static_cast<std::uint32_t>(command.shard);
  if (config == nullptr || !shard::voter(*config, context_.self())) {
    return refuse(
        ErrorCode::conflict,
        format("this node keeps no copy of shard {} as one of its home; `shoal shard show "
               "{}` says who does",
               shard, shard));
  }
  for (const NodeId node : command.lost) {
    const membership::Member* known = member(node);
    // Too few are left to call anybody dead: a suspicion that nobody refutes is all there will be.
    const bool silent = known != nullptr && known->state == wire::MemberState::suspect &&
                        known->changed_at + kSilentMin <= now.steady;
    if (node == context_.self() || (known != nullptr && !known->gone() && !silent)) {
      return refuse(ErrorCode::conflict,
                    format("{} is not lost: it is there. Recovery gives up what the lost copies "
                           "knew, so it is for nodes that never come back",
                           member_name(context_, node)));
    }
  }
  const auto survives = [&](NodeId node) {
    return std::ranges::find(command.lost, node) == command.lost.end() && !lost(node);
  };
  if (command.lost.empty() || shard::quorum({}, *config, survives)) {
    return refuse(
        ErrorCode::conflict,
        format("a majority of the home of shard {} is not lost: it serves again by itself "
               "when those nodes are back",
               shard));
  }
  if (recoveries_.contains(command.shard)) {
    return refuse(ErrorCode::conflict, format("shard {} is being recovered already", shard));
  }
  log::warn("node", "an operator declares {} nodes lost for good and recovers shard {} from here",
            command.lost.size(), shard);
  add_lost(now, command.lost);
  recoveries_[command.shard] = {gateway, id, lost_list(), false, now.steady + kRecoveryMax};
  // Comes back when the list is on disk.
  persist_lost();
  context_.output.promises.push_back(
      {context_.self(), {}, Channel::stream, wire::LostNodes{lost_list(), false}});
  return std::nullopt;
}

void Commands::recover(Now now, ShardId shard, Recovery& recovery) {
  recovery.begun = true;
  if (context_.shards->recover(now.steady, shard, recovery.lost)) return;
  answer(recovery.gateway, recovery.id,
         refuse(ErrorCode::conflict,
                "the shard's home changed meanwhile; look at it again with "
                "`shoal shard show`"));
  recoveries_.erase(shard);
}

void Commands::on_recovered(Now, ShardId shard) {
  const auto found = recoveries_.find(shard);
  if (found == recoveries_.end()) return;
  answer(found->second.gateway, found->second.id, wire::Done{1});
  recoveries_.erase(found);
}

// --- Nodes that are lost ---

void Commands::refuse_self() {
  context_.output.refused =
      "an operator declared this node lost for good, and its shards were recovered without it: "
      "what its store promised counts no more. Start it with a new identity (--new-identity)";
}

bool Commands::add_lost(Now now, const std::vector<NodeId>& nodes) {
  bool more = false;
  for (const NodeId node : nodes) {
    if (!lost_.insert(node).second) continue;
    more = true;
    if (node == context_.self()) {
      refuse_self();
    } else if (member(node) != nullptr) {
      context_.membership->forget(now.steady, node);
    }
  }
  if (!more) return false;
  persist_lost();
  for (const NodeId node : context_.membership->peers()) {
    context_.send(node, wire::LostNodes{lost_list(), false});
  }
  return true;
}

void Commands::persist_lost() {
  context_.output.writes.emplace_back(wire::PutMeta{
      std::string(kMetaLost), wire::encode_message(wire::LostNodes{lost_list(), false})});
}

void Commands::on_message(Now now, NodeId from, const wire::LostNodes& message) {
  if (from == context_.self()) {
    for (auto at = recoveries_.begin(); at != recoveries_.end();) {
      const auto next = std::next(at);
      if (!at->second.begun) recover(now, at->first, at->second);
      at = next;
    }
    return;
  }
  add_lost(now, message.nodes);
  if (message.reply && message.nodes.size() < lost_.size()) {
    context_.send(from, wire::LostNodes{lost_list(), false});
  }
}

void Commands::on_lost_spoke(Now now, NodeId node, const Address& address) {
  TimePoint& told = told_lost_[node];
  if (told != TimePoint{} && now.steady < told + kTellAgain) return;
  told = now.steady;
  context_.output.messages.push_back(
      {node, address, Channel::stream, wire::LostNodes{lost_list(), false}});
}

void Commands::on_time(Now now) {
  for (auto at = open_.begin(); at != open_.end();) {
    if (now.steady < at->second.deadline) {
      ++at;
      continue;
    }
    context_.refuse(at->second.session, at->second.request, ErrorCode::unavailable,
                    format("{} did not answer in time; what it was told may have been done all the "
                           "same",
                           member_name(context_, at->second.node)));
    at = open_.erase(at);
  }
  for (auto at = recoveries_.begin(); at != recoveries_.end();) {
    if (now.steady < at->second.deadline) {
      ++at;
      continue;
    }
    answer(at->second.gateway, at->second.id,
           refuse(ErrorCode::unavailable,
                  "the recovery is under way and not done: another surviving home may hold a "
                  "higher promise; look again with `shoal shard show`"));
    at = recoveries_.erase(at);
  }
  if (now.steady < next_gossip_) return;
  next_gossip_ = now.steady + kLostInterval;
  const auto peers = context_.membership->peers();
  if (peers.empty()) return;
  context_.send(peers[context_.random.below(peers.size())], wire::LostNodes{lost_list(), true});
}

TimePoint Commands::wake_at() const {
  TimePoint at = next_gossip_;
  for (const auto& [id, open] : open_) at = std::min(at, open.deadline);
  for (const auto& [shard, recovery] : recoveries_) at = std::min(at, recovery.deadline);
  return at;
}

}  // namespace shoal::node
