// Changes of a shard's home (G1-G5): learners first, then the joint config (Ongaro and Ousterhout,
// ATC 2014, section 6), then the final one; and the end of those who left (H5).
#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "base/log.hpp"
#include "base/probes.hpp"
#include "shard/owner.hpp"
#include "shard/quorum.hpp"

namespace shoal::shard {
namespace {

bool among(const std::vector<NodeId>& nodes, NodeId node) {
  return std::ranges::find(nodes, node) != nodes.end();
}

}  // namespace

bool Owner::acknowledged(NodeId node) const {
  const Peer* known = peer(node);
  return known != nullptr && known->config_acked == config_.id;
}

// Of the target of a change that is not joint yet: whether it still answers is to be known.
bool Owner::learns(NodeId node) const { return config_.next.empty() && among(target_, node); }

bool Owner::config_held() const {
  return quorum(settings_.mutations, config_, [this](NodeId node) { return acknowledged(node); });
}

// The own copy counts like any other, when the own disk has it (1.1): it has the config, and so all
// that was written before, and every write since; settled output that is still to come lacks.
bool Owner::holds_everything(const Peer& peer) const {
  if (peer.node == self_ && !(lacking_.empty() && acknowledged(self_))) return false;
  const bool answered = std::ranges::all_of(
      peer.outstanding, [](const Batch& batch) { return batch.answered || batch.late; });
  return peer.missing.empty() && peer.reading == 0 && peer.awaiting == 0 && !peer.digest_wanted &&
         answered;
}

// All there was at one moment since it entered is on its disk.
bool Owner::caught_up(Peer& peer) const {
  if (peer.node == self_) return lacking_.empty();
  if (!peer.missing.empty() || peer.reading > 0 || peer.awaiting > 0 || peer.digest_wanted) {
    peer.mark = 0;
    return false;
  }
  if (peer.mark == 0) peer.mark = std::max<std::uint64_t>(1, peer.number_last);
  return std::ranges::none_of(peer.outstanding, [&](const Batch& batch) {
    return !batch.answered && !batch.late && batch.number <= peer.mark;
  });
}

bool Owner::change_home(TimePoint now, std::vector<NodeId> target, Replica& replica,
                        Effects& effects) {
  std::vector<NodeId> sorted = target;
  std::ranges::sort(sorted);
  const bool distinct = std::ranges::adjacent_find(sorted) == sorted.end();
  const bool same = target_.empty() ? target == config_.home : target == target_;
  if (target.empty() || !distinct || same || !config_.next.empty() || !config_held()) return false;
  std::size_t places = members(config_).size();
  for (const Peer& peer : peers_) places += peer.left_at != TimePoint{} ? 1U : 0U;
  if (places + target.size() > kMembersMax || any_blocked()) return false;
  wire::ShardConfig config = config_;
  ++config.id.seq;
  config.learners.clear();
  if (settings_.mutations.no_joint) {
    config.home = std::move(target);
    set_config(now, std::move(config), replica, effects);
    return true;
  }
  // G1. A target that is still learning may be given up for another one: learners count nowhere.
  for (const NodeId node : target) {
    if (!among(config_.home, node)) config.learners.push_back(node);
  }
  probes::mark(probes::Mark::home_change_began);
  target_ = std::move(target);
  learning_since_ = now;
  if (config.learners != config_.learners) set_config(now, std::move(config), replica, effects);
  advance_change(now, replica, effects);
  return true;
}

// The config is in force from here on, wherever it has come (G2, G3).
void Owner::set_config(TimePoint now, wire::ShardConfig config, Replica& replica,
                       Effects& effects) {
  config_ = std::move(config);
  told_settled_ = false;
  const std::vector<NodeId> nodes = members(config_);
  for (const NodeId node : nodes) {
    const Peer* known = peer(node);
    if (known == nullptr || known->away()) enter(now, node, replica, effects);
  }
  for (Peer& peer : peers_) {
    if (!peer.node || peer.away() || among(nodes, peer.node)) continue;
    peer.left_at = now;
    peer.retires = 0;
    peer.missing.clear();
    peer.missing_sorted = 0;
    peer.digest_wanted = false;
  }
  home_ = bits(config_.home);
  next_ = bits(config_.next);
  replica.adopt(config_, ballot_, effects.output.writes);
  announce(now, replica, effects);
}

// G1: a newcomer is removed from all holders, whatever it had when it was here before.
void Owner::enter(TimePoint now, NodeId node, const Replica& replica, Effects& effects) {
  Peer* place = peer(node);
  // This node has dropped nothing as long as it owns the shard.
  if (place != nullptr && (node == self_ || settings_.mutations.count_old_acks)) {
    place->left_at = {};
    return;
  }
  if (place != nullptr) drop_peer(*place, effects);
  if (place == nullptr) place = peer(NodeId{});
  if (place == nullptr) place = &peers_.emplace_back();
  SHOAL_ASSERT(peers_.size() <= kMembersMax);
  *place = Peer{.node = node, .entered = config_.id.seq, .number_last = number_base_};
  place->heard = now;
  place->probe_at = now;
  replica.records().for_each([&](const StoredRecord& record) {
    const bool elsewhere = lacking_.contains(record.key);
    if (record.version > 0 && !blocked(record.key) && !elsewhere) {
      place->missing.push_back(record.key);
    }
  });
  place->missing_sorted = place->missing.size();
  for (auto& [key, lacking] : lacking_) {
    lacking.wanted |= bit(*place);
    ++place->awaiting;
  }
}

void Owner::drop_peer(Peer& peer, Effects& effects) {
  const std::uint32_t mask = ~bit(peer);
  for (auto& [key, flight] : flights_) {
    flight.current.holders &= mask;
    for (Pending& pending : flight.older) pending.holders &= mask;
  }
  for (auto& [key, lacking] : lacking_) {
    lacking.holders &= mask;
    lacking.wanted &= mask;
    if (lacking.asked_at != TimePoint{} && lacking.asked == ~mask) lacking.asked_at = {};
  }
  for (const Batch& batch : peer.outstanding) {
    if (batch.catch_up && !batch.answered) --effects.catching_up[peer.node];
  }
  number_base_ = std::max(number_base_, peer.number_last);
  peer = Peer{};
}

// To everybody, also to those who left: they must know the config that retires them.
void Owner::announce(TimePoint now, const Replica& replica, Effects& effects) {
  for (Peer& peer : peers_) {
    if (!peer.node) continue;
    if (peer.node != self_) {
      probe(now, peer, effects);
      continue;
    }
    // Itself like any other: it counts when its own disk has the config (1.1).
    effects.outbox.ack(self_, {.shard = shard_,
                               .ballot = ballot_,
                               .config_id = config_.id,
                               .config = std::nullopt,
                               .floor = replica.state().floor,
                               .number = 0,
                               .exceptions = {}});
  }
}

void Owner::advance_change(TimePoint now, Replica& replica, Effects& effects) {
  if (!target_.empty() && config_.next.empty()) {
    // One that has fallen silent since counts no more: there is no way back out of joint (hole 7).
    const auto ready = [&](NodeId node) {
      Peer* known = peer(node);
      if (known == nullptr || !acknowledged(node) || !caught_up(*known)) return false;
      return node == self_ || now <= known->heard + 2 * settings_.retransmit_after;
    };
    const bool enough = std::ranges::all_of(target_, ready) ||
                        (now >= learning_since_ + settings_.learn_max && majority(target_, ready));
    if (!(enough && config_held()) && !settings_.mutations.no_learners) return;
    probes::mark(probes::Mark::home_change_joint);
    wire::ShardConfig config = config_;  // G2.
    ++config.id.seq;
    config.learners.clear();
    config.next = std::exchange(target_, {});
    old_home_ = home_;
    set_config(now, std::move(config), replica, effects);
    if (settings_.mutations.final_unsettled) go_final(now, replica, effects);
    return;
  }
  if (config_.next.empty()) return see_off(now, effects);
  if (!config_held() || any_blocked()) return;
  if (all_on_joint_quorum()) return go_final(now, replica, effects);
  // New writes would keep something in flight for ever: none for the time of a round trip.
  const bool near = majority(config_.next, [&](NodeId node) {
    const Peer& known = *peer(node);
    return !known.silent && known.missing.empty() && known.reading == 0 && known.awaiting == 0 &&
           !known.digest_wanted;
  });
  if (near && pause_again_ <= now) {
    pause_until_ = now + kPauseMax;
    pause_again_ = pause_until_ + kPauseGap;
  }
}

// G3: every record's current version, where it is fixed already. The old home's majority holds all
// that is settled; what is in flight would need both.
bool Owner::all_on_joint_quorum() const {
  if (flights_.size() != dirty_.size()) return false;
  const bool none = std::ranges::all_of(
      dirty_, [this](const wire::RecordKey& key) { return flights_.at(key).older.empty(); });
  return none &&
         majority(config_.next, [this](NodeId node) { return holds_everything(*peer(node)); });
}

void Owner::go_final(TimePoint now, Replica& replica, Effects& effects) {
  wire::ShardConfig config = config_;
  ++config.id.seq;
  config.home = std::exchange(config.next, {});
  probes::mark(probes::Mark::home_change_final);
  pause_until_ = {};
  set_config(now, std::move(config), replica, effects);
}

bool Owner::finished(TimePoint now) const {
  if (changing() || among(members(config_), self_) || !config_held()) return false;
  return std::ranges::none_of(peers_, [&](const Peer& peer) {
    return peer.left_at != TimePoint{} && peer.node != self_ && peer.retires == 0 &&
           now < peer.left_at + kSeeOffMax;
  });
}

// G4. Those who left and have the config are retired, a few times, since nobody answers that.
void Owner::see_off(TimePoint now, Effects& effects) {
  if (!config_held()) return;
  if (!std::exchange(told_settled_, true)) effects.output.settled_configs.push_back(shard_);
  old_home_ = 0;
  for (Peer& peer : peers_) {
    if (peer.left_at == TimePoint{} || peer.node == self_) continue;
    const bool over = peer.retires >= kRetiresMax || peer.left_at + kLeaverMax <= now;
    if (over && !settings_.mutations.count_old_acks) {
      drop_peer(peer, effects);
    } else if (peer.config_acked == config_.id && peer.retires < kRetiresMax &&
               (peer.retires == 0 || peer.probe_at <= now)) {
      effects.outbox.send(peer.node, wire::Retire{{{.shard = shard_, .config = config_.id}}});
      ++peer.retires;
      peer.probe_at = now + settings_.retransmit_after;
    }
  }
}

void Owner::retire(TimePoint now, NodeId node) {
  if (peer(node) != nullptr || among(members(config_), node)) return;
  Peer* place = peer(NodeId{});
  if (place == nullptr && peers_.size() >= kMembersMax) return;
  if (place == nullptr) place = &peers_.emplace_back();
  *place = Peer{.node = node, .entered = config_.id.seq, .number_last = number_base_};
  place->heard = now;
  place->probe_at = now;
  place->left_at = now;
}

void Owner::raise_floor(TimePoint now, std::uint64_t floor, std::uint64_t wall, Replica& replica,
                        Effects& effects) {
  if (floor <= floor_) return;
  probes::mark(probes::Mark::floor_raised);
  SHOAL_ASSERT(dirty_.empty());
  floor_ = floor;
  floor_refused_ = !replica.adopt_floor(floor, wall, settings_.mutations, effects.output.writes);
  forget_below(floor);
  announce(now, replica, effects);
}

void Owner::forget_below(std::uint64_t floor) {
  std::erase_if(flights_, [&](const auto& entry) { return at_or_below(entry.first, floor); });
  std::erase_if(blocked_, [&](const wire::RecordKey& key) { return at_or_below(key, floor); });
  for (auto at = lacking_.begin(); at != lacking_.end();) {
    const auto next = std::next(at);
    if (at_or_below(at->first, floor)) drop_lacking(at);
    at = next;
  }
}

// E3.
bool Owner::floor_settled() const {
  if (settings_.mutations.gone_before_quorum) return true;
  return quorum(settings_.mutations, config_, [this](NodeId node) {
    const Peer* known = peer(node);
    return known != nullptr && known->floor_acked >= floor_;
  });
}

}  // namespace shoal::shard
