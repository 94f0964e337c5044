// `shoal submit`: hands in a task or an array, prints its id and returns.
#include <memory>

#include "base/format.hpp"
#include "cli/outcome.hpp"
#include "cli/program.hpp"
#include "cli/task_options.hpp"

namespace shoal::cli {
namespace {

struct SubmitOptions {
  TaskOptions task;
  std::string array;
  bool wait = false;
};

void print(Program& program, const Submitted& submitted, const std::string& name) {
  if (program.json()) {
    program.out_json({{"schema", "shoal.submitted/1"},
                      {"id", to_string(submitted.id)},
                      {"name", name},
                      {"copies", submitted.copies}});
    return;
  }
  const Style& style = program.out_style();
  if (program.options().quiet || !style.terminal) {
    program.out(to_string(submitted.id) + "\n");
    return;
  }
  const std::string id = short_text(submitted.id);
  program.out(format("{} {}\n", id, printable(name)));
  program.note(
      format("  follow   shoal logs -f {}       wait   shoal wait {}       "
             "cancel   shoal cancel {}",
             id, id, id));
}

asio::awaitable<int> submit(Program& program, std::shared_ptr<const SubmitOptions> options) {
  auto submission = submission_of(options->task, program.options().command);
  if (!submission) co_return program.failed(submission.error());
  if (!options->array.empty()) {
    auto elements = array_elements(options->array);
    if (!elements) co_return program.failed(elements.error());
    submission->array = true;
    submission->spec.substitute = true;
    submission->arguments = std::move(*elements);
  }
  const std::string name = submission->name;
  std::optional<Submitted> created;
  submission->on_created = [&created](const Submitted& made) { created = made; };
  const auto submitted = co_await program.client().submit(std::move(*submission));
  if (!submitted) {
    const int code = program.failed(submitted.error());
    if (created) {
      program.note(
          format("go on with it: the same command with --continue {}", resume_text(*created)));
    }
    co_return code;
  }
  print(program, *submitted, name);
  std::fflush(stdout);
  if (!options->wait) co_return kExitGood;
  const WatchOptions quietly{.tasks = false};
  const auto ended = co_await program.client().watch(submitted->id, quietly, {});
  if (!ended) co_return program.failed(ended.error());
  co_return exit_code_of(*ended);
}

}  // namespace

void add_submit(CLI::App& app, GlobalOptions& globals) {
  auto options = std::make_shared<SubmitOptions>();
  auto* command = app.add_subcommand(
      "submit", "Hand in a task, print its id, return: shoal submit [OPTIONS] -- CMD");
  add_task_options(*command, options->task);
  command->add_option("--array", options->array,
                      "One task for each number of FIRST-LAST[:STEP]; {} stands for the number");
  command->add_flag("--wait", options->wait, "Wait for the end; exit status 1 if a task failed");
  command->callback([options, &globals] {
    run_client(globals, [options](Program& program) { return submit(program, options); });
  });
}

}  // namespace shoal::cli
