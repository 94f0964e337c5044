// Each promise is broken in a made-up history, and its verdict, and no other, says so.
#include "tools/chaos/verdicts.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "tools/chaos/timeline.hpp"

namespace shoal::chaos {
namespace {

constexpr Time kSecond{1'000'000};

Attempt attempt(std::uint32_t number, int from_s, int to_s, std::string node = "n1") {
  return {.number = number,
          .node = std::move(node),
          .pid = 100 + number,
          .start = kSecond * from_s,
          .last = kSecond * to_s,
          .ended = true};
}

// One job of two tasks, each run once, shown by both nodes.
Evidence good_run() {
  Evidence evidence;
  evidence.run = {{"scenario", "made-up"}, {"seed", 1}, {"warmup_ms", 1000}};
  evidence.nodes = {"n1", "n2"};
  JobFacts job{.tasks = 2, .acknowledged = true, .begun = Time(0)};
  for (int i = 0; i < 2; ++i) {
    job.facts.push_back({.outcomes = {{TaskState::succeeded, 1, 1000}},
                         .attempts = {attempt(1, 1 + i, 2 + i)},
                         .shown_at_end = 2});
  }
  evidence.jobs["job"] = job;
  evidence.recoveries = {{.fault = 0, .shards = 4, .open = 0, .last = kSecond * 9}};
  const std::map<std::string, std::string> all{{"n1", "alive"}, {"n2", "alive"}};
  evidence.views["n1"] = {{.t = Time(0), .sees = all}};
  evidence.views["n2"] = {{.t = Time(0), .sees = all}};
  evidence.phases = {{"healed", kSecond * 5}, {"load_end", kSecond * 8}, {"end", kSecond * 10}};
  return evidence;
}

std::vector<std::string> failures(const Evidence& evidence) {
  std::vector<std::string> names;
  for (const Verdict& each : judge(evidence).verdicts) {
    if (each.judgement == Judgement::fail) names.push_back(each.name);
  }
  return names;
}

using Names = std::vector<std::string>;

TEST_CASE("verdicts: a good run passes") {
  CHECK(failures(good_run()) == Names{});
  CHECK(judge(good_run()).good());
}

TEST_CASE("verdicts: an acknowledged task without an outcome is lost") {
  Evidence evidence = good_run();
  evidence.jobs["job"].facts[1].outcomes.clear();
  CHECK(failures(evidence) == Names{"lost"});
}

TEST_CASE("verdicts: an outcome that one node does not show at the end is lost") {
  Evidence evidence = good_run();
  evidence.jobs["job"].facts[1].shown_at_end = 1;
  CHECK(failures(evidence) == Names{"lost"});
}

TEST_CASE("verdicts: a run that acknowledged nothing proves nothing") {
  Evidence evidence = good_run();
  evidence.jobs["job"].acknowledged = false;
  CHECK(failures(evidence) == Names{"lost"});
}

TEST_CASE("verdicts: a second outcome") {
  Evidence evidence = good_run();
  TaskFacts& task = evidence.jobs["job"].facts[0];
  task.attempts.push_back(attempt(2, 4, 5));
  task.outcomes.push_back({TaskState::succeeded, 2, 5000});
  CHECK(failures(evidence) == Names{"outcomes"});
}

TEST_CASE("verdicts: an outcome that changed its time only is a second one, too") {
  Evidence evidence = good_run();
  evidence.jobs["job"].facts[0].outcomes.push_back({TaskState::succeeded, 1, 1001});
  CHECK(failures(evidence) == Names{"outcomes"});
}

TEST_CASE("verdicts: success without the mark of its end") {
  Evidence evidence = good_run();
  evidence.jobs["job"].facts[0].attempts[0].ended = false;
  CHECK(failures(evidence) == Names{"phantoms"});
}

TEST_CASE("verdicts: one attempt's number for two processes") {
  Evidence evidence = good_run();
  evidence.jobs["job"].facts[0].attempts.push_back(attempt(1, 5, 6, "n2"));
  CHECK(failures(evidence) == Names{"fencing"});
}

TEST_CASE("verdicts: at_most_once, started twice") {
  Evidence evidence = good_run();
  evidence.jobs["job"].facts[0].attempts.push_back(attempt(2, 5, 6, "n2"));
  CHECK(failures(evidence) == Names{});
  evidence.jobs["job"].at_most_once = true;
  CHECK(failures(evidence) == Names{"at_most_once"});
}

TEST_CASE("verdicts: attempts at the same time") {
  Evidence evidence = good_run();
  evidence.jobs["job"].facts[0].attempts = {attempt(1, 1, 4), attempt(2, 3, 5, "n2")};
  CHECK(failures(evidence) == Names{"overlaps"});
}

// n1 was wholly paused from 2 s to `thaw_s`; its attempt was last at work at `last`.
std::vector<Verdict> overlaps_after_pause(const std::string& scope, int thaw_s, Time last) {
  Evidence evidence = good_run();
  Attempt frozen = attempt(1, 1, 4);
  frozen.last = last;
  evidence.jobs["job"].facts[0].attempts = {frozen, attempt(2, 9, 10, "n2")};
  evidence.faults.push_back({.id = 1,
                             .what = "pause",
                             .nodes = {"n1"},
                             .parameters = {{"scope", scope}},
                             .injected = true,
                             .begun = kSecond * 2,
                             .heal_begun = kSecond * thaw_s,
                             .heal_ended = kSecond * thaw_s});
  return judge_overlaps(evidence);
}

TEST_CASE("verdicts: a thawed host has one second to end what it lost") {
  const Time soon = kSecond * 12 + Time(900'000);
  const Time late = kSecond * 13 + Time(1);
  CHECK(overlaps_after_pause("host", 12, soon)[0].judgement == Judgement::pass);
  CHECK(overlaps_after_pause("host", 12, soon)[1].figure == 1);
  CHECK(overlaps_after_pause("host", 12, late)[0].judgement == Judgement::fail);
  // Where the node alone is paused, its supervisors hold the lease: nothing is excused.
  CHECK(overlaps_after_pause("node", 12, soon)[0].judgement == Judgement::fail);
  // Shorter than a lease: the attempt was not to be given away at all.
  CHECK(overlaps_after_pause("host", 6, kSecond * 9)[0].judgement == Judgement::fail);
}

TEST_CASE("verdicts: tasks that failed, nodes that crashed, shards that take nothing") {
  Evidence evidence = good_run();
  evidence.jobs["job"].facts[0].outcomes[0].state = TaskState::failed;
  CHECK(failures(evidence) == Names{"failed"});
  evidence = good_run();
  evidence.crashes.push_back({kSecond * 3, "n2"});
  CHECK(failures(evidence) == Names{"crashes"});
  evidence = good_run();
  evidence.recoveries[0].open = 1;
  CHECK(failures(evidence) == Names{"serving"});
  evidence.recoveries.clear();
  CHECK(failures(evidence) == Names{"serving"});
}

TEST_CASE("verdicts: views that do not agree after all is healed") {
  Evidence evidence = good_run();
  evidence.views["n2"].push_back({.t = kSecond * 6, .sees = {{{"n1", "dead"}, {"n2", "alive"}}}});
  CHECK(failures(evidence) == Names{"views"});
  evidence.views["n2"].push_back({.t = kSecond * 7, .sees = {{{"n1", "alive"}, {"n2", "alive"}}}});
  CHECK(failures(evidence) == Names{});
  evidence.views["n2"].push_back({.t = kSecond * 8, .sees = std::nullopt});
  CHECK(failures(evidence) == Names{"views"});
}

TEST_CASE("verdicts: figures fail only where the scenario bounds them") {
  Evidence evidence = good_run();
  evidence.jobs["job"].facts[0].attempts.push_back(attempt(2, 5, 6, "n2"));
  CHECK(failures(evidence) == Names{});
  evidence.run["expect"] = {{"duplicates_per_10k", 20}, {"finish_within", 7000}};
  CHECK(failures(evidence) == Names{"duplicates", "finish"});
}

TEST_CASE("evidence: histories and marks as a run writes them") {
  Evidence evidence;
  evidence.nodes = {"n1"};
  take_history(evidence, R"({"t":5,"op":1,"what":"submit","client":0,"job":"j","tasks":2,)"
                         R"("at_most_once":false,"gateway":"a","begun":4,"result":"unknown"})");
  CHECK_FALSE(evidence.jobs["j"].acknowledged);
  take_history(evidence, R"({"t":9,"op":2,"what":"submit","client":0,"job":"j","tasks":2,)"
                         R"("at_most_once":false,"gateway":"a","begun":8,"result":"ok"})");
  take_history(evidence, R"({"t":9,"seen":"j","by":"client 1","tasks":[[0,"succeeded",1,7]]})");
  take_history(evidence, R"({"t":9,"seen":"j","by":"n1","tasks":[[0,"succeeded",1,7]]})");
  take_event(evidence, R"({"t":1,"event":"member","id":"abc","name":"n1","address":"x"})");
  take_mark(evidence, "S j 0 1 abc 77 1000000", 0);
  take_mark(evidence, "E j 0 1 abc 77 3000000", 0);
  take_mark(evidence, "S other 0 1 abc 78 1000000", 0);
  take_mark(evidence, "torn li", 0);
  take_history(evidence, "no json");
  put_in_order(evidence);
  CHECK(evidence.bad_lines == 2);
  const JobFacts& job = evidence.jobs["j"];
  CHECK(job.acknowledged);
  CHECK(job.begun == Time(4));
  CHECK(job.unknown == 1);
  REQUIRE(job.facts.size() == 2);
  CHECK(job.facts[0].outcomes.size() == 1);
  CHECK(job.facts[0].shown_at_end == 1);
  REQUIRE(job.facts[0].attempts.size() == 1);
  CHECK(job.facts[0].attempts[0].node == "n1");
  CHECK(job.facts[0].attempts[0].ended);
  CHECK(judge_lost(evidence).figure == 1);
}

TEST_CASE("report: table, JUnit and page say what failed, and words from outside are escaped") {
  Evidence evidence = good_run();
  evidence.run["about"] = "a <script> & more";
  evidence.jobs["job"].facts[1].outcomes.clear();
  const Report report = judge(evidence);
  CHECK_FALSE(report.good());
  CHECK(table_of(report).find("FAIL lost") != std::string::npos);
  CHECK(junit_of(evidence, report).find("failures=\"1\"") != std::string::npos);
  CHECK(summary_of(evidence, report)["result"] == "fail");
  const std::string html = report_html(evidence, report);
  CHECK(html.find("job[1]") != std::string::npos);
  CHECK(html.find("<script>") == std::string::npos);
  CHECK(html.find("a &lt;script&gt; &amp; more") != std::string::npos);
  CHECK(html.find("--seed 1") != std::string::npos);
}

TEST_CASE("timeline: a node is coloured as most others see it") {
  Evidence evidence = good_run();
  evidence.nodes.emplace_back("n3");
  evidence.views["n3"] = evidence.views["n1"];
  evidence.views["n2"].push_back({.t = kSecond * 2, .sees = {{{"n1", "suspect"}}}});
  evidence.views["n3"].push_back({.t = kSecond * 3, .sees = {{{"n1", "suspect"}}}});
  CHECK(seen_as(evidence, "n1", kSecond) == "alive");
  CHECK(seen_as(evidence, "n1", kSecond * 3) == "suspect");
  CHECK(timeline_svg(evidence).starts_with("<svg"));
}

}  // namespace
}  // namespace shoal::chaos
