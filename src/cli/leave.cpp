// `shoal leave`: a member moves its shards to others, then goes for good. The command tells how far
// it is, and returns when the others know that it has left.
#include <algorithm>
#include <cstdio>
#include <memory>

#include "base/format.hpp"
#include "base/units.hpp"
#include "cli/members.hpp"
#include "cli/program.hpp"
#include "cli/status_line.hpp"

namespace shoal::cli {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPoll{500};
// A node that has said its farewell may look dead to some before the word has come round; and that
// it leaves is news that takes its time, too.
constexpr std::chrono::seconds kNewsMax{5};
constexpr std::chrono::seconds kStallMax{60};

struct LeaveOptions {
  std::string node;
  bool now = false;
  bool no_wait = false;
  bool yes = false;
};

// What is known of a member that goes.
struct Leaving {
  NodeId node;
  std::string name;
  bool now = false;
  bool last = false;  // No other member is there: nobody will tell the rest.
  std::uint64_t shards = 0;
  std::uint32_t running = 0;
  SteadyClock::time_point moved;  // When `shards` or `running` last changed.
  std::optional<SteadyClock::time_point> dead_since;
  std::optional<SteadyClock::time_point> staying_since;
  bool stall_told = false;
};

// Shards that lose their majority when the node goes at once.
std::size_t given_up(NodeId node, const RingView& ring, const Roster& roster) {
  const auto stays = [&](NodeId one) { return one != node && roster.present(one); };
  return static_cast<std::size_t>(std::ranges::count_if(ring.shards, [&](const ShardView& shard) {
    const bool keeps = std::ranges::find(shard.home, node) != shard.home.end();
    return keeps && !majority(shard.home, stays);
  }));
}

std::string progress_text(const Leaving& leaving) {
  return format("{} leaves: {} shards to move, {} tasks running", leaving.name, leaving.shards,
                leaving.running);
}

void take_figures(Leaving& leaving, const MemberView& member) {
  if (!member.figures) return;
  if (member.figures->shards_home == leaving.shards && member.figures->running == leaving.running) {
    return;
  }
  leaving.shards = member.figures->shards_home;
  leaving.running = member.figures->running;
  leaving.moved = SteadyClock::now();
  leaving.stall_told = false;
}

// True once it has lasted for longer than news takes.
bool lasting(std::optional<SteadyClock::time_point>& since, bool is_so) {
  if (!is_so) since.reset();
  if (is_so && !since) since = SteadyClock::now();
  return since && SteadyClock::now() - *since >= kNewsMax;
}

// True when it is gone; an error when it will not go any more.
Result<bool> look(Leaving& leaving, const Roster& roster) {
  const MemberView* member = roster.member(leaving.node);
  if (member == nullptr || member->state == "left") return true;
  const bool dead = member->state == "dead";
  if (lasting(leaving.dead_since, dead)) {
    if (leaving.shards == 0 || leaving.now) return true;
    return fail(ErrorCode::unavailable,
                format("{} died with {} shards still to move. Start it again and let it leave once "
                       "more; or, if it never comes back: shoal forget {}",
                       leaving.name, leaving.shards, leaving.name));
  }
  if (lasting(leaving.staying_since, !dead && !member->leaving)) {
    return fail(ErrorCode::conflict,
                format("{} does not leave: it was started again, which takes that back. Give the "
                       "command once more",
                       leaving.name));
  }
  if (!dead) take_figures(leaving, *member);
  return false;
}

void tell_stall(Program& program, Leaving& leaving, StatusLine& line) {
  if (leaving.stall_told || SteadyClock::now() - leaving.moved < kStallMax) return;
  leaving.stall_told = true;
  line.clear();
  if (leaving.shards > 0) {
    program.note(
        format("note: nothing moved for {}; `shoal shard ls` shows what is wrong. "
               "`shoal leave --now {}` would not wait",
               duration_text(kStallMax), leaving.name));
  } else {
    program.note(
        format("note: {} still waits for the end of {} tasks", leaving.name, leaving.running));
  }
}

asio::awaitable<Result<void>> wait_until_gone(Program& program, Leaving leaving) {
  StatusLine line(program.error_style(), !program.json() && !program.options().quiet);
  leaving.moved = SteadyClock::now();
  while (true) {
    auto view = co_await program.client().members();
    if (!view) {
      line.clear();
      if (leaving.last && view.error().code == ErrorCode::unavailable) co_return Result<void>{};
      co_return std::unexpected(view.error());
    }
    const auto gone = look(leaving, Roster(std::move(*view)));
    if (!gone || *gone) {
      line.clear();
      if (!gone) co_return std::unexpected(gone.error());
      co_return Result<void>{};
    }
    if (!program.json()) tell_stall(program, leaving, line);
    line.show(progress_text(leaving));
    co_await program.sleep(kPoll);
  }
}

// Says what it means before it begins; asks when copies would be given up.
asio::awaitable<Result<void>> prepare(Program& program, const LeaveOptions& options,
                                      const Roster& roster, NodeId node) {
  const std::string name = roster.full_name(node);
  if (!options.now) co_return Result<void>{};
  const auto ring = co_await program.client().ring();
  if (!ring) co_return std::unexpected(ring.error());
  const std::size_t shards = given_up(node, *ring, roster);
  if (shards == 0 || options.yes) co_return Result<void>{};
  co_return co_await program.confirm(
      format("{} shards have no majority of their homes without {}, and their jobs stop; let it go "
             "at once",
             shards, name));
}

void tell_begin(Program& program, const Roster& roster, const Leaving& leaving) {
  if (program.json()) return;
  if (leaving.now) {
    program.note(format("{} leaves at once; its {} shards are copied from the other homes",
                        leaving.name, leaving.shards));
  } else {
    program.note(
        format("{} leaves when its {} shards have moved and its {} tasks have ended; Ctrl-C "
               "ends the watching, not the leaving",
               leaving.name, leaving.shards, leaving.running));
  }
  std::size_t others = 0;
  for (const MemberView& member : roster.view().members) {
    others += member.node != leaving.node && member.state != "left" && !member.leaving ? 1 : 0;
  }
  if (others > 0 && others < kCopiesWanted) {
    program.note(
        format("note: {} other members are left, so each shard is kept in one copy from "
               "then on",
               others));
  }
}

void tell_end(Program& program, const MemberView& node, bool left) {
  if (program.json()) {
    program.out_json({{"schema", "shoal.left/1"},
                      {"node", node.name},
                      {"node_id", to_string(node.node)},
                      {"left", left}});
  } else if (left) {
    program.note(format("{} has left the cluster", printable(node.name)));
  } else {
    program.note("shoal nodes shows how far it is");
  }
}

asio::awaitable<int> leave(Program& program, std::shared_ptr<const LeaveOptions> options) {
  auto view = co_await program.client().members();
  if (!view) co_return program.failed(view.error());
  const Roster roster(std::move(*view));
  Result<MemberView> node = fail(ErrorCode::internal, "the node does not name itself");
  if (!options->node.empty()) {
    node = roster.find(options->node, Roster::Wanted::present);
  } else if (roster.self() != nullptr) {
    node = *roster.self();
  }
  if (!node) co_return program.failed(node.error());
  if (!present(*node)) {
    co_return program.failed(
        {ErrorCode::conflict,
         format("{} is {}: it cannot be asked to leave. To strike it off: shoal "
                "forget {}",
                roster.full_name(node->node), state_of(*node), roster.name(node->node))});
  }
  const auto agreed = co_await prepare(program, *options, roster, node->node);
  if (!agreed) co_return program.failed(agreed.error());
  const auto done = co_await program.client().leave(node->node, options->now);
  if (!done) co_return program.failed(done.error());
  Leaving leaving{.node = node->node, .name = roster.full_name(node->node), .now = options->now};
  take_figures(leaving, *node);
  leaving.last = std::ranges::count_if(roster.view().members, present) == 1;
  tell_begin(program, roster, leaving);
  if (!options->no_wait) {
    const auto gone = co_await wait_until_gone(program, std::move(leaving));
    if (!gone) co_return program.failed(gone.error());
  }
  tell_end(program, *node, !options->no_wait);
  co_return kExitGood;
}

}  // namespace

void add_leave(CLI::App& app, GlobalOptions& globals) {
  auto options = std::make_shared<LeaveOptions>();
  auto* command = app.add_subcommand("leave", "Let a node move its shards away and go for good");
  command->add_option("node", options->node,
                      "Its name, its id, or the start of either (default: the node asked)");
  command->add_flag("--now", options->now,
                    "Go at once: the other copies must do until new ones are made");
  command->add_flag("--no-wait", options->no_wait, "Do not wait until it has gone");
  command->add_flag("--yes", options->yes, "Do not ask when --now gives shards up");
  command->footer(
      "Nothing new is started on the node, what runs there ends, its shards move to the other\n"
      "members; then its process ends by itself. Starting it again before that takes it back.");
  command->callback([options, &globals] {
    run_client(globals, [options](Program& program) { return leave(program, options); });
  });
}

}  // namespace shoal::cli
