// `shoal shard`: the pieces that the records are cut into, one by one.
#include "cli/program.hpp"

namespace shoal::cli {

void add_shard(CLI::App& app, GlobalOptions& globals) {
  auto* shard = app.add_subcommand("shard", "Who holds which copy of the records; lost copies");
  shard->fallthrough();
  shard->require_subcommand(0, 1);
  add_shard_ls(*shard, globals);
  add_shard_show(*shard, globals);
  add_shard_recover(*shard, globals);
  shard->callback([shard, &globals] {
    if (!shard->get_subcommands().empty()) return;
    const Error error{ErrorCode::bad_input,
                      "say what to do with shards: ls, show or recover. See: shoal shard --help"};
    print_error(globals, error, kExitUsage);
    globals.exit_code = kExitUsage;
  });
}

}  // namespace shoal::cli
