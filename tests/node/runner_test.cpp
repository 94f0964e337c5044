#include "node/runner.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "node/outcome_relay.hpp"
#include "scheduling/transfer.hpp"
#include "task/record_key.hpp"

namespace shoal::node {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kBoot = 3;
constexpr std::uint32_t kShards = 16;

// An executing node alone, n1: real membership and shard table; the test plays the owners n2, n3.
struct RunnerWorld {
  RunnerWorld() {
    context.membership = &members;
    context.table = &table;
    context.shard_count = kShards;
    context.boot_epoch = kBoot;
    std::vector<wire::MemberRecord> others;
    for (const std::uint64_t number : {2U, 3U}) {
      others.push_back({.node = id(number),
                        .incarnation = {1, 0},
                        .accuser = {},
                        .info = wire::MemberInfo{.address = address(number)}});
    }
    members.restore(now.steady, others);
    for (std::uint32_t shard = 0; shard < kShards; ++shard) set_owner(ShardId{shard}, 1, id(2));
  }

  static NodeId id(std::uint64_t number) { return {.high = number, .low = number}; }
  static Address address(std::uint64_t number) {
    return ipv4(10, 0, 0, static_cast<std::uint8_t>(number), 7461);
  }
  static NodeConfig config() {
    NodeConfig made;
    made.id = id(1);
    made.cpu_millis = 2000;
    return made;
  }
  void set_owner(ShardId shard, std::uint64_t round, NodeId owner) {
    table.merge({.shard = shard,
                 .config = {.id = {{1, id(1)}, 1}, .home = {id(1), id(2), id(3)}},
                 .owner = {round, owner}});
  }

  // Time goes on in small steps, as the runner asks for it.
  void pass(Duration time) {
    const TimePoint end = now.steady + time;
    while (true) {
      const TimePoint next = std::max(runner.wake_at(), now.steady);
      if (next > end) break;
      advance(next);
      runner.on_time(now);
      settle();
    }
    advance(end);
  }
  void advance(TimePoint to) {
    now.wall += std::chrono::duration_cast<std::chrono::milliseconds>(to - now.steady);
    now.steady = to;
  }
  void settle() {
    runner.pump(now, false);
    runner.flush();
    runner.check_invariants();
    while (!context.inbox.empty()) {
      sent.emplace_back(id(1), std::move(context.inbox.front()));
      context.inbox.pop_front();
    }
    for (Envelope& envelope : context.output.messages) {
      sent.emplace_back(envelope.to, std::move(envelope.message));
    }
    const auto keep = [](auto& from, auto& to) { std::ranges::move(from, std::back_inserter(to)); };
    keep(context.output.launches, launched);
    keep(context.output.kills, killed);
    keep(context.output.extensions, extended);
    keep(context.output.settled, settled);
    for (const auto& [shard, owner] : std::exchange(context.unanswered, {})) {
      unanswered.insert(owner);
    }
    context.output = {};
  }

  template <class Body>
  std::vector<std::pair<NodeId, Body>> messages() {
    std::vector<std::pair<NodeId, Body>> found;
    std::erase_if(sent, [&](auto& item) {
      auto* body = std::get_if<Body>(&item.second);
      if (body != nullptr) found.emplace_back(item.first, std::move(*body));
      return body != nullptr;
    });
    return found;
  }
  template <class Body>
  std::vector<NodeId> receivers() {
    std::vector<NodeId> nodes;
    for (const auto& [node, body] : messages<Body>()) nodes.push_back(node);
    std::ranges::sort(nodes);
    const auto repeated = std::ranges::unique(nodes);
    nodes.erase(repeated.begin(), repeated.end());
    return nodes;
  }

  void recovered() {
    runner.on_recovery_complete(now);
    settle();
    pass(10ms);
    for (const auto& [node, renewal] : messages<wire::Renew>()) {
      runner.on_renewed(now, node, {.sent = renewal.sent, .items = {}, .over = {}});
    }
  }
  // The open pull is granted these tasks; returns its transfer.
  std::uint64_t grant(std::vector<AttemptId> attempts, const TaskSpec& spec = {.argv = {"work"}}) {
    pass(50ms);
    const auto pulls = messages<wire::Pull>();
    REQUIRE_FALSE(pulls.empty());
    const auto& [owner, pull] = pulls.back();
    wire::Grant made{.transfer = pull.transfer, .pull_sent = pull.sent, .specs = {spec}};
    for (const AttemptId& attempt : attempts) {
      made.items.push_back({attempt, 0, {}, shard(attempt), 5'000});
    }
    runner.on_grant(now, owner, made);
    settle();
    return pull.transfer;
  }
  // Answers all renewals since the last call with this lease.
  void renew_all(std::uint32_t lease_ms) {
    for (const auto& [owner, renewal] : messages<wire::Renew>()) {
      wire::Renewed answer{.sent = renewal.sent};
      for (const wire::HeldAttempt& item : renewal.items) {
        if (item.running) answer.items.push_back({item.attempt, lease_ms});
      }
      runner.on_renewed(now, owner, answer);
    }
    settle();
  }
  static ShardId shard(const AttemptId& attempt) { return task::shard_of(attempt.task, kShards); }
  task::RecoveredAttempt found(const AttemptId& attempt) const {
    return {.attempt = attempt,
            .shard = shard(attempt),
            .cpu_millis = 1000,
            .lease_end = now.steady + 3s};
  }

  Now now{TimePoint(1h), WallTime(500'000h)};
  Context context{config(), 1};
  membership::Membership members{
      {}, id(1), {1, 0}, wire::MemberInfo{.address = address(1)}, Random(1), now.steady};
  shard::ShardTable table{kShards};
  Runner runner{context};
  std::vector<std::pair<NodeId, wire::Message>> sent;
  std::vector<task::Launch> launched;
  std::vector<task::Kill> killed;
  std::vector<task::Extend> extended;
  std::vector<AttemptId> settled;
  std::set<NodeId> unanswered;
};

constexpr AttemptId kFirst{{JobId{0x123456789}, 0}, 1};
constexpr AttemptId kSecond{{JobId{0x123456789}, 100}, 1};
constexpr AttemptId kThird{{JobId{0x123456789}, 200}, 1};

const NodeId kOwner = RunnerWorld::id(2);
const NodeId kOther = RunnerWorld::id(3);
const NodeId kSelf = RunnerWorld::id(1);

}  // namespace

TEST_CASE("runner: nothing is started or asked for before all former supervisors have answered") {
  RunnerWorld world;
  world.pass(1s);
  CHECK(world.messages<wire::Pull>().empty());
  CHECK(world.runner.room().cpu_millis == 0);
  CHECK_FALSE(world.runner.takes_more());
  world.runner.on_recovered(world.now, {world.found(kFirst)});
  world.settle();
  CHECK(world.runner.started().cpu_millis == 1000);
  world.pass(1s);
  CHECK(world.messages<wire::Pull>().empty());
  world.runner.on_recovery_complete(world.now);
  world.pass(50ms);
  const auto pulls = world.messages<wire::Pull>();
  REQUIRE_FALSE(pulls.empty());
  CHECK(pulls[0].second.cpu_millis <= 2000);
  CHECK(world.runner.free().cpu_millis == 1000);  // What was found counts.
}

TEST_CASE("runner: what was found is renewed at once, with everybody, and complete at the end") {
  RunnerWorld world;
  world.runner.on_recovered(world.now, {world.found(kFirst)});
  world.pass(0s);
  auto renewals = world.messages<wire::Renew>();
  REQUIRE(renewals.size() == 3);  // Who owns the shard by this time is not known for certain.
  for (const auto& [node, renewal] : renewals) {
    CHECK_FALSE(renewal.complete);
    CHECK(renewal.boot_epoch == kBoot);
    CHECK(renewal.items.at(0).attempt == kFirst);
    CHECK(renewal.items[0].running);
  }
  world.runner.on_renewed(
      world.now, kOwner, {.sent = renewals[0].second.sent, .items = {{kFirst, 5'000}}, .over = {}});
  world.settle();
  REQUIRE(world.extended.size() == 1);
  CHECK(world.extended[0].lease_end == renewals[0].second.sent + 4500ms);
  world.pass(50ms);
  world.context.draining = true;  // No pulls between.
  world.runner.on_recovery_complete(world.now);
  world.pass(0s);
  for (const auto& [node, renewal] : world.messages<wire::Renew>()) {
    CHECK(renewal.complete);
    world.runner.on_renewed(world.now, node, {.sent = renewal.sent, .items = {}, .over = {}});
  }
  world.pass(3s);
  world.messages<wire::Renew>();
  world.pass(1s);
  CHECK(world.receivers<wire::Renew>() == std::vector{kOwner});  // The others have answered.
}

TEST_CASE("runner: the end of an attempt that a former process launched is reported and settled") {
  RunnerWorld world;
  world.runner.on_ended(world.now, {.attempt = kFirst, .result = {}, .tails = {"out", ""}});
  world.runner.on_recovered(world.now, {world.found(kSecond)});
  world.runner.on_ended(world.now, {.attempt = kSecond, .result = {.exit_status = 3}, .tails = {}});
  world.runner.on_ended(world.now,
                        {.attempt = kThird, .result = {.reason = EndReason::node_stopped}});
  world.settle();
  const auto outcomes = world.messages<wire::Outcomes>();
  REQUIRE(outcomes.size() == 1);
  REQUIRE(outcomes[0].second.items.size() == 2);
  CHECK(outcomes[0].second.items[0].shard == RunnerWorld::shard(kFirst));
  CHECK(outcomes[0].second.items[0].node == kSelf);
  CHECK(outcomes[0].second.items[0].tails[0] == "out");
  const auto backs = world.messages<wire::GiveBack>();
  REQUIRE(backs.size() == 1);
  CHECK(backs[0].second.items.at(0).attempt == kThird);
  CHECK(backs[0].second.items[0].running);  // It is not to be taken back as if it never was.
  CHECK(world.runner.started().nothing());
  CHECK(world.settled.empty());
  world.runner.on_outcome_ack({{kFirst}});
  world.runner.on_give_back_ack({{kThird}});
  world.pass(1s);
  for (const auto& [node, renewal] : world.messages<wire::Renew>()) {
    if (node != kOwner) continue;
    CHECK(renewal.items.size() == 1);
    world.runner.on_renewed(world.now, node,
                            {.sent = renewal.sent, .items = {}, .over = {kSecond}});
    break;
  }
  world.settle();
  CHECK(world.settled == std::vector{kFirst, kThird, kSecond});
  CHECK(world.runner.idle(world.now));
}

TEST_CASE("runner: nothing is started from a closed transfer, nor from a former process's") {
  RunnerWorld world;
  world.recovered();
  const std::uint64_t transfer = world.grant({kFirst});
  REQUIRE(world.launched.size() == 1);
  CHECK(world.launched[0].lease_end > world.now.steady + 4s);
  wire::Grant late{.transfer = transfer,
                   .pull_sent = world.now.steady,
                   .specs = {{.argv = {"work"}}},
                   .items = {{kFirst, 0, {}, RunnerWorld::shard(kFirst), 5'000},
                             {kSecond, 0, {}, RunnerWorld::shard(kSecond), 5'000}}};
  world.runner.on_grant(world.now, kOwner, late);
  world.settle();
  CHECK(world.launched.size() == 1);
  const auto backs = world.messages<wire::GiveBack>();
  REQUIRE(backs.size() == 1);  // The first is held: a repeated Grant changes nothing.
  CHECK(backs[0].second.items.size() == 1);
  CHECK(backs[0].second.items[0].attempt == kSecond);
  CHECK_FALSE(backs[0].second.items[0].running);
  late.transfer = scheduling::transfer_id(kBoot - 1, 1);
  late.items = {{kThird, 0, {}, RunnerWorld::shard(kThird), 5'000}};
  world.runner.on_grant(world.now, kOwner, late);  // Perhaps it was started then.
  world.settle();
  CHECK(world.launched.size() == 1);
  CHECK(world.messages<wire::GiveBack>().empty());
}

TEST_CASE("runner: a renewal names all that is held and what may still come") {
  RunnerWorld world;
  world.recovered();
  world.set_owner(RunnerWorld::shard(kSecond), 2, kOther);
  const std::uint64_t transfer = world.grant({kFirst});
  world.runner.accept(world.now,
                      {.attempt = kSecond,
                       .shard = RunnerWorld::shard(kSecond),
                       .owner = kOther,
                       .lease_end = world.now.steady + 4s},
                      {.argv = {"work"}}, "");
  world.settle();
  world.pass(1s);
  const auto renewals = world.messages<wire::Renew>();
  std::set<NodeId> owners;
  for (const auto& [owner, renewal] : renewals) {
    owners.insert(owner);
    CHECK(renewal.complete);
    CHECK(renewal.items.size() == 2);  // Whoever owns their shards.
    CHECK(renewal.last_transfer >= transfer);
    for (const std::uint64_t open : renewal.open_transfers) {
      CHECK(open > transfer);
      CHECK(open <= renewal.last_transfer);
    }
  }
  CHECK(owners.contains(kOwner));
  CHECK(owners.contains(kOther));
}

TEST_CASE("runner: an answer to what this process did not send extends nothing") {
  RunnerWorld world;
  world.recovered();
  world.grant({kFirst});
  world.pass(1s);
  const TimePoint sent = world.messages<wire::Renew>().at(0).second.sent;
  const TimePoint end = world.launched.at(0).lease_end;
  for (const TimePoint wrong : {sent - 1ns, sent + 500h, TimePoint{}}) {
    world.runner.on_renewed(world.now, kOwner,
                            {.sent = wrong, .items = {{kFirst, 30'000}}, .over = {}});
  }
  world.pass(end - world.now.steady + 100ms);
  REQUIRE_FALSE(world.killed.empty());  // Nobody renewed it.
  CHECK(world.killed[0].reason == EndReason::node_stopped);
}

TEST_CASE("runner: supervisors hear of longer leases when it matters, not each second") {
  RunnerWorld world;
  world.recovered();
  world.grant({kFirst});
  const auto told_in = [&](Duration time, std::uint32_t lease_ms) {
    world.extended.clear();
    for (const TimePoint end = world.now.steady + time; world.now.steady < end;) {
      world.pass(100ms);
      world.renew_all(lease_ms);
    }
    return world.extended.size();
  };
  const std::size_t young = told_in(10s, 5'000);
  CHECK(young >= 9);  // Each second counts for a node that crashes.
  CHECK(young <= 11);
  CHECK(world.extended.back().lease_end > world.now.steady + 3s);
  told_in(10s, 30'000);
  CHECK(told_in(28s, 30'000) <= 5);
  CHECK(world.extended.back().lease_end > world.now.steady + 15s);
}

TEST_CASE("runner: an owner that leaves a renewal or an outcome unanswered is complained of") {
  RunnerWorld world;
  world.recovered();
  world.grant({kFirst});
  world.pass(990ms);
  CHECK(world.unanswered.empty());
  world.pass(1200ms);
  CHECK(world.unanswered == std::set{kOwner});
  world.renew_all(5'000);
  world.unanswered.clear();
  world.messages<wire::Outcomes>();
  world.runner.on_ended(world.now, {.attempt = kFirst});
  world.settle();
  CHECK(world.receivers<wire::Outcomes>() == std::vector{kOwner});
  world.pass(800ms);
  world.renew_all(5'000);
  CHECK(world.messages<wire::Outcomes>().empty());
  CHECK(world.unanswered.empty());
  world.pass(400ms);
  // Hole 27: through the next node of the home too.
  CHECK(world.receivers<wire::Outcomes>() == std::vector{kOwner, kOther});
  CHECK(world.unanswered == std::set{kOwner});
  world.runner.on_outcome_ack({{kFirst}});
  world.pass(3s);
  CHECK(world.messages<wire::Outcomes>().empty());
}

TEST_CASE("runner: what a new owner calls for it hears at once, whatever the table says") {
  RunnerWorld world;
  world.recovered();
  world.grant({kFirst, kSecond});
  world.runner.on_ended(world.now, {.attempt = kSecond});
  world.settle();
  world.messages<wire::Outcomes>();
  world.messages<wire::Renew>();
  const wire::RenewCall call{{RunnerWorld::shard(kFirst), RunnerWorld::shard(kSecond)}};
  world.runner.on_renew_call(world.now, kOther, call);
  world.settle();
  CHECK(world.receivers<wire::Renew>() == std::vector{kOther});
  CHECK(world.receivers<wire::Outcomes>() == std::vector{kOther});
  world.pass(1s);
  CHECK(world.receivers<wire::Renew>() == std::vector{kOwner, kOther});
  // The table hears of a newer owner: the call is history.
  world.set_owner(RunnerWorld::shard(kFirst), 3, kSelf);
  world.set_owner(RunnerWorld::shard(kSecond), 3, kSelf);
  for (const NodeId node : {kOwner, kOther}) {
    world.runner.on_renewed(world.now, node, {.sent = world.now.steady, .items = {}, .over = {}});
  }
  world.runner.on_outcome_ack({{kSecond}});
  world.pass(990ms);
  world.renew_all(5'000);
  world.pass(1s);
  CHECK(world.receivers<wire::Renew>() == std::vector{kSelf});
}

TEST_CASE("runner: a stop leaves processes to their supervisors once their leases are long") {
  RunnerWorld world;
  world.recovered();
  world.grant({kFirst});
  world.grant({kSecond}, {.kind = TaskKind::sleep, .sleep = 100s});
  world.grant({kThird});  // No room: not started.
  REQUIRE(world.launched.size() == 1);
  world.messages<wire::Renew>();
  world.messages<wire::Pull>();
  world.context.stopping = true;
  world.runner.on_stop(world.now, false);
  world.settle();
  const auto backs = world.messages<wire::GiveBack>();
  REQUIRE(backs.size() == 1);
  for (const wire::HeldAttempt& item : backs[0].second.items) {
    CHECK(item.running == (item.attempt == kSecond));  // The built-in sleep dies with this process.
  }
  CHECK(backs[0].second.items.size() == 2);
  CHECK(world.killed.empty());
  world.pass(0s);
  const auto renewals = world.messages<wire::Renew>();
  REQUIRE(renewals.size() == 1);
  CHECK(renewals[0].second.longest);
  world.runner.on_give_back_ack({{kSecond, kThird}});
  CHECK_FALSE(world.runner.idle(world.now));
  world.extended.clear();
  world.runner.on_renewed(
      world.now, kOwner,
      {.sent = renewals[0].second.sent, .items = {{kFirst, 30'000}}, .over = {}});
  world.settle();
  CHECK(world.runner.idle(world.now));
  REQUIRE(world.extended.size() == 1);
  CHECK(world.extended[0].lease_end >= world.now.steady + 26s);
  CHECK(world.messages<wire::Pull>().empty());
}

TEST_CASE("runner: a stop with nothing to outlive it ends and gives back everything") {
  RunnerWorld world;
  world.recovered();
  world.grant({kFirst});
  world.context.stopping = true;
  world.runner.on_stop(world.now, true);
  world.settle();
  REQUIRE(world.killed.size() == 1);
  CHECK_FALSE(world.runner.idle(world.now));
  world.runner.on_ended(world.now,
                        {.attempt = kFirst, .result = {.reason = EndReason::node_stopped}});
  world.settle();
  CHECK(world.messages<wire::GiveBack>().at(0).second.items.at(0).running);
  world.runner.on_give_back_ack({{kFirst}});
  CHECK(world.runner.idle(world.now));
}

TEST_CASE("runner: a stop does not wait for ever for an owner that does not answer") {
  RunnerWorld world;
  world.recovered();
  world.grant({kFirst});
  world.context.stopping = true;
  world.runner.on_stop(world.now, false);
  world.pass(2s);
  CHECK_FALSE(world.runner.idle(world.now));
  world.pass(1s);
  CHECK(world.runner.idle(world.now));
  CHECK(world.killed.empty());
}

TEST_CASE("runner: little disk or an operator's drain: no pulls, unstarted grants go back") {
  for (const bool disk : {false, true}) {
    CAPTURE(disk);
    RunnerWorld world;
    world.recovered();
    world.grant({kFirst});
    (disk ? world.context.disk_low : world.context.draining) = true;
    world.messages<wire::Pull>();
    world.pass(2s);
    CHECK(world.messages<wire::Pull>().empty());
    CHECK(world.runner.room().nothing());
    world.renew_all(5'000);
    CHECK(world.runner.running_count() == 1);  // What runs runs on.
  }
}

TEST_CASE("runner: after a pull that nobody waits for any more its victim is told what is held") {
  RunnerWorld world;
  world.recovered();
  world.pass(50ms);
  REQUIRE_FALSE(world.messages<wire::Pull>().empty());
  world.messages<wire::Renew>();
  world.pass(3500ms);  // Three tries, no answer.
  const auto renewals = world.messages<wire::Renew>();
  REQUIRE_FALSE(renewals.empty());
  CHECK(renewals[0].second.items.empty());
  CHECK(renewals[0].second.complete);
}

TEST_CASE("outcome relay: passes on until it is acknowledged, then back, and complains meanwhile") {
  RunnerWorld world;
  OutcomeRelay relay(world.context);
  const wire::OutcomeItem item{kFirst, RunnerWorld::shard(kFirst), kOther, {}, {}};
  relay.take(world.now, item);
  const auto pass = [&](Duration time) {
    for (const TimePoint end = world.now.steady + time; world.now.steady < end;) {
      world.advance(world.now.steady + 100ms);
      relay.on_time(world.now);
      relay.flush();
      world.settle();
    }
  };
  relay.on_time(world.now);
  relay.flush();
  world.settle();
  CHECK(world.receivers<wire::Outcomes>() == std::vector{kOwner});
  CHECK(world.unanswered.empty());
  pass(1s);
  CHECK(world.unanswered == std::set{kOwner});
  world.set_owner(item.shard, 2, kSelf);  // It became the owner itself, but does not serve yet.
  world.messages<wire::Outcomes>();
  pass(1s);
  CHECK(world.messages<wire::Outcomes>().empty());
  relay.on_ack({{kFirst, kSecond}});
  world.settle();
  CHECK(world.receivers<wire::OutcomeAck>() == std::vector{kOther});
  CHECK(relay.size() == 0);
  relay.take(world.now, item);
  pass(6s);
  CHECK(relay.size() == 0);  // Its executing node repeats it as long as it matters.
}

}  // namespace shoal::node
