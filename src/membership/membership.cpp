#include "membership/membership.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/assert.hpp"
#include "base/log.hpp"
#include "base/probes.hpp"

namespace shoal::membership {
namespace {

using namespace std::chrono_literals;
using wire::MemberState;

constexpr std::uint64_t kAllBuckets = ~std::uint64_t{0};
constexpr std::size_t kDialsPerTurn = 64;
constexpr Duration kDialTurn = 100ms;
constexpr std::size_t kRedialTurns = 4;  // All that are gone are dialled within so many...
constexpr std::size_t kRedialsMax = 16;  // ...unless they are too many.
constexpr std::size_t kJoinsAtOnce = 3;
constexpr Duration kJoinLogInterval = 60s;
constexpr std::size_t kTableBytes = 256 * 1024;  // Of one message: a quarter of a frame.

}  // namespace

std::string_view to_string(Change change) {
  constexpr std::array<std::string_view, 7> kWords{"alive",   "suspect",     "dead",     "left",
                                                   "address", "information", "forgotten"};
  return kWords.at(static_cast<std::size_t>(change));
}

Membership::Membership(const MembershipConfig& config, NodeId self, wire::Incarnation incarnation,
                       const wire::MemberInfo& info, Random random, TimePoint now)
    : config_(config),
      self_(self),
      random_(random),
      detector_(config, now, random_),
      news_(config.news_max),
      next_push_pull_(now + random_.below(config.push_pull_interval)) {
  SHOAL_ASSERT(self);
  table_.merge(now, {.node = self,
                     .state = MemberState::alive,
                     .incarnation = incarnation,
                     .accuser = {},
                     .info = info});
  join_.backoff = config.join_backoff_min;
}

const Member& Membership::me() const {
  const Member* member = table_.find(self_);
  SHOAL_ASSERT(member != nullptr);
  return *member;
}

wire::Incarnation Membership::incarnation() const { return me().incarnation; }

std::optional<Membership::LoadSample> Membership::load_of(NodeId node) const {
  if (node == self_) return LoadSample{.load = load_, .at = TimePoint{}};
  const Member* member = table_.find(node);
  if (member == nullptr || member->load_at == TimePoint{}) return std::nullopt;
  return LoadSample{.load = member->load, .at = member->load_at};
}

// --- Start and end
// -----------------------------------------------------------------------------------

void Membership::restore(TimePoint now, std::span<const wire::MemberRecord> remembered) {
  std::vector<Address> addresses;
  for (const wire::MemberRecord& record : remembered) {
    if (record.node == self_ || !acceptable(record) || !record.info) continue;
    if (table_.find(record.node) != nullptr) continue;
    wire::MemberRecord restored = record;
    if (restored.state == MemberState::suspect) restored.state = MemberState::alive;
    if (!apply(now, restored)) continue;
    undialled_.push_back(record.node);
    if (record.state != MemberState::left) addresses.push_back(record.info->address);
  }
  if (undialled_.empty()) return;
  random_.shuffle(std::span(undialled_));
  next_dial_ = now;
  tell(now, self_);
  join(now, addresses);
}

void Membership::join(TimePoint now, std::span<const Address> seeds) {
  const Address own = me().info.address;
  for (const Address& seed : seeds) {
    if (seed && seed != own) join_.seeds.push_back(seed);
  }
  std::ranges::sort(join_.seeds);
  const auto repeated = std::ranges::unique(join_.seeds);
  join_.seeds.erase(repeated.begin(), repeated.end());
  if (join_.seeds.size() > config_.members_max) join_.seeds.resize(config_.members_max);
  if (join_.next == kNever) {
    join_.started = now;
    join_.next_log = now + kJoinLogInterval / 6;
    join_.backoff = config_.join_backoff_min;
    join_.known = table_.members().size();
  }
  join_.answered = false;
  join_.next = now;
}

void Membership::set_seeds(TimePoint now, std::span<const Address> seeds) {
  join_.seeds.assign(seeds.begin(), seeds.end());
  if (next_redial_ == kNever && stray_seed()) {
    next_redial_ = now + random_.below(config_.redial_interval);
  }
}

// A seed that no present member is known to answer at; one of several, by chance.
std::optional<Address> Membership::stray_seed() {
  std::vector<Address> strays;
  for (const Address& seed : join_.seeds) {
    const bool answers = std::ranges::any_of(table_.members(), [&](const auto& entry) {
      return entry.second.info.address == seed && !entry.second.gone();
    });
    if (seed && !answers) strays.push_back(seed);
  }
  if (strays.empty()) return std::nullopt;
  return strays[random_.below(strays.size())];
}

void Membership::try_join(TimePoint now) {
  std::vector<Address> candidates = join_.seeds;
  random_.shuffle(std::span(candidates));
  // Three at a time: the state of one member may be the odd one, that of all is too much to ask
  // for.
  if (candidates.size() > kJoinsAtOnce) candidates.resize(kJoinsAtOnce);
  for (const Address& seed : candidates) {
    const Source peer{.node = {}, .address = seed, .channel = Channel::stream};
    send_table(now, peer, kAllBuckets, true, true);
  }
  join_.next = now + join_.backoff + random_.below(join_.backoff);
  join_.backoff = std::min(join_.backoff * 2, config_.join_backoff_max);
  if (now < join_.next_log) return;
  join_.next_log = now + kJoinLogInterval;
  log::warn("membership",
            "{} has tried to join for {} s: none of {} known addresses answered{}{}. Check that a "
            "member listens there and belongs to this cluster; trying on.",
            short_text(self_),
            std::chrono::duration_cast<std::chrono::seconds>(now - join_.started).count(),
            join_.seeds.size(), candidates.empty() ? "" : ", last ",
            candidates.empty() ? "" : to_string(candidates.front()));
}

// A ping carries the accusation of the dead and our own new incarnation, and costs little.
void Membership::dial_restored(TimePoint now) {
  for (std::size_t i = 0; i < kDialsPerTurn && !undialled_.empty(); ++i) {
    const NodeId node = undialled_.back();
    undialled_.pop_back();
    if (table_.find(node) == nullptr) continue;
    send_ping(now, node, detector_.next_sequence(), Channel::datagram, true);
  }
  next_dial_ = undialled_.empty() ? kNever : now + kDialTurn;
}

void Membership::set_info(TimePoint now, const wire::MemberInfo& info) {
  if (info == me().info || departed_) return;
  wire::MemberRecord record = table_.record_of(now, me(), true);
  ++record.incarnation.counter;
  record.info = info;
  announce_self(now, std::move(record));
}

void Membership::announce_self(TimePoint now, wire::MemberRecord record) {
  const bool applied = apply(now, record);
  SHOAL_ASSERT(applied);
  tell(now, self_);
}

void Membership::leave(TimePoint now) { depart(now, MemberState::left); }
void Membership::announce_stop(TimePoint now) { depart(now, MemberState::dead); }

void Membership::depart(TimePoint now, MemberState state) {
  if (me().state == MemberState::left || me().state == state) return;
  departed_ = true;
  wire::MemberRecord record = table_.record_of(now, me(), true);
  record.state = state;
  record.accuser = self_;
  announce_self(now, std::move(record));
  // At once and to more than usual: the process may be killed before the next gossip interval.
  for (const NodeId member : detector_.pick(3 * config_.gossip_fanout, self_, random_)) {
    const Member* peer = table_.find(member);
    wire::Gossip farewell{.news = {table_.record_of(now, me(), true)}};
    if (peer != nullptr) send(member, peer->info.address, Channel::datagram, std::move(farewell));
  }
}

void Membership::forget(TimePoint now, NodeId member) {
  const Member* known = table_.find(member);
  if (known == nullptr || member == self_ || known->state == MemberState::left) return;
  wire::MemberRecord record = table_.record_of(now, *known, true);
  record.state = MemberState::left;
  record.accuser = self_;
  record.gone_seconds = 0;
  if (apply(now, record)) tell(now, member);
}

std::vector<wire::MemberRecord> Membership::memory(TimePoint now) const {
  std::vector<wire::MemberRecord> records = table_.records(now, kAllBuckets);
  std::erase_if(records, [this](const wire::MemberRecord& record) { return record.node == self_; });
  for (wire::MemberRecord& record : records) {
    if (record.state == MemberState::suspect) record.state = MemberState::alive;
  }
  return records;
}

Output Membership::take_output() { return std::exchange(output_, {}); }

// --- Time
// --------------------------------------------------------------------------------------------

TimePoint Membership::wake_at() const {
  if (departed_) return next_gossip_;
  return std::min({detector_.wake_at(), next_suspicion_, next_gossip_, next_push_pull_,
                   next_redial_, next_dial_, join_.next});
}

void Membership::on_time(TimePoint now) {
  told_directly_ = 0;
  if (!departed_) {
    run(now, detector_.on_time(now, random_));
    if (now >= next_suspicion_) end_suspicions(now);
    if (now >= next_dial_) dial_restored(now);
    if (now >= join_.next) try_join(now);
    if (now >= next_push_pull_) push_pull(now);
    if (now >= next_redial_) redial(now);
  }
  if (now >= next_gossip_) gossip(now);
}

void Membership::on_stream_failed(TimePoint now, NodeId peer) {
  const Member* member = table_.find(peer);
  if (departed_ || member == nullptr || peer == self_) return;
  if (member->state != MemberState::alive) return;
  run(now, detector_.probe(now, peer, true, random_));
}

void Membership::run(TimePoint now, std::span<const FailureDetector::Step> steps) {
  for (const FailureDetector::Step& step : steps) run_one(now, step);
}

void Membership::run_one(TimePoint now, const FailureDetector::Step& step) {
  using Kind = FailureDetector::Step::Kind;
  const Member* to = table_.find(step.to);
  const Address address = to != nullptr ? to->info.address : Address{};
  switch (step.kind) {
    case Kind::ping:
      return send_ping(now, step.to, step.sequence, Channel::datagram);
    case Kind::ping_by_stream:
      return send_ping(now, step.to, step.sequence, Channel::stream);
    case Kind::indirect_ping:
      return send(
          step.to, address, Channel::datagram,
          wire::IndirectPing{
              .sequence = step.sequence, .target = step.target, .news = news_for(now, step.to)});
    case Kind::ack:
      return send(
          step.to, address, Channel::datagram,
          wire::PingAck{.sequence = step.sequence, .load = load_, .news = news_for(now, step.to)});
    case Kind::nack:
      return send(step.to, address, Channel::datagram, wire::PingNack{.sequence = step.sequence});
    case Kind::failed:
      ++counters_.probes_failed;
      return accuse(now, step.target);
  }
}

void Membership::end_suspicions(TimePoint now) {
  std::vector<NodeId> due;
  next_suspicion_ = kNever;
  for (const auto& [node, suspicion] : suspicions_) {
    if (suspicion.deadline() <= now)
      due.push_back(node);
    else
      next_suspicion_ = std::min(next_suspicion_, suspicion.deadline());
  }
  for (const NodeId node : due) {
    const Member* member = table_.find(node);
    const auto found = suspicions_.find(node);
    SHOAL_ASSERT(member != nullptr && found != suspicions_.end());
    Suspicion& suspicion = found->second;
    if (suspicion.accuser_count() < accusers_required(table_.present_count())) {
      probes::mark(probes::Mark::second_opinion);
      // A second opinion is wanted: our own. The spread keeps all others from asking at once.
      const Duration pause = suspicion_min(config_, table_.present_count());
      suspicion.postpone(now + pause + random_.below(pause));
      next_suspicion_ = std::min(next_suspicion_, suspicion.deadline());
      run(now, detector_.probe(now, node, false, random_));
      // An old one is told again: after a split others may hold the same suspicion by their own
      // word only. Their digests are the same, and what each told was lost.
      const Duration old = 2 * suspicion_max(config_, table_.present_count());
      if (suspicion.accuser(0) == self_ && now - member->changed_at > old) tell(now, node);
      continue;
    }
    wire::MemberRecord record = table_.record_of(now, *member, false);
    record.state = MemberState::dead;
    record.accuser = suspicion.accuser(0);
    ++counters_.deaths_declared;
    probes::mark(probes::Mark::death_declared);
    if (apply(now, record)) tell(now, node);
  }
}

void Membership::gossip(TimePoint now) {
  last_gossip_ = now;
  std::vector<NodeId> targets = detector_.pick(config_.gossip_fanout, self_, random_);
  // Those who died lately are told as well, in turn with the living: they may be able to refute.
  std::vector<NodeId> lately;
  for (const Gone& gone : gone_) {
    if (now < gone.gossip_until) lately.push_back(gone.node);
  }
  const std::size_t choices = detector_.members().size() + lately.size();
  if (!lately.empty() && random_.below(choices) < lately.size() * config_.gossip_fanout) {
    targets.push_back(lately[random_.below(lately.size())]);
  }
  const auto record_of = [&](NodeId subject, std::uint32_t turn) {
    return current(now, subject, turn);
  };
  for (const NodeId target : targets) {
    const Member* peer = table_.find(target);
    if (peer == nullptr) continue;
    for (auto& packet : news_.take(config_.gossip_packets_max, kNewsBytesMax, record_of)) {
      send(target, peer->info.address, Channel::datagram, wire::Gossip{.news = std::move(packet)});
    }
  }
  // Alone, there is nobody to tell; whoever joins gets the whole table.
  if (targets.empty()) {
    while (!news_.empty()) news_.take(config_.news_max, kNewsBytesMax, record_of);
  }
  next_gossip_ = news_.empty() ? kNever : now + config_.gossip_interval;
}

void Membership::push_pull(TimePoint now) {
  Duration interval = push_pull_interval(config_, table_.present_count());
  // Many that join at once overflow each other's gossip: whoever is new compares tables soon.
  if (early_push_pulls_ > 0) {
    --early_push_pulls_;
    interval = config_.push_pull_interval / 8;
  }
  next_push_pull_ = now + interval - interval / 8 + random_.below(interval / 4);
  for (const NodeId target : detector_.pick(1, self_, random_)) {
    const Member* peer = table_.find(target);
    if (peer == nullptr) continue;
    const MemberTable::Digest& digest = table_.digest();
    send(target, peer->info.address, Channel::stream,
         wire::MemberDigest{.buckets = {digest.begin(), digest.end()}});
  }
}

void Membership::redial(TimePoint now) {
  std::vector<NodeId> forgotten;
  for (const Gone& gone : gone_) {
    const Member* member = table_.find(gone.node);
    if (gone.node != self_ && member != nullptr && now - member->changed_at > config_.remember) {
      forgotten.push_back(gone.node);
    }
  }
  std::erase_if(gone_, [&](const Gone& gone) {
    return std::ranges::find(forgotten, gone.node) != forgotten.end();
  });
  for (const NodeId node : forgotten) {
    news_.drop(node);
    table_.erase(node);
    output_.events.push_back({node, Change::forgotten});
    output_.memory_changed = true;
  }
  const std::optional<Address> stray = stray_seed();
  if (gone_.empty() && !stray) {
    next_redial_ = kNever;
    return;
  }
  next_redial_ = now + config_.redial_interval - config_.redial_interval / 8 +
                 random_.below(config_.redial_interval / 4);
  // In turn: none waits much longer than the others, however many there are.
  const std::size_t dials = std::min((gone_.size() + kRedialTurns - 1) / kRedialTurns, kRedialsMax);
  for (std::size_t i = 0; i < dials; ++i) {
    const Member* member = table_.find(gone_[redialled_++ % gone_.size()].node);
    if (member == nullptr) continue;
    const Source peer{member->node, member->info.address, Channel::stream};
    send_table(now, peer, kAllBuckets, true, true);
  }
  // Members that moved at the same time know each other's former addresses only.
  if (stray) {
    const MemberTable::Digest& digest = table_.digest();
    send({}, *stray, Channel::stream,
         wire::MemberDigest{.buckets = {digest.begin(), digest.end()}});
  }
}

// --- Messages
// ----------------------------------------------------------------------------------------

void Membership::send(NodeId to, const Address& address, Channel channel, Message message) {
  if (to == self_ || (!to && !address)) return;
  output_.messages.push_back(
      {.to = to, .address = address, .channel = channel, .message = std::move(message)});
}

void Membership::send_ping(TimePoint now, NodeId to, std::uint64_t sequence, Channel channel,
                           bool introduce) {
  const Member* member = table_.find(to);
  if (member == nullptr) return;
  send(
      to, member->info.address, channel,
      wire::Ping{
          .sequence = sequence, .target = to, .load = load_, .news = news_for(now, to, introduce)});
}

// In messages of about kTableBytes. What is asked of the receiver stands in the last one: it has
// all of the table by then, since a stream keeps the order.
void Membership::send_table(TimePoint now, const Source& to, std::uint64_t bucket_mask, bool join,
                            bool reply) {
  wire::MemberTable part{.records = {}, .bucket_mask = bucket_mask, .join = false, .reply = false};
  std::size_t bytes = 0;
  for (wire::MemberRecord& record : table_.records(now, bucket_mask)) {
    bytes += record_bytes(record);
    if (bytes > kTableBytes) {
      send(to.node, to.address, to.channel, part);
      part.records.clear();
      bytes = record_bytes(record);
    }
    part.records.push_back(std::move(record));
  }
  part.join = join;
  part.reply = reply;
  send(to.node, to.address, to.channel, std::move(part));
}

void Membership::on_message(TimePoint now, const Source& from, const wire::Ping& message) {
  if (from.node == self_ || message.target != self_ || departed_) return;
  learn(now, from, message.news, Via::gossip);
  table_.note_load(now, from.node, message.load);
  send(
      from.node, from.address, from.channel,
      wire::PingAck{.sequence = message.sequence, .load = load_, .news = news_for(now, from.node)});
}

void Membership::on_message(TimePoint now, const Source& from, const wire::IndirectPing& message) {
  if (from.node == self_ || departed_) return;
  learn(now, from, message.news, Via::gossip);
  const bool reachable = message.target != self_ && table_.find(message.target) != nullptr;
  const FailureDetector::Step step =
      detector_.on_indirect_ping(now, from.node, message.target, message.sequence, reachable);
  run_one(now, step);
}

void Membership::on_message(TimePoint now, const Source& from, const wire::PingAck& message) {
  if (from.node == self_ || departed_) return;
  learn(now, from, message.news, Via::gossip);
  table_.note_load(now, from.node, message.load);
  if (from.channel == Channel::stream) ++counters_.stream_only_acks;
  if (const auto step = detector_.on_ack(now, from.node, message.sequence)) run_one(now, *step);
}

void Membership::on_message(TimePoint, const Source& from, const wire::PingNack& message) {
  detector_.on_nack(from.node, message.sequence);
}

void Membership::on_message(TimePoint now, const Source& from, const wire::Gossip& message) {
  if (from.node == self_ || departed_) return;
  learn(now, from, message.news, Via::gossip);
}

void Membership::on_message(TimePoint now, const Source& from, const wire::MemberDigest& message) {
  if (from.node == self_ || departed_ || message.buckets.size() != kDigestBuckets) return;
  std::uint64_t differing = 0;
  for (std::size_t bucket = 0; bucket < kDigestBuckets; ++bucket) {
    const bool differs = message.buckets[bucket] != table_.digest().at(bucket);
    differing |= std::uint64_t{differs} << bucket;
  }
  if (differing == 0) return;
  send_table(now, from, differing, false, true);
}

void Membership::on_message(TimePoint now, const Source& from, const wire::MemberTable& message) {
  if (from.node == self_ || departed_) return;
  learn(now, from, message.records, Via::table);
  if (message.reply) send_table(now, from, message.bucket_mask, message.join, false);
  if (join_.next == kNever || !message.join) return;
  join_.answered = true;
  join_.next = kNever;
  // Of those who join at once each may get a table made before the others came: tell all that are
  // known by now, and compare tables soon.
  tell(now, self_);
  next_push_pull_ = std::min(next_push_pull_, now + random_.below(config_.push_pull_interval / 4));
  log::info("membership", "{} joined through {}; {} members are known", short_text(self_),
            short_text(from.node), table_.members().size());
}

}  // namespace shoal::membership
