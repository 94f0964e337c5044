// Following a job to its end, and a task's output: answers that go on, over several connections if
// need be.
#include <algorithm>
#include <utility>

#include "base/format.hpp"
#include "client/impl.hpp"
#include "client/watch_filter.hpp"

namespace shoal {
namespace {

using client::WatchFilter;
using std::chrono::milliseconds;

// A finished job's watch that did not tell of every task is asked this often again for a snapshot.
constexpr int kSnapshotsMax = 3;
constexpr milliseconds kSnapshotPause{200};

struct Following {
  WatchFilter filter;
  std::optional<JobStatus> last;
  bool stopped = false;  // The caller wants no more.
};

TaskUpdate update_of(wire::TaskEvent& event) {
  TaskUpdate update{.status = std::move(event.status)};
  if (event.has_tails) update.tails = std::move(event.tails);
  return update;
}

// Fields that only grow: an older view of a job never replaces a newer one.
bool newer(const JobStatus& status, const std::optional<JobStatus>& than) {
  if (!than) return true;
  if (status.state != than->state) return status.state > than->state;
  return status.counts.ended() >= than->counts.ended();
}

Result<bool> on_event(Following& following, const Client::OnUpdate& on_update,
                      wire::ClientReplyBody& body) {
  auto* event = std::get_if<wire::WatchEvent>(&body);
  if (event == nullptr) return fail(ErrorCode::internal, "the node answered a watch with no event");
  std::vector<TaskUpdate> news;
  for (wire::TaskEvent& task : event->tasks) {
    if (following.filter.accept(task.status)) news.push_back(update_of(task));
  }
  const bool job_news = event->job && newer(*event->job, following.last);
  if (job_news) following.last = std::move(*event->job);
  const JobStatus* job = job_news ? &*following.last : nullptr;
  if (on_update && (!news.empty() || job != nullptr)) {
    following.stopped = !on_update(news, job);
  }
  return following.stopped;
}

bool complete(const Following& following, const WatchOptions& options) {
  if (!following.last || following.last->state != JobState::finished) return false;
  const JobStatus& job = *following.last;
  // A cancelled job may never have got all its elements.
  const std::uint32_t all =
      job.cancelled ? job.counts.total : std::max(job.count, job.counts.total);
  return !options.tasks || following.filter.ended() >= all;
}

}  // namespace

Client::Impl::Task<Result<JobStatus>> Client::Impl::watch(JobId job, WatchOptions options,
                                                          OnUpdate on_update) {
  const auto self = shared_from_this();
  Following following;
  const auto again = [job, options]() -> wire::ClientRequestBody {
    return wire::WatchJob{.job = job, .tasks = options.tasks, .with_output = options.with_output};
  };
  const OnReply on_reply = [&following, &on_update](wire::ClientReplyBody& body) {
    return on_event(following, on_update, body);
  };
  int snapshots = 0;
  while (!complete(following, options)) {
    const Result<void> ended = co_await stream(again, on_reply);
    if (!ended) co_return std::unexpected(ended.error());
    if (following.stopped || complete(following, options)) break;
    const bool finished = following.last && following.last->state == JobState::finished;
    if (finished && ++snapshots == kSnapshotsMax) break;
    co_await pause(kSnapshotPause);
  }
  if (!following.stopped && options.tasks && !complete(following, options)) {
    // The rest without output: better told late and short than not at all.
    auto rest = co_await tasks(job, ~0U, Consistency::strong);
    if (!rest) co_return std::unexpected(rest.error());
    std::vector<TaskUpdate> news;
    for (TaskStatus& status : rest->tasks) {
      if (following.filter.accept(status)) news.push_back({.status = std::move(status)});
    }
    if (on_update && !news.empty()) on_update(news, nullptr);
    if (!rest->missing.empty()) {
      co_return fail(
          ErrorCode::unavailable,
          format("the job is finished, but nobody tells of its tasks in {} shards: their "
                 "homes do not answer. Ask again when they are back; `shoal shard ls` "
                 "shows them",
                 rest->missing.size()));
    }
  }
  if (following.last) co_return *following.last;
  const wire::GetJob get{.job = job};
  auto reply = co_await call_for<wire::JobReply>(get);
  if (!reply) co_return std::unexpected(reply.error());
  co_return std::move(reply->status);
}

Client::Impl::Task<Result<void>> Client::Impl::read_log(
    TaskId task, int stream_number, bool follow, std::uint32_t attempt,
    std::function<bool(const LogPiece&)> on_piece) {
  const auto self = shared_from_this();
  struct Place {
    std::uint32_t attempt = 0;
    std::uint64_t offset = 0;
  };
  Place place{.attempt = attempt};
  const auto which = stream_number == 0 ? task::Stream::out : task::Stream::err;
  const auto again = [&place, task, which, follow]() -> wire::ClientRequestBody {
    return wire::ReadLog{.task = task,
                         .attempt = place.attempt,
                         .stream = which,
                         .offset = place.offset,
                         .follow = follow};
  };
  const OnReply on_reply = [&place, &on_piece](wire::ClientReplyBody& body) -> Result<bool> {
    auto* data = std::get_if<wire::LogData>(&body);
    if (data == nullptr) return fail(ErrorCode::internal, "the node answered with no output");
    const std::uint32_t number = data->attempt.number;
    if (number != 0 && number < place.attempt) return false;
    if (number > place.attempt) {
      if (place.attempt != 0) place.offset = 0;  // The next attempt's output begins.
      place.attempt = number;
    }
    // After a change of connection some bytes may come again.
    if (data->offset < place.offset) {
      const std::uint64_t known = place.offset - data->offset;
      data->bytes.erase(
          0, static_cast<std::size_t>(std::min<std::uint64_t>(known, data->bytes.size())));
      data->offset = place.offset;
    }
    place.offset = data->offset + data->bytes.size();
    const LogPiece piece{.attempt = number,
                         .node = data->node,
                         .offset = data->offset,
                         .bytes = std::move(data->bytes),
                         .note = std::move(data->note),
                         .complete = data->complete};
    return !on_piece(piece);
  };
  const Result<void> read = co_await stream(again, on_reply);
  co_return read;
}

}  // namespace shoal
