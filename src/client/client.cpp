#include "shoal/client.hpp"

#include <algorithm>
#include <utility>

#include "base/format.hpp"
#include "client/impl.hpp"

namespace shoal {
namespace {

constexpr std::uint32_t kCandidatesMax = 20;

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
                  .version = std::move(row.version),
                  .self = row.self};
  if (row.stats) view.figures = figures_of(*row.stats);
  return view;
}

Error ambiguous(const std::string& text, const std::vector<JobStatus>& jobs, bool by_name) {
  std::string candidates;
  for (const JobStatus& job : jobs) {
    candidates += format("{}{}", candidates.empty() ? "" : ", ", short_text(job.id, 8));
    if (!job.name.empty()) candidates += format(" ({})", job.name);
  }
  return {ErrorCode::conflict,
          format("{} \"{}\" fits several jobs: {}. Give more characters of the id",
                 by_name ? "the name" : "the prefix", text, candidates)};
}

}  // namespace

Client::Impl::Task<Result<JobListing>> Client::Impl::list(JobFilter filter) {
  const auto self = shared_from_this();
  wire::ListJobs ask{.limit = filter.limit, .states = filter.states};
  ask.name = std::move(filter.name);
  if (filter.prefix) {
    ask.prefix_bits = filter.prefix->bits;
    ask.prefix_mask = filter.prefix->mask;
  }
  auto reply = co_await call_for<wire::JobList>(std::move(ask));
  if (!reply) co_return std::unexpected(reply.error());
  JobListing listing;
  listing.jobs = std::move(reply->jobs);
  listing.missing = std::move(reply->missing);
  co_return listing;
}

Client::Impl::Task<Result<JobId>> Client::Impl::resolve(std::string text) {
  const auto self = shared_from_this();
  if (const auto whole = parse_job_id(text)) co_return *whole;
  const bool newest = text == "@last";
  std::vector<std::string> missing;
  const auto prefix = parse_job_prefix(text);
  if (newest || (prefix && !text.empty())) {
    JobFilter filter{.limit = newest ? 1 : kCandidatesMax};
    if (!newest) filter.prefix = prefix;
    const auto found = co_await list(std::move(filter));
    if (!found) co_return std::unexpected(found.error());
    if (found->jobs.size() == 1) co_return found->jobs.front().id;
    if (found->jobs.size() > 1) co_return std::unexpected(ambiguous(text, found->jobs, false));
    missing = found->missing;
  }
  if (!newest && !text.empty()) {
    JobFilter filter{.limit = kCandidatesMax};
    filter.name = text;
    const auto found = co_await list(std::move(filter));
    if (!found) co_return std::unexpected(found.error());
    if (found->jobs.size() == 1) co_return found->jobs.front().id;
    if (found->jobs.size() > 1) co_return std::unexpected(ambiguous(text, found->jobs, true));
    missing = found->missing;
  }
  std::string away;
  for (const std::string& node : missing) away += (away.empty() ? "" : ", ") + node;
  if (!away.empty()) {
    co_return fail(
        ErrorCode::unavailable,
        format("no job \"{}\" was found, but {} did not answer and may hold it", text, away));
  }
  co_return fail(ErrorCode::not_found,
                 format("there is no job \"{}\"; `shoal ps` lists those there are", text));
}

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

asio::awaitable<Result<JobDetails>> Client::job(JobId id) {
  const auto impl = impl_;
  const wire::GetJob get{.job = id};
  auto reply = co_await impl->call_for<wire::JobReply>(get);
  if (!reply) co_return std::unexpected(reply.error());
  JobDetails details;
  details.status = std::move(reply->status);
  details.owner = reply->owner;
  details.home = std::move(reply->home);
  details.single = std::move(reply->single);
  co_return details;
}

asio::awaitable<Result<std::vector<TaskStatus>>> Client::tasks(JobId id, std::uint32_t states) {
  return impl_->tasks(id, states);
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
    view.shards.push_back({.shard = static_cast<std::uint32_t>(row.shard),
                           .home = std::move(row.home),
                           .owner = row.owner,
                           .round = row.round});
  }
  co_return view;
}

asio::awaitable<Result<JobId>> Client::resolve(std::string text) {
  return impl_->resolve(std::move(text));
}

std::string Client::gateway() const { return impl_->gateway(); }

}  // namespace shoal
