// The numbers of the membership protocol, in one struct, with the profiles `local`, `lan` and
// `wan`.
//
// Every member of a cluster should run the same profile: a member with a much shorter probe
// interval accuses those that are merely slower than it expects.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "base/time.hpp"
#include "shoal/result.hpp"

namespace shoal::membership {

inline constexpr std::uint32_t kConfirmationsMax = 4;
inline constexpr std::uint32_t kDigestBuckets = 64;

struct MembershipConfig {
  // One member is probed each interval. Shorter: faster detection, more datagrams (2 per interval).
  Duration probe_interval = std::chrono::seconds(1);
  // An ack later than this sets off indirect probes. Should be above the 99th percentile of the
  // round trip; local health does not stretch it, only the interval.
  Duration probe_timeout = std::chrono::milliseconds(500);
  std::uint32_t indirect_probes = 3;

  // Suspicion ends after mult x max(1, log10 n) x probe_interval at the earliest, and after
  // mult_max times that at the latest. Higher: fewer false deaths, slower true ones.
  std::uint32_t suspicion_mult = 4;
  std::uint32_t suspicion_mult_max = 6;
  std::uint32_t local_health_max = 8;

  // News spreads to `gossip_fanout` members each interval, while there is any.
  Duration gossip_interval = std::chrono::milliseconds(200);
  std::uint32_t gossip_fanout = 3;
  std::uint32_t gossip_packets_max =
      4;  // To one member in one interval, when one does not hold all.
  // One piece of news is sent mult x ceil(log10(n + 1)) times by each member.
  std::uint32_t retransmit_mult = 4;
  Duration gossip_to_the_dead = std::chrono::seconds(30);  // So that they can refute.

  Duration push_pull_interval =
      std::chrono::seconds(30);  // Up to 32 members; grows with log2 n above.
  Duration redial_interval = std::chrono::seconds(30);  // Some dead or left members are dialled.
  Duration remember = std::chrono::hours(24);           // Dead and left members are.
  Duration join_backoff_min = std::chrono::seconds(1);
  Duration join_backoff_max = std::chrono::seconds(30);

  std::uint32_t members_max = 16'384;  // Further ones are not let in, with a warning.
  std::uint32_t news_max = 4'096;  // Pending subjects; the least urgent is dropped at insertion.
  std::uint32_t relays_max = 256;  // Indirect probes served at once; further ones get a nack.

  bool refutes = true;  // False only in the test that shows what refutation is for.
};

enum class Profile : std::uint8_t { local, lan, wan };

MembershipConfig config_of(Profile profile);
Result<Profile> parse_profile(std::string_view text);
std::string_view to_string(Profile profile);

// `n` counts the members that are alive or suspect, this node included.
Duration suspicion_min(const MembershipConfig& config, std::size_t n);
Duration suspicion_max(const MembershipConfig& config, std::size_t n);
std::uint32_t transmissions(const MembershipConfig& config, std::size_t n);
Duration push_pull_interval(const MembershipConfig& config, std::size_t n);

// Independent accusers, beyond the first, that bring a suspicion down to its minimum. None where
// the cluster is too small to have them: then the minimum holds from the start.
std::uint32_t confirmations_wanted(const MembershipConfig& config, std::size_t n);

// Accusers without whom nobody is declared dead: min(2, n - 2), at least 1. One member that hears
// nobody must not kill the others.
std::uint32_t accusers_required(std::size_t n);

}  // namespace shoal::membership
