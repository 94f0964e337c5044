// The checkers of replicated state are seen failing, on forged writes and messages.
#include "sim/checkers_records.hpp"

#include <doctest/doctest.h>

#include "sim/checkers_replies.hpp"
#include "task/record_key.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kNow{1h};
constexpr NodeId kA{0, 1};
constexpr NodeId kB{0, 2};
constexpr NodeId kC{0, 3};
constexpr NodeId kD{0, 4};
constexpr std::uint32_t kShards = 4;
const TaskId kTask{JobId{77}, 0};
const ShardId kShard = task::shard_of(kTask, kShards);

wire::RecordKey key_of(const TaskId& task) {
  const task::KeyBits bits = task::key_bits(
      {.job = task.job, .kind = task::RecordKind::element, .sub = 0, .index = task.index});
  return {bits.high, bits.low};
}

wire::Ballot ballot(std::uint64_t round, NodeId node = kA) { return {round, node}; }

wire::Record record(std::uint64_t round, std::uint64_t version, const task::TaskRecord& task) {
  return {key_of(kTask), {ballot(round), version}, wire::encode(task)};
}

const task::TaskRecord kReady{};
const task::TaskRecord kClaimed{.state = TaskState::claimed, .attempt = 1, .node = kD};

wire::ShardConfig config(std::uint64_t round, std::uint64_t seq, std::vector<NodeId> home,
                         std::vector<NodeId> next = {}) {
  return {{ballot(round), seq}, std::move(home), std::move(next), {}};
}

wire::PutShard shard_state(std::uint64_t round, std::uint64_t floor = 0) {
  return {kShard, {ballot(round), config(1, 0, {kA, kB, kC}), floor}};
}

struct Books {
  Violations violations;
  RecordBook records;
  ShardBook shards;
  RecordChecker record_checker{violations, records};
  ShardChecker shard_checker{violations, shards};
  ReplyChecker replies{violations, records, shards};

  Books() {
    replies.set_shard_count(kShards);
    for (const NodeId node : {kA, kB, kC}) shard_checker.durable(kNow, node, shard_state(1));
  }
  void durable(std::initializer_list<NodeId> disks, const wire::Record& put) {
    for (const NodeId disk : disks) {
      record_checker.durable(kNow, disk, kShard, put);
      note_committed(records, shards, disk, kShard, put.key);
    }
  }
  std::string first() const { return violations.empty() ? "" : violations.kept().front().text; }
  bool names(std::string_view words) const { return first().find(words) != std::string::npos; }
};

}  // namespace

TEST_CASE("checkers: two values under one ballot and version are a violation (I3)") {
  Books books;
  books.record_checker.seen(kNow, kShard, record(1, 1, kReady));
  books.record_checker.seen(kNow, kShard, record(1, 1, kReady));
  CHECK(books.violations.empty());
  books.durable({kB}, record(1, 1, kClaimed));
  CHECK(books.names("(I3)"));
}

TEST_CASE("checkers: a disk that falls back is a violation (I4)") {
  Books books;
  books.durable({kA}, record(1, 1, kReady));
  books.durable({kA}, record(1, 2, kClaimed));
  SUBCASE("its copy of a record") { books.durable({kA}, record(1, 1, kReady)); }
  SUBCASE("what it promised") {
    books.shard_checker.durable(kNow, kA, shard_state(3));
    CHECK(books.violations.empty());
    books.shard_checker.durable(kNow, kA, shard_state(2));
  }
  SUBCASE("its floor") {
    books.shard_checker.durable(kNow, kA, shard_state(1, 7));
    books.shard_checker.durable(kNow, kA, shard_state(1, 6));
  }
  SUBCASE("its config") {
    wire::PutShard put = shard_state(1);
    put.state.config.id.seq = 1;
    books.shard_checker.durable(kNow, kA, put);
    books.shard_checker.durable(kNow, kA, shard_state(1));
  }
  CHECK(books.names("(I4)"));
}

TEST_CASE("checkers: an unreadable copy may be replaced by anything (I4)") {
  Books books;
  books.durable({kA}, record(1, 2, kReady));
  books.records.damage(kA, kShard, key_of(kTask));
  books.durable({kA}, record(1, 1, kReady));
  CHECK(books.violations.empty());
}

TEST_CASE("checkers: an outcome that no claim leads to is a violation (I7)") {
  Books books;
  task::TaskRecord ended{.state = TaskState::succeeded, .attempt = 1, .node = kD};
  ended.result = AttemptResult{};
  books.record_checker.seen(kNow, kShard, record(1, 1, kReady));
  books.record_checker.seen(kNow, kShard, record(1, 2, kClaimed));
  SUBCASE("as it should be") {
    books.record_checker.seen(kNow, kShard, record(1, 3, ended));
    CHECK(books.violations.empty());
    // An end stays, also under another ballot.
    books.record_checker.seen(kNow, kShard, record(2, 3, ended));
    CHECK(books.violations.empty());
    ended.state = TaskState::failed;
    books.record_checker.seen(kNow, kShard, record(2, 4, ended));
  }
  SUBCASE("of another attempt") {
    ended.attempt = 2;
    books.record_checker.seen(kNow, kShard, record(1, 3, ended));
  }
  SUBCASE("of another node") {
    ended.node = kC;
    books.record_checker.seen(kNow, kShard, record(1, 3, ended));
  }
  SUBCASE("of a task that is ready") {
    books.record_checker.seen(kNow, kShard, record(1, 3, {.attempt = 1}));
    books.record_checker.seen(kNow, kShard, record(1, 4, ended));
  }
  SUBCASE("the attempt's number falls") {
    books.record_checker.seen(kNow, kShard, record(1, 3, {.attempt = 0}));
  }
  SUBCASE("the attempt goes to another node") {
    task::TaskRecord other = kClaimed;
    other.node = kC;
    books.record_checker.seen(kNow, kShard, record(1, 3, other));
  }
  CHECK(books.names("(I7)"));
}

TEST_CASE("checkers: a leftover of another owner excuses no outcome, and accuses nobody (I7)") {
  Books books;
  books.record_checker.seen(kNow, kShard, record(1, 1, kReady));
  books.record_checker.seen(kNow, kShard, record(1, 2, kClaimed));  // Reached no quorum.
  task::TaskRecord other = kClaimed;
  other.node = kC;
  books.record_checker.seen(kNow, kShard, record(2, 2, other));  // From version 1 again.
  CHECK(books.violations.empty());
}

TEST_CASE("checkers: consecutive configs whose quorums miss each other are a violation (I12)") {
  CHECK(quorums_intersect(config(1, 0, {kA, kB, kC}), config(1, 1, {kA, kB, kC}, {kD})));
  CHECK(quorums_intersect(config(1, 1, {kA, kB, kC}, {kD}), config(1, 2, {kD})));
  CHECK_FALSE(quorums_intersect(config(1, 0, {kA, kB, kC}), config(1, 1, {kD})));
  CHECK_FALSE(quorums_intersect(config(1, 0, {kA}), config(1, 1, {kA, kB, kC})));
  Books books;
  books.shard_checker.seen(kNow, kShard, config(1, 1, {kA, kB, kC}, {kB, kC, kD}));
  books.shard_checker.seen(kNow, kShard, config(1, 2, {kB, kC, kD}));
  CHECK(books.violations.empty());
  SUBCASE("the later is seen later") { books.shard_checker.seen(kNow, kShard, config(1, 3, {kA})); }
  SUBCASE("the earlier is seen later") {
    books.shard_checker.seen(kNow, kShard, config(1, 4, {kA}, {kB, kC, kD}));
    CHECK(books.violations.empty());
    books.shard_checker.seen(kNow, kShard, config(1, 3, {kD}));
  }
  CHECK(books.names("(I12)"));
}

TEST_CASE("checkers: an operator's recovery needs only those who are not lost (I12)") {
  Books books;
  books.shard_checker.seen(kNow, kShard, config(1, 0, {kA, kB, kC}));
  books.shard_checker.lost({kB, kC});
  books.shard_checker.seen(kNow, kShard, config(2, 0, {kA}));
  CHECK(books.violations.empty());
  books.shard_checker.seen(kNow, kShard, config(3, 0, {kD}));
  CHECK(books.names("(I12)"));
}

TEST_CASE("checkers: two configs under one id are a violation (I13)") {
  Books books;
  books.shard_checker.seen(kNow, kShard, config(1, 0, {kA, kB, kC}));
  CHECK(books.violations.empty());
  books.shard_checker.seen(kNow, kShard, config(1, 0, {kA, kB, kD}));
  CHECK(books.names("(I13)"));
}

TEST_CASE("checkers: what a home says before its disk holds it is a violation (I5)") {
  Books books;
  const wire::Record put = record(1, 1, kReady);
  books.durable({kA}, put);
  SUBCASE("a promise") {
    wire::PromiseItem item{.shard = kShard, .ballot = ballot(1), .config = config(1, 0, {kA})};
    books.replies.sent(kNow, kA, kB, wire::Promise{{item}});
    CHECK(books.violations.empty());
    item.ballot = ballot(2);
    books.replies.sent(kNow, kA, kB, wire::Promise{{item}});
  }
  SUBCASE("a promise of a node that knows nothing of the shard") {
    const wire::PromiseItem item{.shard = kShard, .ballot = {}, .config = {}};
    books.replies.sent(kNow, kD, kB, wire::Promise{{item}});
  }
  SUBCASE("a digest") {
    wire::PromiseItem item{.shard = kShard, .ballot = ballot(1), .config = {}};
    item.digest = {{key_of(kTask), {ballot(1), 1}, false}};
    books.replies.sent(kNow, kA, kB, wire::Promise{{item}});
    CHECK(books.violations.empty());
    books.replies.sent(kNow, kC, kB, wire::Promise{{item}});
  }
  SUBCASE("an ack") {
    wire::WriteItem write{.shard = kShard, .ballot = ballot(1), .config_id = {}, .config = {}};
    write.number = 5;
    write.records = {put};
    wire::AckItem ack{.shard = kShard, .ballot = ballot(1), .config_id = {}, .config = {}};
    ack.number = 5;
    for (const NodeId home : {kA, kC}) {
      books.replies.sent(kNow, kB, home, wire::WriteRecords{{write}});
    }
    books.replies.sent(kNow, kA, kB, wire::Ack{{ack}});
    CHECK(books.violations.empty());
    books.replies.sent(kNow, kC, kB, wire::Ack{{ack}});
  }
  SUBCASE("a value") {
    const wire::FetchedItem item{.shard = kShard, .ballot = ballot(1), .records = {put}};
    books.replies.sent(kNow, kA, kB, wire::Fetched{{item}});
    CHECK(books.violations.empty());
    books.replies.sent(kNow, kC, kB, wire::Fetched{{item}});
  }
  CHECK(books.names("(I5)"));
}

TEST_CASE("checkers: what an owner shows before a quorum holds it is a violation (I5)") {
  Books books;
  books.durable({kA, kB}, record(1, 1, kReady));
  books.replies.acknowledged(kNow, kTask);
  books.replies.shown(kNow, kTask, TaskState::ready, 0);
  const wire::Record claim = record(1, 2, kClaimed);
  books.durable({kA}, claim);
  CHECK(books.violations.empty());
  const wire::GrantItem item{.attempt = {kTask, 1}, .argument = {}, .shard = kShard};
  SUBCASE("an acknowledgement") {
    Books none;
    none.durable({kA}, record(1, 1, kReady));
    none.replies.acknowledged(kNow, kTask);
    CHECK(none.names("(I5)"));
    return;
  }
  SUBCASE("a state") { books.replies.shown(kNow, kTask, TaskState::claimed, 1); }
  SUBCASE("a grant") { books.replies.sent(kNow, kA, kD, wire::Grant{.items = {item}}); }
  SUBCASE("a grant, with a quorum") {
    books.durable({kC}, claim);
    books.replies.sent(kNow, kA, kD, wire::Grant{.items = {item}});
    CHECK(books.violations.empty());
    books.replies.sent(kNow, kA, kC, wire::Grant{.items = {item}});  // It is another node's.
  }
  SUBCASE("an outcome ack") { books.replies.sent(kNow, kA, kD, wire::OutcomeAck{{{kTask, 1}}}); }
  SUBCASE("the order to end it") {
    books.replies.sent(kNow, kA, kD, wire::EndAttempts{{{kTask, 1}}, EndReason::cancelled});
  }
  CHECK(books.names("(I5)"));
}

TEST_CASE("checkers: what was committed may be shown when the config has gone joint since (I5)") {
  Books books;
  books.durable({kA, kB}, record(1, 1, kReady));
  books.durable({kA}, record(1, 2, kClaimed));
  // A reply is under way, and all disks hold the joint config (G2). The newcomers have no copy.
  wire::PutShard joint = shard_state(1);
  joint.state.config = config(1, 1, {kA, kB, kC}, {kD, {0, 5}, {0, 6}});
  for (const NodeId node : {kA, kB, kC, kD}) books.shard_checker.durable(kNow, node, joint);
  books.replies.acknowledged(kNow, kTask);
  books.replies.shown(kNow, kTask, TaskState::ready, 0);
  CHECK(books.violations.empty());
  // What no quorum has ever held may not: the old home alone commits nothing while it is joint.
  books.durable({kB, kC}, record(1, 2, kClaimed));
  books.replies.shown(kNow, kTask, TaskState::claimed, 1);
  CHECK(books.names("(I5)"));
}

}  // namespace shoal::sim
