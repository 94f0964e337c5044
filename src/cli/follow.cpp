#include "cli/follow.hpp"

#include <algorithm>

#include "base/format.hpp"

namespace shoal::cli {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFollowAfter{150};
// How long a reader may still bring what the outcome says there is.
constexpr milliseconds kDrainMax{5000};
constexpr milliseconds kDrainStep{20};

}  // namespace

asio::awaitable<Result<TaskStatus>> TaskFollower::follow() {
  const auto self = shared_from_this();
  const Client::OnUpdate on_updates = [this](const std::vector<TaskUpdate>& tasks,
                                             const JobStatus*) {
    for (const TaskUpdate& update : tasks) {
      if (update.status.index == task_.index) on_update(update);
    }
    return !(last_ && terminal(last_->status.state));
  };
  const WatchOptions options{.tasks = true, .with_output = true};
  const auto watched = co_await program_.client().watch(task_.job, options, on_updates);
  if (!watched) co_return std::unexpected(watched.error());
  if (!last_) {
    co_return fail(ErrorCode::not_found, "the cluster told nothing of the task's end");
  }
  if (last_->status.attempt > 0 && last_->status.result) {
    for (int stream = 0; stream < 2; ++stream) co_await complete(stream);
  }
  co_return last_->status;
}

void TaskFollower::on_update(const TaskUpdate& update) {
  last_ = update;
  if (update.status.state != TaskState::claimed) return;
  for (int stream = 0; stream < 2; ++stream) {
    StreamPlace& place = places_[static_cast<std::size_t>(stream)];
    if (place.reading) continue;
    place.reading = true;
    program_.spawn(read_later(stream));
  }
}

asio::awaitable<void> TaskFollower::read_later(int stream) {
  const auto self = shared_from_this();
  StreamPlace& place = places_[static_cast<std::size_t>(stream)];
  co_await program_.sleep(kFollowAfter);
  if (!terminal(last_->status.state)) {
    const std::function<bool(const LogPiece&)> on_bytes = [self, stream](const LogPiece& piece) {
      self->on_piece(stream, piece);
      return true;
    };
    // An error is no loss: what is missing at the end is fetched then.
    co_await program_.client().read_log(task_, stream, true, 0, on_bytes);
  }
  place.reading = false;
}

void TaskFollower::on_piece(int stream, const LogPiece& piece) {
  StreamPlace& place = places_[static_cast<std::size_t>(stream)];
  if (piece.attempt < place.attempt || !piece.complete) return;
  if (piece.attempt > place.attempt) {
    place.attempt = piece.attempt;
    place.offset = 0;
    if (piece.attempt > 1 && stream == 0) {
      program_.note(format("shoal: {} attempt {} begins", short_text(task_.job), piece.attempt));
    }
  }
  if (piece.offset > place.offset) return;  // A gap: complete() fills it in order.
  const std::uint64_t known = place.offset - piece.offset;
  if (known >= piece.bytes.size()) return;
  const std::string_view fresh = std::string_view(piece.bytes).substr(known);
  place.offset += fresh.size();
  on_bytes_(stream, fresh);
}

asio::awaitable<void> TaskFollower::complete(int stream) {
  const auto self = shared_from_this();
  const auto at = static_cast<std::size_t>(stream);
  StreamPlace& place = places_[at];
  const TaskStatus& status = last_->status;
  const std::uint64_t size = std::min(status.result->output_bytes[at], std::uint64_t{1} << 62);
  const auto missing = [&] {
    const bool same = place.attempt == status.attempt;
    return size - std::min(size, same ? place.offset : 0);
  };
  const auto drain_until = std::chrono::steady_clock::now() + kDrainMax;
  const std::string tail = last_->tails ? (*last_->tails)[at] : std::string();
  while (missing() > tail.size() && place.reading &&
         std::chrono::steady_clock::now() < drain_until) {
    co_await program_.sleep(kDrainStep);
  }
  if (missing() > tail.size()) {
    const std::function<bool(const LogPiece&)> on_bytes = [self, stream](const LogPiece& piece) {
      self->on_piece(stream, piece);
      return true;
    };
    co_await program_.client().read_log(task_, stream, false, status.attempt, on_bytes);
  }
  if (status.result->output_capped[at] && place.attempt == status.attempt && place.offset > 0) {
    program_.note(format("shoal: the node kept only the first {} bytes of {}", place.offset,
                         stream == 0 ? "stdout" : "stderr"));
    co_return;
  }
  const std::uint64_t left = missing();
  if (left == 0) co_return;
  const std::string_view rest =
      std::string_view(tail).substr(tail.size() - std::min<std::uint64_t>(left, tail.size()));
  if (rest.size() < left) {
    program_.note(
        format("shoal: {} bytes of {} could not be had: the node that ran the task does "
               "not answer; try again later: shoal logs {}",
               left - rest.size(), stream == 0 ? "stdout" : "stderr", short_text(task_.job)));
  }
  place = {.attempt = status.attempt, .offset = size};
  if (!rest.empty()) on_bytes_(stream, rest);
}

}  // namespace shoal::cli
