// Memory: how much the nodes grow for each task that waits in their queues, counted per copy.
#include "tools/bench/figures.hpp"
#include "tools/bench/workload.hpp"

namespace shoal::bench {
namespace {

constexpr std::uint32_t kNodes = 3;

asio::awaitable<Result<double>> resident_bytes(Client& client) {
  const auto members = co_await members_with_figures(client);
  if (!members) co_return std::unexpected(members.error());
  double bytes = 0;
  for (const MemberView& member : *members) {
    bytes += static_cast<double>(member.figures->resident_bytes);
  }
  co_return bytes;
}

struct Growth {
  Filled filled;
  double bytes = 0;
};

asio::awaitable<Result<Growth>> grow(Loop& loop, Client& client, std::uint32_t tasks) {
  constexpr std::chrono::seconds kSettle{2};  // Writes behind the acknowledgements end.
  co_await loop.sleep(kSettle);
  const auto before = co_await resident_bytes(client);
  if (!before) co_return std::unexpected(before.error());
  const auto filled = co_await fill(client, waiting_spec(), tasks);
  if (!filled) co_return std::unexpected(filled.error());
  co_await loop.sleep(kSettle);
  const auto after = co_await resident_bytes(client);
  if (!after) co_return std::unexpected(after.error());
  co_return Growth{.filled = *filled, .bytes = *after - *before};
}

Result<Section> measure(Loop& loop, const Options& options, std::uint32_t tasks) {
  const auto cluster = cluster_for(options, options.nodes > 0 ? options.nodes : kNodes);
  if (!cluster) return std::unexpected(cluster.error());
  const Clients clients = connect(loop, *cluster, 1);
  Client& client = *clients.front();
  const auto growth = loop.run(grow(loop, client, tasks));
  if (!growth) return std::unexpected(growth.error());
  if (!cluster->own()) {
    const auto cancelled = loop.run(client.cancel(growth->filled.job));
    if (!cancelled) return std::unexpected(cancelled.error());
  }
  const auto copies = static_cast<double>(growth->filled.copies);
  const double each = growth->bytes / (tasks * copies);
  const double rate = tasks / growth->filled.seconds;
  const std::size_t nodes = cluster->nodes().size();
  tell("memory: " + std::to_string(tasks) + " tasks: " + number_text(each) + " B per copy");
  Section section{.title = "memory, nodes " + std::to_string(nodes) + ", copies " +
                           std::to_string(growth->filled.copies) + ", " + std::to_string(tasks) +
                           " tasks queued"};
  section.json = {{"nodes", nodes},
                  {"copies", growth->filled.copies},
                  {"tasks", tasks},
                  {"bytes_per_task", json_of(summary_of({each}))},
                  {"resident_bytes_grown", growth->bytes},
                  {"submitted_per_second", rate}};
  section.lines = {{"bytes per queued task and copy", number_text(each)},
                   {"grown, all nodes", number_text(growth->bytes / 1048576, 1) + " MiB"},
                   {"submitted, tasks/s", number_text(rate)}};
  return section;
}

}  // namespace

Result<Sections> measure_memory(Loop& loop, const Options& options) {
  std::vector<std::uint32_t> sizes{100'000, 1'000'000};
  if (options.tasks > 0) sizes = {options.tasks};
  Sections sections;
  for (const std::uint32_t tasks : sizes) {
    auto section = measure(loop, options, tasks);
    if (!section) return std::unexpected(section.error());
    sections.push_back(std::move(*section));
  }
  return sections;
}

}  // namespace shoal::bench
