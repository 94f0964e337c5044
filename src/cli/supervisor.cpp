// `shoal supervisor`: the small process beside a node that owns its tasks' processes. Nodes start
// it; it is of no use by hand.
#include "exec/supervisor.hpp"

#include <memory>

#include "cli/commands.hpp"

namespace shoal::cli {

void add_supervisor(CLI::App& app, GlobalOptions& options) {
  CLI::App* command = app.add_subcommand("supervisor", "Started by a node; not for use by hand.");
  command->group("");  // Not shown in the help.
  struct Flags {
    exec::SupervisorConfig config;
    std::int64_t linger_ms = exec::kLinger.count();
  };
  const auto flags = std::make_shared<Flags>();
  command->add_option("--data", flags->config.data_folder, "The node's data folder")->required();
  command->add_option("--id", flags->config.id, "Its name in that folder")->required();
  command->add_option("--fd", flags->config.listener, "The socket where it listens")
      ->required()
      ->check(CLI::NonNegativeNumber);
  command->add_option("--linger", flags->linger_ms, "Milliseconds to wait without node and tasks")
      ->check(CLI::NonNegativeNumber);
  command->callback([&options, flags] {
    flags->config.linger = std::chrono::milliseconds(flags->linger_ms);
    options.exit_code = exec::supervisor_main(flags->config);
  });
}

}  // namespace shoal::cli
