// `shoal forget`: a dead member is struck off, and the copies it kept are made anew elsewhere.
#include <algorithm>
#include <memory>

#include "base/format.hpp"
#include "cli/members.hpp"
#include "cli/program.hpp"

namespace shoal::cli {
namespace {

struct Kept {
  std::size_t shards = 0;  // Whose home the node is in.
  std::size_t stuck = 0;   // Of these: without a majority of their home.
};

Kept kept_by(NodeId node, const RingView& ring, const Roster& roster) {
  Kept kept;
  const auto stays = [&](NodeId one) { return one != node && roster.present(one); };
  for (const ShardView& shard : ring.shards) {
    if (std::ranges::find(shard.home, node) == shard.home.end()) continue;
    ++kept.shards;
    if (!majority(shard.home, stays)) ++kept.stuck;
  }
  return kept;
}

asio::awaitable<int> forget(Program& program, std::shared_ptr<const std::string> text) {
  auto view = co_await program.client().members(false);
  if (!view) co_return program.failed(view.error());
  const Roster roster(std::move(*view));
  const auto node = roster.find(*text, Roster::Wanted::gone);
  if (!node) co_return program.failed(node.error());
  const auto ring = co_await program.client().ring();
  if (!ring) co_return program.failed(ring.error());
  const Kept kept = kept_by(node->node, *ring, roster);
  const auto done = co_await program.client().forget(node->node);
  if (!done) co_return program.failed(done.error());
  if (program.json()) {
    program.out_json({{"schema", "shoal.forgotten/1"},
                      {"node", node->name},
                      {"node_id", to_string(node->node)},
                      {"shards", kept.shards},
                      {"stuck", kept.stuck}});
    co_return kExitGood;
  }
  const std::string name = roster.full_name(node->node);
  if (node->state == "left") {
    program.note(format("{} had left already", name));
  } else {
    program.note(format("{} is forgotten; it kept a copy of {} shards, which others make anew",
                        name, kept.shards));
  }
  if (kept.stuck > 0) {
    program.note(
        format("note: {} shards have no majority of their homes without it and cannot move. "
               "If the others never come back: shoal shard recover --all-stuck --lost {}",
               kept.stuck, short_text(node->node)));
  }
  co_return kExitGood;
}

}  // namespace

void add_forget(CLI::App& app, GlobalOptions& globals) {
  auto node = std::make_shared<std::string>();
  auto* command = app.add_subcommand("forget", "Strike a dead member off at once");
  command->add_option("node", *node, "Its name, its id, or the start of either")->required();
  command->footer(
      "Without this a member that died is replaced after ten minutes. One that is forgotten and\n"
      "started again all the same joins as before. A node that is there is asked to go with\n"
      "`shoal leave`.");
  command->callback([node, &globals] {
    run_client(globals, [node](Program& program) { return forget(program, node); });
  });
}

}  // namespace shoal::cli
