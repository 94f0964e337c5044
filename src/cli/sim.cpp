// `shoal sim`: a whole cluster in virtual time, from a seed. The same seed does the same.
#include "sim/scenario.hpp"

#include <chrono>
#include <cstdio>
#include <memory>
#include <string>

#include "base/format.hpp"
#include "base/units.hpp"
#include "cli/commands.hpp"

namespace shoal::cli {
namespace {

struct SimFlags {
  sim::RunOptions run;
  std::string duration = "60s";
};

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

std::string replay(const SimFlags& flags) {
  return format("shoal sim --nodes {} --tasks {} --seed {} --faults {} --duration {}",
                flags.run.nodes, flags.run.tasks, flags.run.seed, flags.run.faults, flags.duration);
}

void print(const SimFlags& flags, const sim::RunReport& report, double real) {
  std::string outcomes;
  for (const auto& [state, count] : report.outcomes) {
    outcomes += format("{}{} {}", outcomes.empty() ? "" : ", ", count, to_string(state));
  }
  std::string faults;
  for (const auto& [kind, count] : report.faults) {
    faults += format("{}{} {}", faults.empty() ? "" : ", ", count, kind);
  }
  const sim::WorldFigures& figures = report.figures;
  std::string text = format("seed {}, {} nodes, faults: {}\n", flags.run.seed, flags.run.nodes,
                            faults.empty() ? "none" : faults);
  text += format("jobs        {}\n", report.jobs);
  text += format("tasks       {} acknowledged; ended: {}\n", report.tasks_acknowledged,
                 outcomes.empty() ? "none" : outcomes);
  text += format("processes   {} started\n", report.attempts);
  text += format("grants      {} to other nodes\n", figures.grants);
  text += format("messages    {} datagrams, {} on streams\n", figures.datagrams,
                 figures.stream_messages);
  text += format("syncs       {}\n", figures.syncs);
  text += format("ballots     {} prepared, {} crashes, {} client retries\n", figures.takeovers,
                 figures.crashes, report.client_retries);
  text += format("time        {:.1f} s virtual, {:.2f} s real: {:.0f} times as fast\n",
                 seconds(report.virtual_time), real, seconds(report.virtual_time) / real);
  text += format("trace       {:016x} ({} events)\n", report.trace_hash, report.events);
  std::fputs(text.c_str(), stdout);
}

void print_json(const SimFlags& flags, const sim::RunReport& report, double real) {
  std::uint64_t ended = 0;
  for (const auto& [state, count] : report.outcomes) ended += count;
  const std::string text = format(
      "{{\"schema\":\"shoal.sim/1\",\"good\":{},\"seed\":{},\"nodes\":{},\"jobs\":{},"
      "\"tasks_acknowledged\":{},\"tasks_ended\":{},\"processes\":{},\"datagrams\":{},"
      "\"stream_messages\":{},\"syncs\":{},\"ballots\":{},\"crashes\":{},\"violations\":{},"
      "\"virtual_seconds\":{:.3f},\"real_seconds\":{:.3f},\"trace\":\"{:016x}\"}}\n",
      report.good, flags.run.seed, flags.run.nodes, report.jobs, report.tasks_acknowledged, ended,
      report.attempts, report.figures.datagrams, report.figures.stream_messages,
      report.figures.syncs, report.figures.takeovers, report.figures.crashes,
      report.violation_count, seconds(report.virtual_time), real, report.trace_hash);
  std::fputs(text.c_str(), stdout);
}

int run_sim(SimFlags& flags, const GlobalOptions& globals) {
  const auto duration = parse_duration(flags.duration);
  if (!duration) {
    std::fprintf(stderr, "shoal: --duration: %s\n", duration.error().message.c_str());
    return kExitUsage;
  }
  flags.run.duration = *duration;
  if (globals.verbose) {
    flags.run.log_shown = log::Level::info;
    // An assertion ends the program at once: say before how to come back there.
    std::fprintf(stderr, "shoal: running: %s\n", replay(flags).c_str());
  }
  const auto began = std::chrono::steady_clock::now();
  const auto report = sim::run(flags.run);
  if (!report) {
    std::fprintf(stderr, "shoal: %s\n", report.error().message.c_str());
    return kExitUsage;
  }
  const double real = seconds(std::chrono::steady_clock::now() - began);
  if (globals.output == "json" || globals.output == "jsonl") {
    print_json(flags, *report, real);
  } else if (!globals.quiet) {
    print(flags, *report, real);
  }
  if (report->good) return kExitGood;
  for (const sim::Violation& violation : report->violations) {
    std::fprintf(stderr, "violation at %.6f s: %s\n", seconds(violation.at.time_since_epoch()),
                 violation.text.c_str());
  }
  std::fprintf(stderr, "%llu violations; replay with: %s\n",
               static_cast<unsigned long long>(report->violation_count), replay(flags).c_str());
  return kExitFailed;
}

}  // namespace

void add_sim(CLI::App& app, GlobalOptions& globals) {
  auto flags = std::make_shared<SimFlags>();
  auto* command = app.add_subcommand(
      "sim", "Run a whole cluster in virtual time, with faults, and check what it promises");
  command->add_option("--nodes", flags->run.nodes, "Nodes (default 3)")
      ->check(CLI::Range(1, 10'000));
  command->add_option("--tasks", flags->run.tasks, "Tasks handed in (default 1000)");
  command->add_option("--seed", flags->run.seed, "Everything follows from it (default 1)");
  command->add_option("--faults", flags->run.faults,
                      "none, all, net, process, disk, clock, membership, sites, single ones, or "
                      "several with commas (default none)");
  command->add_option("--duration", flags->duration,
                      "How long faults come, in virtual time (default 60s)");
  command->callback([flags, &globals] { globals.exit_code = run_sim(*flags, globals); });
}

}  // namespace shoal::cli
