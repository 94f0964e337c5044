#include "cli/render.hpp"

#include <doctest/doctest.h>

#include "cli/command_line.hpp"
#include "cli/commands.hpp"
#include "cli/json.hpp"
#include "cli/outcome.hpp"
#include "cli/program.hpp"
#include "cli/suggest.hpp"
#include "cli/task_options.hpp"

namespace shoal::cli {
namespace {

using Words = std::vector<std::string>;

JobStatus job_of(JobState state, TaskCounts counts) {
  JobStatus job{.id = {12345}, .name = "train", .state = state, .count = counts.total};
  job.counts = counts;
  return job;
}

TaskStatus failed_task(EndReason reason, int exit_status, int signal) {
  TaskStatus task{.state = TaskState::failed, .attempt = 1};
  task.result = AttemptResult{.reason = reason, .exit_status = exit_status, .signal = signal};
  return task;
}

}  // namespace

TEST_CASE("render: colour follows the option, then the environment, then the terminal") {
  CHECK(use_color({}, true));
  CHECK_FALSE(use_color({}, false));
  CHECK_FALSE(use_color({.no_color = true}, true));
  CHECK_FALSE(use_color({.dumb = true}, true));
  CHECK(use_color({.force = true}, false));
  CHECK_FALSE(use_color({.no_color = true, .force = true}, true));
  CHECK(use_color({.option = "always", .no_color = true, .dumb = true}, false));
  CHECK_FALSE(use_color({.option = "never", .force = true}, true));
}

TEST_CASE("render: a state has a glyph and a word, and never colour alone") {
  const Style plain;
  const Style unicode{.unicode = true};
  const Style color{.color = true};
  CHECK(state_text(plain, word_of(TaskState::claimed)) == "* running");
  CHECK(state_text(unicode, word_of(TaskState::claimed)) == "● running");
  CHECK(state_text(color, word_of(TaskState::failed)) == "\x1b[31mx failed\x1b[0m");
  CHECK(word_of(job_of(JobState::closed, {.total = 3, .ready = 2, .claimed = 1})).word ==
        "running");
  CHECK(word_of(job_of(JobState::closed, {.total = 3, .ready = 3})).word == "pending");
  CHECK(word_of(job_of(JobState::finished, {.total = 3, .succeeded = 3})).word == "done");
  CHECK(word_of(job_of(JobState::finished, {.total = 3, .succeeded = 2, .failed = 1})).word ==
        "failed");
}

TEST_CASE("render: columns line up, and are cut only on a terminal") {
  Table table({{"ID", Table::Align::left}, {"N", Table::Align::right}, {"WHAT"}});
  table.add({"● a", "5", "a rather long description"});
  table.add({"bbbbb", "12", ""});
  CHECK(table.text({}) ==
        "ID      N  WHAT\n"
        "● a     5  a rather long description\n"
        "bbbbb  12\n");
  const std::string cut_short = table.text({.unicode = true, .terminal = true, .width = 20});
  CHECK(cut_short ==
        "ID      N  WHAT\n"
        "● a     5  a rather…\n"
        "bbbbb  12\n");
  CHECK(display_width("\x1b[31m● x\x1b[0m") == 3);
}

TEST_CASE("render: what a user named cannot steer the terminal") {
  CHECK(printable("a\x1b[2Jb\n") == "a?[2Jb?");
  CHECK(command_text({"echo", "it's", "", "a b"}) == "echo 'it'\\''s' '' 'a b'");
  CHECK(last_line("first\nlast \n\n") == "last");
  CHECK(last_line("\n \n").empty());
}

TEST_CASE("outcome: run passes on the command's status as shells do") {
  CHECK(exit_code_of(TaskStatus{.state = TaskState::succeeded}) == 0);
  CHECK(exit_code_of(failed_task(EndReason::exited, 3, 0)) == 3);
  CHECK(exit_code_of(failed_task(EndReason::signalled, 0, 9)) == 137);
  CHECK(exit_code_of(failed_task(EndReason::not_found, 127, 0)) == 127);
  CHECK(exit_code_of(failed_task(EndReason::not_executable, 126, 0)) == 126);
  CHECK(exit_code_of(failed_task(EndReason::start_failed, 0, 0)) == 125);
  CHECK(exit_code_of(failed_task(EndReason::timed_out, 143, 15)) == 143);
  // A task that did not succeed never looks as if it had.
  CHECK(exit_code_of(failed_task(EndReason::exited, 0, 0)) == 1);
  CHECK(exit_code_of(failed_task(EndReason::exited, 256, 0)) == 1);
  CHECK(exit_code_of(TaskStatus{.state = TaskState::lost}) == 1);
}

TEST_CASE("outcome: the line about a failure says where, how and which attempt") {
  TaskStatus task = failed_task(EndReason::exited, 3, 0);
  task.node = {.high = 7, .low = 7};
  task.result->ended = task.result->started + std::chrono::milliseconds(20);
  const std::string line = failure_line({12345}, task, {}, {{task.node, "n2"}});
  CHECK(line == short_text(JobId{12345}) + " failed on n2: exit 3 (attempt 1 of 1, 0.02s)");
  CHECK(failure_line({12345}, {.state = TaskState::cancelled}, {}, {})
            .ends_with("cancelled before it was started"));
}

TEST_CASE("outcome: every kind of error has its exit status") {
  CHECK(exit_code_of(ErrorCode::bad_input) == 2);
  CHECK(exit_code_of(ErrorCode::not_found) == 3);
  CHECK(exit_code_of(ErrorCode::unavailable) == 4);
  CHECK(exit_code_of(ErrorCode::refused) == 5);
  CHECK(exit_code_of(ErrorCode::conflict) == 6);
  CHECK(exit_code_of(ErrorCode::timeout) == 124);
}

TEST_CASE("json: documents name their schema, and broken text does no harm") {
  const Json json = json_of(job_of(JobState::finished, {.total = 2, .succeeded = 2}));
  CHECK(json["schema"] == "shoal.job/1");
  CHECK(json["id"].is_string());
  CHECK(json["tasks"]["succeeded"] == 2);
  CHECK(json_of(JobListing{.missing = {"n4"}})["complete"] == false);
  JobStatus odd = job_of(JobState::open, {});
  odd.name = "\xff\xfe";
  CHECK(text_of(json_of(odd)).find("\xef\xbf\xbd") != std::string::npos);
}

TEST_CASE("selector: a task is JOB[INDEX] or JOB.INDEX") {
  CHECK(parse_selector("k7q2m")->index == std::nullopt);
  CHECK(parse_selector("k7q2m[17]")->index == 17);
  CHECK(parse_selector("k7q2m.17")->job == "k7q2m");
  CHECK(parse_selector("k7q2m.17")->index == 17);
  CHECK(parse_selector("fit.py")->job == "fit.py");  // A name.
  CHECK_FALSE(parse_selector("k7q2m[x]").has_value());
  CHECK_FALSE(parse_selector("k7q2m]").has_value());
  CHECK_FALSE(parse_selector("k7q2m[99999999999]").has_value());
}

TEST_CASE("suggest: a slip of the finger is understood, nonsense is not") {
  const Words known{"submit", "show", "cancel", "map"};
  CHECK(nearest("sumbit", known) == "submit");
  CHECK(nearest("cancle", known) == "cancel");
  CHECK(nearest("mpa", known) == "map");
  CHECK(nearest("frobnicate", known).empty());
  CHECK(edit_distance("kitten", "sitting") == 3);
}

TEST_CASE("command line: a task's words begin behind -- or with the first that is no option") {
  CLI::App app("test", "shoal");
  GlobalOptions globals;
  std::vector<std::string> addresses;
  app.fallthrough();
  app.add_option("--addr", addresses);
  app.add_flag("-q,--quiet");
  add_run(app, globals);
  add_map(app, globals);
  add_ps(app, globals);
  const auto split = [&](Words words) { return split_command_line(app, std::move(words)); };

  const CommandLine plain = split({"--addr", "a:1", "run", "--cpus", "2", "ls", "-l", "--json"});
  CHECK(plain.options == Words{"--addr", "a:1", "run", "--cpus", "2"});
  CHECK(plain.command == Words{"ls", "-l", "--json"});
  const CommandLine marked = split({"run", "-q", "--name=x", "--", "--odd", "--", "y"});
  CHECK(marked.options == Words{"run", "-q", "--name=x"});
  CHECK(marked.command == Words{"--odd", "--", "y"});
  const CommandLine shell = split({"map", "-kc", "echo $1", "--", "{}", ":::", "run", "ps"});
  CHECK(shell.options == Words{"map", "-kc", "echo $1"});
  CHECK(shell.command == Words{"{}", ":::", "run", "ps"});
  CHECK(split({"ps", "-n", "5"}).command.empty());
  CHECK(suggestion(app, "mpa") == ". Did you mean map?");
  CHECK(suggestion(app, "--adr") == ". Did you mean --addr?");
}

TEST_CASE("task options: bad ones are refused with the option's name") {
  const auto error_of = [](const TaskOptions& options) {
    const auto made = submission_of(options, {"true"});
    return made ? std::string() : made.error().message;
  };
  CHECK(error_of({}).empty());
  CHECK(error_of({.cpus = "many"}).starts_with("--cpus"));
  CHECK(error_of({.memory = "12 parsecs"}).starts_with("--mem"));
  CHECK(error_of({.environment = {"SHOAL_NOT_SET_ANYWHERE"}}).starts_with("--env"));
  CHECK(error_of({.keep = "ever"}).starts_with("--keep"));
  CHECK(error_of({.shell_text = "echo {}"}).starts_with("-c"));
  CHECK(error_of({.resume = "abc"}).starts_with("--continue"));
  CHECK_FALSE(submission_of({}, {}).has_value());

  const auto shell = submission_of({.shell_text = "echo $1"}, {"x"});
  REQUIRE(shell);
  CHECK(shell->spec.argv == Words{"/bin/sh", "-c", "echo $1", "sh", "x"});
  const auto once = submission_of({.at_most_once = true}, {"true"});
  REQUIRE(once);
  CHECK(once->spec.at_most_once);
  const Submitted made{.id = {12345}, .nonce = {.high = 1, .low = 0xabc}};
  const auto resumed = submission_of({.resume = resume_text(made)}, {"true"});
  REQUIRE(resumed);
  CHECK(resumed->id == made.id);
  CHECK(resumed->nonce == made.nonce);
}

TEST_CASE("task options: an array is FIRST-LAST[:STEP]") {
  CHECK(*array_elements("0-4:2") == Words{"0", "2", "4"});
  CHECK(*array_elements("7") == Words{"7"});
  CHECK(array_elements("0-99")->size() == 100);
  for (const char* wrong : {"", "a", "5-1", "0-9:0", "0-9x", "-3", "0-18446744073709551615"}) {
    CHECK_FALSE(array_elements(wrong).has_value());
  }
}

}  // namespace shoal::cli
