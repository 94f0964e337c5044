// `shoal map`: one task for each input, in GNU parallel's place.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <set>

#include "base/format.hpp"
#include "base/units.hpp"
#include "cli/collector.hpp"
#include "cli/halt.hpp"
#include "cli/joblog.hpp"
#include "cli/map_input.hpp"
#include "cli/outcome.hpp"
#include "cli/program.hpp"
#include "cli/progress.hpp"
#include "cli/task_options.hpp"

namespace shoal::cli {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr int kFailuresCountedMax = 101;
// What goes wrong on our side while tasks run; a status that no number of failures reaches.
constexpr int kExitBroken = 255;
constexpr std::size_t kFailuresShown = 10;
constexpr int kCancelsInFlight = 32;

struct MapOptions {
  TaskOptions task;
  std::string file;
  bool zero = false;
  bool keep_order = false;
  std::string results;
  std::string joblog;
  bool bar = false;
  std::string halt;
  bool cancel_on_interrupt = false;
};

// One run of the command: what came in, what is known of the job, where output goes.
struct MapRun {
  explicit MapRun(Program& p, bool bar_wanted) : program(p), bar(p.error_style(), bar_wanted) {}

  Program& program;
  ProgressBar bar;
  HaltPolicy halt;
  TaskSpec spec;
  std::uint32_t total = 0;
  std::optional<Submitted> created;
  std::optional<ResultsFolder> results;
  File joblog;
  std::unique_ptr<Collector> collector;
  NodeNames names;
  std::map<NodeId, std::uint32_t> by_node;
  std::vector<bool> begun;  // By index: claimed or ended.
  Progress progress;
  std::uint32_t cancelled = 0;
  std::vector<std::string> failures;  // The first ones, as sentences.
  SteadyClock::time_point started = SteadyClock::now();
  bool halted = false;
  bool watched = false;  // The watch is over.
  std::optional<Error> error;
};

Result<std::vector<std::string>> inputs_of(const MapOptions& options, MapWords& words) {
  std::vector<std::vector<std::string>> lists;
  const bool from_file = !options.file.empty() && options.file != "-";
  if (from_file) {
    std::ifstream file(options.file, std::ios::binary);
    if (!file) {
      return fail(ErrorCode::bad_input, format("-a {}: the file cannot be read", options.file));
    }
    lists.push_back(read_values(file, options.zero));
  } else if (options.file == "-" || words.lists.empty()) {
    std::ios::sync_with_stdio(false);
    lists.push_back(read_values(std::cin, options.zero));
  }
  for (auto& list : words.lists) lists.push_back(std::move(list));
  if (lists.size() > 1) {
    if (const std::string one = numbered_placeholder(words.command); !one.empty()) {
      return fail(ErrorCode::bad_input,
                  format("{} is not known here: {{}} stands for the values of all lists, joined by "
                         "spaces",
                         one));
    }
  }
  return combine(lists);
}

Result<Submission> submission_for(const MapOptions& options, const GlobalOptions& globals) {
  MapWords words = split_words(globals.command);
  if (words.command.empty() && options.task.shell_text.empty()) {
    return fail(ErrorCode::bad_input,
                "no command was given; write it first, as in: shoal map gzip -9 {} ::: *.log");
  }
  auto inputs = inputs_of(options, words);
  if (!inputs) return std::unexpected(inputs.error());
  if (!has_placeholder(words.command)) words.command.push_back("{}");
  auto submission = submission_of(options.task, std::move(words.command));
  if (!submission) return submission;
  submission->array = true;
  submission->spec.substitute = true;
  submission->arguments = std::move(*inputs);
  return submission;
}

Result<void> open_files(MapRun& run, const MapOptions& options) {
  if (!options.results.empty()) {
    auto folder = ResultsFolder::create(options.results);
    if (!folder) return std::unexpected(folder.error());
    run.results = std::move(*folder);
  }
  if (!options.joblog.empty()) {
    auto file = create_file(options.joblog);
    if (!file) return std::unexpected(file.error());
    run.joblog = std::move(*file);
    std::fputs(kJoblogHeader.data(), run.joblog.get());
  }
  return {};
}

std::string failure_text(const MapRun& run, const TaskUpdate& update) {
  const TaskStatus& task = update.status;
  std::string line =
      format("  {}[{}]  {}", run.progress.id, task.index,
             task.result ? end_text(*task.result) : std::string(word_of(task.state).word));
  if (task.node) line += "  " + name_of(run.names, task.node);
  std::string said;
  if (update.tails) said = last_line((*update.tails)[1]);
  return line + "  " + (said.empty() ? printable(task.argument) : said);
}

void on_task_ended(MapRun& run, const TaskUpdate& update) {
  const TaskStatus& task = update.status;
  if (task.state == TaskState::succeeded) {
    ++run.progress.good;
  } else if (task.state == TaskState::cancelled) {
    ++run.cancelled;
  } else {
    ++run.progress.failed;
    if (run.failures.size() < kFailuresShown) run.failures.push_back(failure_text(run, update));
  }
  if (task.node && task.result) ++run.by_node[task.node];
  const std::string host = task.node ? name_of(run.names, task.node) : "-";
  if (run.joblog) {
    const auto words = with_argument(run.spec.argv, task.argument, task.index);
    const std::string row = joblog_row(task, host, command_text(words));
    std::fwrite(row.data(), 1, row.size(), run.joblog.get());
  }
  if (run.results) {
    const Result<void> added = run.results->add_line(task, exit_code_of(task), host);
    if (!added && !run.error) run.error = added.error();
  }
  run.collector->on_ended(update);
}

asio::awaitable<void> cancel_rest(MapRun& run, std::shared_ptr<std::uint32_t> next) {
  while (*next > 0 && !run.watched) {
    const std::uint32_t index = --*next;
    if (run.begun[index]) continue;
    const std::optional<std::uint32_t> which = index;
    co_await run.program.client().cancel(run.created->id, which);
  }
}

asio::awaitable<void> cancel_all(MapRun& run) {
  const auto done = co_await run.program.client().cancel(run.created->id);
  if (!done) run.program.failed(done.error());
}

void halt(MapRun& run) {
  run.halted = true;
  run.bar.clear();
  run.program.note(format("shoal: {} tasks failed: {}", run.progress.failed,
                          run.halt.now ? "ending all" : "no further task begins"));
  if (run.halt.now) {
    run.program.spawn(cancel_all(run));
    return;
  }
  // From the end, for the next ones to begin are those at the front.
  const auto next = std::make_shared<std::uint32_t>(run.total);
  for (int i = 0; i < kCancelsInFlight; ++i) run.program.spawn(cancel_rest(run, next));
}

bool on_updates(MapRun& run, const std::vector<TaskUpdate>& updates, const JobStatus* job) {
  bool printed = false;
  for (const TaskUpdate& update : updates) {
    if (update.status.index >= run.total) continue;
    if (update.status.state != TaskState::ready) run.begun[update.status.index] = true;
    if (!terminal(update.status.state)) continue;
    if (!printed && !run.results) run.bar.clear();
    printed = true;
    on_task_ended(run, update);
  }
  if (printed && !run.results) std::fflush(stdout);
  if (job != nullptr) run.progress.running = job->counts.claimed;
  const auto elapsed = SteadyClock::now() - run.started;
  run.progress.elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(elapsed);
  run.bar.update(run.progress);
  if (!run.error && run.collector->error()) run.error = run.collector->error();
  if (!run.halted && run.halt.reached(run.progress.failed, run.total)) halt(run);
  return !run.error;
}

asio::awaitable<void> watch(MapRun& run) {
  const Client::OnUpdate on_update = [&run](const std::vector<TaskUpdate>& updates,
                                            const JobStatus* job) {
    return on_updates(run, updates, job);
  };
  const WatchOptions options{.tasks = true, .with_output = true};
  const auto ended = co_await run.program.client().watch(run.created->id, options, on_update);
  if (!ended && !run.error) run.error = ended.error();
  run.watched = true;
}

void on_created(MapRun& run, const MapOptions& options, const Submitted& made) {
  if (run.created) return;
  run.created = made;
  run.progress.id = short_text(made.id);
  run.collector = std::make_unique<Collector>(
      run.program, made.id,
      Collector::Options{.results = run.results ? &*run.results : nullptr,
                         .keep_order = options.keep_order,
                         .stream_bytes_max = run.spec.output_bytes_max});
  run.program.on_interrupt([&run, &options] {
    run.bar.clear();
    const std::string id = run.progress.id;
    if (options.cancel_on_interrupt) {
      run.program.note(format("shoal: ending {}", id));
      run.program.spawn(cancel_all(run));  // The watch then tells the end.
      return;
    }
    run.program.note(
        format("shoal: {} goes on; wait for it: shoal wait {}   end it: shoal cancel "
               "{}",
               id, id, id));
    run.program.finish(kExitInterrupted);
  });
  run.program.spawn(watch(run));
}

void print_summary(MapRun& run) {
  run.bar.clear();
  const auto elapsed = SteadyClock::now() - run.started;
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(elapsed);
  if (run.program.json()) {
    Json by_node = Json::object();
    for (const auto& [node, count] : run.by_node) by_node[name_of(run.names, node)] = count;
    const Json json{{"schema", "shoal.map/1"},
                    {"id", to_string(run.created->id)},
                    {"tasks", run.total},
                    {"ok", run.progress.good},
                    {"failed", run.progress.failed},
                    {"cancelled", run.cancelled},
                    {"output_lost", run.collector->lost()},
                    {"took_ms", took.count()},
                    {"by_node", by_node}};
    // Standard output belongs to the tasks unless their output goes to files.
    if (run.results) {
      run.program.out_json(json);
    } else {
      std::fprintf(stderr, "%s\n", text_of(json).c_str());
    }
    return;
  }
  std::string line =
      format("{} tasks: {} ok, {} failed", run.total, run.progress.good, run.progress.failed);
  if (run.cancelled > 0) line += format(", {} cancelled", run.cancelled);
  run.program.note(format("{} in {} on {} node{}", line, duration_text(took), run.by_node.size(),
                          run.by_node.size() == 1 ? "" : "s"));
  for (const std::string& failure : run.failures) run.program.note(failure);
  if (run.progress.failed > run.failures.size()) {
    run.program.note(format("  and {} more: shoal show --tasks {}",
                            run.progress.failed - run.failures.size(), run.progress.id));
  }
}

int exit_code_of(const MapRun& run) {
  const std::uint32_t failed = run.progress.failed + run.collector->lost();
  if (failed == 0 && run.cancelled > 0) return kExitFailed;
  return static_cast<int>(std::min<std::uint32_t>(failed, kFailuresCountedMax));
}

asio::awaitable<int> map(Program& program, std::shared_ptr<const MapOptions> options) {
  const auto policy = parse_halt(options->halt);
  if (!policy) co_return program.failed(policy.error());
  auto submission = submission_for(*options, program.options());
  if (!submission) co_return program.failed(submission.error());
  if (submission->arguments.empty()) {
    program.note("shoal: no inputs, so no tasks");
    co_return kExitGood;
  }
  MapRun run(program, options->bar);
  run.halt = *policy;
  run.spec = submission->spec;
  run.total = static_cast<std::uint32_t>(submission->arguments.size());
  run.progress.total = run.total;
  run.begun.resize(run.total);
  const Result<void> opened = open_files(run, *options);
  if (!opened) co_return program.failed(opened.error());
  run.names = co_await program.node_names();
  run.started = SteadyClock::now();
  submission->on_created = [&run, &options](const Submitted& made) {
    on_created(run, *options, made);
  };
  const auto submitted = co_await program.client().submit(std::move(*submission));
  constexpr std::chrono::milliseconds kStep{5};
  if (!submitted && !run.halted) {
    run.bar.clear();
    const int code = program.failed(submitted.error());
    if (!run.created) co_return code;
    program.note(
        format("go on with it: the same command with --continue {}", resume_text(*run.created)));
    program.finish(kExitBroken);  // The watch would wait for tasks that nobody hands in.
    while (true) co_await program.sleep(kStep);
  }
  while (!run.watched) co_await program.sleep(kStep);
  co_await run.collector->finish();
  if (run.results) {
    const Result<void> flushed = run.results->flush();
    if (!flushed && !run.error) run.error = flushed.error();
  }
  if (run.joblog && std::fflush(run.joblog.get()) != 0 && !run.error) {
    run.error = Error{ErrorCode::io, "the job log could not be written"};
  }
  if (!run.error && run.collector->error()) run.error = run.collector->error();
  print_summary(run);
  if (run.error) {
    program.failed(*run.error);
    co_return kExitBroken;
  }
  co_return exit_code_of(run);
}

void add_map_options(CLI::App& command, MapOptions& options) {
  command.add_option("-a,--arg-file", options.file, "Inputs from a file, one a line; - is stdin");
  command.add_flag("-0,--null", options.zero, "Inputs end in a zero byte, not at the line's end");
  command.add_flag("-k,--keep-order", options.keep_order, "Print in the order of the inputs");
  command.add_option("--results", options.results,
                     "Output to files, nothing printed: DIR/INDEX.out, DIR/INDEX.err (INDEX counts "
                     "from 0) and DIR/index.tsv: index, exit status, state, node, argument");
  command.add_option("--joblog", options.joblog, "A line for each ended task, as GNU parallel's");
  command.add_flag("--bar", options.bar, "Progress, rate and time left; only on a terminal");
  command.add_option("--halt", options.halt,
                     "never, now,fail=N or soon,fail=N; N% is a share of all inputs. now: running "
                     "tasks are ended too");
  command.add_flag("--cancel-on-interrupt", options.cancel_on_interrupt,
                   "Ctrl-C ends the tasks; without it they go on");
}

}  // namespace

void add_map(CLI::App& app, GlobalOptions& globals) {
  auto options = std::make_shared<MapOptions>();
  auto* command =
      app.add_subcommand("map", "One task for each input: shoal map [OPTIONS] CMD {} ::: INPUT...");
  add_task_options(*command, options->task);
  add_map_options(*command, *options);
  command->footer(
      "Inputs: ::: VALUE... (several lists: every combination), -a FILE, else standard input.\n"
      "In CMD: {} input, {.} without extension, {/} base name, {//} folder, {/.} base name "
      "without\n"
      "extension, {#} number from 1. Without any of them {} is added. No value passes a shell.\n"
      "Exit status: the number of failed tasks, at most 101; 255 when shoal itself failed.");
  command->callback([options, &globals] {
    run_client(globals, [options](Program& program) { return map(program, options); });
  });
}

}  // namespace shoal::cli
