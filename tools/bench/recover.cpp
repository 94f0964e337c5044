// Recovery: how long a killed node that holds many records takes, once it is started again, until
// it serves and owns its shards as before.
#include "tools/bench/figures.hpp"
#include "tools/bench/workload.hpp"

namespace shoal::bench {
namespace {

constexpr std::uint32_t kNodes = 3;
constexpr std::uint32_t kTasks = 1'000'000;
constexpr std::uint32_t kRuns = 3;
constexpr std::chrono::milliseconds kPollEvery{20};
constexpr std::chrono::minutes kPatience{5};

// The node's own figures, from nobody but itself; absent while it does not serve.
asio::awaitable<std::optional<NodeFigures>> own_figures(Loop& loop, const Cluster::Node& node) {
  // A client learns of the other members and may go on with one of them: hence a new one each time.
  ClientOptions options{.addresses = {node.address}};
  options.timeout = std::chrono::seconds(2);
  Client client(loop.context(), options);
  const auto view = co_await client.members();
  if (!view || !view->serving) co_return std::nullopt;
  for (const MemberView& member : view->members) {
    if (member.self && member.name == node.name) co_return member.figures;
  }
  co_return std::nullopt;
}

asio::awaitable<Result<NodeFigures>> figures_before(Loop& loop, const Cluster::Node& node) {
  const auto figures = co_await own_figures(loop, node);
  if (!figures) {
    co_return fail(ErrorCode::unavailable, node.name + " does not tell its figures in time");
  }
  co_return *figures;
}

asio::awaitable<Result<void>> until_recovered(Loop& loop, const Cluster::Node& node,
                                              const NodeFigures& before) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < end) {
    const auto figures = co_await own_figures(loop, node);
    if (figures && figures->shards_owned >= before.shards_owned) co_return Result<void>{};
    co_await loop.sleep(kPollEvery);
  }
  co_return fail(ErrorCode::timeout, node.name + " does not own all its shards again after " +
                                         std::to_string(kPatience.count()) + " min");
}

// The job is whole: nothing that was acknowledged is gone.
asio::awaitable<Result<void>> check_job(Client& client, JobId job, std::uint32_t tasks) {
  const auto details = co_await client.job(job);
  if (!details) co_return std::unexpected(details.error());
  if (details->status.counts.total == tasks) co_return Result<void>{};
  co_return fail(ErrorCode::internal, "after the restart the job counts " +
                                          std::to_string(details->status.counts.total) +
                                          " tasks, not " + std::to_string(tasks));
}

Result<double> kill_and_restart(Loop& loop, Cluster& cluster, const Cluster::Node& node,
                                const NodeFigures& before) {
  const auto killed = cluster.kill(node.name);
  if (!killed) return std::unexpected(killed.error());
  const auto began = std::chrono::steady_clock::now();
  const auto started = cluster.restart(node.name);
  if (!started) return std::unexpected(started.error());
  const auto recovered = loop.run(until_recovered(loop, node, before));
  if (!recovered) return std::unexpected(recovered.error());
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

}  // namespace

Result<Sections> measure_recover(Loop& loop, const Options& options) {
  if (!options.addresses.empty()) {
    return fail(ErrorCode::bad_input,
                "recover kills a node, so it runs on a cluster of its own only; leave out --addr");
  }
  auto cluster = cluster_for(options, options.nodes > 0 ? options.nodes : kNodes);
  if (!cluster) return std::unexpected(cluster.error());
  const std::uint32_t tasks = options.tasks > 0 ? options.tasks : kTasks;
  const Clients clients = connect(loop, *cluster, 1);
  const auto filled = loop.run(fill(*clients.front(), waiting_spec(), tasks));
  if (!filled) return std::unexpected(filled.error());
  const Cluster::Node node = cluster->nodes().back();
  const auto before = loop.run(figures_before(loop, node));
  if (!before) return std::unexpected(before.error());
  tell("recover: " + node.name + " holds " + std::to_string(before->records) + " records");
  std::vector<double> times;
  for (std::uint32_t i = 0; i < (options.runs > 0 ? options.runs : kRuns); ++i) {
    const auto seconds = kill_and_restart(loop, *cluster, node, *before);
    if (!seconds) return std::unexpected(seconds.error());
    times.push_back(*seconds);
    tell("recover: run " + std::to_string(i + 1) + ": " + number_text(*seconds, 2) + " s");
    const auto whole = loop.run(check_job(*clients.front(), filled->job, tasks));
    if (!whole) return std::unexpected(whole.error());
  }
  const Summary seconds = summary_of(std::move(times));
  const std::size_t nodes = cluster->nodes().size();
  Section section{.title = "recover, nodes " + std::to_string(nodes) + ", " +
                           std::to_string(before->records) + " records at the node"};
  section.json = {{"nodes", nodes},
                  {"copies", filled->copies},
                  {"tasks", tasks},
                  {"records", before->records},
                  {"shards_owned", before->shards_owned},
                  {"seconds", json_of(seconds)}};
  section.lines = {{"seconds from start to serving", text_of(seconds, 2)}};
  return Sections{std::move(section)};
}

}  // namespace shoal::bench
