// `shoal supervisor --fd N`: the small process beside a node that owns its tasks' processes. Nodes
// start it; it is of no use by hand.
#include "exec/supervisor.hpp"
#include "cli/commands.hpp"

#include <memory>

namespace shoal::cli {

void add_supervisor(CLI::App& app, GlobalOptions& options) {
  CLI::App* command = app.add_subcommand("supervisor", "Started by a node; not for use by hand.");
  command->group("");  // Not shown in the help.
  const auto descriptor = std::make_shared<int>(-1);
  command->add_option("--fd", *descriptor, "The socket to the node")
      ->required()
      ->check(CLI::NonNegativeNumber);
  command->callback(
      [&options, descriptor] { options.exit_code = exec::supervisor_main(*descriptor); });
}

}  // namespace shoal::cli
