// `shoal drain` and `shoal undrain`: a node that starts nothing new, and keeps what it has.
#include <memory>

#include "base/format.hpp"
#include "cli/members.hpp"
#include "cli/program.hpp"

namespace shoal::cli {
namespace {

struct DrainOptions {
  std::string node;
  bool off = false;
};

std::string told(const Roster& roster, const MemberView& node, bool on) {
  const std::string name = roster.full_name(node.node);
  if (!on) return format("{} takes work again", name);
  const std::uint32_t running = node.figures ? node.figures->running : 0;
  return format("{} starts nothing new; {}. Its records stay. Back to work: shoal undrain {}", name,
                running == 0 ? "nothing runs there"
                             : format("{} {} on there to their end", running,
                                      running == 1 ? "task runs" : "tasks run"),
                name);
}

asio::awaitable<int> drain(Program& program, std::shared_ptr<const DrainOptions> options) {
  const bool on = !options->off;
  auto view = co_await program.client().members();
  if (!view) co_return program.failed(view.error());
  const Roster roster(std::move(*view));
  const auto node = roster.find(options->node, Roster::Wanted::present);
  if (!node) co_return program.failed(node.error());
  if (!present(*node)) {
    co_return program.failed(
        {ErrorCode::conflict,
         format("{} is {}: it starts nothing as it is, and cannot be told. To "
                "strike it off for good: shoal forget {}",
                roster.full_name(node->node), state_of(*node), roster.name(node->node))});
  }
  const auto done = co_await program.client().drain(node->node, on);
  if (!done) co_return program.failed(done.error());
  if (program.json()) {
    program.out_json({{"schema", "shoal.drain/1"},
                      {"node", node->name},
                      {"node_id", to_string(node->node)},
                      {"draining", on},
                      {"running", node->figures ? Json(node->figures->running) : Json(nullptr)}});
  } else {
    program.note(told(roster, *node, on));
  }
  co_return kExitGood;
}

void add(CLI::App& app, GlobalOptions& globals, const char* name, const char* help, bool off) {
  auto options = std::make_shared<DrainOptions>();
  options->off = off;
  auto* command = app.add_subcommand(name, help);
  command->add_option("node", options->node, "Its name, its id, or the start of either")
      ->required();
  if (!off) command->add_flag("--off", options->off, "The other way round, as undrain");
  command->footer(
      "A drained node ends what runs there, starts nothing new, and keeps its shards. It stays\n"
      "drained when it is started again.");
  command->callback([options, &globals] {
    run_client(globals, [options](Program& program) { return drain(program, options); });
  });
}

}  // namespace

void add_drain(CLI::App& app, GlobalOptions& globals) {
  add(app, globals, "drain", "Let a node start nothing new", false);
  add(app, globals, "undrain", "Let a drained node take work again", true);
}

}  // namespace shoal::cli
