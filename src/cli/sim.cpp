// `shoal sim`: a whole cluster in virtual time, from a seed. The same seed does the same.
#include "sim/scenario.hpp"

#include <chrono>
#include <cstdio>
#include <memory>
#include <string>

#include "base/format.hpp"
#include "base/units.hpp"
#include "cli/commands.hpp"
#include "cli/sim_sweep.hpp"

namespace shoal::cli {
namespace {

struct SimFlags {
  sim::RunOptions run;
  std::string duration = "60s";
  std::uint64_t sweep = 0;  // Seeds; 0: one run.
  std::string sweep_for;    // Absent: no limit.
  bool marks = false;
};

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

std::string replay(const SimFlags& flags) {
  if (flags.run.drawn) {
    return format("shoal sim --drawn --seed {} --faults {}", flags.run.seed, flags.run.faults);
  }
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

void print_marks(const sim::RunReport& report) {
  for (std::size_t i = 0; i < probes::kMarkCount; ++i) {
    const auto mark = static_cast<probes::Mark>(i);
    std::printf("mark        %8llu  %s\n", static_cast<unsigned long long>(report.marks[mark]),
                std::string(to_string(mark)).c_str());
  }
  for (std::size_t i = 0; i < probes::kSiteCount; ++i) {
    std::printf("site        %8llu  %s\n", static_cast<unsigned long long>(report.sites.at(i)),
                std::string(to_string(static_cast<probes::Site>(i))).c_str());
  }
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

int run_many(const SimFlags& flags, const GlobalOptions& globals) {
  SweepOptions options{.first = flags.run.seed,
                       .seeds = flags.sweep,
                       .faults = flags.run.faults,
                       .quiet = globals.quiet,
                       .marks = flags.marks};
  // Said once here rather than by every worker.
  if (const auto faults = sim::parse_faults(flags.run.faults); !faults) {
    std::fprintf(stderr, "shoal: %s\n", faults.error().message.c_str());
    return kExitUsage;
  }
  if (!flags.sweep_for.empty()) {
    const auto time_max = parse_duration(flags.sweep_for);
    if (!time_max) {
      std::fprintf(stderr, "shoal: --for: %s\n", time_max.error().message.c_str());
      return kExitUsage;
    }
    options.time_max = *time_max;
    if (options.seeds == 0) options.seeds = ~std::uint64_t{0} - options.first;
  }
  return run_sweep(options);
}

int run_sim(SimFlags& flags, const GlobalOptions& globals) {
  if (flags.sweep != 0 || !flags.sweep_for.empty()) return run_many(flags, globals);
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
    if (flags.marks) print_marks(*report);
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
  command->add_option(
      "--faults", flags->run.faults,
      "none, all, net, process, disk, clock, membership, sites, rare, single ones, or "
      "several with commas (default none)");
  command->add_option("--duration", flags->duration,
                      "How long faults come, in virtual time (default 60s)");
  command->add_flag("--drawn", flags->run.drawn,
                    "Draw sizes, settings, load and duration from the seed, as a sweep does");
  command->add_flag("--marks", flags->marks, "Show which rare paths were reached, and how often");
  command->add_flag("!--unchecked", flags->run.trace_checked,
                    "Leave out what checks every message and write, to measure what that costs");
  command->add_option(
      "--sweep", flags->sweep,
      "Run this many seeds, from --seed on, on all cores; each draws its own sizes");
  command->add_option("--for", flags->sweep_for,
                      "With or instead of --sweep: begin no more seeds after this time");
  command->callback([flags, &globals] { globals.exit_code = run_sim(*flags, globals); });
}

}  // namespace shoal::cli
