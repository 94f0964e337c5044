#include "sim/processes.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <string>
#include <utility>

#include "base/format.hpp"
#include "base/units.hpp"

namespace shoal::sim {
namespace {

std::uint32_t number_argument(const TaskSpec& spec) {
  std::uint32_t number = 0;
  if (spec.argv.size() < 2) return number;
  const std::string& text = spec.argv[1];
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// What the attempt writes to its standard output.
std::string output_text(const AttemptId& attempt) {
  return format("{} attempt {}\n", to_string(attempt.task), attempt.number);
}

}  // namespace

Processes::Ending Processes::launch(TimePoint now, WallTime wall, const task::Launch& launch,
                                    Random& random) {
  const TaskSpec& spec = launch.spec;
  const std::string_view command = spec.argv.empty() ? std::string_view{} : spec.argv.front();
  const int steps = std::countr_one(random.next());
  Duration duration = options_.duration_mean / 2 * steps + random.below(options_.duration_mean);

  Process process{.cpu_millis = spec.cpu_millis, .memory_bytes = spec.memory_bytes};
  process.result.started = wall;
  if (command == "sleep" && spec.argv.size() > 1) {
    duration = parse_duration(spec.argv[1]).value_or(std::chrono::milliseconds(0));
  } else if (command == "false") {
    process.result.exit_status = 1;
  } else if (command == "exit") {
    process.result.exit_status = static_cast<std::int32_t>(number_argument(spec) & 0xff);
  } else if (command == "flaky") {
    process.result.exit_status = launch.attempt.number < number_argument(spec) ? 1 : 0;
  } else if (command == "missing") {
    process.result.reason = EndReason::not_found;
    process.result.exit_status = 127;
    duration = Duration::zero();
  }
  if (spec.timeout > Duration::zero() && duration > spec.timeout) {
    duration = spec.timeout;
    process.result.reason = EndReason::timed_out;
    process.result.signal = 9;
    process.result.exit_status = 128 + 9;
  }
  process.token = ++token_;
  process.ends = now + duration;
  process.left = duration;
  cpu_millis_ += process.cpu_millis;
  memory_bytes_ += process.memory_bytes;
  const Ending ending{launch.attempt, process.token, process.ends};
  outputs_[launch.attempt] = false;
  running_[launch.attempt] = std::move(process);
  return ending;
}

std::optional<Processes::Ending> Processes::kill(TimePoint now, const task::Kill& kill) {
  const auto found = running_.find(kill.attempt);
  if (found == running_.end() || options_.deaf) return std::nullopt;
  Process& process = found->second;
  const TimePoint killed = now + options_.kill_delay;
  if (process.ends <= killed && !frozen_) return std::nullopt;  // Ends by itself first.
  process.token = ++token_;
  process.ends = killed;
  process.left = options_.kill_delay;
  process.result.reason = kill.reason;
  process.result.signal = 9;
  process.result.exit_status = 128 + 9;
  return Ending{kill.attempt, process.token, process.ends};
}

std::optional<task::ProcessEnded> Processes::end(const AttemptId& attempt, std::uint64_t token,
                                                 WallTime wall) {
  const auto found = running_.find(attempt);
  if (found == running_.end() || found->second.token != token) return std::nullopt;
  task::ProcessEnded ended{.attempt = attempt, .result = std::move(found->second.result)};
  ended.result.ended = wall;
  ended.tails[0] = output_text(attempt);
  ended.result.output_bytes[0] = ended.tails[0].size();
  cpu_millis_ -= found->second.cpu_millis;
  memory_bytes_ -= found->second.memory_bytes;
  running_.erase(found);
  outputs_[attempt] = true;
  return ended;
}

void Processes::freeze(TimePoint now) {
  if (std::exchange(frozen_, true)) return;
  for (auto& [attempt, process] : running_) {
    process.left = std::max(Duration::zero(), Duration(process.ends - now));
    process.token = ++token_;  // What was due while frozen is void.
  }
}

std::vector<Processes::Ending> Processes::thaw(TimePoint now) {
  std::vector<Ending> endings;
  if (!std::exchange(frozen_, false)) return endings;
  for (auto& [attempt, process] : running_) {
    process.token = ++token_;
    process.ends = now + process.left;
    endings.push_back({attempt, process.token, process.ends});
  }
  return endings;
}

std::vector<AttemptId> Processes::clear() {
  std::vector<AttemptId> ran = running();
  for (const AttemptId& attempt : ran) outputs_[attempt] = true;
  running_.clear();
  cpu_millis_ = 0;
  memory_bytes_ = 0;
  frozen_ = false;
  return ran;
}

std::vector<AttemptId> Processes::running() const {
  std::vector<AttemptId> attempts;
  attempts.reserve(running_.size());
  for (const auto& [attempt, process] : running_) attempts.push_back(attempt);
  return attempts;
}

task::OutputPiece Processes::read(const task::OutputRead& read) const {
  task::OutputPiece piece{.request = read.request, .offset = read.offset};
  const auto found = outputs_.find(read.attempt);
  if (found == outputs_.end()) return piece;
  piece.known = true;
  const std::string text =
      read.stream == task::Stream::out && found->second ? output_text(read.attempt) : "";
  if (read.offset < text.size()) {
    piece.bytes = text.substr(static_cast<std::size_t>(read.offset), read.bytes_max);
  }
  piece.ended = found->second && read.offset + piece.bytes.size() >= text.size();
  return piece;
}

}  // namespace shoal::sim
