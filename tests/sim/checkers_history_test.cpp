// The checkers of leases, of what clients were told and of members are seen failing.
#include "sim/checkers_history.hpp"

#include <doctest/doctest.h>

#include "sim/checkers_healing.hpp"
#include "sim/checkers_leases.hpp"
#include "sim/checkers_members.hpp"
#include "task/record_key.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kNow{1h};
constexpr NodeId kA{0, 1};
constexpr NodeId kB{0, 2};
constexpr NodeId kC{0, 3};
const JobId kJob{77};
const TaskId kTask{kJob, 0};

std::string first(const Violations& violations) {
  return violations.empty() ? "" : violations.kept().front().text;
}

bool names(const Violations& violations, std::string_view words) {
  return first(violations).find(words) != std::string::npos;
}

struct Leases {
  Violations violations;
  AttemptChecker attempts{violations};
  std::map<std::pair<NodeId, AttemptId>, TimePoint> held;
  std::set<std::uint64_t> closed;
  LeaseChecker leases{
      violations, attempts,
      [this](NodeId node, const AttemptId& attempt) -> std::optional<TimePoint> {
        const auto found = held.find({node, attempt});
        if (found == held.end()) return std::nullopt;
        return found->second;
      },
      [this](NodeId, std::uint64_t transfer) { return !closed.contains(transfer); }};
};

wire::Grant grant_of(std::uint32_t attempt, std::uint64_t transfer) {
  const wire::GrantItem item{.attempt = {kTask, attempt}, .argument = {}};
  return {.transfer = transfer, .items = {item}};
}

}  // namespace

TEST_CASE("checkers: a grant beside an unexpired lease is a violation (I6)") {
  Leases world;
  world.leases.granted(kNow, kA, {kTask, 1}, 10, kNow + 5s);
  CHECK(world.violations.empty());
  SUBCASE("that is still on its way") {
    world.leases.granted(kNow + 1s, kB, {kTask, 2}, 11, kNow + 6s);
  }
  SUBCASE("that its node holds") {
    world.leases.delivered(kA, grant_of(1, 10));
    world.held[{kA, {kTask, 1}}] = kNow + 5s;
    world.leases.granted(kNow + 1s, kB, {kTask, 2}, 11, kNow + 6s);
  }
  SUBCASE("that a process started under") {
    world.closed = {10};
    world.leases.started(kNow, kC, {kTask, 1});
    world.held[{kC, {kTask, 1}}] = kNow + 5s;
    world.leases.started(kNow + 1s, kB, {kTask, 2});
  }
  CHECK(names(world.violations, "(I6)"));
}

TEST_CASE("checkers: a lease that is over, closed or given up is none (I6)") {
  Leases world;
  world.leases.granted(kNow, kA, {kTask, 1}, 10, kNow + 5s);
  SUBCASE("over") { world.leases.granted(kNow + 6s, kB, {kTask, 2}, 11, kNow + 9s); }
  SUBCASE("its transfer is closed") {
    world.closed = {10};
    world.leases.granted(kNow + 1s, kB, {kTask, 2}, 11, kNow + 9s);
  }
  SUBCASE("its node does not hold it any more") {
    world.leases.delivered(kA, grant_of(1, 10));
    world.leases.granted(kNow + 1s, kB, {kTask, 2}, 11, kNow + 9s);
  }
  SUBCASE("granted again, alike") {
    world.leases.granted(kNow + 1s, kA, {kTask, 1}, 10, kNow + 5s);
  }
  CHECK(world.violations.empty());
}

TEST_CASE("checkers: a grant while processes of an older attempt run is a violation (I10)") {
  Leases world;
  world.attempts.started(kNow, 0, {kTask, 1});
  SUBCASE("they run") {
    world.leases.granted(kNow, kB, {kTask, 2}, 11, kNow + 5s);
    CHECK(names(world.violations, "(I10)"));
  }
  SUBCASE("they are suspended") {
    world.attempts.suspended(0);
    world.leases.granted(kNow, kB, {kTask, 2}, 11, kNow + 5s);
    CHECK(world.violations.empty());
  }
  SUBCASE("clocks are too far off for anybody to know") {
    world.leases.set_judged(false);
    world.leases.granted(kNow, kB, {kTask, 2}, 11, kNow + 5s);
    CHECK(world.violations.empty());
  }
}

TEST_CASE("checkers: a second start of a task that may start once is a violation (I9)") {
  Violations violations;
  OnceChecker once(violations);
  TaskSpec spec;
  once.started(kNow, {kTask, 1}, spec);
  once.started(kNow, {kTask, 2}, spec);
  CHECK(violations.empty());
  spec.at_most_once = true;
  once.started(kNow, {{kJob, 1}, 1}, spec);
  CHECK(violations.empty());
  once.started(kNow, {{kJob, 1}, 2}, spec);
  CHECK(names(violations, "(I9)"));
}

TEST_CASE("checkers: an answer older than what was shown before the question is a violation (I2)") {
  Violations violations;
  HistoryChecker history(violations);
  history.acknowledged(kNow, kTask);
  history.shown(kNow + 1s, kTask, TaskState::claimed, 1);
  history.shown(kNow + 2s, kTask, TaskState::ready, 0);  // A watch may be late.
  history.read(kNow + 500ms, kNow + 3s, kTask, TaskState::ready, 0);
  history.absent(kNow - 1s, kNow + 3s, kTask);
  history.read(kNow + 3s, kNow + 4s, kTask, TaskState::ready, 1);  // Released.
  CHECK(violations.empty());
  SUBCASE("an older attempt") { history.read(kNow + 5s, kNow + 6s, kTask, TaskState::claimed, 1); }
  SUBCASE("not ended any more") {
    history.shown(kNow + 5s, kTask, TaskState::failed, 2);
    history.read(kNow + 6s, kNow + 7s, kTask, TaskState::claimed, 3);
  }
  SUBCASE("absent") { history.absent(kNow + 1s, kNow + 2s, kTask); }
  SUBCASE("a job that was finished") {
    history.job_shown(kNow, kJob, JobState::finished);
    history.job_read(kNow + 1s, kNow + 2s, kJob, JobState::closed);
  }
  SUBCASE("a job that was there") {
    history.job_shown(kNow, kJob, JobState::open);
    history.job_absent(kNow + 1s, kNow + 2s, kJob);
  }
  CHECK(names(violations, "(I2)"));
}

TEST_CASE("checkers: two submissions under one id are a violation (I8)") {
  Violations violations;
  SubmissionChecker submissions(violations);
  const TaskSpec mine{.argv = {"true"}};
  const TaskSpec other{.argv = {"false"}};
  submissions.accepted(kNow, kJob, {1, 1}, mine);
  submissions.accepted(kNow, kJob, {1, 1}, mine);
  submissions.started(kNow, {kTask, 1}, mine);
  CHECK(violations.empty());
  SUBCASE("both acknowledged") { submissions.accepted(kNow, kJob, {2, 2}, mine); }
  SUBCASE("another command runs") { submissions.started(kNow, {kTask, 2}, other); }
  SUBCASE("another command ran before") {
    submissions.started(kNow, {{JobId{5}, 0}, 1}, other);
    submissions.accepted(kNow, JobId{5}, {1, 1}, mine);
  }
  CHECK(names(violations, "(I8)"));
}

TEST_CASE("checkers: what is dropped, said or started against the floor is a violation (I11)") {
  Violations violations;
  ShardBook shards;
  ExpiryChecker expiry(violations, shards);
  expiry.set_shard_count(1);
  const std::uint64_t end = task::expiry_of(kJob);
  const task::KeyBits bits = task::key_bits({.job = kJob, .kind = task::RecordKind::job});
  const wire::RecordKey key{bits.high, bits.low};
  const auto floor = [&](NodeId node, std::uint64_t at) {
    const wire::ShardConfig config{{}, {kA, kB, kC}, {}, {}};
    shards.put({}, node, {{1, kA}, config, at});
  };
  floor(kA, end);
  floor(kB, end - 1);
  SUBCASE("dropped above it") {
    expiry.dropped(kNow, kA, {{}, {key}, false});
    CHECK(violations.empty());
    expiry.dropped(kNow, kB, {{}, {key}, false});
    CHECK(names(violations, "(I11, E1)"));
  }
  SUBCASE("everything dropped by one of the home") {
    expiry.dropped(kNow, kA, {{}, {}, true});
    CHECK(names(violations, "(H5)"));
  }
  SUBCASE("stored below it") {
    expiry.durable(kNow, kB, {}, key);
    CHECK(violations.empty());
    expiry.durable(kNow, kA, {}, key);
    CHECK(names(violations, "(I11)"));
  }
  SUBCASE("called gone before a quorum has it") {
    expiry.told_gone(kNow, kJob);
    CHECK(names(violations, "(E3)"));
  }
  SUBCASE("shown after it was called gone") {
    floor(kB, end);
    expiry.told_gone(kNow, kJob);
    expiry.read(kNow - 1s, kNow + 1s, kJob);
    CHECK(violations.empty());
    expiry.read(kNow + 1s, kNow + 2s, kJob);
    CHECK(names(violations, "(I11)"));
  }
  SUBCASE("started after it is gone") {
    expiry.started(kNow, kTask);
    CHECK(violations.empty());
    floor(kC, end);
    expiry.started(kNow, kTask);
    CHECK(names(violations, "(I11)"));
  }
}

TEST_CASE("checkers: an incarnation that falls or that others raise is a violation (I14)") {
  Violations violations;
  IncarnationChecker members(violations);
  const auto news = [](NodeId node, std::uint64_t epoch, std::uint64_t counter) {
    wire::MemberRecord record;
    record.node = node;
    record.incarnation = {epoch, counter};
    return wire::Message(wire::Gossip{{record}});
  };
  members.durable(kA, {"boot", "3"});
  members.sent(kNow, kA, news(kA, 3, 1));
  members.sent(kNow, kB, news(kA, 3, 1));
  members.sent(kNow, kB, news(kA, 2, 9));  // Old news.
  members.observe(kNow, kA, {3, 1});
  CHECK(violations.empty());
  SUBCASE("it falls") { members.observe(kNow, kA, {2, 9}); }
  SUBCASE("another node raises it") { members.sent(kNow, kB, news(kA, 3, 2)); }
  SUBCASE("it is said before it is durable") { members.sent(kNow, kA, news(kA, 4, 0)); }
  CHECK(names(violations, "(I14)"));
}

TEST_CASE("checkers: what a node with a replaced disk says of itself proves nothing (I14)") {
  Violations violations;
  IncarnationChecker members(violations);
  members.observe(kNow, kA, {3, 1});
  members.excuse(kA);
  members.observe(kNow, kA, {2, 9});
  CHECK(violations.empty());
}

TEST_CASE("checkers: a duel that does not end after healing is a violation (live 3)") {
  Violations violations;
  DuelChecker duels(violations);
  const auto rounds = [&](std::uint64_t from, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) duels.prepared(kNow, {}, {from + i, kA});
  };
  rounds(1, 50);  // While faults are about.
  duels.healed();
  rounds(100, 10);
  duels.prepared(kNow, {}, {100, kA});
  CHECK(violations.empty());
  SUBCASE("an owner ends it") {
    duels.owned({}, {109, kA});
    rounds(200, 10);
    CHECK(violations.empty());
  }
  SUBCASE("it goes on") {
    rounds(200, 1);
    CHECK(names(violations, "(live 3)"));
  }
}

TEST_CASE("checkers: a claim that its node does not hold for long is a violation (live 1)") {
  Violations violations;
  bool held = false;
  ClaimChecker claims(violations, [&](NodeId, const AttemptId&) { return held; });
  const auto watch = [&](Duration from, Duration until) {
    for (Duration at = from; at <= until; at += 5s) {
      claims.begin_round();
      claims.held(kNow + at, {.task = kTask, .state = TaskState::claimed, .attempt = 1});
      claims.end_round();
    }
  };
  SUBCASE("long") {
    watch(0s, 80s);
    CHECK(names(violations, "(live 1)"));
  }
  SUBCASE("not so long") {
    watch(0s, 70s);
    held = true;
    watch(75s, 80s);
    held = false;
    watch(85s, 150s);
    CHECK(violations.empty());
  }
}

TEST_CASE("checkers: a cluster in which nothing happens any more is a violation (live 1)") {
  Violations violations;
  StallChecker stall(violations);
  stall.progressed(kNow);
  stall.observe(kNow + 89s, 3);
  stall.progressed(kNow + 90s);
  stall.observe(kNow + 170s, 3);
  stall.observe(kNow + 900s, 0);
  CHECK(violations.empty());
  stall.observe(kNow + 991s, 3);
  CHECK(names(violations, "(live 1)"));
}

TEST_CASE(
    "checkers: a home change that stays open, and a copy that is missing, are seen (live 4)") {
  ShardBook shards;
  RecordBook records;
  wire::ShardConfig config{{{1, kA}, 0}, {kA, kB}, {}, {}};
  for (const NodeId node : {kA, kB}) shards.put({}, node, {{1, kA}, config, 0});
  const wire::RecordKey key{1, 2};
  RecordBook::Entry& entry = records.at({}, key);
  entry.copies = {{kA, {{1, kA}, 3}}, {kB, {{1, kA}, 3}}};
  CHECK_FALSE(unfinished_change(shards));
  CHECK_FALSE(missing_copy(records, shards));
  SUBCASE("joint") {
    config.id.seq = 1;
    config.next = {kC};
    shards.put({}, kB, {{1, kA}, config, 0});
    CHECK(unfinished_change(shards));
  }
  SUBCASE("with a learner, unless it is gone") {
    config.id.seq = 1;
    config.learners = {kC};
    shards.put({}, kB, {{1, kA}, config, 0});
    CHECK(unfinished_change(shards));
    CHECK_FALSE(unfinished_change(shards, [](NodeId node) { return node != kC; }));
  }
  SUBCASE("an older copy") {
    entry.copies[1].version.version = 2;
    CHECK(missing_copy(records, shards));
  }
  SUBCASE("none") {
    entry.copies.pop_back();
    CHECK(missing_copy(records, shards));
  }
  SUBCASE("what the owner does not have is a leftover") {
    entry.copies.erase(entry.copies.begin());
    CHECK_FALSE(missing_copy(records, shards));
  }
}

}  // namespace shoal::sim
