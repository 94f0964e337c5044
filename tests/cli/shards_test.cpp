// Members by name, what is wrong with a shard, and which copy a recovery adopts.
#include "cli/shards.hpp"

#include <doctest/doctest.h>

#include "cli/consistency.hpp"

namespace shoal::cli {
namespace {

constexpr NodeId kA{0xa1, 1};
constexpr NodeId kB{0xb2, 2};
constexpr NodeId kC{0xc3, 3};
constexpr NodeId kD{0xd4, 4};

MemberView member(NodeId node, std::string name, std::string state = "alive") {
  return {.node = node, .name = std::move(name), .state = std::move(state)};
}

Roster roster(std::vector<MemberView> members) {
  return Roster({.shard_count = 16, .members = std::move(members)});
}

Roster three(std::string b = "alive", std::string c = "alive") {
  return roster({member(kA, "n1"), member(kB, "n2", std::move(b)), member(kC, "n3", std::move(c))});
}

ShardCopy copy(std::vector<NodeId> home, std::uint64_t records = 10) {
  return {.known = true,
          .promised = {3, kA},
          .ballot = {3, kA},
          .home = std::move(home),
          .records = records};
}

FoundCopy held(NodeId node, ShardCopy copy) { return {.node = node, .copy = std::move(copy)}; }

FoundCopy owner(NodeId node, ShardCopy copy) {
  copy.role = ShardRole::owner;
  return held(node, std::move(copy));
}

ShardReport report(std::vector<FoundCopy> copies) {
  return {.known = {.shard = ShardId{5}, .home = {kA, kB, kC}, .owner = kA, .round = 3},
          .copies = std::move(copies)};
}

}  // namespace

TEST_CASE("members: a name, its start, an id or its start, and the one that is wanted") {
  const Roster four = roster({member(kA, "alpha"), member(kB, "beta"), member(kC, "beta", "dead"),
                              member(kD, "bernd", "left")});
  CHECK(four.find("alpha")->node == kA);
  CHECK(four.find("al")->node == kA);
  CHECK(four.find(to_string(kD))->node == kD);
  CHECK(four.find(to_string(kD).substr(0, 16))->node == kD);
  // A node that came back under a new identity has its name twice.
  CHECK(four.find("beta", Roster::Wanted::present)->node == kB);
  CHECK(four.find("beta", Roster::Wanted::gone)->node == kC);
  const auto several = four.find("beta");
  REQUIRE_FALSE(several);
  CHECK(several.error().code == ErrorCode::conflict);
  CHECK(several.error().message.find(short_text(kC) + ", dead") != std::string::npos);
  CHECK(four.full_name(kC) == "beta (" + short_text(kC) + ")");
  CHECK(four.find("be", Roster::Wanted::present)->node == kB);
  const auto none = four.find("aplha");
  REQUIRE_FALSE(none);
  CHECK(none.error().code == ErrorCode::not_found);
  CHECK(none.error().message.find("Did you mean alpha?") != std::string::npos);
  CHECK(four.name({.high = 9, .low = 9}) == short_text(NodeId{9, 9}));
  CHECK(four.state({.high = 9, .low = 9}) == "unknown");
}

TEST_CASE("members: draining and leaving are states of the living") {
  MemberView node = member(kA, "n1");
  node.draining = true;
  CHECK(state_of(node) == "draining");
  node.leaving = true;
  CHECK(state_of(node) == "leaving");
  node.state = "dead";
  CHECK(state_of(node) == "dead");
  CHECK(three().copies() == 3);
  CHECK(three("alive", "left").copies() == 1);
  CHECK(three("alive", "dead").copies() == 3);  // A death never lowers it.
}

TEST_CASE("shards: a healthy shard has its owner, all homes, and enough of them") {
  CHECK(trouble_of(report({owner(kA, copy({kA, kB, kC}))}), three()).ok());
  const auto few = trouble_of(report({owner(kA, copy({kA}))}), three());
  CHECK(few.text() == "1 home of 3");
  CHECK_FALSE(few.stuck);
  CHECK(trouble_of(report({owner(kA, copy({kA}))}), roster({member(kA, "n1")})).ok());
}

TEST_CASE("shards: a minority that is gone is told, a majority that is gone stops the shard") {
  const auto one = trouble_of(report({owner(kA, copy({kA, kB, kC}))}), three("alive", "dead"));
  CHECK(one.text() == "1 of 3 homes is gone (n3 dead)");
  CHECK_FALSE(one.stuck);
  const auto two = trouble_of(report({owner(kA, copy({kA, kB, kC}))}), three("left", "dead"));
  CHECK(two.stuck);
  CHECK(two.text().find("no majority") != std::string::npos);
  CHECK(two.text().find("2 of 3 homes are gone (n2 left, n3 dead)") != std::string::npos);
}

TEST_CASE("shards: an owner that is dead, silent or nobody is named") {
  CHECK(trouble_of(report({{.node = kA, .why = "no answer"}}), three()).text() ==
        "its owner n1 does not answer");
  const Roster without = roster({member(kA, "n1", "dead"), member(kB, "n2"), member(kC, "n3")});
  const ShardReport dead = report({{.node = kA, .why = "dead"}, held(kB, copy({kA, kB, kC}))});
  CHECK(trouble_of(dead, without).text().find("its owner n1 is dead") == 0);
  CHECK(trouble_of(report({held(kA, copy({kA, kB, kC}))}), three()).text() ==
        "nobody says that it owns it");
  ShardReport unknown = report({});
  unknown.known.owner = {};
  CHECK(trouble_of(unknown, three()).text() == "no owner is known");
}

TEST_CASE("shards: a joint config needs both majorities, and is told") {
  ShardCopy joint = copy({kA, kB, kC});
  joint.next = {kA, kD};
  const auto moving = trouble_of(report({owner(kA, joint)}), three());
  CHECK(moving.joint);
  CHECK(moving.stuck);  // D is no member.
  CHECK(moving.text().find("joint: it moves to n1, " + short_text(kD)) != std::string::npos);
}

TEST_CASE("shards: the newest config counts, whoever tells it") {
  ShardCopy later = copy({kA, kB, kD});
  later.ballot = {4, kB};
  const ShardReport both = report({held(kA, copy({kA, kB, kC})), held(kB, later)});
  CHECK(both.home() == std::vector<NodeId>{kA, kB, kD});
  CHECK(report({}).home() == std::vector<NodeId>{kA, kB, kC});
}

TEST_CASE("recover: only a shard whose majority is among the lost, from a copy that survives") {
  const ShardReport whole = report({held(kA, copy({kA, kB, kC})), {.node = kB, .why = "dead"}});
  const auto two = plan_recovery(whole, {kB, kC}, three("dead", "dead"));
  CHECK(two.needed);
  CHECK(two.from == kA);
  CHECK(two.records == 10);
  CHECK(two.why_not.empty());
  const auto one = plan_recovery(whole, {kB}, three("dead", "dead"));
  CHECK_FALSE(one.needed);
  CHECK(one.why_not.find("serves again when n3 is back") != std::string::npos);
  const auto none = plan_recovery(report({{.node = kA, .why = "no answer"}}), {kB, kC}, three());
  CHECK(none.needed);
  CHECK_FALSE(none.from);
  CHECK(none.why_not.find("no copy to adopt") != std::string::npos);
}

TEST_CASE(
    "recover: the newest config is adopted, then the most records, then the highest promise") {
  const std::vector<NodeId> home{kA, kB, kC, kD};
  const Roster all = roster(
      {member(kA, "n1"), member(kB, "n2"), member(kC, "n3", "dead"), member(kD, "n4", "dead")});
  const std::vector<NodeId> lost{kC, kD};
  ShardCopy more = copy(home, 12);
  CHECK(plan_recovery(report({held(kA, copy(home, 11)), held(kB, more)}), lost, all).from == kB);
  ShardCopy promised = copy(home, 12);
  promised.promised = {9, kB};
  CHECK(plan_recovery(report({held(kA, promised), held(kB, more)}), lost, all).from == kA);
  ShardCopy newer = copy(home, 1);
  newer.seq = 7;
  CHECK(plan_recovery(report({held(kA, promised), held(kB, newer)}), lost, all).from == kB);
  // Who is no home of its own config has nothing to adopt.
  CHECK(
      plan_recovery(report({held(kA, copy({kC, kD}, 99)), held(kB, copy({kB, kC, kD}))}), lost, all)
          .from == kB);
}

TEST_CASE("recover: it is done when the survivor owns the shard without the lost") {
  ShardCopy after = copy({kA});
  CHECK_FALSE(recovered(after, {kB, kC}));
  after.role = ShardRole::owner;
  CHECK(recovered(after, {kB, kC}));
  after.home.push_back(kB);
  CHECK_FALSE(recovered(after, {kB, kC}));
}

TEST_CASE("gaps: the shards that did not answer and the tasks that may be missing") {
  const std::vector<ShardGap> gaps{{ShardId{3}, {{64, 95}}}, {ShardId{9}, {{0, 31}, {200, 200}}}};
  CHECK(gap_text(gaps).starts_with(
      "note: 2 shards did not answer (3, 9); tasks 0-31, 64-95, 200 may be missing"));
  CHECK(json_of(gaps).dump() ==
        R"([{"shard":3,"tasks":[[64,95]]},{"shard":9,"tasks":[[0,31],[200,200]]}])");
}

}  // namespace shoal::cli
