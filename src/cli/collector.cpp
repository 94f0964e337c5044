#include "cli/collector.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/format.hpp"

namespace shoal::cli {
namespace {

using std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

// Standard output takes one task after the other; files do not mind each other.
constexpr int kPrintersMax = 1;
constexpr int kWritersMax = 8;
constexpr milliseconds kRetryPause{1000};
constexpr milliseconds kFinishStep{5};

std::size_t bytes_of(const std::optional<std::array<std::string, 2>>& tails) {
  return tails ? (*tails)[0].size() + (*tails)[1].size() : 0;
}

}  // namespace

std::uint64_t Collector::size_of(const TaskStatus& status, int stream) const {
  if (!status.result || status.attempt == 0) return 0;
  const auto at = static_cast<std::size_t>(stream);
  const std::uint64_t written = status.result->output_bytes[at];
  if (!status.result->output_capped[at]) return written;
  return std::min(written, options_.stream_bytes_max);
}

bool Collector::whole(const Held& held) const {
  for (int stream = 0; stream < 2; ++stream) {
    const std::uint64_t size = size_of(held.status, stream);
    if (size == 0) continue;
    if (!held.tails || (*held.tails)[static_cast<std::size_t>(stream)].size() < size) return false;
  }
  return true;
}

void Collector::on_ended(const TaskUpdate& update) {
  Held held{.status = update.status, .tails = update.tails};
  if (options_.results != nullptr || !options_.keep_order) {
    take(std::move(held));
    return;
  }
  const std::uint32_t index = held.status.index;
  held_bytes_ += bytes_of(held.tails);
  if (index != next_index_ && held_bytes_ > kHeldBytesMax) {
    held_bytes_ -= bytes_of(held.tails);
    held.tails.reset();
  }
  early_.emplace(index, std::move(held));
  while (!early_.empty() && early_.begin()->first == next_index_) {
    Held due = std::move(early_.begin()->second);
    early_.erase(early_.begin());
    ++next_index_;
    held_bytes_ -= bytes_of(due.tails);
    take(std::move(due));
  }
}

void Collector::take(Held held) {
  const bool at_once = options_.results != nullptr || (workers_ == 0 && queue_.empty());
  if (at_once && whole(held)) {
    bring_whole(held);
  } else {
    push(std::move(held));
  }
}

void Collector::push(Held held) {
  held_bytes_ += bytes_of(held.tails);
  if (held_bytes_ > kHeldBytesMax) {
    held_bytes_ -= bytes_of(held.tails);
    held.tails.reset();
  }
  queue_.push_back(std::move(held));
  const int workers_max = options_.results != nullptr ? kWritersMax : kPrintersMax;
  if (workers_ == workers_max) return;
  ++workers_;
  program_.spawn(work());
}

asio::awaitable<void> Collector::work() {
  while (!queue_.empty()) {
    Held held = std::move(queue_.front());
    queue_.pop_front();
    held_bytes_ -= bytes_of(held.tails);
    co_await bring(held);
  }
  --workers_;
}

void Collector::bring_whole(const Held& held) {
  // A task that never began left nothing, not even empty files.
  if (!held.status.result || held.status.attempt == 0) return;
  for (int stream = 0; stream < 2; ++stream) {
    const std::uint64_t size = size_of(held.status, stream);
    std::string_view bytes;
    if (size > 0) bytes = (*held.tails)[static_cast<std::size_t>(stream)];
    put(held.status.index, stream, 0, bytes);
  }
}

asio::awaitable<void> Collector::bring(Held& held) {
  if (whole(held)) {
    bring_whole(held);
    co_return;
  }
  bool all = true;
  for (int stream = 0; stream < 2; ++stream) {
    const bool fetched = co_await fetch(held, stream);
    all = all && fetched;
  }
  if (!all) ++lost_;
  std::fflush(stdout);
}

asio::awaitable<bool> Collector::fetch(const Held& held, int stream) {
  const TaskStatus& status = held.status;
  const std::uint64_t size = size_of(status, stream);
  const auto until = SteadyClock::now() + kNodeAwayMax;
  std::string tail;
  if (held.tails) tail = (*held.tails)[static_cast<std::size_t>(stream)];
  if (tail.size() >= size) {
    put(status.index, stream, 0, tail);
    co_return true;
  }
  std::uint64_t have = 0;
  bool away = false;
  const std::function<bool(const LogPiece&)> on_piece = [&](const LogPiece& piece) {
    if (!piece.complete) {
      away = true;  // Its bytes are the tail, which the owner keeps.
      if (tail.empty()) tail = piece.bytes;
      return true;
    }
    if (piece.offset > have || piece.offset + piece.bytes.size() <= have) return true;
    const auto fresh = std::string_view(piece.bytes).substr(have - piece.offset);
    put(status.index, stream, have, fresh);
    have += fresh.size();
    return !error_;
  };
  const TaskId task{job_, status.index};
  while (!error_) {
    away = false;
    const auto read =
        co_await program_.client().read_log(task, stream, false, status.attempt, on_piece);
    if (have >= size) co_return true;
    if (!read && read.error().code != ErrorCode::unavailable) break;
    if (SteadyClock::now() >= until) break;
    co_await program_.sleep(kRetryPause);
  }
  const auto left = std::min<std::uint64_t>(size - std::min(size, have), tail.size());
  const auto rest = std::string_view(tail).substr(tail.size() - left);
  program_.note(
      format("shoal: {} of {}[{}] is not whole: {} of {} bytes; the node that ran it does "
             "not answer, the rest: shoal logs {}[{}]",
             stream == 0 ? "stdout" : "stderr", short_text(job_), status.index, have + left, size,
             short_text(job_), status.index));
  // The part that is missing stays a hole in a file, so that offsets remain true.
  put(status.index, stream, std::max(have, size - left), rest);
  co_return false;
}

void Collector::put(std::uint32_t index, int stream, std::uint64_t offset, std::string_view bytes) {
  if (error_) return;
  if (options_.results != nullptr) {
    const Result<void> written = options_.results->write(index, stream, offset, bytes);
    if (!written) error_ = written.error();
    return;
  }
  std::FILE* file = stream == 0 ? stdout : stderr;
  if (std::fwrite(bytes.data(), 1, bytes.size(), file) != bytes.size()) {
    error_ = Error{ErrorCode::io, format("cannot write the output: {}", std::strerror(errno))};
  }
}

asio::awaitable<void> Collector::finish() {
  // Indices that were never told (their tasks never ended) hold nobody back any more.
  for (auto& [index, held] : early_) {
    held_bytes_ -= bytes_of(held.tails);
    take(std::move(held));
  }
  early_.clear();
  while (workers_ > 0) co_await program_.sleep(kFinishStep);
  std::fflush(stdout);
}

}  // namespace shoal::cli
