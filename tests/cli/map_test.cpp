#include <doctest/doctest.h>

#include <algorithm>
#include <sstream>

#include "cli/halt.hpp"
#include "cli/joblog.hpp"
#include "cli/map_input.hpp"
#include "cli/progress.hpp"
#include "cli/results.hpp"

namespace shoal::cli {
namespace {

using Words = std::vector<std::string>;

TaskStatus ended(std::uint32_t index, int exit_status) {
  AttemptResult result{.exit_status = exit_status};
  result.started = WallTime(std::chrono::milliseconds(1'700'000'000'250));
  result.ended = result.started + std::chrono::milliseconds(1500);
  result.output_bytes = {42, 0};
  TaskStatus task{.index = index, .state = TaskState::succeeded, .attempt = 1};
  if (exit_status != 0) task.state = TaskState::failed;
  task.node = {.high = 1, .low = 2};
  task.argument = "a\tb\n";
  task.result = result;
  return task;
}

}  // namespace

TEST_CASE("map input: a command line is cut at each :::") {
  const MapWords words = split_words({"echo", "{}", ":::", "a", "b", ":::", "1"});
  CHECK(words.command == Words{"echo", "{}"});
  REQUIRE(words.lists.size() == 2);
  CHECK(words.lists[0] == Words{"a", "b"});
  CHECK(words.lists[1] == Words{"1"});
  CHECK(split_words({"cmd", ":::"}).lists.size() == 1);
}

TEST_CASE("map input: lines and zero-ended pieces are values, the last end does not add one") {
  std::istringstream lines("a\n\nb c\n");
  CHECK(read_values(lines, false) == Words{"a", "", "b c"});
  std::istringstream unended("a\nb");
  CHECK(read_values(unended, false) == Words{"a", "b"});
  std::istringstream zeros(std::string("a\nb\0c\0", 6));
  CHECK(read_values(zeros, true) == Words{"a\nb", "c"});
  std::istringstream nothing("");
  CHECK(read_values(nothing, false).empty());
}

TEST_CASE("map input: several lists make every combination, the last changing fastest") {
  const auto all = combine({{"a", "b"}, {"1", "2", "3"}});
  REQUIRE(all);
  CHECK(*all == Words{"a 1", "a 2", "a 3", "b 1", "b 2", "b 3"});
  CHECK(combine({{"a"}, {}})->empty());
  const Words many(4000, "x");
  const auto wrong = combine({many, many});
  REQUIRE(!wrong);
  CHECK(wrong.error().code == ErrorCode::bad_input);
}

TEST_CASE("map input: placeholders have GNU parallel's meaning") {
  const Words marks{"{}", "{.}", "{/}", "{//}", "{/.}", "{#}", "x{}y{#}", "{}{"};
  CHECK(with_argument(marks, "dir.d/file.tar.gz", 4) ==
        Words{"dir.d/file.tar.gz", "dir.d/file.tar", "file.tar.gz", "dir.d", "file.tar", "5",
              "xdir.d/file.tar.gzy5", "dir.d/file.tar.gz{"});
  CHECK(with_argument({"{.}", "{//}", "{/.}"}, "dir.d/plain", 0) ==
        Words{"dir.d/plain", "dir.d", "plain"});
  CHECK(with_argument({"{//}"}, "plain", 0) == Words{"."});
  CHECK(with_argument({"{//}"}, "/plain", 0) == Words{"/"});
  // What a value holds is not looked at again.
  CHECK(with_argument({"{}"}, "{#}", 0) == Words{"{#}"});
  CHECK(numbered_placeholder({"a", "x{12}y"}) == "{12}");
  CHECK(numbered_placeholder({"{}", "{#}", "{1"}).empty());
}

TEST_CASE("halt: a number is reached by that many failures, a share by that much of all inputs") {
  const auto number = parse_halt("now,fail=3");
  REQUIRE(number);
  CHECK(number->now);
  CHECK_FALSE(number->reached(2, 1000));
  CHECK(number->reached(3, 1000));

  const auto share = parse_halt("soon,fail=10%");
  REQUIRE(share);
  CHECK_FALSE(share->now);
  CHECK_FALSE(share->reached(0, 5));
  CHECK_FALSE(share->reached(99, 1000));
  CHECK(share->reached(100, 1000));
  CHECK(share->reached(1, 5));
  CHECK(parse_halt("now,fail=100%")->reached(4'000'000, 4'000'000));

  CHECK_FALSE(parse_halt("never")->reached(1000, 1000));
  CHECK_FALSE(parse_halt("")->reached(1000, 1000));
  for (const char* wrong : {"now", "fail=3", "now,fail=", "now,fail=0", "now,fail=101%",
                            "now,fail=3x", "later,fail=3", "now,fail=3%%"}) {
    CHECK_FALSE(parse_halt(wrong).has_value());
  }
}

TEST_CASE("joblog: a row has GNU parallel's nine columns") {
  CHECK(joblog_row(ended(6, 0), "n1", "echo 'a b'") ==
        "7\tn1\t1700000000.250\t     1.500\t0\t42\t0\t0\techo 'a b'\n");
  CHECK(std::ranges::count(kJoblogHeader, '\t') == 8);

  TaskStatus killed = ended(0, 137);
  killed.result->reason = EndReason::signalled;
  killed.result->signal = 9;
  CHECK(joblog_row(killed, "n1", "x") == "1\tn1\t1700000000.250\t     1.500\t0\t42\t137\t9\tx\n");
  // A tab or a newline in the command must not break the row.
  CHECK(joblog_row(ended(0, 0), "n1", "a\tb\nc").ends_with("\ta?b?c\n"));
  CHECK(joblog_row({.index = 1, .state = TaskState::cancelled}, "-", "x").empty());
}

TEST_CASE("results: the index has one line for each task, whatever its argument holds") {
  CHECK(index_line(ended(3, 2), 2, "n1") == "3\t2\tfailed\tn1\ta\\tb\\n\n");
}

TEST_CASE("progress: the line tells rate and time left, and fits the terminal") {
  const Style ascii{.terminal = true, .width = 200};
  const Progress half{.id = "abcde",
                      .total = 1000,
                      .good = 497,
                      .failed = 3,
                      .running = 8,
                      .elapsed = std::chrono::seconds(5)};
  const std::string line = progress_line(half, ascii);
  CHECK(line.find("##########..........") != std::string::npos);
  CHECK(line.find("500/1000  ok 497  failed 3  running 8  100/s  eta 5s") != std::string::npos);
  const Style narrow{.unicode = true, .terminal = true, .width = 30};
  CHECK(display_width(progress_line(half, narrow)) < 30);
  CHECK(progress_line({.id = "abcde", .total = 5}, ascii).find("eta") == std::string::npos);
}

}  // namespace shoal::cli
