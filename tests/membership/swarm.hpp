// Many members over a network of virtual time: datagrams may be lost, links cut in one direction,
// members slow, processes killed and started again. Deterministic: a seed gives one history.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <variant>
#include <vector>

#include "membership/membership.hpp"

namespace shoal::membership {

struct SwarmFaults {
  std::uint32_t loss_permille = 0;                     // Of datagrams; streams are only delayed.
  std::set<std::pair<std::size_t, std::size_t>> cuts;  // (from, to): nothing passes this way.
  std::vector<int> side;            // Members with different values do not hear each other.
  std::vector<Duration> slow;       // Longest delay of what reaches this member, timers included.
  std::uint32_t slow_latency = 10;  // Times the latency of messages from and to slow members.
};

class Swarm {
 public:
  explicit Swarm(std::uint64_t seed, MembershipConfig config_of_all = {})
      : config(config_of_all), random_(seed) {}

  MembershipConfig config;
  SwarmFaults faults;
  TimePoint now{std::chrono::hours(1)};
  std::uint64_t false_deaths = 0;  // A member took one for dead that was up and had not stopped.
  std::uint64_t messages = 0;
  std::uint64_t oversized = 0;  // Datagrams whose bound is above kDatagramBytesMax.

  static NodeId id(std::size_t index) { return {.high = mix64(index + 1), .low = index}; }
  static Address address(std::size_t index) {
    return ipv4(10, static_cast<std::uint8_t>(index >> 16), static_cast<std::uint8_t>(index >> 8),
                static_cast<std::uint8_t>(index), 7461);
  }
  static wire::MemberInfo info(std::size_t index) {
    return {.address = address(index), .name = "node-" + std::to_string(index), .zone = "z"};
  }
  static wire::MemberRecord record(std::size_t index) {
    return {.node = id(index),
            .incarnation = {.boot_epoch = 1, .counter = 0},
            .accuser = {},
            .info = info(index)};
  }

  std::size_t size() const { return nodes_.size(); }
  bool up(std::size_t index) const { return nodes_[index].up; }
  Membership& at(std::size_t index) { return *nodes_[index].membership; }
  const Member* view(std::size_t observer, std::size_t subject) {
    return at(observer).find(id(subject));
  }

  // A new member that knows nobody.
  std::size_t add();

  // `count` members that know each other from the start. REQUIRES: there are none yet.
  void add_acquainted(std::size_t count);

  void kill(std::size_t index);

  // With what it remembers, at a higher boot epoch.
  void restart(std::size_t index, std::optional<Address> moved_to = {});

  // Gives `input` to a member and passes on what comes of it.
  void act(std::size_t index, const std::function<void(Membership&)>& input);

  void run_for(Duration duration) {
    run_until(duration, [] { return false; });
  }

  // Until `done` holds, asked after every `step`; the time it took, or nothing if `limit` passed.
  std::optional<Duration> run_until(Duration limit, const std::function<bool()>& done,
                                    Duration step = std::chrono::milliseconds(50));

  bool all_hold(std::size_t subject, wire::MemberState state);

  // Everybody who is up sees exactly those alive who are up, and all tables are the same.
  bool converged();

 private:
  struct Node {
    std::unique_ptr<Membership> membership;
    std::vector<wire::MemberRecord> remembered;
    std::optional<Address> moved_to;
    TimePoint timer = kNever;
    std::uint64_t timer_order = 0;  // Of the event for it.
    std::uint64_t boot_epoch = 0;
    std::uint64_t life = 0;
    bool up = false;
  };
  struct Timer {};
  struct StreamFailed {
    NodeId peer;
  };
  struct Delivery {
    Source from;
    Message message;
  };
  struct Event {
    TimePoint at;
    std::uint64_t order = 0;
    std::size_t node = 0;
    std::uint64_t life = 0;
    std::variant<Timer, StreamFailed, Delivery> what;
    bool operator<(const Event& other) const {  // A heap's front is its greatest.
      return std::pair(at, order) > std::pair(other.at, other.order);
    }
  };

  Address address_now(std::size_t index) const {
    return nodes_[index].moved_to.value_or(address(index));
  }

  void start(std::size_t index);
  void push(TimePoint at, std::size_t node, std::variant<Timer, StreamFailed, Delivery> what);
  Duration slowness(std::size_t index);
  void settle(std::size_t index);
  bool reaches(std::size_t from, std::size_t to) const;
  void route(std::size_t from, Envelope envelope);
  std::size_t find_listener(const Envelope& envelope) const;
  void dispatch();

  std::vector<Node> nodes_;
  std::vector<Event> events_;  // A heap by time.
  std::uint64_t order_ = 0;
  Random random_;
};

}  // namespace shoal::membership
