// Process tasks: /bin/true as tasks, beside the same started by xargs in turn with it, so that both
// see the same machine.
#include "tools/bench/child_process.hpp"
#include "tools/bench/figures.hpp"
#include "tools/bench/workload.hpp"

namespace shoal::bench {
namespace {

constexpr std::uint32_t kTasks = 1'000;
constexpr std::uint32_t kWarmUpTasks = 50;
constexpr std::uint32_t kRuns = 5;
constexpr std::uint32_t kNodes = 3;

Result<double> run_xargs(std::uint32_t tasks) {
  std::string input;
  for (std::uint32_t i = 0; i < tasks; ++i) input += std::to_string(i) + "\n";
  const auto finished =
      run_program({"xargs", "-P2", "-n1", "/bin/true"}, input, std::chrono::seconds(600));
  if (!finished) return std::unexpected(finished.error());
  if (finished->exit_status != 0) {
    return fail(ErrorCode::io, "xargs ended with status " + std::to_string(finished->exit_status) +
                                   ": " + finished->error_output);
  }
  return finished->seconds;
}

}  // namespace

Result<Sections> measure_process(Loop& loop, const Options& options) {
  const auto cluster = cluster_for(options, options.nodes > 0 ? options.nodes : kNodes);
  if (!cluster) return std::unexpected(cluster.error());
  const std::uint32_t tasks = options.tasks > 0 ? options.tasks : kTasks;
  const Clients clients = connect(loop, *cluster, 1);
  const auto warm = loop.run(run_arrays(loop, clients, true_spec(), kWarmUpTasks));
  if (!warm) return std::unexpected(warm.error());
  std::vector<double> ours;
  std::vector<double> theirs;
  std::vector<double> ratios;
  for (std::uint32_t i = 0; i < (options.runs > 0 ? options.runs : kRuns); ++i) {
    const auto xargs = run_xargs(tasks);
    if (!xargs) return std::unexpected(xargs.error());
    const auto seconds = loop.run(run_arrays(loop, clients, true_spec(), tasks));
    if (!seconds) return std::unexpected(seconds.error());
    theirs.push_back(tasks / *xargs);
    ours.push_back(tasks / *seconds);
    ratios.push_back(*xargs / *seconds);
    tell("process: pair " + std::to_string(i + 1) + ": shoal " + number_text(ours.back()) +
         "/s, xargs -P2 " + number_text(theirs.back()) + "/s, ratio " +
         number_text(ratios.back(), 2));
  }
  const Summary rate = summary_of(std::move(ours));
  const Summary reference = summary_of(std::move(theirs));
  const Summary ratio = summary_of(std::move(ratios));
  const std::size_t nodes = cluster->nodes().size();
  Section section{.title = "process, nodes " + std::to_string(nodes) + ", " +
                           std::to_string(tasks) + " x /bin/true a run"};
  section.json = {{"nodes", nodes},
                  {"tasks", tasks},
                  {"tasks_per_second", json_of(rate)},
                  {"xargs_per_second", json_of(reference)},
                  {"ratio", json_of(ratio)}};
  section.lines = {{"tasks/s", text_of(rate)},
                   {"xargs -P2 -n1, tasks/s", text_of(reference)},
                   {"ratio, pair by pair", text_of(ratio, 2)}};
  return Sections{std::move(section)};
}

}  // namespace shoal::bench
