// No-op tasks: what the scheduler itself costs, disks and replication included.
#include "shoal/client.hpp"
#include "tools/bench/figures.hpp"
#include "tools/bench/workload.hpp"

namespace shoal::bench {
namespace {

constexpr std::uint32_t kTasks = 100'000;
constexpr std::uint32_t kWarmUpTasks = 2'000;
constexpr std::uint32_t kRuns = 5;

struct Latency {
  std::vector<double> submits;       // Microseconds until the acknowledgement.
  std::vector<double> microseconds;  // Until the outcome is known.
  double sync_p50 = 0;  // Median over the nodes of their own median fdatasync, in microseconds.
  std::size_t copies = 0;
};

double microseconds_since(std::chrono::steady_clock::time_point began) {
  const auto took = std::chrono::steady_clock::now() - began;
  return std::chrono::duration<double, std::micro>(took).count();
}

// One task at a time: from its submit until its outcome is known.
asio::awaitable<Result<Latency>> measure_latency(Client& client, std::uint32_t tasks) {
  Latency latency;
  const WatchOptions quietly{.tasks = false};
  for (std::uint32_t i = 0; i < tasks; ++i) {
    const auto began = std::chrono::steady_clock::now();
    Submission one{.name = "bench", .spec = noop_spec(), .retention = Retention::hour};
    const auto submitted = co_await client.submit(std::move(one));
    if (!submitted) co_return std::unexpected(submitted.error());
    latency.submits.push_back(microseconds_since(began));
    const auto ended = co_await client.watch(submitted->id, quietly, {});
    if (!ended) co_return std::unexpected(ended.error());
    latency.microseconds.push_back(microseconds_since(began));
    if (i > 0) continue;
    const auto details = co_await client.job(submitted->id);
    if (!details) co_return std::unexpected(details.error());
    latency.copies = details->home.size();
  }
  const auto members = co_await members_with_figures(client);
  if (!members) co_return std::unexpected(members.error());
  std::vector<double> syncs;
  for (const MemberView& member : *members) {
    syncs.push_back(static_cast<double>(member.figures->sync.p50));
  }
  latency.sync_p50 = summary_of(std::move(syncs)).median;
  co_return latency;
}

Section section_of(const Cluster& cluster, std::uint32_t tasks, const Latency& latency,
                   const Summary& rate) {
  const double p50 = percentile(latency.microseconds, 0.5);
  const double p99 = percentile(latency.microseconds, 0.99);
  const double submit = percentile(latency.submits, 0.5);
  const double syncs = latency.sync_p50 > 0 ? p50 / latency.sync_p50 : 0;
  const std::size_t nodes = cluster.nodes().size();
  Section section{.title = "noop, nodes " + std::to_string(nodes) + ", copies " +
                           std::to_string(latency.copies) + ", " + std::to_string(tasks) +
                           " tasks a run"};
  section.json = {{"nodes", nodes},
                  {"copies", latency.copies},
                  {"tasks", tasks},
                  {"tasks_per_second", json_of(rate)},
                  {"latency_us",
                   {{"p50", p50},
                    {"p99", p99},
                    {"submit_p50", submit},
                    {"tasks", latency.microseconds.size()}}},
                  {"sync_p50_us", latency.sync_p50},
                  {"latency_p50_in_syncs", syncs}};
  section.lines = {{"tasks/s", text_of(rate)},
                   {"one at a time, acknowledged, p50", number_text(submit) + " us"},
                   {"one at a time, p50", number_text(p50) + " us"},
                   {"one at a time, p99", number_text(p99) + " us"},
                   {"fdatasync of the nodes, p50", number_text(latency.sync_p50) + " us"},
                   {"latency p50 / fdatasync p50", number_text(syncs, 2)}};
  return section;
}

Result<Section> measure(Loop& loop, const Options& options, std::uint32_t nodes) {
  const auto cluster = cluster_for(options, nodes);
  if (!cluster) return std::unexpected(cluster.error());
  const std::uint32_t tasks = options.tasks > 0 ? options.tasks : kTasks;
  const Clients clients = connect(loop, *cluster, options.connections);
  // Latency first: the nodes' figures of their disks are then those of this load.
  const auto warm = loop.run(measure_latency(*clients.front(), 20));
  if (!warm) return std::unexpected(warm.error());
  const auto latency = loop.run(measure_latency(*clients.front(), options.latency_tasks));
  if (!latency) return std::unexpected(latency.error());
  const auto warm_arrays = loop.run(run_arrays(loop, clients, noop_spec(), kWarmUpTasks));
  if (!warm_arrays) return std::unexpected(warm_arrays.error());
  std::vector<double> rates;
  for (std::uint32_t i = 0; i < (options.runs > 0 ? options.runs : kRuns); ++i) {
    const auto seconds = loop.run(run_arrays(loop, clients, noop_spec(), tasks));
    if (!seconds) return std::unexpected(seconds.error());
    rates.push_back(tasks / *seconds);
    tell("noop: nodes " + std::to_string(cluster->nodes().size()) + ", run " +
         std::to_string(i + 1) + ": " + number_text(rates.back()) + " tasks/s");
  }
  return section_of(*cluster, tasks, *latency, summary_of(std::move(rates)));
}

}  // namespace

Result<Sections> measure_noop(Loop& loop, const Options& options) {
  std::vector<std::uint32_t> sizes{1, 3};
  if (options.nodes > 0 || !options.addresses.empty()) sizes = {options.nodes};
  Sections sections;
  for (const std::uint32_t nodes : sizes) {
    auto section = measure(loop, options, nodes);
    if (!section) return std::unexpected(section.error());
    sections.push_back(std::move(*section));
  }
  return sections;
}

}  // namespace shoal::bench
