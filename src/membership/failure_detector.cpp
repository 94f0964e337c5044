#include "membership/failure_detector.hpp"

#include <algorithm>
#include <utility>

#include "base/probes.hpp"

namespace shoal::membership {

using Kind = FailureDetector::Step::Kind;

FailureDetector::FailureDetector(const MembershipConfig& config, TimePoint now, Random& random)
    : config_(config),
      health_max_(config.local_health_max),
      next_round_(now + random.below(config.probe_interval)),
      sequence_(random.next()) {}

void FailureDetector::add(NodeId member, Random& random) {
  // At a random place (section 4.3), so that newcomers are not all probed at the end of the round.
  members_.push_back(member);
  std::swap(members_.back(), members_[random.below(members_.size())]);
}

void FailureDetector::remove(NodeId member) {
  const auto found = std::ranges::find(members_, member);
  if (found == members_.end()) return;
  const auto index = static_cast<std::size_t>(found - members_.begin());
  members_.erase(found);
  if (index < position_) --position_;
  std::erase_if(probes_, [member](const Probe& probe) { return probe.target == member; });
}

std::vector<NodeId> FailureDetector::pick(std::size_t count, NodeId except, Random& random) const {
  std::vector<NodeId> picked;
  // Draws with rejection would miss the only candidates of a small cluster.
  if (members_.size() < 3 * count + 1) {
    picked = members_;
    std::erase(picked, except);
    random.shuffle(std::span(picked));
    if (picked.size() > count) picked.resize(count);
    return picked;
  }
  while (picked.size() < count) {
    const NodeId candidate = members_[random.below(members_.size())];
    if (candidate == except || std::ranges::find(picked, candidate) != picked.end()) continue;
    picked.push_back(candidate);
  }
  return picked;
}

NodeId FailureDetector::next_target(Random& random) {
  if (members_.empty()) return {};
  if (position_ >= members_.size()) {
    random.shuffle(std::span(members_));
    position_ = 0;
  }
  return members_[position_++];
}

std::vector<FailureDetector::Step> FailureDetector::on_time(TimePoint now, Random& random) {
  std::vector<Step> steps;
  for (Probe& probe : probes_) {
    if (probe.acked || now < probe.timeout) continue;
    probe.timeout = kNever;
    if (!probe.other_ways) ask_relays(probe, steps, random);
    steps.push_back({Kind::ping_by_stream, probe.target, probe.target, probe.sequence});
  }
  for (const Probe& probe : probes_) {
    if (now >= probe.ends) end_probe(probe, steps);
  }
  std::erase_if(probes_, [now](const Probe& probe) { return now >= probe.ends; });

  for (const Relay& relay : relays_) {
    if (now < relay.ends) continue;
    steps.push_back({Kind::nack, relay.requester, relay.target, relay.requested_sequence});
  }
  std::erase_if(relays_, [now](const Relay& relay) { return now >= relay.ends; });

  if (now >= next_round_) {
    next_round_ = now + config_.probe_interval * (1 + health_);
    const NodeId target = next_target(random);
    if (target) {
      for (Step& step : probe(now, target, false, random)) steps.push_back(step);
    }
  }
  return steps;
}

TimePoint FailureDetector::wake_at() const {
  TimePoint wake = next_round_;
  for (const Probe& probe : probes_) {
    if (!probe.acked) wake = std::min({wake, probe.timeout, probe.ends});
  }
  for (const Relay& relay : relays_) wake = std::min(wake, relay.ends);
  return wake;
}

std::vector<FailureDetector::Step> FailureDetector::probe(TimePoint now, NodeId member, bool urgent,
                                                          Random& random) {
  std::vector<Step> steps;
  // A probe that was answered stays until its end when it was urgent: a stream that keeps breaking
  // while datagrams pass must not cause a storm of probes.
  std::erase_if(probes_, [now](const Probe& old) { return old.acked && now >= old.ends; });
  const bool running = std::ranges::find(probes_, member, &Probe::target) != probes_.end();
  if (running || probes_.size() >= kProbesMax) return steps;

  Probe probe{
      .target = member,
      .sequence = next_sequence(),
      .timeout = now + (urgent ? config_.probe_timeout / 2 : config_.probe_timeout),
      .ends = now + (urgent ? config_.probe_timeout : config_.probe_interval * (1 + health_)),
      .urgent = urgent,
      .relays = {}};
  steps.push_back({Kind::ping, member, member, probe.sequence});
  if (urgent) ask_relays(probe, steps, random);
  probes_.push_back(std::move(probe));
  return steps;
}

void FailureDetector::ask_relays(Probe& probe, std::vector<Step>& steps, Random& random) {
  probe.other_ways = true;
  probe.relays = pick(config_.indirect_probes, probe.target, random);
  probe.relays_asked = static_cast<std::uint32_t>(probe.relays.size());
  for (const NodeId relay : probe.relays) {
    steps.push_back({Kind::indirect_ping, relay, probe.target, probe.sequence});
  }
}

void FailureDetector::end_probe(const Probe& probe, std::vector<Step>& steps) {
  if (probe.acked) return;
  // Lifeguard: relays that sent neither ack nor nack point at us. An urgent probe is too short for
  // its nacks to say much.
  if (!probe.urgent) {
    const bool alone = probe.relays_asked == 0;
    change_health(alone ? 1 : static_cast<std::int32_t>(probe.relays.size()));
  }
  steps.push_back({Kind::failed, probe.target, probe.target, probe.sequence});
}

std::optional<FailureDetector::Step> FailureDetector::on_ack(TimePoint now, NodeId from,
                                                             std::uint64_t sequence) {
  const auto relay = std::ranges::find(relays_, sequence, &Relay::sequence);
  if (relay != relays_.end()) {
    if (relay->target != from) return std::nullopt;
    const Step step{Kind::ack, relay->requester, relay->target, relay->requested_sequence};
    relays_.erase(relay);
    return step;
  }
  const auto probe = std::ranges::find(probes_, sequence, &Probe::sequence);
  if (probe == probes_.end() || probe->acked || now >= probe->ends) return std::nullopt;
  const bool relayed = std::ranges::find(probe->relays, from) != probe->relays.end();
  if (from != probe->target && !relayed) return std::nullopt;

  change_health(-1);
  budget_ = std::min(budget_ + 1, kBudgetMax);
  probe->acked = true;
  if (!probe->urgent) probes_.erase(probe);
  return std::nullopt;
}

void FailureDetector::on_nack(NodeId from, std::uint64_t sequence) {
  const auto probe = std::ranges::find(probes_, sequence, &Probe::sequence);
  if (probe != probes_.end()) std::erase(probe->relays, from);
}

FailureDetector::Step FailureDetector::on_indirect_ping(TimePoint now, NodeId from, NodeId target,
                                                        std::uint64_t sequence, bool reachable) {
  if (!reachable || relays_.size() >= config_.relays_max) {
    return {Kind::nack, from, target, sequence};
  }
  const Relay relay{.requester = from,
                    .target = target,
                    .requested_sequence = sequence,
                    .sequence = next_sequence(),
                    // Early enough for the nack to arrive within the requester's round.
                    .ends = now + std::min(config_.probe_timeout,
                                           config_.probe_interval - config_.probe_timeout) *
                                      4 / 5};
  relays_.push_back(relay);
  return {Kind::ping, target, target, relay.sequence};
}

bool FailureDetector::may_accuse() {
  if (budget_ < kAccusationCost) {
    // Failed probes earn too, or a node cut off from most others would never find out.
    ++budget_;
    return false;
  }
  budget_ -= kAccusationCost - 1;
  return true;
}

void FailureDetector::change_health(std::int32_t by) {
  const std::int32_t changed = static_cast<std::int32_t>(health_) + by;
  health_ =
      static_cast<std::uint32_t>(std::clamp(changed, 0, static_cast<std::int32_t>(health_max_)));
  if (by > 0 && health_ == health_max_) probes::mark(probes::Mark::local_health_worst);
}

}  // namespace shoal::membership
