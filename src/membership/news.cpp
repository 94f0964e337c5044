// What a member makes of news: the receiving half of Membership.
#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "base/log.hpp"
#include "base/probes.hpp"
#include "membership/membership.hpp"

namespace shoal::membership {
namespace {

using wire::MemberState;

constexpr std::uint32_t kToldDirectlyMax = 64;  // For one input.

}  // namespace

void Membership::learn(TimePoint now, const Source& from,
                       std::span<const wire::MemberRecord> records, Via via) {
  if (records.empty()) return;
  told_directly_ = 0;
  // While it joins, all parts of the table it is sent count together.
  const std::size_t before = table_.members().size();
  const std::size_t known = join_.next != kNever ? std::min(join_.known, before) : before;
  std::vector<NodeId> strangers;
  // From a random place on: what is told directly is bounded, and must not always be the same.
  const std::size_t start = via == Via::table ? random_.below(records.size()) : 0;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const wire::MemberRecord& record = records[(start + i) % records.size()];
    if (learn_one(now, from, record, via)) strangers.push_back(record.node);
  }
  // Whoever learns of more members than it knew is the newcomer, and has nothing to tell the
  // others.
  if (before - known + strangers.size() > known) return;
  for (const NodeId stranger : strangers) tell(now, stranger);
}

bool Membership::acceptable(const wire::MemberRecord& record) const {
  if (!record.node) return false;
  const Member* known = table_.find(record.node);
  if (!record.info) return record.state != MemberState::alive;
  const wire::MemberInfo& info = *record.info;
  if (!info.address || info.address.unspecified()) return false;
  if (info.name.size() > wire::kNodeNameBytesMax) return false;
  if (info.zone.size() > wire::kNodeNameBytesMax) return false;
  if (known != nullptr) return true;
  // What all others are about to forget is not worth learning.
  const bool gone = record.state >= MemberState::dead;
  const auto age = std::chrono::seconds(record.gone_seconds) + std::chrono::minutes(1);
  if (gone && age > config_.remember) return false;
  return table_.members().size() < config_.members_max;
}

// True if the record made known a member that `from`, another one, had in its table.
bool Membership::learn_one(TimePoint now, const Source& from, const wire::MemberRecord& record,
                           Via via) {
  if (!acceptable(record)) {
    ++counters_.records_rejected;
    return false;
  }
  if (record.node == self_) {
    learn_of_self(now, from, record);
    return false;
  }
  const Member* known = table_.find(record.node);
  const bool hearsay = record.state == MemberState::dead && record.accuser != record.node;
  if (via == Via::table && hearsay && known != nullptr && !known->gone() && newer(record, *known)) {
    doubt(now, from.node, record);
    return false;
  }
  if (apply(now, record)) {
    if (via == Via::table && known == nullptr && from.node != record.node) return true;
    tell(now, record.node);
    return false;
  }
  if (known == nullptr) return false;

  const bool same = record.incarnation == known->incarnation;
  if (same && record.state == MemberState::suspect && known->state == MemberState::suspect) {
    confirm(now, record.node, record.accuser);
  }
  if (record.state == MemberState::alive && known->state != MemberState::alive &&
      (known->gone() || from.node == record.node)) {
    ++counters_.stale_answered;
    probes::mark(probes::Mark::stale_claim_told);
    tell_directly(now, record.node, record.node, record.info->address);
  }
  return false;
}

void Membership::learn_of_self(TimePoint now, const Source& from,
                               const wire::MemberRecord& record) {
  const wire::Incarnation mine = incarnation();
  const std::uint64_t nonce = me().info.boot_nonce;
  const std::uint64_t other = record.info ? record.info->boot_nonce : 0;
  const bool another = nonce != 0 && other != 0 && other != nonce;
  if (record.incarnation.boot_epoch > mine.boot_epoch ||
      (record.incarnation.boot_epoch == mine.boot_epoch && another)) {
    output_.rival = record;
    return;
  }
  if (record.state == MemberState::alive) {
    if (record.incarnation <= mine) return;
    refute(now, record);
  } else if (record.incarnation >= mine) {
    refute(now, record);
  }
  // Whoever brings the accusation may not be among those this node gossips with: after a split it
  // holds us dead, and we may hold it dead.
  if (config_.refutes) tell_directly(now, self_, from.node, from.address);
}

void Membership::refute(TimePoint now, const wire::MemberRecord& accusation) {
  if (!config_.refutes) return;
  wire::MemberRecord record = table_.record_of(now, me(), true);
  record.incarnation = std::max(record.incarnation, accusation.incarnation);
  ++record.incarnation.counter;
  announce_self(now, std::move(record));
  detector_.on_accused();
  probes::mark(probes::Mark::refuted);
  ++counters_.refutations;
}

// A death found in bulk: suspicion that is not spread, and a word to the subject, which refutes if
// it can. At the deadline this node asks for itself: all that is told in bulk is one accuser, and
// its own word the second. It may have been the first before it forgot, or still be the only one.
void Membership::doubt(TimePoint now, NodeId teller, const wire::MemberRecord& record) {
  wire::MemberRecord suspicion = record;
  suspicion.state = MemberState::suspect;
  suspicion.gone_seconds = 0;
  if (record.accuser == self_) suspicion.accuser = teller;
  if (apply(now, suspicion, true)) {
    news_.drop(record.node);
  } else if (const auto known = suspicions_.find(record.node); known != suspicions_.end() &&
                                                               known->second.accuser_count() == 1 &&
                                                               known->second.accuser(0) == self_) {
    confirm(now, record.node, suspicion.accuser);
  }
  const Member* member = table_.find(record.node);
  tell_directly(now, record.node, record.node, member->info.address);
}

void Membership::accuse(TimePoint now, NodeId subject) {
  const Member* member = table_.find(subject);
  if (member == nullptr || member->gone()) return;
  if (!detector_.may_accuse()) {
    ++counters_.accusations_withheld;
    return;
  }
  ++counters_.accusations;
  if (member->state == MemberState::suspect) return confirm(now, subject, self_);
  wire::MemberRecord record = table_.record_of(now, *member, false);
  record.state = MemberState::suspect;
  record.accuser = self_;
  record.info.reset();
  if (apply(now, record)) tell(now, subject);
}

void Membership::confirm(TimePoint now, NodeId subject, NodeId accuser) {
  const auto found = suspicions_.find(subject);
  if (found == suspicions_.end() || !accuser || accuser == subject) return;
  if (!found->second.confirm(accuser)) return;
  next_suspicion_ = std::min(next_suspicion_, found->second.deadline());
  tell(now, subject);
}

// Takes newer news into the table and all that hangs on it; false if it was not newer.
bool Membership::apply(TimePoint now, const wire::MemberRecord& record, bool bulk) {
  const Member* before = table_.find(record.node);
  const bool known = before != nullptr;
  const bool was_present = known && !before->gone();
  const MemberState state = known ? before->state : MemberState::left;
  const std::uint64_t boot_epoch = known ? before->incarnation.boot_epoch : 0;
  std::optional<wire::MemberInfo> info =
      known && record.info ? std::optional(before->info) : std::nullopt;
  const MemberTable::Merge merged = table_.merge(now, record);
  if (merged == MemberTable::Merge::same || merged == MemberTable::Merge::stale) return false;

  const Member& member = *table_.find(record.node);
  suspicions_.erase(member.node);
  if (member.state == MemberState::suspect) {
    SuspicionTimes times = suspicion_times(config_, table_.present_count());
    if (bulk) times.timeout_max = times.timeout_min;
    const Suspicion suspicion(times, now, record.accuser);
    next_suspicion_ = std::min(next_suspicion_, suspicion.deadline());
    suspicions_.emplace(member.node, suspicion);
  }
  const bool restarted = known && boot_epoch != member.incarnation.boot_epoch;
  if (!known || state != member.state || (restarted && member.state == MemberState::alive)) {
    output_.events.push_back({member.node, static_cast<Change>(member.state)});
    log::debug("membership", "{} holds {} ({}) for {}", short_text(self_), short_text(member.node),
               member.info.name, to_string(static_cast<Change>(member.state)));
  }
  if (info) info->boot_nonce = member.info.boot_nonce;  // New with each start: no news by itself.
  if (info && info->address != member.info.address) {
    output_.events.push_back({member.node, Change::address});
  } else if (info && *info != member.info) {
    output_.events.push_back({member.node, Change::info});
  }
  if (member.state != MemberState::suspect) output_.memory_changed = true;
  if (member.node != self_) update_lists(now, member, was_present, known && !was_present);
  return true;
}

void Membership::update_lists(TimePoint now, const Member& member, bool was_present,
                              bool was_gone) {
  if (member.gone()) {
    if (was_present) detector_.remove(member.node);
    if (!was_gone) gone_.push_back({.node = member.node});
    const auto entry = std::ranges::find(gone_, member.node, &Gone::node);
    SHOAL_ASSERT(entry != gone_.end());
    entry->gossip_until = was_present ? now + config_.gossip_to_the_dead : TimePoint{};
    if (next_redial_ == kNever) next_redial_ = now + random_.below(config_.redial_interval);
    return;
  }
  if (was_present) return;
  if (was_gone) {
    std::erase_if(gone_, [&](const Gone& gone) { return gone.node == member.node; });
  }
  detector_.add(member.node, random_);
  if (!was_gone && member.info.name == me().info.name && !member.info.name.empty()) {
    log::warn("membership",
              "{} and {} both call themselves '{}'. Names are only labels, so both work; give one "
              "of them another --name to tell them apart.",
              short_text(self_), short_text(member.node), member.info.name);
  }
}

void Membership::tell(TimePoint now, NodeId subject) {
  const Member* member = table_.find(subject);
  SHOAL_ASSERT(member != nullptr);
  news_.add(subject, member->state, transmissions(config_, table_.present_count()));
  if (next_gossip_ != kNever) return;
  // A random phase for each burst of news, so that members do not gossip in step.
  next_gossip_ = std::max(now + random_.below(config_.gossip_interval),
                          last_gossip_ + config_.gossip_interval);
}

void Membership::tell_directly(TimePoint now, NodeId subject, NodeId to, const Address& address) {
  if (told_directly_ >= kToldDirectlyMax) return;
  ++told_directly_;
  wire::MemberRecord record = current(now, subject, 0);
  record.info = table_.find(subject)->info;
  send(to, address, Channel::datagram, wire::Gossip{.news = {std::move(record)}});
}

wire::MemberRecord Membership::current(TimePoint now, NodeId subject, std::uint32_t turn) const {
  const Member* member = table_.find(subject);
  SHOAL_ASSERT(member != nullptr);
  wire::MemberRecord record = table_.record_of(now, *member, false);
  const auto suspicion = suspicions_.find(subject);
  if (suspicion != suspicions_.end()) record.accuser = suspicion->second.accuser(turn);
  return record;
}

// What a probe or ack carries: first the accusation of the receiver, so that it can refute at once
// (Lifeguard's buddy system), then the news of the day.
Dissemination::News Membership::news_for(TimePoint now, NodeId to, bool introduce) {
  Dissemination::News news;
  std::size_t bytes = 0;
  const auto add = [&](NodeId subject) {
    wire::MemberRecord record = current(now, subject, 0);
    record.info = table_.find(subject)->info;
    bytes += record_bytes(record);
    news.push_back(std::move(record));
  };
  if (introduce) add(self_);
  const Member* receiver = table_.find(to);
  if (receiver != nullptr && receiver->state != MemberState::alive) add(to);
  const auto record_of = [&](NodeId subject, std::uint32_t turn) {
    return current(now, subject, turn);
  };
  for (auto& packet : news_.take(1, kNewsBytesMax - bytes, record_of)) {
    std::ranges::move(packet, std::back_inserter(news));
  }
  return news;
}

}  // namespace shoal::membership
