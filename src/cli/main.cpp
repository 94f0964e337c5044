// The `shoal` program: node, supervisor, client and simulator front end in one binary.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <clocale>
#include <cstdio>
#include <string>
#include <vector>

#include "base/format.hpp"
#include "base/log.hpp"
#include "cli/command_line.hpp"
#include "cli/commands.hpp"
#include "cli/program.hpp"
#include "shoal/version.hpp"

namespace shoal::cli {
namespace {

constexpr std::string_view kFirstWords =
    "shoal runs commands on a cluster of equal nodes. The five commands used most:\n"
    "\n"
    "  shoal dev -n 3                       start three nodes on this machine\n"
    "  shoal run -- hostname                run one command, see its output\n"
    "  shoal map gzip -9 {} ::: *.log       run it once for each input\n"
    "  shoal ps                             list jobs\n"
    "  shoal logs -f JOB                    follow a job's output\n"
    "\n"
    "All commands: shoal --help\n";

void add_global_options(CLI::App& app, GlobalOptions& globals) {
  app.add_option("--addr", globals.addresses, "Nodes to ask, HOST:PORT, repeated or parted by ,")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->envname("SHOAL_ADDR");
  app.add_option("-o,--output", globals.output, "table, wide, json or jsonl")
      ->check(CLI::IsMember({"table", "wide", "json", "jsonl"}))
      ->envname("SHOAL_OUTPUT");
  app.add_flag_callback("--json", [&globals] { globals.output = "json"; }, "Same as -o json");
  app.add_flag("-q,--quiet", globals.quiet, "Ids only; no notes");
  app.add_option("--color", globals.color, "auto, always or never")
      ->check(CLI::IsMember({"auto", "always", "never"}));
  app.add_option("--timeout", globals.timeout, "How long to look for a node that answers")
      ->envname("SHOAL_TIMEOUT");
  app.add_flag("--strict", globals.strict, "An answer that lacks something ends with status 4");
  app.add_flag("-v,--verbose", globals.verbose, "Say more");
  app.set_version_flag("--version", format("shoal {}", kVersion));
}

void add_commands(CLI::App& app, GlobalOptions& globals) {
  add_run(app, globals);
  add_submit(app, globals);
  add_map(app, globals);
  add_ps(app, globals);
  add_show(app, globals);
  add_logs(app, globals);
  add_wait(app, globals);
  add_cancel(app, globals);
  add_nodes(app, globals);
  add_health(app, globals);
  add_ring(app, globals);
  add_shard(app, globals);
  add_drain(app, globals);
  add_leave(app, globals);
  add_forget(app, globals);
  add_node(app, globals);
  add_dev(app, globals);
  add_sim(app, globals);
  add_version(app, globals);
  add_supervisor(app, globals);
}

// `shoal help ps` is `shoal ps --help`.
void turn_help_around(std::vector<std::string>& words) {
  if (words.empty() || words.front() != "help") return;
  words.erase(words.begin());
  words.push_back("--help");
}

int usage_error(const CLI::App& app, GlobalOptions& globals, const CLI::ParseError& error) {
  std::string text = error.what();
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError)) {
    const std::vector<std::string> unknown = app.remaining(true);
    if (!unknown.empty()) {
      const std::string& word = unknown.front();
      const bool command = app.get_subcommands().empty() && !word.starts_with('-');
      text = format("unknown {} \"{}\"{}", command ? "command" : "argument", word,
                    suggestion(app, word));
    }
  }
  const auto chosen = app.get_subcommands();
  const std::string name = chosen.empty() ? "" : " " + chosen.front()->get_name();
  text += format("{} See: shoal{} --help", text.ends_with('?') ? "" : ".", name);
  print_error(globals, {ErrorCode::bad_input, text}, kExitUsage);
  return kExitUsage;
}

int run(std::vector<std::string> words) {
  CLI::App app("shoal: a masterless task scheduler", "shoal");
  GlobalOptions globals;
  app.fallthrough();
  app.require_subcommand(0, 1);
  add_global_options(app, globals);
  add_commands(app, globals);
  if (words.empty()) {
    std::fputs(kFirstWords.data(), stdout);
    return kExitGood;
  }
  turn_help_around(words);
  CommandLine line = split_command_line(app, std::move(words));
  globals.command = std::move(line.command);
  // Errors of the parser itself must be JSON too.
  if (std::ranges::find(line.options, "--json") != line.options.end()) globals.output = "json";
  try {
    std::ranges::reverse(line.options);  // What the parser asks for.
    app.parse(line.options);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    return usage_error(app, globals, error);
  }
  if (app.get_subcommands().empty()) {
    std::fputs(kFirstWords.data(), stderr);
    return kExitUsage;
  }
  return globals.exit_code;
}

}  // namespace
}  // namespace shoal::cli

int main(int argc, char** argv) {
  std::setlocale(LC_CTYPE, "");  // Tells whether the terminal reads UTF-8.
  return shoal::cli::run(std::vector<std::string>(argv + 1, argv + argc));
}
