#include "tools/chaos/relay_rules.hpp"

#include <algorithm>
#include <cmath>

namespace shoal::chaos {
namespace {

using Us = std::chrono::microseconds;

constexpr std::size_t kPacketBytes = 1448;
constexpr Us kResend{200'000};             // TCP sends again so much later at the earliest.
constexpr int kResendsMax = 5;             // Each time twice as much later.
constexpr Us kDatagramWaitMax{1'000'000};  // What would wait longer for its turn is lost.

Us us_of(double milliseconds) {
  return Us(static_cast<std::int64_t>(std::max(0.0, milliseconds) * 1000));
}

}  // namespace

void RelayRules::set(std::uint32_t id, const RelayRule& rule) {
  const Fault& fault = rule.fault;
  Set set{.kind = fault.kind,
          .links = {rule.links.begin(), rule.links.end()},
          .share = fault.number("pct") / 100,
          .late = us_of(fault.number("ms")),
          .jitter = us_of(fault.number("jitter")),
          .bytes_per_second = std::max(1.0, static_cast<double>(fault.size("rate"))),
          .end = rule.end};
  set.slices = {.bytes = static_cast<std::size_t>(std::max(1.0, fault.number("bytes"))),
                .apart = std::chrono::duration_cast<Ms>(set.late)};
  rules_[id] = std::move(set);
}

bool RelayRules::unset(std::uint32_t id) { return rules_.erase(id) > 0; }

bool RelayRules::expire(SteadyTime now) {
  return std::erase_if(rules_, [now](const auto& entry) { return entry.second.end <= now; }) > 0;
}

bool RelayRules::any(FaultKind kind, const Link& link) const {
  return std::ranges::any_of(rules_, [&](const auto& entry) {
    return entry.second.kind == kind && entry.second.links.contains(link);
  });
}

bool RelayRules::cut(const Link& link) const { return any(FaultKind::partition, link); }

bool RelayRules::half_open(const Link& link) const { return any(FaultKind::net_half_open, link); }

std::optional<Slices> RelayRules::slices(const Link& link) const {
  for (const auto& [id, rule] : rules_) {
    if (rule.kind == FaultKind::net_slice && rule.links.contains(link)) return rule.slices;
  }
  return std::nullopt;
}

bool RelayRules::drawn(double share) {
  constexpr std::uint64_t kParts = 1'000'000;
  return static_cast<double>(random_.below(kParts)) < share * kParts;
}

Us RelayRules::late_by(const Set& rule) {
  const std::int64_t most = rule.jitter.count();
  return std::max(Us(0), rule.late + Us(random_.between(-most, most)));
}

// A link passes one packet after the other.
Us RelayRules::wait_turn(Set& rule, const Link& link, std::size_t bytes, SteadyTime now) {
  SteadyTime& free_at = rule.free_at[link];
  const SteadyTime begins = std::max(now, free_at);
  free_at = begins + us_of(static_cast<double>(bytes) * 1000 / rule.bytes_per_second);
  return std::chrono::duration_cast<Us>(free_at - now);
}

Fate RelayRules::datagram(const Link& link, std::size_t bytes, SteadyTime now) {
  Fate fate;
  for (auto& [id, rule] : rules_) {
    if (!rule.links.contains(link)) continue;
    switch (rule.kind) {
      case FaultKind::partition:
      case FaultKind::net_half_open:
        return {.copies = 0};
      case FaultKind::net_loss:
        if (drawn(rule.share)) return {.copies = 0};
        break;
      case FaultKind::net_duplicate:
        fate.copies += drawn(rule.share) ? 1 : 0;
        break;
      case FaultKind::net_corrupt:
        fate.damaged = fate.damaged || drawn(rule.share);
        break;
      case FaultKind::net_delay:
        fate.late += late_by(rule);
        break;
      case FaultKind::net_reorder:
        if (drawn(rule.share)) fate.late += rule.late;
        break;
      case FaultKind::net_rate: {
        const auto free = rule.free_at.find(link);
        if (free != rule.free_at.end() && free->second - now > kDatagramWaitMax) {
          return {.copies = 0};
        }
        fate.late += wait_turn(rule, link, bytes, now);
        break;
      }
      default:
        break;
    }
  }
  return fate;
}

Fate RelayRules::piece(const Link& link, std::size_t bytes, SteadyTime now) {
  Fate fate;
  const std::size_t packets = bytes / kPacketBytes + 1;
  const auto one_of = [packets](double share) {
    return 1 - std::pow(1 - share, static_cast<double>(packets));
  };
  for (auto& [id, rule] : rules_) {
    if (!rule.links.contains(link)) continue;
    switch (rule.kind) {
      case FaultKind::net_loss: {
        Us resend = kResend;
        for (int i = 0; i < kResendsMax && drawn(i == 0 ? one_of(rule.share) : rule.share); ++i) {
          fate.late += resend;
          resend *= 2;
        }
        break;
      }
      case FaultKind::net_corrupt:
        fate.damaged = fate.damaged || drawn(one_of(rule.share));
        break;
      case FaultKind::net_delay:
        fate.late += late_by(rule);
        break;
      case FaultKind::net_rate:
        fate.late += wait_turn(rule, link, bytes, now);
        break;
      default:
        break;
    }
  }
  return fate;
}

void RelayRules::damage(char* bytes, std::size_t size) {
  if (size == 0) return;
  bytes[random_.below(size)] ^= static_cast<char>(1U << random_.below(8));
}

}  // namespace shoal::chaos
