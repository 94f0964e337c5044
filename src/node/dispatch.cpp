// Who may say what to this node, and which part hears it. Every message is handled: one without a
// handler does not compile.
#include <algorithm>
#include <concepts>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/log.hpp"
#include "node/parts.hpp"

namespace shoal::node {
namespace {

constexpr std::size_t kForeignMax = 64;

template <class T, class... Kinds>
concept OneOf = (std::same_as<T, Kinds> || ...);

template <class T>
concept MembershipMessage = OneOf<T, wire::Ping, wire::IndirectPing, wire::PingAck, wire::PingNack,
                                  wire::Gossip, wire::MemberDigest, wire::MemberTable>;
template <class T>
concept ShardMessage =
    OneOf<T, wire::Prepare, wire::Promise, wire::Refuse, wire::Fetch, wire::Fetched,
          wire::WriteRecords, wire::Ack, wire::Confirm, wire::Confirmed, wire::Retire>;
template <class T>
concept TakeoverMessage =
    OneOf<T, wire::OwnerSilent, wire::OwnerQuery, wire::OwnerAnswer, wire::HandOver>;
template <class T>
concept IdentityMessage = OneOf<T, wire::StoreQuery, wire::StoreAnswer, wire::SameKey>;
template <class T>
concept CommandMessage = OneOf<T, wire::NodeCommand, wire::NodeCommandReply, wire::LostNodes>;

// What a node of no cluster yet may say, and hear.
template <class T>
constexpr bool before_founding =
    MembershipMessage<T> || IdentityMessage<T> ||
    OneOf<T, wire::TableDigest, wire::TableEntries, wire::FoundingOffer, wire::FoundingWord,
          wire::FoundingWithdraw, wire::FoundingRecord, wire::FoundingHeld>;

struct Dispatch {
  Node::Parts& node;
  Now now;
  const Source& source;

  template <MembershipMessage M>
  void operator()(M& m) {
    const auto channel = source.channel == Channel::datagram ? membership::Channel::datagram
                                                             : membership::Channel::stream;
    node.membership->on_message(now.steady, {source.node, source.address, channel}, m);
  }
  template <ShardMessage M>
  void operator()(M& m) {
    if (!node.identity.may_talk(source.node)) {
      return node.identity.on_withheld(now, source.node, source.address);
    }
    node.shards.on_message(now.steady, source.node, std::move(m));
  }
  template <TakeoverMessage M>
  void operator()(M& m) {
    if (node.identity.may_vote()) node.takeovers.on_message(now, source.node, m);
  }
  template <IdentityMessage M>
  void operator()(M& m) {
    node.identity.on_message(now, source, m);
  }
  template <CommandMessage M>
  void operator()(M& m) {
    node.commands.on_message(now, source.node, std::move(m));
  }
  void operator()(wire::TableDigest& m) {
    if (!node.founding.serving()) return;
    if (auto answer = node.table.on_digest(m)) node.context.send(source.node, std::move(*answer));
  }
  void operator()(wire::TableEntries& m) {
    if (node.founding.cluster() && node.founding.cluster() != source.cluster) return;
    if (!node.founding.serving() && node.founding.joining() != source.node) return;
    if (auto answer = node.table.on_entries(m)) node.context.send(source.node, std::move(*answer));
    node.founding.on_table(now);
  }
  void operator()(wire::FoundingOffer& m) { node.founding.on_offer(now, source.node, m); }
  void operator()(wire::FoundingWord& m) { node.founding.on_word(now, source.node, m); }
  void operator()(wire::FoundingWithdraw& m) { node.founding.on_withdraw(source.node, m); }
  void operator()(wire::FoundingRecord& m) { node.founding.on_record(now, source.node, m); }
  void operator()(wire::FoundingHeld& m) {
    if (source.node == node.context.self() && !m.cluster) {
      node.boot_durable = true;
      node.identity.on_boot_durable(now);
    } else {
      node.founding.on_held(source.node, m);
    }
  }
  void operator()(wire::OwnerRequests& m) {
    node.job_owner.on_requests(now, source.node, std::move(m));
  }
  void operator()(wire::OwnerReplies& m) {
    node.gateway.on_replies(now, source.node, std::move(m));
  }
  void operator()(wire::TaskEvents& m) { node.gateway.on_events(now, std::move(m)); }
  void operator()(wire::JobEvent& m) { node.gateway.on_job_event(now, std::move(m)); }
  void operator()(wire::CountReport& m) { node.tracker.on_report(now, m); }
  void operator()(wire::CountQuery& m) {
    for (const wire::CountQueryItem& item : m.items) {
      if (item.cancelled && node.context.serves(item.shard)) {
        node.job_owner.cancel_here(now, item.shard, item.job, {}, 0);
      }
    }
    node.tracker.on_query(now, source.node, m);
  }
  void operator()(wire::Hint& m) { node.runner.on_hint(now, source.node, m); }
  void operator()(wire::Pull& m) { node.claims.on_pull(now, source.node, m); }
  void operator()(wire::Grant& m) { node.runner.on_grant(now, source.node, m); }
  void operator()(wire::GiveBack& m) { node.claims.on_give_back(now, source.node, m); }
  void operator()(wire::GiveBackAck& m) { node.runner.on_give_back_ack(m); }
  void operator()(wire::Renew& m) { node.leases.on_renew(now, source.node, m); }
  void operator()(wire::Renewed& m) { node.runner.on_renewed(now, source.node, m); }
  void operator()(wire::RenewCall& m) { node.runner.on_renew_call(now, source.node, m); }
  void operator()(wire::Outcomes& m) { node.claims.on_outcomes(now, source.node, std::move(m)); }
  void operator()(wire::OutcomeAck& m) {
    node.runner.on_outcome_ack(m);
    node.relay.on_ack(m);
  }
  void operator()(wire::EndAttempts& m) { node.runner.on_end_attempts(now, m); }
  void operator()(wire::ReadOutput& m) { node.gateway.on_read_output(now, source.node, m); }
  void operator()(wire::OutputData& m) {
    node.gateway.on_output_data(now, source.node, std::move(m));
  }
  void operator()(wire::NodeQuery& m) { node.gateway.on_node_query(now, source.node, m); }
  void operator()(wire::NodeAnswer& m) {
    node.gateway.on_node_answer(now, source.node, std::move(m));
  }
};

}  // namespace

bool Node::Parts::accepts(const Source& source, const wire::Message& message) {
  if (source.node == context.self()) return true;
  if (commands.lost(source.node)) {
    commands.on_lost_spoke(now, source.node, source.address);
    ++context.counters.dropped_inputs;
    return false;
  }
  const ClusterId mine = founding.cluster();
  if (mine && source.cluster && source.cluster != mine) {
    ++context.counters.dropped_inputs;
    if (std::ranges::find(foreign, source.node) == foreign.end() && foreign.size() < kForeignMax) {
      foreign.push_back(source.node);
      log::warn("node",
                "{} at {} belongs to another cluster ({}); refused. Give it a new data "
                "folder to let it join this one",
                short_text(source.node), to_string(source.address),
                to_string(source.cluster).substr(0, 8));
    }
    return false;
  }
  const bool founded = mine && source.cluster == mine;
  const bool small_talk = std::visit(
      [](const auto& m) { return before_founding<std::remove_cvref_t<decltype(m)>>; }, message);
  if (founded || small_talk) {
    if (!mine && source.cluster) founding.on_founded_peer(source.node, source.cluster);
    return true;
  }
  ++context.counters.dropped_inputs;
  return false;
}

void Node::Parts::dispatch(Now at, const Source& source, wire::Message message) {
  if (identity.refused() || !accepts(source, message)) return;
  std::visit(Dispatch{*this, at, source}, message);
}

}  // namespace shoal::node
