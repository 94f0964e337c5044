#include "membership/config.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/format.hpp"

namespace shoal::membership {

using namespace std::chrono_literals;

MembershipConfig config_of(Profile profile) {
  MembershipConfig config;
  switch (profile) {
    case Profile::lan:
      break;
    case Profile::local:
      config.probe_timeout = 200ms;
      config.indirect_probes = 1;
      config.suspicion_mult = 3;
      config.gossip_interval = 100ms;
      config.retransmit_mult = 2;
      config.gossip_to_the_dead = 15s;
      config.push_pull_interval = 15s;
      break;
    case Profile::wan:
      config.probe_interval = 5s;
      config.probe_timeout = 3s;
      config.suspicion_mult = 6;
      config.gossip_interval = 500ms;
      config.gossip_fanout = 4;
      config.gossip_to_the_dead = 60s;
      config.push_pull_interval = 60s;
      config.redial_interval = 60s;
      config.remember = 72h;
      break;
  }
  return config;
}

Result<Profile> parse_profile(std::string_view text) {
  for (const Profile profile : {Profile::local, Profile::lan, Profile::wan}) {
    if (text == to_string(profile)) return profile;
  }
  return fail(
      ErrorCode::bad_input,
      format("'{}' is not a network profile: there are local, lan and wan. Use the same one "
             "on all nodes; lan fits most clusters.",
             text.substr(0, 40)));
}

std::string_view to_string(Profile profile) {
  switch (profile) {
    case Profile::local:
      return "local";
    case Profile::lan:
      return "lan";
    case Profile::wan:
      return "wan";
  }
  return "lan";
}

Duration suspicion_min(const MembershipConfig& config, std::size_t n) {
  const double log = std::log10(static_cast<double>(std::max<std::size_t>(n, 10)));
  // Whole thousandths, so that the last bit of a floating-point result does not reach a deadline.
  const auto log_milli = static_cast<std::int64_t>(std::lround(log * 1000));
  return config.suspicion_mult * config.probe_interval * log_milli / 1000;
}

Duration suspicion_max(const MembershipConfig& config, std::size_t n) {
  return suspicion_min(config, n) * config.suspicion_mult_max;
}

std::uint32_t transmissions(const MembershipConfig& config, std::size_t n) {
  std::uint32_t log = 1;
  for (std::size_t power = 10; power < n + 1; power *= 10) ++log;
  return config.retransmit_mult * log;
}

Duration push_pull_interval(const MembershipConfig& config, std::size_t n) {
  constexpr std::size_t kUnscaled = 32;
  if (n <= kUnscaled) return config.push_pull_interval;
  const int doublings = static_cast<int>(std::bit_width((n - 1) / kUnscaled));
  return config.push_pull_interval * (doublings + 1);
}

std::uint32_t confirmations_wanted(const MembershipConfig& config, std::size_t n) {
  const std::uint32_t wanted =
      std::min(kConfirmationsMax, config.suspicion_mult > 2 ? config.suspicion_mult - 2 : 0);
  return n < wanted + 2 ? 0 : wanted;
}

std::uint32_t accusers_required(std::size_t n) { return n >= 4 ? 2 : 1; }

}  // namespace shoal::membership
