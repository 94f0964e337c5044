// What a relay does to what passes a link: rules, and what they make of one packet.
//
// Rules of several faults add up. Datagrams are lost, doubled, late and damaged as on a wire. What
// TCP would mend a stream's reader never sees: a lost packet is a late one there, and all behind it
// are late as well; only damage arrives, as when a checksum misses it.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "tools/chaos/links.hpp"

namespace shoal::chaos {

using SteadyTime = std::chrono::steady_clock::time_point;

struct RelayRule {
  Fault fault;
  std::vector<Link> links;
  SteadyTime end;  // It goes by itself then: the dead man's timer.
};

// Of one packet.
struct Fate {
  unsigned copies = 1;  // 0: it is lost.
  std::chrono::microseconds late{0};
  bool damaged = false;
};

struct Slices {
  std::size_t bytes = 1;
  Ms apart{0};
};

class RelayRules {
 public:
  explicit RelayRules(std::uint64_t seed) : random_(seed, "relay") {}

  void set(std::uint32_t id, const RelayRule& rule);
  bool unset(std::uint32_t id);  // False when there is none.
  bool expire(SteadyTime now);   // True when some went.
  std::size_t size() const { return rules_.size(); }

  bool cut(const Link& link) const;        // Nothing passes.
  bool half_open(const Link& link) const;  // `to` is gone, and `from` does not know.
  std::optional<Slices> slices(const Link& link) const;

  Fate datagram(const Link& link, std::size_t bytes, SteadyTime now);
  // Bytes of a stream that were read at once; never lost nor doubled.
  Fate piece(const Link& link, std::size_t bytes, SteadyTime now);
  void damage(char* bytes, std::size_t size);  // Turns one bit.

 private:
  // A rule as it is asked for each packet.
  struct Set {
    FaultKind kind = FaultKind::partition;
    std::set<Link> links;
    double share = 0;
    std::chrono::microseconds late{0};
    std::chrono::microseconds jitter{0};
    double bytes_per_second = 0;
    Slices slices;
    SteadyTime end;
    std::map<Link, SteadyTime> free_at;  // When what was sent before has passed.
  };
  bool any(FaultKind kind, const Link& link) const;
  bool drawn(double share);
  std::chrono::microseconds late_by(const Set& rule);
  static std::chrono::microseconds wait_turn(Set& rule, const Link& link, std::size_t bytes,
                                             SteadyTime now);

  std::map<std::uint32_t, Set> rules_;
  Random random_;
};

}  // namespace shoal::chaos
