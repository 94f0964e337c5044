// Work to measure with: arrays of equal tasks, handed in over several connections at once.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "shoal/client.hpp"
#include "tools/bench/cluster.hpp"
#include "tools/bench/loop.hpp"

namespace shoal::bench {

using Clients = std::vector<std::unique_ptr<Client>>;

// Each with a connection of its own; their gateways go round the nodes.
Clients connect(Loop& loop, const Cluster& cluster, std::uint32_t count);

TaskSpec noop_spec();
TaskSpec true_spec();     // /bin/true, one cpu.
TaskSpec waiting_spec();  // Needs more cpus than any node has: it stays in the queue.

// `tasks` equal tasks, parted evenly into one job for each client. The result is the time in
// seconds from the first submit until every job is finished; an error when any task did not
// succeed.
asio::awaitable<Result<double>> run_arrays(Loop& loop, const Clients& clients, TaskSpec spec,
                                           std::uint32_t tasks);

struct Filled {
  JobId job;
  double seconds = 0;      // Until all tasks were acknowledged.
  std::size_t copies = 0;  // Nodes that keep the job's record.
};
// One job whose tasks wait. REQUIRES: `spec` cannot run.
asio::awaitable<Result<Filled>> fill(Client& client, TaskSpec spec, std::uint32_t tasks);

// The members that answered with figures; an error when one did not.
asio::awaitable<Result<std::vector<MemberView>>> members_with_figures(Client& client);

}  // namespace shoal::bench
