// `shoal shard recover`: a shard whose majority is lost for good goes on with a surviving copy.
// Never done without an operator's word, because it gives up what only the lost copies knew.
#include <algorithm>
#include <memory>
#include <set>

#include "base/format.hpp"
#include "cli/program.hpp"
#include "cli/shards.hpp"

namespace shoal::cli {
namespace {

constexpr std::size_t kPlansShown = 10;
constexpr std::size_t kRecoveriesAtOnce = 16;

struct RecoverOptions {
  std::vector<std::string> shards;
  std::vector<std::string> lost;
  bool all_stuck = false;
  bool yes = false;
};

struct Recovery {
  RecoveryPlan plan;
  std::optional<Error> error;  // Set when it was tried or could not be.
};

struct Work {
  std::vector<NodeId> lost;
  std::vector<Recovery> shards;
  std::size_t next = 0;
  std::size_t workers = 0;
};

// Those that no member list names any more are known by their ids in the homes.
Result<NodeId> find_lost(const Roster& roster, const RingView& ring, const std::string& text) {
  const auto member = roster.find(text, Roster::Wanted::gone);
  if (member && present(*member)) {
    const std::string_view wait = member->state == "suspect"
                                      ? "Wait until the others are sure that it is dead"
                                      : "Recovery gives up what the lost copies knew, so it is for "
                                        "nodes that never come back";
    return fail(
        ErrorCode::conflict,
        format("{} is {}, not lost. {}", roster.full_name(member->node), state_of(*member), wait));
  }
  if (member) return member->node;
  if (member.error().code != ErrorCode::not_found) return std::unexpected(member.error());
  std::set<NodeId> found;
  for (const ShardView& shard : ring.shards) {
    for (const NodeId node : shard.home) {
      if (!text.empty() && to_string(node).starts_with(text)) found.insert(node);
    }
  }
  if (found.size() == 1) return *found.begin();
  if (found.size() > 1) {
    return fail(ErrorCode::conflict, format("{} fits several ids; give more of it", text));
  }
  return std::unexpected(member.error());
}

asio::awaitable<Result<std::vector<ShardView>>> chosen(Program& program,
                                                       const RecoverOptions& options,
                                                       const RingView& ring,
                                                       const std::vector<NodeId>& lost) {
  std::vector<ShardView> shards;
  if (options.all_stuck) {
    for (const ShardView& shard : ring.shards) {
      const bool touched = std::ranges::any_of(
          shard.home, [&](NodeId node) { return std::ranges::find(lost, node) != lost.end(); });
      if (touched) shards.push_back(shard);
    }
    co_return shards;
  }
  std::set<ShardId> wanted;
  for (const std::string& text : options.shards) {
    const auto shard = co_await resolve_shard(program, ring.shard_count, text);
    if (!shard) co_return std::unexpected(shard.error());
    wanted.insert(*shard);
  }
  for (const ShardView& shard : ring.shards) {
    if (wanted.contains(shard.shard)) shards.push_back(shard);
  }
  co_return shards;
}

void explain(Program& program, const Work& work, const Roster& roster) {
  std::size_t possible = 0;
  for (const Recovery& one : work.shards) possible += one.error ? 0 : 1;
  program.note(format("given up for good: {}", roster.names(work.lost)));
  program.note(format("{} shards go on with the copy of a surviving home:", possible));
  std::size_t shown = 0;
  for (const Recovery& one : work.shards) {
    if (one.error || ++shown > kPlansShown) continue;
    program.note(format("  shard {}  from {}  {} records", number_of(one.plan.shard),
                        roster.full_name(*one.plan.from), one.plan.records));
  }
  if (shown > kPlansShown) program.note(format("  and {} more", shown - kPlansShown));
  program.note(
      "What only the lost copies knew is given up: jobs that were accepted may be missing, and\n"
      "tasks may show an older state and run again. Every task of these shards is marked\n"
      "`recovered`. The lost nodes are never listened to again: one that comes back must start "
      "with\n"
      "a new identity.");
}

asio::awaitable<void> recover_one(Program& program, const Work& work, Recovery& one) {
  const auto done = co_await program.client().recover(*one.plan.from, one.plan.shard, work.lost);
  if (done) co_return;
  // It may have been done all the same: the answer was lost, or came too late.
  const auto copy =
      co_await program.client().shard_copy(*one.plan.from, one.plan.shard, kSurveyMax);
  if (!copy || !recovered(*copy, work.lost)) one.error = done.error();
}

Json json_of(const Recovery& one, const Roster& roster) {
  return {{"shard", number_of(one.plan.shard)},
          {"from", one.plan.from ? Json(roster.name(*one.plan.from)) : Json(nullptr)},
          {"records", one.plan.records},
          {"recovered", !one.error},
          {"error", one.error ? Json(one.error->message) : Json(nullptr)}};
}

void report(Program& program, const Recovery& one, const Roster& roster) {
  const std::uint32_t shard = number_of(one.plan.shard);
  if (program.jsonl()) {
    program.out_json(json_of(one, roster));
  } else if (program.json()) {
    return;  // All at once, at the end.
  } else if (one.error) {
    program.note(format("shard {} is not recovered: {}", shard, one.error->message));
  } else if (program.options().quiet) {
    program.out(format("{}\n", shard));
  } else {
    program.out(format("shard {} recovered from {}, {} records\n", shard,
                       roster.full_name(*one.plan.from), one.plan.records));
  }
}

asio::awaitable<void> worker(Program& program, std::shared_ptr<Work> work, const Roster& roster) {
  while (work->next < work->shards.size()) {
    Recovery& one = work->shards[work->next++];
    if (!one.error) co_await recover_one(program, *work, one);
    report(program, one, roster);
  }
  --work->workers;
}

int finish(Program& program, const Work& work, const Roster& roster) {
  Json shards = Json::array();
  Json lost = Json::array();
  std::size_t bad = 0;
  int code = kExitGood;
  for (const Recovery& one : work.shards) {
    shards.push_back(json_of(one, roster));
    if (!one.error) continue;
    ++bad;
    code = exit_code_of(one.error->code);
  }
  for (const NodeId node : work.lost) lost.push_back(to_string(node));
  if (program.json() && !program.jsonl()) {
    program.out_json({{"schema", "shoal.recovered/1"}, {"lost", lost}, {"shards", shards}});
  }
  if (!program.json()) {
    program.note(format("{} of {} shards recovered{}", work.shards.size() - bad, work.shards.size(),
                        bad > 0 ? ": look again with shoal shard ls" : ""));
  }
  return code;
}

// What can be done, and errors for what cannot.
std::vector<Recovery> plans(const std::vector<ShardReport>& reports,
                            const std::vector<NodeId>& lost, const Roster& roster, bool all_stuck) {
  std::vector<Recovery> recoveries;
  for (const ShardReport& report : reports) {
    Recovery one{.plan = plan_recovery(report, lost, roster)};
    if (all_stuck && !one.plan.needed) continue;
    if (!one.plan.why_not.empty()) {
      const ErrorCode code = one.plan.needed ? ErrorCode::unavailable : ErrorCode::conflict;
      one.error = Error{code, one.plan.why_not};
    }
    recoveries.push_back(std::move(one));
  }
  return recoveries;
}

asio::awaitable<Result<void>> agree(Program& program, const RecoverOptions& options,
                                    const Work& work, const Roster& roster) {
  const auto possible =
      std::ranges::count_if(work.shards, [](const Recovery& one) { return !one.error; });
  if (possible == 0) co_return Result<void>{};
  if (!program.json()) explain(program, work, roster);
  if (options.yes) co_return Result<void>{};
  co_return co_await program.confirm(
      format("recover {} shards without {}", possible, roster.names(work.lost)));
}

asio::awaitable<int> recover(Program& program, std::shared_ptr<const RecoverOptions> options) {
  constexpr std::chrono::milliseconds kStep{10};
  if (options->all_stuck != options->shards.empty()) {
    co_return program.failed(
        {ErrorCode::bad_input, "name the shards, or give --all-stuck for all that are concerned"});
  }
  auto view = co_await program.client().members(false);
  if (!view) co_return program.failed(view.error());
  const auto ring = co_await program.client().ring();
  if (!ring) co_return program.failed(ring.error());
  const Roster roster(std::move(*view));
  const auto work = std::make_shared<Work>();
  for (const std::string& text : options->lost) {
    const auto node = find_lost(roster, *ring, text);
    if (!node) co_return program.failed(node.error());
    if (std::ranges::find(work->lost, *node) == work->lost.end()) work->lost.push_back(*node);
  }
  auto shards = co_await chosen(program, *options, *ring, work->lost);
  if (!shards) co_return program.failed(shards.error());
  const auto reports = co_await survey(program, roster, std::move(*shards));
  work->shards = plans(reports, work->lost, roster, options->all_stuck);
  const auto agreed = co_await agree(program, *options, *work, roster);
  if (!agreed) co_return program.failed(agreed.error());
  work->workers = std::min(kRecoveriesAtOnce, work->shards.size());
  const std::size_t workers = work->workers;
  for (std::size_t i = 0; i < workers; ++i) program.spawn(worker(program, work, roster));
  while (work->workers > 0) co_await program.sleep(kStep);
  co_return finish(program, *work, roster);
}

}  // namespace

void add_shard_recover(CLI::App& shard, GlobalOptions& globals) {
  auto options = std::make_shared<RecoverOptions>();
  auto* command =
      shard.add_subcommand("recover", "Go on with a surviving copy when the others are lost");
  command->fallthrough();
  command->add_option("shard", options->shards, "Numbers of shards, JOB or JOB[INDEX]");
  command
      ->add_option("--lost", options->lost,
                   "The nodes that never come back: names, ids, parted "
                   "by commas or spaces")
      ->delimiter(',')
      ->required();
  command->add_flag("--all-stuck", options->all_stuck,
                    "All shards that have no majority without the lost nodes");
  command->add_flag("--yes", options->yes, "Do not ask");
  command->footer(
      "Only for shards whose majority never comes back, as after the loss of disks: whoever "
      "returns\n"
      "by itself loses nothing. The surviving home with the newest copy goes on alone. What only\n"
      "the lost copies knew is given up: jobs that were accepted may be missing, tasks may show "
      "an\n"
      "older state and run again; all tasks of the shard are marked `recovered`. The lost nodes "
      "are\n"
      "never listened to again, and return only under a new identity.\n"
      "Exit status: 0 when all were recovered; 4 where no copy answers, 6 where there is no need.");
  command->callback([options, &globals] {
    run_client(globals, [options](Program& program) { return recover(program, options); });
  });
}

}  // namespace shoal::cli
