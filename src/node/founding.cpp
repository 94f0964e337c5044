#include "node/founding.hpp"

#include <algorithm>
#include <utility>

#include "base/format.hpp"
#include "base/log.hpp"
#include "ring/ring.hpp"
#include "wire/codec.hpp"

namespace shoal::node {
namespace {

constexpr Duration kStep = std::chrono::milliseconds(250);
constexpr Duration kOfferTimeout = std::chrono::seconds(3);
constexpr Duration kOfferPause = std::chrono::milliseconds(500);
constexpr Duration kSayInterval = std::chrono::seconds(10);
constexpr std::size_t kReplicas = 3;

constexpr std::string_view kMetaCluster = "cluster";
constexpr std::string_view kMetaRecord = "founding.record";
constexpr std::string_view kMetaWord = "founding.word";
constexpr std::string_view kMetaOffer = "founding.offer";

std::vector<std::vector<NodeId>> homes_of(const std::vector<wire::FoundingMember>& members,
                                          std::uint32_t shard_count) {
  std::vector<ring::RingMember> ring_members;
  for (const wire::FoundingMember& member : members) {
    ring_members.push_back({member.node, member.weight_eighths, member.zone});
  }
  const std::size_t replicas = members.size() >= kReplicas ? kReplicas : 1;
  return ring::target_homes(ring::Ring(ring_members), shard_count, replicas);
}

template <class T>
std::optional<T> decode_as(std::string_view value) {
  auto decoded = wire::decode_messages(value);
  if (!decoded || decoded->size() != 1) return std::nullopt;
  if (T* message = std::get_if<T>(&decoded->front())) return std::move(*message);
  return std::nullopt;
}

}  // namespace

bool Founding::restore(std::string_view name, std::string_view value) {
  if (name == kMetaCluster || name == kMetaRecord) {
    auto record = decode_as<wire::FoundingRecord>(value);
    if (!record) return false;
    cluster_ = record->cluster;
    shard_count_ = record->shard_count;
    if (name == kMetaCluster) {
      serving_ = true;
    } else {
      record_ = std::move(*record);
    }
  } else if (name == kMetaWord || name == kMetaOffer) {
    const auto kept = decode_as<wire::FoundingOffer>(value);
    if (!kept) return false;
    if (name == kMetaOffer) {
      offers_ = kept->number;
    } else if (kept->members.size() == 1) {  // The founder stands as the only member.
      word_ = Word{kept->members.front().node, kept->number, kept->cluster};
    }
  }
  return true;
}

void Founding::persist(std::string name, const wire::Message& message) {
  context_.output.writes.emplace_back(
      wire::PutMeta{std::move(name), wire::encode_message(message)});
}

void Founding::promise(NodeId to, wire::Message message) {
  const membership::Member* member = context_.membership->find(to);
  const Address address = member == nullptr ? Address{} : member->info.address;
  context_.output.promises.push_back({to, address, Channel::stream, std::move(message)});
}

void Founding::start(Now now) {
  waiting_since_ = now.steady;
  said_at_ = now.steady;
  next_step_ = now.steady + kStep;
  if (record_) {
    lay_out(*record_);
  } else if (serving_) {
    *context_.table = shard::ShardTable(shard_count_);
  }
  if (serving_) {
    context_.shard_count = shard_count_;
    just_founded_ = true;
    return;
  }
  if (!record_ && !context_.config.join && context_.config.expect <= 1) found_alone();
}

void Founding::found_alone() {
  cluster_ = {context_.random.next(), context_.random.next()};
  const wire::FoundingMember self{.node = context_.self(), .address = context_.config.address};
  hold({.cluster = cluster_,
        .shard_count = context_.config.shard_count,
        .members = {self},
        .complete = true});
  finish();
}

// The record is on this disk (once the output's writes are); its shards have their homes.
void Founding::hold(const wire::FoundingRecord& record) {
  record_ = record;
  cluster_ = record.cluster;
  shard_count_ = record.shard_count;
  persist(std::string(kMetaRecord), record);
  lay_out(record);
}

// Homes by the ring over the founding members; a pure function of the record.
void Founding::lay_out(const wire::FoundingRecord& record) {
  *context_.table = shard::ShardTable(record.shard_count);
  const auto homes = homes_of(record.members, record.shard_count);
  for (std::uint32_t shard = 0; shard < record.shard_count; ++shard) {
    wire::ShardConfig config;
    config.home = homes.at(shard);
    context_.table->merge({.shard = ShardId{shard}, .config = config});
    if (std::ranges::find(config.home, context_.self()) != config.home.end()) {
      context_.shards->found(ShardId{shard}, config);
    }
  }
}

void Founding::finish() {
  wire::FoundingRecord kept{.cluster = cluster_, .shard_count = shard_count_, .complete = true};
  persist(std::string(kMetaCluster), kept);
  context_.shard_count = shard_count_;
  serving_ = true;
  just_founded_ = true;
  waiting_for_.clear();
  log::info("node", "{} serves cluster {} ({} shards)", short_text(context_.self()),
            to_string(cluster_).substr(0, 8), shard_count_);
}

std::vector<wire::FoundingMember> Founding::founders() const {
  std::vector<wire::FoundingMember> members;
  for (const auto& [node, member] : context_.membership->members()) {
    if (member.state != wire::MemberState::alive) continue;
    members.push_back({.node = node,
                       .address = member.info.address,
                       .weight_eighths = member.info.weight_eighths,
                       .zone = member.info.zone});
    if (members.size() == context_.config.expect) break;
  }
  return members;
}

void Founding::consider(Now now) {
  const std::vector<wire::FoundingMember> members = founders();
  if (members.size() < context_.config.expect) {
    say_waiting(now, format("waiting for {} more of {} founding nodes (--expect {})",
                            context_.config.expect - members.size(), context_.config.expect,
                            context_.config.expect));
    return;
  }
  if (members.front().node != context_.self()) {
    say_waiting(
        now, format("waiting for node {} to found the cluster", short_text(members.front().node)));
    return;
  }
  if (word_ && word_->founder != context_.self()) {
    say_waiting(now, format("this node's word is with node {}, which has not withdrawn its offer",
                            short_text(word_->founder)));
    return;
  }
  offer(now, members);
}

void Founding::offer(Now now, std::vector<wire::FoundingMember> members) {
  offer_ = wire::FoundingOffer{.number = ++offers_,
                               .cluster = {context_.random.next(), context_.random.next()},
                               .shard_count = context_.config.shard_count,
                               .members = std::move(members)};
  offered_at_ = now.steady;
  words_.clear();
  persist(std::string(kMetaOffer), *offer_);
  for (const wire::FoundingMember& member : offer_->members) promise(member.node, *offer_);
}

void Founding::on_offer(Now, NodeId from, const wire::FoundingOffer& offer) {
  if (serving_ || record_) return;
  const bool mine = std::ranges::any_of(offer.members, [&](const wire::FoundingMember& member) {
    return member.node == context_.self();
  });
  wire::FoundingWord answer{.number = offer.number, .cluster = offer.cluster};
  const bool free = !word_ || word_->founder == from;
  if (!mine || !free || (word_ && word_->number > offer.number)) {
    if (word_) answer.held_by = word_->founder;
    context_.send(from, answer);
    return;
  }
  joining_ = {};
  word_ = Word{from, offer.number, offer.cluster};
  persist(std::string(kMetaWord),
          wire::FoundingOffer{
              .number = offer.number, .cluster = offer.cluster, .members = {{.node = from}}});
  answer.given = true;
  promise(from, answer);
}

void Founding::on_word(Now now, NodeId from, const wire::FoundingWord& word) {
  if (word.given && !offer_ && cluster_ != word.cluster) {
    // An offer that this node let go, by a restart or because its withdrawal was lost on the way.
    // Its number is spent on disk, so it is never counted again.
    promise(from, wire::FoundingWithdraw{word.number, word.cluster});
    return;
  }
  if (!offer_ || word.number != offer_->number || word.cluster != offer_->cluster || record_)
    return;
  if (!word.given) return;  // The time-out withdraws.
  words_.insert(from);
  for (const wire::FoundingMember& member : offer_->members) {
    if (!words_.contains(member.node)) return;
  }
  hold({.number = offer_->number,
        .cluster = offer_->cluster,
        .shard_count = offer_->shard_count,
        .members = offer_->members});
  holders_.clear();
  next_step_ = now.steady;
  for (const wire::FoundingMember& member : record_->members) promise(member.node, *record_);
}

void Founding::withdraw(Now now) {
  const wire::FoundingWithdraw message{offer_->number, offer_->cluster};
  persist(std::string(kMetaOffer), *offer_);  // The number is spent: it is never offered again.
  for (const wire::FoundingMember& member : offer_->members) promise(member.node, message);
  offer_.reset();
  words_.clear();
  next_step_ = now.steady + kOfferPause + context_.random.below(kOfferPause * 3);
}

void Founding::on_withdraw(NodeId from, const wire::FoundingWithdraw& withdraw) {
  if (!word_ || word_->founder != from || word_->number > withdraw.number || record_) return;
  word_.reset();
  persist(std::string(kMetaWord), wire::FoundingOffer{});
}

void Founding::on_record(Now now, NodeId from, const wire::FoundingRecord& record) {
  if (serving_) {
    // The complete record wants no answer: it would be answered in turn, for ever.
    if (record.cluster == cluster_ && !record.complete) {
      context_.send(from, wire::FoundingHeld{cluster_});
    }
    return;
  }
  if (!record_) {
    const bool promised = word_ && word_->founder == from && word_->cluster == record.cluster;
    if (!promised) return;
    hold(record);
  }
  if (record.cluster != cluster_) return;
  record_founder_ = from;
  if (record.complete) {
    finish();
  } else {
    promise(from, wire::FoundingHeld{cluster_});
  }
  next_step_ = now.steady + kStep;
}

void Founding::on_held(NodeId from, const wire::FoundingHeld& held) {
  if (!record_ || held.cluster != cluster_ || !offer_) {
    // A straggler of a founding that is over here.
    if (serving_ && record_ && held.cluster == cluster_ && from != context_.self()) {
      wire::FoundingRecord whole = *record_;
      whole.complete = true;
      context_.send(from, whole);
    }
    return;
  }
  holders_.insert(from);
  for (const wire::FoundingMember& member : record_->members) {
    if (!holders_.contains(member.node)) return;
  }
  record_->complete = true;
  offer_.reset();
  finish();
  for (const wire::FoundingMember& member : record_->members) {
    if (member.node != context_.self()) promise(member.node, *record_);
  }
}

void Founding::on_founded_peer(NodeId peer, ClusterId cluster) {
  if (serving_ || record_ || word_) return;
  if (joining_ && joining_cluster_ == cluster) return;
  joining_ = peer;
  joining_cluster_ = cluster;
  context_.send(peer, wire::TableDigest{});
}

void Founding::on_table(Now) {
  if (serving_ || record_ || !joining_ || context_.table->shard_count() == 0) return;
  cluster_ = joining_cluster_;
  shard_count_ = context_.table->shard_count();
  finish();
}

void Founding::say_waiting(Now now, std::string text) {
  if (text != waiting_for_) {
    waiting_for_ = std::move(text);
    waiting_since_ = now.steady;
  }
  if (now.steady - waiting_since_ >= kSayInterval && now.steady - said_at_ >= kSayInterval) {
    said_at_ = now.steady;
    log::warn("node", "{}", waiting_for_);
  }
}

void Founding::on_time(Now now) {
  if (serving_ || now.steady < next_step_) return;
  next_step_ = now.steady + kStep;
  if (record_) {
    if (offer_) {  // The founder goes on until all hold it.
      std::string missing;
      for (const wire::FoundingMember& member : record_->members) {
        if (holders_.contains(member.node)) continue;
        missing += (missing.empty() ? "" : ", ") + short_text(member.node);
        promise(member.node, *record_);
      }
      say_waiting(now, format("waiting until {} have the founding record on disk", missing));
    } else if (word_) {
      if (word_->founder == context_.self()) {  // Restarted in the middle: go on where it stood.
        offer_ = wire::FoundingOffer{.number = record_->number, .cluster = cluster_};
        return;
      }
      say_waiting(now,
                  format("waiting for founder {} to hear from all", short_text(word_->founder)));
      context_.send(word_->founder, wire::FoundingHeld{cluster_});
    }
    return;
  }
  if (joining_) {
    const membership::Member* member = context_.membership->find(joining_);
    if (member == nullptr || member->gone()) {
      joining_ = {};
    } else {
      context_.send(joining_, wire::TableDigest{});
      say_waiting(now, format("joining through node {}", short_text(joining_)));
    }
    return;
  }
  if (word_ && !offer_) {
    // The founder counts it again, or frees this node if it does not stand behind its offer.
    promise(word_->founder,
            wire::FoundingWord{.number = word_->number, .cluster = word_->cluster, .given = true});
  }
  if (offer_) {
    if (now.steady - offered_at_ < kOfferTimeout) return;
    std::string missing;
    for (const wire::FoundingMember& member : offer_->members) {
      if (!words_.contains(member.node)) {
        missing += (missing.empty() ? "" : ", ") + short_text(member.node);
      }
    }
    log::warn("node", "founding: no word from {}; offering again", missing);
    withdraw(now);
    return;
  }
  if (context_.config.expect > 1) {
    consider(now);
  } else {
    say_waiting(now, "waiting for a seed to answer (--join)");
  }
}

}  // namespace shoal::node
