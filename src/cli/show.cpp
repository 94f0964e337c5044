// `shoal show`: everything about one job or task.
#include <algorithm>
#include <memory>

#include "base/format.hpp"
#include "base/units.hpp"
#include "cli/consistency.hpp"
#include "cli/program.hpp"

namespace shoal::cli {
namespace {

struct ShowOptions {
  std::string selector;
  bool tasks = false;
  bool spec = false;
  Consistency consistency = Consistency::strong;
};

// What `show` prints, gathered.
struct View {
  JobDetails job;
  TaskListing listing;
  NodeNames names;
  Consistency consistency = Consistency::strong;
};

std::string needs_text(const TaskSpec& spec) {
  std::string text = format("{} cpu", static_cast<double>(spec.cpu_millis) / 1000);
  if (spec.memory_bytes > 0) text += ", " + size_text(spec.memory_bytes);
  if (spec.timeout.count() > 0) text += ", at most " + duration_text(spec.timeout);
  if (spec.retries > 0) text += format(", {} retries", spec.retries);
  if (spec.at_most_once) text += ", at most once";
  if (spec.priority != 0) text += format(", priority {}", spec.priority);
  return text;
}

std::string took_text(const AttemptResult& result) {
  return duration_text(std::max(result.ended - result.started, std::chrono::milliseconds(0)));
}

void print_head(Program& program, const View& view) {
  const JobStatus& job = view.job.status;
  const Style& style = program.out_style();
  program.out(format("{}  {}  {}\n", shown_id(style, job.id), printable(job.name),
                     state_text(style, word_of(job))));
  program.out(format("command   {}\n", printable(command_text(job.spec.argv))));
  std::string home;
  for (const NodeId node : view.job.home) {
    if (node != view.job.owner) home += " " + name_of(view.names, node);
  }
  program.out(format("owner     {}{}{}\n", name_of(view.names, view.job.owner),
                     home.empty() ? "" : "   replicas", home));
  program.out(format("created   {}{}\n", rfc3339(job.created),
                     job.state == JobState::finished ? "   ended " + rfc3339(job.ended) : ""));
  program.out(format("needs     {}\n", needs_text(job.spec)));
  const TaskCounts& counts = job.counts;
  program.out(format("tasks     {}: {} done, {} failed, {} running, {} pending", job.count,
                     counts.succeeded, counts.failed, counts.claimed, counts.ready));
  if (counts.cancelled > 0) program.out(format(", {} cancelled", counts.cancelled));
  if (counts.lost > 0) program.out(format(", {} lost", counts.lost));
  program.out("\n");
}

void print_spec(Program& program, const TaskSpec& spec) {
  if (!spec.working_folder.empty()) {
    program.out(format("folder    {}\n", printable(spec.working_folder)));
  }
  if (!spec.stdin_file.empty()) program.out(format("stdin     {}\n", printable(spec.stdin_file)));
  for (const EnvironmentVariable& one : spec.environment) {
    program.out(format("variable  {}={}\n", printable(one.name), printable(one.value)));
  }
  program.out(format("output    at most {} per stream\n", size_text(spec.output_bytes_max)));
}

void print_tasks(Program& program, const View& view) {
  using enum Table::Align;
  Table table({{"INDEX", right},
               {"STATE", left},
               {"ATT", right},
               {"NODE", left},
               {"TOOK", right},
               {"END", left},
               {"ARGUMENT", left}});
  for (const TaskStatus& task : view.listing.tasks) {
    std::string state = state_text(program.out_style(), word_of(task.state));
    if (task.recovered) state += paint(program.out_style(), Tone::busy, " recovered");
    table.add({format("{}", task.index), std::move(state), format("{}", task.attempt),
               task.node ? name_of(view.names, task.node) : "-",
               task.result ? took_text(*task.result) : "-",
               task.result ? end_text(*task.result) : "-", printable(task.argument)});
  }
  program.out(table.text(program.out_style()));
  if (std::ranges::any_of(view.listing.tasks, &TaskStatus::recovered)) {
    program.note(
        "recovered: from a copy that an operator adopted when the others were lost; what only "
        "those "
        "knew is missing");
  }
}

void print_json(Program& program, const View& view) {
  Json json = json_of(view.job.status);
  json["owner"] = name_of(view.names, view.job.owner);
  json["home"] = Json::array();
  for (const NodeId node : view.job.home) json["home"].push_back(name_of(view.names, node));
  json["consistency"] = to_string(view.consistency);
  json["complete"] = view.listing.missing.empty();
  json["missing"] = json_of(view.listing.missing);
  json["task_list"] = Json::array();
  for (const TaskStatus& task : view.listing.tasks) {
    json["task_list"].push_back(json_of(task, view.names));
  }
  program.out_json(json);
}

// The tasks that were asked for, when any were.
asio::awaitable<Result<void>> add_tasks(Program& program, const ShowOptions& options,
                                        std::optional<std::uint32_t> index, View& view) {
  const JobStatus& job = view.job.status;
  if (view.job.single) {
    view.listing.tasks.push_back(*view.job.single);
  } else if (options.tasks || index) {
    auto listing = co_await program.client().tasks(job.id, ~0U, options.consistency);
    if (!listing) co_return std::unexpected(listing.error());
    view.listing = std::move(*listing);
  }
  if (!index) co_return Result<void>{};
  std::erase_if(view.listing.tasks, [&](const TaskStatus& task) { return task.index != *index; });
  std::erase_if(view.listing.missing, [&](const ShardGap& gap) {
    return std::ranges::none_of(gap.tasks, [&](const TaskRange& range) {
      return range.first <= *index && *index <= range.last;
    });
  });
  if (!view.listing.tasks.empty()) {
    view.listing.missing.clear();
  } else if (!view.listing.missing.empty()) {
    co_return fail(ErrorCode::unavailable,
                   format("shard {}, which holds task {} of {}, did not answer; see: shoal shard "
                          "show {}[{}]",
                          static_cast<std::uint32_t>(view.listing.missing.front().shard), *index,
                          short_text(job.id), short_text(job.id), *index));
  } else {
    co_return fail(ErrorCode::not_found, format("job {} has no task {}; it has {}, counted from 0",
                                                short_text(job.id), *index, job.count));
  }
  co_return Result<void>{};
}

asio::awaitable<int> show(Program& program, std::shared_ptr<const ShowOptions> options) {
  const auto selector = parse_selector(options->selector);
  if (!selector) co_return program.failed(selector.error());
  const auto id = co_await program.client().resolve(selector->job);
  if (!id) co_return program.failed(id.error());
  auto job = co_await program.client().job(*id, options->consistency);
  if (!job) co_return program.failed(job.error());
  View view{.job = std::move(*job), .consistency = options->consistency};
  view.names = co_await program.node_names();
  const auto added = co_await add_tasks(program, *options, selector->index, view);
  if (!added) co_return program.failed(added.error());
  if (program.json()) {
    print_json(program, view);
  } else {
    print_head(program, view);
    if (options->spec) print_spec(program, view.job.status.spec);
    if (!view.listing.tasks.empty()) print_tasks(program, view);
  }
  note_consistency(program, view.consistency);
  if (view.listing.missing.empty()) co_return kExitGood;
  program.note(gap_text(view.listing.missing));
  co_return program.partial();
}

}  // namespace

void add_show(CLI::App& app, GlobalOptions& globals) {
  auto options = std::make_shared<ShowOptions>();
  auto* command = app.add_subcommand("show", "Everything about one job or task");
  command->alias("status");
  command->add_option("job", options->selector, "JOB or JOB[INDEX]: an id's start, a name, @last")
      ->required();
  command->add_flag("--tasks", options->tasks, "All tasks of an array");
  command->add_flag("--spec", options->spec, "Folder, variables and limits too");
  add_consistency(*command, options->consistency);
  command->footer(
      "A partial list of tasks names the shards that did not answer and the tasks that may be\n"
      "missing; its exit status is 0, with --strict 4.");
  command->callback([options, &globals] {
    run_client(globals, [options](Program& program) { return show(program, options); });
  });
}

}  // namespace shoal::cli
