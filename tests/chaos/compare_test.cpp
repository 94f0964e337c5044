// Two runs side by side.
#include "tools/chaos/compare.hpp"

#include <doctest/doctest.h>

#include "tools/chaos/timeline.hpp"

namespace shoal::chaos {
namespace {

constexpr Time kSecond{1'000'000};

// One task that ran for `seconds`; the run ended two seconds later.
Compared run_of(const std::string& name, int seconds) {
  Compared run{.name = name};
  run.evidence.run = {{"scenario", "made-up"}, {"tasks", seconds}};
  run.evidence.nodes = {"n1"};
  JobFacts job{.tasks = 1, .acknowledged = true, .begun = Time(0)};
  job.facts.push_back({.outcomes = {{TaskState::succeeded, 1, 1000}},
                       .attempts = {{.number = 1,
                                     .node = "n1",
                                     .start = kSecond,
                                     .last = kSecond * seconds,
                                     .ended = true}},
                       .shown_at_end = 1});
  run.evidence.jobs["job"] = job;
  run.evidence.phases = {{"load_end", kSecond * seconds}, {"end", kSecond * (seconds + 2)}};
  run.report.verdicts = {{.name = "lost", .judgement = Judgement::pass, .value = "0", .figure = 0},
                         {.name = "finish", .value = text(seconds, "s"), .figure = seconds}};
  return run;
}

bool has(const std::string& whole, std::string_view piece) {
  INFO(whole);
  const bool found = whole.find(piece) != std::string::npos;
  CHECK(found);
  return found;
}

std::string last_label(const std::string& svg) {
  const std::size_t end = svg.rfind("s</text>");
  return svg.substr(svg.rfind('>', end) + 1, end - svg.rfind('>', end));
}

}  // namespace

TEST_CASE("compare: verdicts of both runs stand in one row, with the ratio of their figures") {
  Compared second = run_of("second", 10);
  second.report.verdicts[0] = {
      .name = "lost", .judgement = Judgement::fail, .value = "3 of 9", .figure = 3};
  second.report.verdicts.push_back({.name = "rejoin", .value = "1s", .figure = 1});
  Compared first = run_of("first", 4);
  first.report.verdicts.push_back({.name = "wait", .value = "p99 2s", .figure = {{"p99_ms", 8}}});
  second.report.verdicts.push_back({.name = "wait", .value = "p99 4s", .figure = {{"p99_ms", 2}}});
  const std::string table = comparison_table(first, second);
  has(table, "A: first\nB: second\n");
  has(table, "they differ in tasks: 4 and 10");
  has(table, "PASS  0       FAIL  3 of 9\n");
  has(table, "4s      -     10s     x2.50\n");
  has(table, "none    -     1s");
  has(table, "p99 2s  -     p99 4s  x0.25\n");
}

TEST_CASE("compare: both timelines have the axis of the longer run") {
  const Compared first = run_of("first", 4);
  const Compared second = run_of("second", 40);
  CHECK(last_label(timeline_svg(first.evidence)) != last_label(timeline_svg(second.evidence)));
  CHECK(last_label(timeline_svg(first.evidence, last_of(second.evidence))) ==
        last_label(timeline_svg(second.evidence)));
  const std::string page = comparison_html(first, second);
  const std::size_t one = page.find("<svg");
  REQUIRE(one != std::string::npos);
  CHECK(page.find("<svg", one + 1) != std::string::npos);
}

}  // namespace shoal::chaos
