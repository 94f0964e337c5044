// What a cluster has: jobs and tasks, gathered from many owners, with what nobody told of.
#include <algorithm>
#include <map>
#include <utility>

#include "base/format.hpp"
#include "client/impl.hpp"
#include "task/record_key.hpp"

namespace shoal {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::uint32_t kCandidatesMax = 20;
// A listing is not held up longer than this by owners that do not confirm what they told.
constexpr std::chrono::milliseconds kConfirmMax{3000};
constexpr std::size_t kConfirmsAtOnce = 32;

using Gaps = std::map<ShardId, std::vector<TaskRange>>;

// Tasks [from, next) of the job that stand in one of `shards`.
void note_gaps(Gaps& gaps, JobId job, std::uint32_t from, std::uint32_t next,
               const std::vector<ShardId>& shards, std::uint32_t shard_count) {
  std::uint32_t begin = from;
  while (begin < next) {
    const std::uint32_t end = std::min(next, (begin / task::kRunLength + 1) * task::kRunLength);
    const ShardId shard = task::shard_of(TaskId{job, begin}, shard_count);
    if (std::ranges::find(shards, shard) != shards.end()) {
      std::vector<TaskRange>& ranges = gaps[shard];
      if (!ranges.empty() && ranges.back().last + 1 == begin) {
        ranges.back().last = end - 1;
      } else {
        ranges.push_back({begin, end - 1});
      }
    }
    begin = end;
  }
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

ShardId shard_of(TaskId task, std::uint32_t shard_count) {
  return task::shard_of(task, shard_count);
}

Client::Impl::Task<Result<std::uint32_t>> Client::Impl::shard_count() {
  const auto self = shared_from_this();
  const wire::ListMembers ask{.with_stats = false};
  auto reply = co_await call_for<wire::MemberList>(ask);
  if (!reply) co_return std::unexpected(reply.error());
  if (reply->shard_count == 0) {
    co_return fail(ErrorCode::unavailable, "the cluster does not serve yet: ask again");
  }
  co_return reply->shard_count;
}

Client::Impl::Task<Result<JobDetails>> Client::Impl::job(JobId id, Consistency consistency) {
  const auto self = shared_from_this();
  const wire::GetJob get{.job = id, .local = consistency == Consistency::local};
  auto reply = co_await call_for<wire::JobReply>(get);
  if (!reply) co_return std::unexpected(reply.error());
  JobDetails details;
  details.status = std::move(reply->status);
  details.owner = reply->owner;
  details.home = std::move(reply->home);
  details.single = std::move(reply->single);
  co_return details;
}

Client::Impl::Task<Result<TaskListing>> Client::Impl::tasks(JobId id, std::uint32_t states,
                                                            Consistency consistency) {
  const auto self = shared_from_this();
  TaskListing listing;
  Gaps gaps;
  std::uint32_t shards = 0;
  std::uint32_t from = 0;
  while (true) {
    const wire::ShowTasks show{
        .job = id, .from = from, .states = states, .local = consistency == Consistency::local};
    auto page = co_await call_for<wire::TasksReply>(show);
    if (!page) co_return std::unexpected(page.error());
    for (TaskStatus& status : page->tasks) {
      if (status.index >= from) listing.tasks.push_back(std::move(status));
    }
    if (!page->missing.empty() && shards == 0) {
      const auto count = co_await shard_count();
      if (!count) co_return std::unexpected(count.error());
      shards = *count;
    }
    if (shards > 0) note_gaps(gaps, id, from, page->next, page->missing, shards);
    // A page that leads nowhere would be asked for for ever.
    if (!page->more || page->next <= from) break;
    from = page->next;
  }
  std::ranges::sort(listing.tasks, {}, &TaskStatus::index);
  for (auto& [shard, ranges] : gaps) listing.missing.push_back({shard, std::move(ranges)});
  co_return listing;
}

// Rows of a listing on their way to being confirmed: the workers take them from the front.
struct Client::Impl::Confirming {
  Confirming(asio::io_context& context, JobListing& what)
      : listing(what), finished(context, SteadyTime::max()) {}

  JobListing& listing;            // Outlives the workers: confirm() waits for all of them.
  std::vector<bool> gone;         // By row: nobody knows the job any more.
  std::vector<std::size_t> rows;  // That are to be confirmed.
  std::size_t next = 0;
  std::size_t workers = 0;
  SteadyTime deadline;
  asio::steady_timer finished;  // Cancelled by the last worker.
};

Client::Impl::Task<void> Client::Impl::confirm_worker(std::shared_ptr<Confirming> confirming) {
  const auto self = shared_from_this();
  while (confirming->next < confirming->rows.size()) {
    const std::size_t row = confirming->rows[confirming->next++];
    const JobId id = confirming->listing.jobs[row].id;
    const wire::GetJob get{.job = id};
    auto reply = co_await call_for<wire::JobReply>(get, {.deadline = confirming->deadline});
    if (reply) {
      TaskSpec shown = std::move(confirming->listing.jobs[row].spec);
      confirming->listing.jobs[row] = std::move(reply->status);
      confirming->listing.jobs[row].spec = std::move(shown);  // As short as in all rows.
      continue;
    }
    const ErrorCode code = reply.error().code;
    if (code == ErrorCode::not_found || code == ErrorCode::expired) {
      confirming->gone[row] = true;
    } else {
      confirming->listing.unconfirmed.push_back(id);
    }
  }
  if (--confirming->workers == 0) confirming->finished.cancel();
}

Client::Impl::Task<void> Client::Impl::confirm(JobListing& listing, std::uint32_t states) {
  const auto self = shared_from_this();
  const auto confirming = std::make_shared<Confirming>(context_, listing);
  confirming->gone.resize(listing.jobs.size());
  confirming->deadline = std::min(deadline(), SteadyClock::now() + kConfirmMax);
  for (std::size_t row = 0; row < listing.jobs.size(); ++row) {
    if (listing.jobs[row].state != JobState::finished) confirming->rows.push_back(row);
  }
  if (confirming->rows.empty()) co_return;
  confirming->workers = std::min(kConfirmsAtOnce, confirming->rows.size());
  for (std::size_t i = confirming->workers; i > 0; --i) {
    asio::co_spawn(context_, confirm_worker(confirming), asio::detached);
  }
  while (confirming->workers > 0) co_await confirming->finished.async_wait(client::kTuple);
  std::vector<JobStatus> kept;
  for (std::size_t row = 0; row < listing.jobs.size(); ++row) {
    const auto state = static_cast<unsigned>(listing.jobs[row].state);
    const bool wanted = (states >> state & 1) != 0;
    if (wanted && !confirming->gone[row]) kept.push_back(std::move(listing.jobs[row]));
  }
  listing.jobs = std::move(kept);
  std::ranges::sort(listing.unconfirmed);
}

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
  if (filter.consistency == Consistency::strong) co_await confirm(listing, filter.states);
  co_return listing;
}

Client::Impl::Task<Result<JobId>> Client::Impl::resolve(std::string text) {
  const auto self = shared_from_this();
  if (const auto whole = parse_job_id(text)) co_return *whole;
  const bool newest = text == "@last";
  std::vector<std::string> missing;
  const auto prefix = parse_job_prefix(text);
  if (newest || (prefix && !text.empty())) {
    JobFilter filter{.limit = newest ? 1 : kCandidatesMax,
                     .consistency = Consistency::local};  // An id never changes its meaning.
    if (!newest) filter.prefix = prefix;
    const auto found = co_await list(std::move(filter));
    if (!found) co_return std::unexpected(found.error());
    if (found->jobs.size() == 1) co_return found->jobs.front().id;
    if (found->jobs.size() > 1) co_return std::unexpected(ambiguous(text, found->jobs, false));
    missing = found->missing;
  }
  if (!newest && !text.empty()) {
    JobFilter filter{.limit = kCandidatesMax, .consistency = Consistency::local};
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

}  // namespace shoal
