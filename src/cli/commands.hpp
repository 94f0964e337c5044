// The commands of the `shoal` program: each function registers its subcommands, whose callbacks do
// the work and leave the process's exit status in `options`.
#pragma once

#include <string>
#include <vector>

#include <CLI/App.hpp>

namespace shoal::cli {

// What every command obeys; filled from the flags and environment before a callback runs.
struct GlobalOptions {
  std::vector<std::string> addresses;  // Nodes to try, in order.
  std::string output = "table";        // table, wide, json, jsonl
  bool quiet = false;
  std::string color = "auto";  // auto, always, never
  bool verbose = false;
  bool strict = false;  // A partial answer ends with kExitUnreachable.
  std::string timeout;  // A duration; empty: the command's default.
  int exit_code = 0;
  // What stands behind `--`, or from the first word that is no option on: for the commands that
  // take a command line (run, submit, map).
  std::vector<std::string> command;
};

// Exit codes that all commands share; `run` passes on its command's own, `map` the number of
// failures.
inline constexpr int kExitGood = 0;
inline constexpr int kExitFailed = 1;  // What was asked about ended badly.
inline constexpr int kExitUsage = 2;
inline constexpr int kExitNotFound = 3;
inline constexpr int kExitUnreachable = 4;  // Also a partial answer, under --strict.
inline constexpr int kExitRefused = 5;
inline constexpr int kExitConflict = 6;       // Exists or ended already.
inline constexpr int kExitTimeout = 124;      // --timeout passed; the job lives on.
inline constexpr int kExitNotStarted = 125;   // `run`: shoal failed before the command began.
inline constexpr int kExitInterrupted = 130;  // Ctrl-C.

void add_run(CLI::App& app, GlobalOptions& options);
void add_submit(CLI::App& app, GlobalOptions& options);
void add_map(CLI::App& app, GlobalOptions& options);
void add_ps(CLI::App& app, GlobalOptions& options);
void add_show(CLI::App& app, GlobalOptions& options);
void add_logs(CLI::App& app, GlobalOptions& options);
void add_wait(CLI::App& app, GlobalOptions& options);
void add_cancel(CLI::App& app, GlobalOptions& options);
void add_nodes(CLI::App& app, GlobalOptions& options);
void add_health(CLI::App& app, GlobalOptions& options);
void add_ring(CLI::App& app, GlobalOptions& options);
void add_drain(CLI::App& app, GlobalOptions& options);  // And undrain.
void add_leave(CLI::App& app, GlobalOptions& options);
void add_forget(CLI::App& app, GlobalOptions& options);
void add_shard(CLI::App& app, GlobalOptions& options);
void add_shard_ls(CLI::App& shard, GlobalOptions& options);
void add_shard_show(CLI::App& shard, GlobalOptions& options);
void add_shard_recover(CLI::App& shard, GlobalOptions& options);
void add_version(CLI::App& app, GlobalOptions& options);

void add_node(CLI::App& app, GlobalOptions& options);
void add_dev(CLI::App& app, GlobalOptions& options);
void add_sim(CLI::App& app, GlobalOptions& options);
void add_supervisor(CLI::App& app, GlobalOptions& options);  // Hidden: nodes start it.

}  // namespace shoal::cli
