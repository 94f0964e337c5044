// `shoal wait`: returns when the jobs have ended, either way.
#include <memory>

#include "base/format.hpp"
#include "base/units.hpp"
#include "cli/consistency.hpp"
#include "cli/outcome.hpp"
#include "cli/program.hpp"

namespace shoal::cli {
namespace {

struct WaitOptions {
  std::vector<std::string> jobs;
  std::string timeout;
};

constexpr std::size_t kFailuresShown = 10;

// Names the tasks that ended badly: a status alone leaves people searching.
asio::awaitable<void> tell_failures(Program& program, const JobStatus& job) {
  constexpr std::uint32_t kBadStates = 1U << static_cast<unsigned>(TaskState::failed) |
                                       1U << static_cast<unsigned>(TaskState::lost) |
                                       1U << static_cast<unsigned>(TaskState::expired);
  const auto listing = co_await program.client().tasks(job.id, kBadStates);
  if (!listing) co_return;
  const std::vector<TaskStatus>& tasks = listing->tasks;
  const NodeNames names = co_await program.node_names();
  for (std::size_t i = 0; i < tasks.size() && i < kFailuresShown; ++i) {
    const TaskStatus& task = tasks[i];
    program.note(
        format("  {}[{}]  {}  {}  {}", short_text(job.id), task.index,
               task.result ? end_text(*task.result) : std::string(word_of(task.state).word),
               task.node ? name_of(names, task.node) : "-", printable(task.argument)));
  }
  if (tasks.size() > kFailuresShown) {
    program.note(format("  and {} more: shoal show --tasks {}", tasks.size() - kFailuresShown,
                        short_text(job.id)));
  }
  if (!listing->missing.empty()) program.note(gap_text(listing->missing));
}

asio::awaitable<int> wait_for_all(Program& program, std::shared_ptr<const WaitOptions> options) {
  if (!options->timeout.empty()) {
    const auto limit = parse_duration(options->timeout);
    if (!limit) {
      co_return program.failed({ErrorCode::bad_input, "--timeout: " + limit.error().message});
    }
    program.limit(*limit,
                  format("shoal: not ended after {}; the job lives on", duration_text(*limit)));
  }
  std::vector<JobId> ids;
  for (const std::string& text : options->jobs) {
    const auto id = co_await program.client().resolve(text);
    if (!id) co_return program.failed(id.error());
    ids.push_back(*id);
  }
  int code = kExitGood;
  const shoal::WatchOptions quietly{.tasks = false};
  for (const JobId id : ids) {
    const auto ended = co_await program.client().watch(id, quietly, {});
    if (!ended) co_return program.failed(ended.error());
    if (program.json()) {
      program.out_json(json_of(*ended));
    } else {
      program.note(format("{}  {}  {}", shown_id(program.error_style(), id),
                          state_text(program.error_style(), word_of(*ended)),
                          count_text(ended->counts, ended->count)));
    }
    if (exit_code_of(*ended) == kExitGood) continue;
    code = kExitFailed;
    if (!program.json() && !program.options().quiet) co_await tell_failures(program, *ended);
  }
  co_return code;
}

}  // namespace

void add_wait(CLI::App& app, GlobalOptions& globals) {
  auto options = std::make_shared<WaitOptions>();
  auto* command = app.add_subcommand("wait", "Wait for jobs to end, well or badly");
  command->add_option("job", options->jobs, "Ids, starts of ids, names or @last")->required();
  command->add_option("--timeout", options->timeout, "Give up after this time with status 124");
  command->footer("Exit status: 0 only if every task of every job succeeded, else 1; 124 timeout.");
  command->callback([options, &globals] {
    run_client(globals, [options](Program& program) { return wait_for_all(program, options); });
  });
}

}  // namespace shoal::cli
