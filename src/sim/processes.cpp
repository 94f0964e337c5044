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

using namespace std::chrono_literals;

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

void set_killed(AttemptResult& result, EndReason reason) {
  result.reason = reason;
  result.signal = 9;
  result.exit_status = 128 + 9;
}

AttemptResult never_started(WallTime wall) {
  AttemptResult result{.started = wall, .ended = wall};
  set_killed(result, EndReason::node_stopped);
  return result;
}

}  // namespace

std::uint32_t Processes::supervisor_of(const AttemptId& attempt) const {
  const std::uint64_t mixed = mix64(
      attempt.task.job.value ^ mix64(std::uint64_t{attempt.task.index} << 32 | attempt.number));
  return static_cast<std::uint32_t>(mixed % std::max(options_.supervisors, 1U));
}

std::optional<Processes::Ending> Processes::launch(TimePoint now, WallTime wall,
                                                   const task::Launch& launch, TimePoint lease_end,
                                                   Random& random) {
  const TaskSpec& spec = launch.spec;
  const std::string_view command = spec.argv.empty() ? std::string_view{} : spec.argv.front();
  const int steps = std::countr_one(random.next());
  Duration duration = options_.duration_mean / 2 * steps + random.below(options_.duration_mean);
  if (lease_end <= now && !options_.deaf) {
    kept_[launch.attempt] = {{launch.attempt, never_started(wall), {}}};
    return std::nullopt;
  }

  Process process{.cpu_millis = spec.cpu_millis,
                  .memory_bytes = spec.memory_bytes,
                  .shard = launch.shard,
                  .started = wall,
                  .lease_end_local = launch.lease_end,
                  .lease_end = lease_end};
  process.result.started = wall;
  if (command == "sleep" || command == "stubborn" || command == "poison") {
    if (spec.argv.size() > 1) duration = parse_duration(spec.argv[1]).value_or(0ms);
    process.stubborn = command == "stubborn";
    process.poison = command == "poison";
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
    set_killed(process.result, EndReason::timed_out);
  }
  process.ends = now + duration;
  process.left = duration;
  cpu_millis_ += process.cpu_millis;
  memory_bytes_ += process.memory_bytes;
  outputs_[launch.attempt] = false;
  Process& placed = running_[launch.attempt] = std::move(process);
  return reschedule(launch.attempt, placed);
}

TimePoint Processes::next(const Process& process) const {
  if (supervisors_frozen_) return kNever;
  TimePoint at = process.killed_at;
  if (!frozen_) at = std::min(at, process.ends);
  const bool watched = !options_.deaf && process.killed_at == kNever;
  return watched ? std::min(at, process.lease_end) : at;
}

Processes::Ending Processes::reschedule(const AttemptId& attempt, Process& process) {
  process.token = ++token_;
  return {attempt, process.token, next(process)};
}

void Processes::extend(const task::Extend& extend, TimePoint lease_end) {
  const auto found = running_.find(extend.attempt);
  if (found == running_.end() || found->second.lease_end_local >= extend.lease_end) return;
  // The event that stands for the earlier end comes first and finds that there is longer to go.
  found->second.lease_end_local = extend.lease_end;
  found->second.lease_end = lease_end;
}

std::optional<Processes::Ending> Processes::kill(TimePoint now, const task::Kill& kill) {
  const auto found = running_.find(kill.attempt);
  if (found == running_.end() || options_.deaf) return std::nullopt;
  Process& process = found->second;
  TimePoint at = now + options_.kill_delay;
  if (process.stubborn) at += kill.grace;
  if (process.killed_at <= at) return std::nullopt;
  if (process.ends <= at && !frozen_) return std::nullopt;  // Ends by itself first.
  process.killed_at = at;
  process.kill_reason = kill.reason;
  return reschedule(kill.attempt, process);
}

Processes::Due Processes::due(TimePoint now, const Ending& ending, WallTime wall) {
  const auto found = running_.find(ending.attempt);
  if (found == running_.end() || found->second.token != ending.token) return {};
  Process& process = found->second;
  const TimePoint at = next(process);
  if (at == kNever) return {};  // Suspended meanwhile.
  if (at > now) return {.again = reschedule(ending.attempt, process)};
  const bool by_itself = !frozen_ && process.ends <= std::min(now, process.killed_at);
  if (!by_itself && process.killed_at > now) {
    process.killed_at = now + options_.kill_delay;  // The lease is over.
    process.kill_reason = EndReason::node_stopped;
    return {.again = reschedule(ending.attempt, process)};
  }
  const bool poison = process.poison && by_itself;
  task::ProcessEnded ended{.attempt = ending.attempt, .result = std::move(process.result)};
  if (!by_itself) set_killed(ended.result, process.kill_reason);
  ended.result.ended = wall;
  ended.tails[0] = output_text(ending.attempt);
  ended.result.output_bytes[0] = ended.tails[0].size();
  cpu_millis_ -= process.cpu_millis;
  memory_bytes_ -= process.memory_bytes;
  last_end_[supervisor_of(ending.attempt)] = now;
  if (process.told || !process.lost) {
    kept_[ending.attempt] = {std::move(ended), process.told, process.lost};
  }
  running_.erase(found);
  outputs_[ending.attempt] = true;
  return {.ended = true, .poison = poison};
}

std::optional<task::ProcessEnded> Processes::take_ended(const AttemptId& attempt) {
  const auto found = kept_.find(attempt);
  if (found == kept_.end() || !found->second.told) return std::nullopt;
  task::ProcessEnded ended = found->second.ended;
  if (!options_.supervised) kept_.erase(found);
  return ended;
}

void Processes::freeze(TimePoint now) {
  supervisors_frozen_ = true;
  if (std::exchange(frozen_, true)) return;
  for (auto& [attempt, process] : running_) {
    process.left = std::max(Duration::zero(), Duration(process.ends - now));
  }
}

std::vector<Processes::Ending> Processes::resume_supervisors(TimePoint now) {
  supervisors_frozen_ = false;
  std::vector<Ending> endings;
  for (auto& [attempt, process] : running_) {
    // What was killed just before ends when the kernel runs again.
    if (process.killed_at < now) process.killed_at = now;
    endings.push_back(reschedule(attempt, process));
  }
  return endings;
}

std::vector<Processes::Ending> Processes::thaw(TimePoint now) {
  std::vector<Ending> endings;
  if (!frozen_ || supervisors_frozen_) return endings;
  frozen_ = false;
  for (auto& [attempt, process] : running_) {
    process.ends = now + process.left;
    endings.push_back(reschedule(attempt, process));
  }
  return endings;
}

std::vector<AttemptId> Processes::orphan(TimePoint now) {
  if (!options_.supervised) return clear();
  orphaned_at_ = now;
  for (auto& [attempt, process] : running_) process.told = false;
  std::erase_if(kept_, [](const auto& entry) { return entry.second.lost; });
  for (auto& [attempt, kept] : kept_) kept.told = false;
  return {};
}

std::vector<Processes::Ending> Processes::lose(std::uint32_t supervisor, TimePoint now) {
  std::vector<Ending> endings;
  for (auto& [attempt, process] : running_) {
    if (supervisor_of(attempt) != supervisor) continue;
    process.lost = true;
    if (process.killed_at == kNever) process.kill_reason = EndReason::node_stopped;
    process.killed_at = std::min(process.killed_at, now + options_.kill_delay);
    endings.push_back(reschedule(attempt, process));
  }
  for (auto& [attempt, kept] : kept_) {
    if (supervisor_of(attempt) == supervisor) kept.lost = true;
  }
  std::erase_if(kept_, [](const auto& entry) { return entry.second.lost && !entry.second.told; });
  return endings;
}

std::vector<AttemptId> Processes::clear() {
  std::vector<AttemptId> ran = running();
  for (const AttemptId& attempt : ran) outputs_[attempt] = true;
  running_.clear();
  kept_.clear();
  cpu_millis_ = 0;
  memory_bytes_ = 0;
  frozen_ = false;
  supervisors_frozen_ = false;
  return ran;
}

std::vector<AttemptId> Processes::held_by(std::uint32_t supervisor, TimePoint now) {
  std::vector<AttemptId> held;
  for (const auto& [attempt, process] : running_) {
    if (!process.told && supervisor_of(attempt) == supervisor) held.push_back(attempt);
  }
  const auto ended = last_end_.find(supervisor);
  const TimePoint idle_since =
      ended == last_end_.end() ? orphaned_at_ : std::max(orphaned_at_, ended->second);
  const bool left = held.empty() && now - idle_since >= options_.unattended_max;
  std::erase_if(kept_, [&](const auto& entry) {
    if (entry.second.told || supervisor_of(entry.first) != supervisor) return false;
    if (!left) held.push_back(entry.first);
    return left;
  });
  return held;
}

Processes::Reported Processes::report(const AttemptId& attempt) {
  if (const auto found = running_.find(attempt); found != running_.end()) {
    Process& process = found->second;
    process.told = true;
    return task::RecoveredAttempt{.attempt = attempt,
                                  .shard = process.shard,
                                  .cpu_millis = process.cpu_millis,
                                  .memory_bytes = process.memory_bytes,
                                  .started = process.started,
                                  .lease_end = process.lease_end_local};
  }
  const auto found = kept_.find(attempt);
  if (found == kept_.end()) return std::monostate{};
  found->second.told = true;
  return found->second.ended;
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
