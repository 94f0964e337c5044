// Membership of many: what holds for the swarm as a whole, under faults, in virtual time.
#include <doctest/doctest.h>

#include <array>
#include <bit>

#include "../membership/swarm.hpp"
#include "base/log.hpp"

namespace shoal::membership {
namespace {

using namespace std::chrono_literals;
using wire::MemberState;

struct QuietLog {
  QuietLog() { log::set_level(log::Level::error); }
  ~QuietLog() { log::set_level(log::Level::info); }
};

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

Duration log_rounds(const Swarm& swarm) {
  return 3 * std::bit_width(swarm.size()) * swarm.config.gossip_interval;
}

// Until the first accusers: each period nobody probes the victim with probability 1/e, so ten
// periods leave 5e-5; one more for the probe itself. Then the suspicion, which has its three
// accusers within ten periods more and then lasts its minimum. Then O(log n) rounds of gossip.
Duration detection_bound(const Swarm& swarm) {
  const MembershipConfig& config = swarm.config;
  const Duration suspicion =
      std::max(suspicion_min(config, swarm.size()), 10 * config.probe_interval);
  return 11 * config.probe_interval + suspicion + log_rounds(swarm);
}

}  // namespace

TEST_CASE("swarm: 1,000 members learn of a new one in O(log n) gossip rounds") {
  const QuietLog quiet;
  Swarm swarm(1);
  swarm.add_acquainted(1000);
  swarm.run_for(20s);
  REQUIRE(swarm.converged());

  const std::size_t newcomer = swarm.add();
  const std::array seeds{Swarm::address(0)};
  swarm.act(newcomer, [&](Membership& m) { m.join(swarm.now, seeds); });
  const auto took = swarm.run_until(60s, [&] { return swarm.converged(); });

  REQUIRE(took);
  MESSAGE("rounds to converge at 1000: ", seconds(*took) / seconds(swarm.config.gossip_interval));
  CHECK(*took <= log_rounds(swarm));
  CHECK(swarm.at(newcomer).joined());
  CHECK(swarm.false_deaths == 0);
  CHECK(swarm.oversized == 0);
}

TEST_CASE("swarm: a killed member is dead everywhere within the bound of the parameters") {
  const QuietLog quiet;
  for (const std::size_t n : {3U, 4U, 10U, 100U}) {
    Duration longest{};
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      Swarm swarm(seed);
      swarm.add_acquainted(n);
      swarm.run_for(20s);
      swarm.kill(1);
      const auto took =
          swarm.run_until(10min, [&] { return swarm.all_hold(1, MemberState::dead); });
      REQUIRE(took);
      CHECK(*took <= detection_bound(swarm));
      CHECK(swarm.false_deaths == 0);
      longest = std::max(longest, *took);
    }
    MESSAGE(n, " members: dead everywhere after at most ", seconds(longest), " s");
  }
}

TEST_CASE("swarm: a member whose stream closes is suspected in well under a second") {
  const QuietLog quiet;
  Swarm swarm(1);
  swarm.add_acquainted(10);
  swarm.run_for(20s);
  swarm.kill(1);
  swarm.act(2, [&](Membership& m) { m.on_stream_failed(swarm.now, Swarm::id(1)); });
  const auto took =
      swarm.run_until(5s, [&] { return swarm.view(2, 1)->state == MemberState::suspect; }, 10ms);
  REQUIRE(took);
  MESSAGE("suspected after ", seconds(*took), " s");
  CHECK(*took <= 600ms);
  // A stream to a live member that breaks is no reason to suspect it.
  swarm.act(2, [&](Membership& m) { m.on_stream_failed(swarm.now, Swarm::id(3)); });
  swarm.run_for(2s);
  CHECK(swarm.view(2, 3)->state == MemberState::alive);
}

TEST_CASE("swarm: 30 % loss and slow members cause no death of a live one in ten minutes") {
  const QuietLog quiet;
  Swarm swarm(8);
  swarm.add_acquainted(100);
  swarm.run_for(20s);
  swarm.faults.loss_permille = 300;
  // Every tenth member takes up to 1.5 s for each message and timer: longer than a probe round.
  for (std::size_t i = 0; i < 100; ++i) {
    swarm.faults.slow.push_back(i % 10 == 0 ? Duration(1500ms) : Duration{});
  }
  swarm.run_for(10min);

  std::uint64_t accusations = 0, refutations = 0;
  for (std::size_t i = 0; i < swarm.size(); ++i) {
    accusations += swarm.at(i).counters().accusations;
    refutations += swarm.at(i).counters().refutations;
  }
  MESSAGE("accusations ", accusations, ", refutations ", refutations);
  CHECK(accusations > 0);  // The faults are hard enough to say something.
  CHECK(swarm.false_deaths == 0);
  CHECK(swarm.oversized == 0);
}

TEST_CASE("swarm: without refutation the same faults kill live members") {
  const QuietLog quiet;
  MembershipConfig config;
  config.refutes = false;
  Swarm swarm(7, config);
  swarm.add_acquainted(100);
  swarm.faults.loss_permille = 300;
  for (std::size_t i = 0; i < 100; ++i) {
    swarm.faults.slow.push_back(i % 10 == 0 ? Duration(1500ms) : Duration{});
  }
  swarm.run_until(10min, [&] { return swarm.false_deaths > 0; }, 1s);
  CHECK(swarm.false_deaths > 0);
}

TEST_CASE("swarm: a link cut in one direction kills nobody") {
  const QuietLog quiet;
  Swarm swarm(3);
  swarm.add_acquainted(10);
  swarm.run_for(20s);
  swarm.faults.cuts = {{1, 2}, {3, 4}, {4, 5}};
  swarm.run_for(10min);
  CHECK(swarm.false_deaths == 0);
  CHECK(swarm.converged());
}

TEST_CASE("swarm: a member that hears nobody kills nobody") {
  const QuietLog quiet;
  Swarm swarm(4);
  swarm.add_acquainted(6);
  swarm.run_for(20s);
  for (std::size_t i = 1; i < 6; ++i) swarm.faults.cuts.insert({i, 0});
  swarm.run_for(10min);
  // It does not answer, so the others may well hold it dead; but they all live.
  for (std::size_t i = 1; i < 6; ++i) {
    for (std::size_t j = 1; j < 6; ++j) CHECK(swarm.view(i, j)->state != MemberState::dead);
    CHECK(swarm.view(0, i)->state != MemberState::dead);
  }
  swarm.faults.cuts.clear();
  CHECK(swarm.run_until(2min, [&] { return swarm.converged(); }));
}

TEST_CASE("swarm: a split of one hour heals by itself") {
  const QuietLog quiet;
  // Halves of twenty, and a lone member against five.
  for (const auto& [n, left] : {std::pair{40U, 20U}, std::pair{6U, 1U}}) {
    Swarm swarm(5);
    swarm.add_acquainted(n);
    swarm.run_for(20s);
    for (std::size_t i = 0; i < n; ++i) swarm.faults.side.push_back(i < left ? 0 : 1);
    swarm.run_for(1h);
    CHECK(swarm.view(n - 1, 0)->state == MemberState::dead);

    swarm.faults.side.clear();
    const auto took = swarm.run_until(5min, [&] { return swarm.converged(); });
    REQUIRE(took);
    MESSAGE("healed after ", seconds(*took), " s");
    CHECK(*took <= swarm.config.redial_interval * 2 + log_rounds(swarm));
  }
}

TEST_CASE("swarm: a split with deaths beyond the accusation budget is noticed and heals") {
  const QuietLog quiet;
  Swarm swarm(6);
  swarm.add_acquainted(50);
  swarm.run_for(20s);
  for (std::size_t i = 0; i < 50; ++i) swarm.faults.side.push_back(i < 5 ? 0 : 1);
  const auto noticed = swarm.run_until(
      1h, [&] { return swarm.at(0).alive_count() == 5 && swarm.at(49).alive_count() == 45; }, 1s);
  REQUIRE(noticed);
  MESSAGE("five members noticed the loss of 45 after ", seconds(*noticed), " s");
  swarm.faults.side.clear();
  CHECK(swarm.run_until(5min, [&] { return swarm.converged(); }));
}

TEST_CASE("swarm: a restart of all at once heals, whatever was believed before") {
  const QuietLog quiet;
  Swarm swarm(8);
  swarm.add_acquainted(100);
  swarm.run_for(20s);
  // A third of them died, and the others remember them as dead.
  for (std::size_t i = 0; i < 33; ++i) swarm.kill(i);
  REQUIRE(swarm.run_until(3min, [&] { return swarm.converged(); }, 1s));
  for (std::size_t i = 33; i < 100; ++i) swarm.kill(i);
  for (std::size_t i = 0; i < 100; ++i) swarm.restart(i);

  const auto took = swarm.run_until(5min, [&] { return swarm.converged(); });
  REQUIRE(took);
  MESSAGE("100 members restarted at once agree after ", seconds(*took), " s");
  CHECK(*took <= 30s);
  CHECK(swarm.at(99).find(Swarm::id(0))->incarnation.boot_epoch == 2);
}

TEST_CASE("swarm: founding from one seed brings all together") {
  const QuietLog quiet;
  Swarm swarm(9);
  for (std::size_t i = 0; i < 100; ++i) swarm.add();
  const std::array seeds{Swarm::address(0)};
  for (std::size_t i = 1; i < 100; ++i) {
    swarm.act(i, [&](Membership& m) { m.join(swarm.now, seeds); });
  }
  const auto took = swarm.run_until(2min, [&] { return swarm.converged(); });
  REQUIRE(took);
  MESSAGE("100 members founded from one seed agree after ", seconds(*took), " s");
}

TEST_CASE("swarm: leave and stop are known everywhere in O(log n) rounds") {
  const QuietLog quiet;
  Swarm swarm(10);
  swarm.add_acquainted(50);
  swarm.run_for(20s);
  swarm.act(1, [&](Membership& m) { m.leave(swarm.now); });
  swarm.act(2, [&](Membership& m) { m.announce_stop(swarm.now); });
  const auto took = swarm.run_until(30s, [&] {
    return swarm.all_hold(1, MemberState::left) && swarm.all_hold(2, MemberState::dead);
  });
  REQUIRE(took);
  CHECK(*took <= log_rounds(swarm));
  CHECK(swarm.view(5, 2)->stopped());
  CHECK(swarm.run_until(30s, [&] { return swarm.at(1).farewell_sent(); }));

  // Both come back with a higher incarnation, the second from another address.
  swarm.kill(1);
  swarm.kill(2);
  swarm.restart(1);
  swarm.restart(2, ipv4(10, 0, 0, 2, 9999));
  CHECK(swarm.run_until(30s, [&] { return swarm.converged(); }));
  CHECK(swarm.view(5, 2)->info.address.port == 9999);
}

TEST_CASE("swarm: members that have no news send only probes") {
  const QuietLog quiet;
  Swarm swarm(11);
  swarm.add_acquainted(20);
  swarm.run_for(2min);
  const std::uint64_t before = swarm.messages;
  swarm.run_for(100s);
  const double per_member_second = static_cast<double>(swarm.messages - before) / 20 / 100;
  CHECK(per_member_second < 2.2);  // A ping and an ack a second; a digest now and then.
}

TEST_CASE("swarm: the same seed gives the same history") {
  const QuietLog quiet;
  const auto history = [] {
    Swarm swarm(12);
    swarm.add_acquainted(20);
    swarm.faults.loss_permille = 300;
    swarm.run_for(1min);
    swarm.kill(3);
    swarm.run_for(2min);
    return std::pair(swarm.messages, swarm.at(0).digest());
  };
  CHECK(history() == history());
}

}  // namespace shoal::membership
