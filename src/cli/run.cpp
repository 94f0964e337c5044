// `shoal run`: one command, its output as it comes, its exit status.
#include <cstdio>
#include <memory>

#include "base/format.hpp"
#include "cli/follow.hpp"
#include "cli/outcome.hpp"
#include "cli/program.hpp"
#include "cli/task_options.hpp"

namespace shoal::cli {
namespace {

struct RunOptions {
  TaskOptions task;
  bool detach = false;
  bool cancel_on_interrupt = false;
};

void write_through(int stream, std::string_view bytes) {
  std::FILE* file = stream == 0 ? stdout : stderr;
  std::fwrite(bytes.data(), 1, bytes.size(), file);
  std::fflush(file);
}

asio::awaitable<void> cancel_and_leave(Program& program, JobId job) {
  const auto done = co_await program.client().cancel(job);
  if (done) {
    program.note(format("shoal: {} is cancelled", short_text(job)));
  } else {
    program.failed(done.error());
  }
  program.finish(kExitInterrupted);
}

void on_interrupt(Program& program, const RunOptions& options, JobId job) {
  if (options.cancel_on_interrupt) {
    program.spawn(cancel_and_leave(program, job));
    return;
  }
  const std::string id = short_text(job);
  program.note(format("shoal: {} goes on; follow it: shoal logs -f {}   end it: shoal cancel {}",
                      id, id, id));
  program.finish(kExitInterrupted);
}

void print_result(JobId job, const TaskStatus& task, const NodeNames& names) {
  Json json{{"schema", "shoal.run/1"}, {"id", to_string(job)}};
  json["task"] = json_of(task, names);
  std::fprintf(stderr, "%s\n", text_of(json).c_str());
}

// The command's output stands on stdout, so that what is said of the task goes to stderr, as JSON
// too.
asio::awaitable<int> run(Program& program, std::shared_ptr<const RunOptions> options) {
  auto submission = submission_of(options->task, program.options().command);
  if (!submission) co_return program.failed(submission.error());
  const TaskSpec spec = submission->spec;
  const auto submitted = co_await program.client().submit(std::move(*submission));
  if (!submitted) {
    program.failed(submitted.error());
    co_return kExitNotStarted;
  }
  if (options->detach) {
    program.out(shown_id(program.out_style(), submitted->id) + "\n");
    co_return kExitGood;
  }
  const JobId job = submitted->id;
  program.on_interrupt([&program, options, job] { on_interrupt(program, *options, job); });
  const auto follower = std::make_shared<TaskFollower>(program, TaskId{job, 0}, write_through);
  const auto ended = co_await follower->follow();
  if (!ended) {
    program.failed(ended.error());
    program.note(format("shoal: the task may still run; ask again: shoal show {}", to_string(job)));
    co_return kExitUnreachable;
  }
  const int code = exit_code_of(*ended);
  if (code != kExitGood || program.json()) {
    const NodeNames names = co_await program.node_names();
    if (program.json()) {
      print_result(job, *ended, names);
    } else {
      program.note("shoal: " + failure_line(job, *ended, spec, names));
    }
  }
  co_return code;
}

}  // namespace

void add_run(CLI::App& app, GlobalOptions& globals) {
  auto options = std::make_shared<RunOptions>();
  auto* command = app.add_subcommand(
      "run",
      "Run one command, follow its output, exit with its status: shoal run [OPTIONS] -- CMD");
  add_task_options(*command, options->task);
  command->add_flag("--detach,-d", options->detach, "Print the id and return at once");
  command->add_flag("--cancel-on-interrupt", options->cancel_on_interrupt,
                    "Ctrl-C ends the task; without it the task goes on");
  command->footer(
      "Exit status: the command's own; 128+N after signal N; 127 not found; 126 not executable;\n"
      "125 shoal failed before the command began; 130 Ctrl-C.");
  command->callback([options, &globals] {
    run_client(globals, [options](Program& program) { return run(program, options); });
  });
}

}  // namespace shoal::cli
