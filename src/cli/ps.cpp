// `shoal ps`: the newest jobs, from all members.
#include <chrono>
#include <memory>

#include "base/format.hpp"
#include "base/units.hpp"
#include "cli/consistency.hpp"
#include "cli/program.hpp"

namespace shoal::cli {
namespace {

struct PsOptions {
  std::uint32_t limit = 50;
  std::vector<std::string> states;
  std::string name;
  Consistency consistency = Consistency::strong;
};

WallTime wall_now() {
  return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

Result<std::uint32_t> state_bits(const std::vector<std::string>& words) {
  if (words.empty()) return ~0U;
  std::uint32_t bits = 0;
  for (const std::string& word : words) {
    bool known = false;
    for (const JobState state : {JobState::open, JobState::closed, JobState::finished}) {
      if (to_string(state) != word) continue;
      bits |= 1U << static_cast<unsigned>(state);
      known = true;
    }
    if (!known) {
      return fail(ErrorCode::bad_input,
                  format("--state \"{}\": give open, closed or finished", word));
    }
  }
  return bits;
}

// How long the job took, or has taken.
std::string time_text(const JobStatus& job, WallTime now) {
  const WallTime end = job.state == JobState::finished ? job.ended : now;
  return age_text(end - job.created);
}

Table table_of(const Program& program, const JobListing& listing) {
  using enum Table::Align;
  std::vector<Table::Column> columns{{"ID", left},    {"NAME", left}, {"STATE", left},
                                     {"TASKS", left}, {"AGE", right}, {"TIME", right}};
  if (program.wide()) columns.insert(columns.end() - 2, {"CREATED", left});
  columns.push_back({"COMMAND", left});
  Table table(columns);
  const WallTime now = wall_now();
  for (const JobStatus& job : listing.jobs) {
    const std::string id =
        program.wide() ? to_string(job.id) : shown_id(program.out_style(), job.id);
    std::vector<std::string> row{id,
                                 printable(job.name),
                                 state_text(program.out_style(), word_of(job)),
                                 count_text(job.counts, job.count),
                                 age_text(now - job.created),
                                 time_text(job, now)};
    if (program.wide()) row.insert(row.end() - 2, rfc3339(job.created));
    row.push_back(printable(command_text(job.spec.argv)));
    table.add(std::move(row));
  }
  return table;
}

void print(Program& program, const JobListing& listing, Consistency consistency) {
  if (program.jsonl()) {
    for (const JobStatus& job : listing.jobs) program.out_json(json_of(job));
  } else if (program.json()) {
    Json json = json_of(listing);
    json["consistency"] = to_string(consistency);
    program.out_json(json);
  } else if (program.options().quiet) {
    for (const JobStatus& job : listing.jobs) program.out(to_string(job.id) + "\n");
  } else if (listing.jobs.empty()) {
    program.note("no jobs yet; submit one with: shoal run -- hostname");
  } else {
    program.out(table_of(program, listing).text(program.out_style()));
  }
  note_consistency(program, consistency);
  if (!listing.unconfirmed.empty()) {
    program.note(
        format("note: {} of these jobs stand as an owner remembers them: no majority of "
               "their homes confirmed it in time. See: shoal shard ls",
               listing.unconfirmed.size()));
  }
  if (listing.missing.empty()) return;
  std::string names;
  for (const std::string& name : listing.missing) names += (names.empty() ? "" : ", ") + name;
  program.note(format("note: {} did not answer in time; rows may be missing", names));
}

asio::awaitable<int> ps(Program& program, std::shared_ptr<const PsOptions> options) {
  const auto states = state_bits(options->states);
  if (!states) co_return program.failed(states.error());
  JobFilter filter{.limit = options->limit, .states = *states};
  filter.name = options->name;
  filter.consistency = options->consistency;
  const auto listing = co_await program.client().list(std::move(filter));
  if (!listing) co_return program.failed(listing.error());
  print(program, *listing, options->consistency);
  const bool whole = listing->missing.empty() && listing->unconfirmed.empty();
  co_return whole ? kExitGood : program.partial();
}

}  // namespace

void add_ps(CLI::App& app, GlobalOptions& globals) {
  auto options = std::make_shared<PsOptions>();
  auto* command = app.add_subcommand("ps", "List jobs, newest first");
  command->alias("ls");
  command->add_option("-n,--limit", options->limit, "At most this many")->default_str("50");
  command->add_option("--state", options->states, "Only jobs that are open, closed or finished")
      ->delimiter(',');
  command->add_option("--name", options->name, "Only jobs of this name");
  add_consistency(*command, options->consistency);
  command->footer(
      "A partial list names the members that did not answer; its exit status is 0, with --strict "
      "4.");
  command->callback([options, &globals] {
    run_client(globals, [options](Program& program) { return ps(program, options); });
  });
}

}  // namespace shoal::cli
