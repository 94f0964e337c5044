#include "shoal/client.hpp"

#include <algorithm>
#include <utility>

#include "base/format.hpp"
#include "client/impl.hpp"

namespace shoal {
namespace {

NodeFigures figures_of(const wire::NodeStats& stats) {
  return {.tasks_run = stats.tasks_run,
          .tasks_stolen = stats.tasks_stolen,
          .tasks_given = stats.tasks_given,
          .records = stats.records,
          .commits = stats.commits,
          .shards_home = stats.shards_home,
          .shards_owned = stats.shards_owned,
          .resident_bytes = stats.resident_bytes,
          .dropped_inputs = stats.dropped_inputs,
          .sync = {.count = stats.sync.count, .p50 = stats.sync.p50, .p99 = stats.sync.p99},
          .uptime_ms = stats.uptime_ms,
          .cpu_millis = stats.cpu_millis,
          .cpu_millis_free = stats.cpu_millis_free,
          .memory_bytes = stats.memory_bytes,
          .memory_bytes_free = stats.memory_bytes_free,
          .running = stats.running,
          .ready = stats.ready};
}

std::string_view word(wire::MemberState state) {
  switch (state) {
    case wire::MemberState::alive:
      return "alive";
    case wire::MemberState::suspect:
      return "suspect";
    case wire::MemberState::dead:
      return "dead";
    case wire::MemberState::left:
      return "left";
  }
  return "unknown";
}

MemberView view_of(wire::MemberRow row) {
  MemberView view{.node = row.node,
                  .name = std::move(row.info.name),
                  .address = to_string(row.info.address),
                  .state = std::string(word(row.state)),
                  .draining = row.info.draining,
                  .leaving = row.info.leaving,
                  .version = std::move(row.version),
                  .self = row.self};
  if (row.stats) view.figures = figures_of(*row.stats);
  return view;
}

}  // namespace

Client::Client(asio::io_context& context, ClientOptions options)
    : impl_(std::make_shared<Impl>(context, std::move(options))) {}

Client::~Client() { impl_->close(); }

asio::awaitable<Result<Submitted>> Client::submit(Submission submission,
                                                  std::function<void(std::uint32_t)> progress) {
  return impl_->submit(std::move(submission), std::move(progress));
}

asio::awaitable<Result<JobStatus>> Client::watch(JobId job, WatchOptions options,
                                                 OnUpdate on_update) {
  return impl_->watch(job, options, std::move(on_update));
}

asio::awaitable<Result<JobDetails>> Client::job(JobId id, Consistency consistency) {
  return impl_->job(id, consistency);
}

asio::awaitable<Result<TaskListing>> Client::tasks(JobId id, std::uint32_t states,
                                                   Consistency consistency) {
  return impl_->tasks(id, states, consistency);
}

asio::awaitable<Result<JobListing>> Client::list(JobFilter filter) {
  return impl_->list(std::move(filter));
}

asio::awaitable<Result<void>> Client::cancel(JobId job, std::optional<std::uint32_t> index) {
  const auto impl = impl_;
  const wire::CancelRequest request{.job = job, .index = index};
  const auto reply = co_await impl->call_for<wire::Done>(request);
  if (!reply) co_return std::unexpected(reply.error());
  co_return Result<void>{};
}

asio::awaitable<Result<void>> Client::read_log(TaskId task, int stream, bool follow,
                                               std::uint32_t attempt,
                                               std::function<bool(const LogPiece&)> on_piece) {
  return impl_->read_log(task, stream, follow, attempt, std::move(on_piece));
}

asio::awaitable<Result<ClusterView>> Client::members(bool with_figures) {
  const auto impl = impl_;
  const wire::ListMembers ask{.with_stats = with_figures};
  auto reply = co_await impl->call_for<wire::MemberList>(ask);
  if (!reply) co_return std::unexpected(reply.error());
  ClusterView view{.cluster = reply->cluster,
                   .serving = reply->serving,
                   .shard_count = reply->shard_count,
                   .waiting_for = std::move(reply->waiting_for)};
  for (wire::MemberRow& row : reply->members) view.members.push_back(view_of(std::move(row)));
  std::ranges::sort(view.members, {},
                    [](const MemberView& member) { return std::pair(member.name, member.node); });
  co_return view;
}

asio::awaitable<Result<RingView>> Client::ring(std::optional<JobId> job) {
  const auto impl = impl_;
  const wire::GetRing ask{.job = job};
  auto reply = co_await impl->call_for<wire::Ring>(ask);
  if (!reply) co_return std::unexpected(reply.error());
  RingView view{.shard_count = reply->shard_count};
  for (wire::RingRow& row : reply->rows) {
    view.shards.push_back(
        {.shard = row.shard, .home = std::move(row.home), .owner = row.owner, .round = row.round});
  }
  co_return view;
}

asio::awaitable<Result<void>> Client::drain(NodeId node, bool on) {
  return impl_->command(node, wire::SetDraining{on});
}

asio::awaitable<Result<void>> Client::leave(NodeId node, bool now) {
  return impl_->command(node, wire::LeaveCluster{now});
}

// Any node may spread it: the one that is talked to is told.
asio::awaitable<Result<void>> Client::forget(NodeId node) {
  return impl_->command({}, wire::ForgetNode{node});
}

asio::awaitable<Result<ShardCopy>> Client::shard_copy(NodeId node, ShardId shard,
                                                      std::chrono::milliseconds patience) {
  return impl_->shard_copy(node, shard, patience);
}

asio::awaitable<Result<void>> Client::recover(NodeId survivor, ShardId shard,
                                              std::vector<NodeId> lost) {
  return impl_->command(survivor, wire::RecoverShard{shard, std::move(lost)});
}

asio::awaitable<Result<JobId>> Client::resolve(std::string text) {
  return impl_->resolve(std::move(text));
}

std::string Client::gateway() const { return impl_->gateway(); }

}  // namespace shoal
