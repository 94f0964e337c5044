#include "node/identity_guard.hpp"

#include <algorithm>
#include <charconv>

#include "base/format.hpp"
#include "base/log.hpp"
#include "base/probes.hpp"
#include "node/node.hpp"
#include "shard/quorum.hpp"

namespace shoal::node {
namespace {

constexpr std::string_view kMetaSequence = "sequence";
constexpr std::string_view kMetaStarts = "starts";
constexpr std::string_view kMetaRefused = "refused";

constexpr std::string_view kRemedy =
    "Start it once with `shoal node --new-identity`, and with --join to go back to its cluster: "
    "the old store is moved aside and the node joins as a new one";

std::string text_of(const Source& source) {
  return format("{} at {}", short_text(source.node), to_string(source.address));
}

bool parse_number(std::string_view text, std::uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace

bool IdentityGuard::restore(std::string_view name, std::string_view value) {
  if (name == kMetaSequence) {
    if (!parse_number(value, sequence_)) return false;
    announced_ = sequence_;
    return true;
  }
  if (name == kMetaStarts) return restore_starts(value);
  if (name == kMetaRefused) refusal_ = value;
  return marks_.restore(name, value);
}

// Lines of three numbers, by rising epoch.
bool IdentityGuard::restore_starts(std::string_view value) {
  while (!value.empty()) {
    const std::string_view line = value.substr(0, value.find('\n'));
    value.remove_prefix(std::min(value.size(), line.size() + 1));
    const std::size_t first = line.find(' ');
    const std::size_t second = line.rfind(' ');
    wire::StoreMark start;
    const bool good = first != std::string_view::npos && first < second &&
                      parse_number(line.substr(0, first), start.boot_epoch) &&
                      parse_number(line.substr(first + 1, second - first - 1), start.boot_nonce) &&
                      parse_number(line.substr(second + 1), start.sequence);
    if (!good) return false;
    starts_.push_back(start);
  }
  return true;
}

// In one batch with the boot epoch.
void IdentityGuard::record_start() {
  if (!starts_.empty()) starts_.back().sequence = sequence_;
  std::string text;
  if (starts_.size() >= kStartsMax) starts_.erase(starts_.begin());
  for (const wire::StoreMark& start : starts_) {
    text += format("{} {} {}\n", start.boot_epoch, start.boot_nonce, start.sequence);
  }
  text += format("{} {} {}\n", context_.boot_epoch, context_.boot_nonce, sequence_);
  context_.output.writes.emplace_back(wire::PutMeta{std::string(kMetaStarts), std::move(text)});
}

void IdentityGuard::start(Now now) {
  next_raise_ = next_loads_ = now.steady;
  if (!refusal_.empty()) {
    refused_ = true;
    context_.output.refused = refusal_;
    return;
  }
  record_start();
  // Those that nobody knows any more, and that no home here names.
  const std::set<NodeId> neighbours = home_neighbours();
  for (const NodeId node : marks_.nodes()) {
    const bool kept = neighbours.contains(node) || context_.membership->find(node) != nullptr;
    if (!kept) marks_.forget(node);
  }
}

void IdentityGuard::on_boot_durable(Now now) {
  if (refused_ || boot_durable_) return;
  boot_durable_ = true;
  deadline_ = now.steady + (context_.config.profile == Profile::wan ? 3 * kAskMax : kAskMax);
  for (const NodeId peer : unasked()) waited_for_.insert(peer);
  ask_all(now);
  decide(now);
}

bool IdentityGuard::may_talk(NodeId peer) const {
  return may_vote() && (peer == context_.self() || cleared_.contains(peer));
}

bool IdentityGuard::present(NodeId node) const {
  const membership::Member* member = context_.membership->find(node);
  return member != nullptr && !member->gone();
}

std::set<NodeId> IdentityGuard::home_neighbours() const {
  std::set<NodeId> nodes;
  for (std::uint32_t number = 0; number < context_.shard_count; ++number) {
    const wire::ShardConfig* config = context_.shards->config(ShardId{number});
    if (config == nullptr) continue;
    for (const NodeId node : shard::members(*config)) nodes.insert(node);
  }
  nodes.erase(context_.self());
  return nodes;
}

// Who should be asked, has not answered and may be reached.
std::vector<NodeId> IdentityGuard::unasked() const {
  std::vector<NodeId> nodes;
  const auto add = [&](NodeId node) {
    const bool wanted = node != context_.self() && !cleared_.contains(node) && present(node);
    if (wanted) nodes.push_back(node);
  };
  if (context_.membership->members().size() <= kAskAllMax) {
    for (const auto& [node, member] : context_.membership->members()) add(node);
  } else {
    for (const NodeId node : home_neighbours()) add(node);
  }
  return nodes;
}

wire::StoreQuery IdentityGuard::query(NodeId to) const {
  return {.mark = {.boot_epoch = context_.boot_epoch,
                   .boot_nonce = context_.boot_nonce,
                   .sequence = announced_},
          .settled = fitting_.contains(to)};
}

void IdentityGuard::ask(Now now, NodeId peer, const Address& address) {
  asked_at_[peer] = now.steady;
  const membership::Member* member = context_.membership->find(peer);
  const Address known = member == nullptr ? address : member->info.address;
  context_.output.messages.push_back({peer, known, Channel::stream, query(peer)});
}

void IdentityGuard::ask_all(Now now) {
  next_ask_ = kNever;
  const std::vector<NodeId> peers = unasked();
  if (peers.empty()) return;
  for (const NodeId peer : peers) ask(now, peer, {});
  next_ask_ = now.steady + (may_vote_ ? kAskAgainLater : kAskAgain);
}

void IdentityGuard::on_withheld(Now now, NodeId peer, const Address& address) {
  if (!boot_durable_ || refused_ || cleared_.contains(peer)) return;
  const auto found = asked_at_.find(peer);
  if (found != asked_at_.end() && now.steady - found->second < kAskAgain) return;
  ask(now, peer, address);
}

void IdentityGuard::decide(Now now) {
  if (may_vote_ || refused_ || !boot_durable_) return;
  if (!waited_for_.empty() && now.steady < deadline_) return;
  for (const NodeId peer : waited_for_) {
    log::info("node", "{} starts without the word of {}, which does not answer",
              short_text(context_.self()), short_text(peer));
  }
  waited_for_.clear();
  deadline_ = kNever;
  may_vote_ = voted_ = true;
}

void IdentityGuard::on_peer_closed(Now now, NodeId peer) {
  if (waited_for_.erase(peer) > 0) decide(now);
}

void IdentityGuard::on_member(Now now, const membership::Event& event) {
  if (event.node == context_.self()) return;
  const membership::Member* member = context_.membership->find(event.node);
  if (event.change == membership::Change::forgotten) {
    if (!home_neighbours().contains(event.node)) marks_.forget(event.node);
    return;
  }
  if (member == nullptr) return;
  marks_.on_start(now, event.node, member->incarnation.boot_epoch, member->info.boot_nonce);
  if (member->gone()) {
    if (waited_for_.erase(event.node) > 0) decide(now);
  } else if (boot_durable_ && !refused_ && !cleared_.contains(event.node)) {
    next_ask_ = std::min(next_ask_, now.steady);
  }
}

// --- What others ask and say ---------------------------------------------------------------------

void IdentityGuard::on_message(Now now, const Source& source, const wire::StoreQuery& message) {
  if (source.node == context_.self()) {
    // Came back because the sequence it names is durable.
    if (message.mark.boot_nonce != context_.boot_nonce) return;
    announced_ = std::max(announced_, message.mark.sequence);
    for (const NodeId node : home_neighbours()) {
      if (present(node)) context_.send(node, query(node));
    }
    return;
  }
  marks_.on_query(now, source.node, message, source.address);
  wire::StoreAnswer answer = marks_.of(source.node);
  if (answer.newest.boot_nonce == 0) {
    // There is no room for another mark: nothing is remembered that could speak against it.
    answer = {message.mark, message.settled ? message.mark : wire::StoreMark{}, 0, source.node};
  }
  context_.output.messages.push_back({source.node, source.address, Channel::stream, answer});
  if (answer.newest.boot_nonce != message.mark.boot_nonce) {
    log::warn("node",
              "{} is not the process that is known as this node: it was started from an old or "
              "copied data folder, or this is an old message of it",
              text_of(source));
    // The stream may lead to the other one.
    context_.output.messages.push_back({source.node, source.address, Channel::datagram, answer});
  }
  // Whoever asks can be asked.
  on_withheld(now, source.node, source.address);
}

// Whether a process of this store may have said so.
bool IdentityGuard::fits(const wire::StoreMark& mark) const {
  if (mark.boot_epoch > context_.boot_epoch || mark.sequence > sequence_) return false;
  const auto same = [&](std::uint64_t nonce) {
    return mark.boot_nonce == 0 || mark.boot_nonce == nonce;
  };
  if (mark.boot_epoch == context_.boot_epoch) return same(context_.boot_nonce);
  if (starts_.empty() || mark.boot_epoch < starts_.front().boot_epoch) return true;
  const auto start = std::ranges::find(starts_, mark.boot_epoch, &wire::StoreMark::boot_epoch);
  return start != starts_.end() && same(start->boot_nonce) && mark.sequence <= start->sequence;
}

void IdentityGuard::on_message(Now now, const Source& source, const wire::StoreAnswer& message) {
  if (refused_ || source.node == context_.self()) return;
  if (message.node != context_.self()) return;  // Of a former identity at this address.
  const wire::StoreMark highest{.sequence = message.sequence};  // Of no start in particular.
  for (const wire::StoreMark& mark : {message.newest, message.settled, highest}) {
    if (fits(mark)) continue;
    const bool another = mark.boot_nonce != context_.boot_nonce;
    probes::mark(probes::Mark::rolled_back_refused);
    return refuse(
        format("{} remembers of this node what its store does not hold (start {}, sequence {}; the "
               "store: start {}, sequence {}): the data folder is an old copy, restored from a "
               "backup or a snapshot, or a copy of it was started elsewhere",
               text_of(source), mark.boot_epoch, mark.sequence, context_.boot_epoch, sequence_),
        true, another ? mark.boot_nonce : 0);
  }
  // An answer to a former start's question may have been on its way for long.
  if (message.newest.boot_nonce != context_.boot_nonce) return;
  fitting_.insert(source.node);
  if (message.settled.boot_nonce != context_.boot_nonce) {
    // This start counts there before any word of the shard protocol is said.
    return ask(now, source.node, source.address);
  }
  cleared_.insert(source.node);
  if (waited_for_.erase(source.node) > 0) decide(now);
}

// One of the same epoch was not let vote by anybody who remembers this start.
void IdentityGuard::on_rival(Now, const wire::MemberRecord& record) {
  if (refused_) return;
  const bool later = record.incarnation.boot_epoch > context_.boot_epoch;
  const std::uint64_t nonce = record.info ? record.info->boot_nonce : 0;
  const std::string where = record.info ? format(" at {}", to_string(record.info->address)) : "";
  refuse(format("The cluster knows another start of this node{} (start {}; this is start {}): the "
                "data folder is an old copy, or a copy of it runs elsewhere",
                where, record.incarnation.boot_epoch, context_.boot_epoch),
         later || !voted_, nonce);
}

void IdentityGuard::on_message(Now, const Source& source, const wire::SameKey& message) {
  if (refused_) return;
  if (message.heard != context_.boot_nonce) return pass_on(source, message);
  if (message.boot_nonce == context_.boot_nonce) return;
  probes::mark(probes::Mark::same_key_refused);
  const std::string other = format(
      "Another process with a copy of this node's data folder was started at {}, while this "
      "one runs",
      to_string(message.address));
  refuse(other, message.voted, message.boot_nonce);
}

// To the process that is meant, wherever it was heard last.
void IdentityGuard::pass_on(const Source& source, const wire::SameKey& message) {
  Address address = marks_.address_of(source.node, message.heard);
  const membership::Member* member = context_.membership->find(source.node);
  if (!address && member != nullptr && member->info.boot_nonce == message.heard) {
    address = member->info.address;
  }
  if (!address) return;
  log::warn("node", "two processes use the identity of {}: at {} and at {}; both are told to stop",
            short_text(source.node), to_string(address), to_string(message.address));
  context_.output.messages.push_back({source.node, address, Channel::datagram, message});
  context_.output.messages.push_back({source.node, address, Channel::stream, message});
}

// `other_nonce`: of the process that uses the same key, as far as known.
void IdentityGuard::refuse(std::string why, bool lasting, std::uint64_t other_nonce) {
  refused_ = true;
  std::string text =
      lasting
          ? format(
                "{}. What this node promised is not certain, so it does not vote any more. "
                "{}.",
                why, kRemedy)
          : format("{}. Make sure that the other one is gone, then start this node again.", why);
  if (lasting) {
    context_.output.writes.emplace_back(wire::PutMeta{std::string(kMetaRefused), text});
  }
  if (other_nonce != 0) {
    const wire::SameKey told{.boot_nonce = context_.boot_nonce,
                             .heard = other_nonce,
                             .address = context_.config.address,
                             .voted = voted_};
    std::size_t count = 0;
    for (const NodeId peer : context_.membership->peers()) {
      if (++count <= kAskAllMax) context_.send(peer, told);
    }
  }
  context_.output.refused = std::move(text);
}

// --- The own sequence, and time ------------------------------------------------------------------

void IdentityGuard::on_shard_writes(Now now) {
  if (now.steady < next_raise_) {
    wrote_since_ = true;
  } else {
    raise_sequence(now);
  }
}

void IdentityGuard::raise_sequence(Now now) {
  ++sequence_;
  wrote_since_ = false;
  next_raise_ = now.steady + kSequenceInterval;
  context_.output.writes.emplace_back(
      wire::PutMeta{std::string(kMetaSequence), std::to_string(sequence_)});
  wire::StoreQuery durable = query(context_.self());
  durable.mark.sequence = sequence_;
  context_.output.promises.push_back({context_.self(), {}, Channel::stream, durable});
}

void IdentityGuard::note_loads(Now now) {
  next_loads_ = now.steady + kMarksInterval;
  for (const auto& [node, member] : context_.membership->members()) {
    if (node != context_.self()) marks_.on_sequence(now, node, member.load.store_sequence);
  }
}

void IdentityGuard::on_time(Now now) {
  if (refused_) return;
  decide(now);
  if (boot_durable_ && now.steady >= next_ask_) ask_all(now);
  if (wrote_since_ && now.steady >= next_raise_) raise_sequence(now);
  if (now.steady >= next_loads_) note_loads(now);
  std::vector<wire::Write> writes = marks_.take_writes(now);
  std::ranges::move(writes, std::back_inserter(context_.output.writes));
}

TimePoint IdentityGuard::wake_at() const {
  if (refused_) return kNever;
  TimePoint at = std::min(next_loads_, marks_.wake_at());
  if (boot_durable_) at = std::min({at, next_ask_, may_vote_ ? kNever : deadline_});
  return wrote_since_ ? std::min(at, next_raise_) : at;
}

}  // namespace shoal::node
