#include "exec/attempts.hpp"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/assert.hpp"
#include "base/format.hpp"
#include "base/log.hpp"
#include "base/units.hpp"
#include "exec/clock.hpp"

namespace shoal::exec {
namespace {

constexpr std::chrono::milliseconds kRemainsCheckMin{1};
constexpr std::chrono::milliseconds kRemainsCheckMax{10};
constexpr int kOwnerlessChecksMax = 8;  // An orphan amid exec shows no environment for a moment.
constexpr std::chrono::seconds kEndAllMax{10};
constexpr std::size_t kBufferBytes = 64 * 1024;
constexpr std::size_t kMessageBytesMax = 1024;  // A sentence; records keep it.

std::chrono::microseconds duration_of(const timeval& time) {
  return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
}

}  // namespace

Attempts::Attempts(ControlGroups& groups, std::string mark, OnEnded on_ended)
    : groups_(groups),
      mark_(std::move(mark)),
      on_ended_(std::move(on_ended)),
      buffer_(kBufferBytes) {}

// --- What the node asks ------------------------------------------------------------------------

void Attempts::launch(const LaunchMessage& message) {
  SHOAL_ASSERT(!contains(message.attempt));
  const auto capture = [&message](std::size_t stream) {
    return Capture(message.output_files[stream], message.output_bytes_max);
  };
  Task task{.about = {{.attempt = message.attempt,
                       .shard = message.shard,
                       .cpu_millis = message.cpu_millis,
                       .memory_bytes = message.memory_bytes,
                       .started = wall_now(),
                       .lease_end = message.lease_end}},
            .marks = marks_of(message.environment),
            .group = {},
            .streams = {capture(0), capture(1)}};
  task.result.started = task.about.running.started;
  if (message.lease_end <= boot_now()) {
    // L1: too late to begin; the owner grants it anew.
    refuse(message.attempt, std::move(task),
           {.reason = EndReason::node_stopped,
            .message = "its lease was over before its process could be started"});
    return;
  }
  auto pid = start(task, message);
  if (!pid) {
    refuse(message.attempt, std::move(task), std::move(pid.error()));
    return;
  }
  task.pid = *pid;
  guard_.add(*pid, task.group ? task.group->folder() : -1, message.lease_end);
  if (message.timeout.count() > 0) {
    task.timeout_at = std::chrono::steady_clock::now() + message.timeout;
  }
  first_processes_.emplace(*pid, message.attempt);
  tasks_.emplace(message.attempt, std::move(task));
}

void Attempts::refuse(const AttemptId& attempt, Task task, StartFailure failure) {
  if (!task.scratch.empty()) rmdir(task.scratch.c_str());
  if (task.group) groups_.give_back(std::move(*task.group));
  task.result.reason = failure.reason;
  task.result.exit_status = failure.exit_status;
  task.result.message = std::move(failure.message);
  task.result.message.resize(std::min(task.result.message.size(), kMessageBytesMax));
  task.result.ended = wall_now();
  on_ended_({.attempt = attempt, .result = std::move(task.result), .tails = {}});
}

std::expected<pid_t, StartFailure> Attempts::start(Task& task, const LaunchMessage& message) {
  if (message.scratch) {
    const char* folder = message.working_folder.c_str();
    if (mkdir(folder, 0700) == 0 || errno == EEXIST) {
      task.scratch = message.working_folder;
    } else {
      const std::string why = strerror(errno);
      return std::unexpected(StartFailure{
          .message =
              format("scratch folder `{}` could not be made: {}; check the node's data folder",
                     message.working_folder, why)});
    }
  }
  const std::array<Descriptor, 2> ends{Descriptor(task.streams[0].open_pipe()),
                                       Descriptor(task.streams[1].open_pipe())};
  if (!ends[0] || !ends[1]) {
    return std::unexpected(
        StartFailure{.message = "no pipe could be made for the output: this node is at its limit "
                                "of open files"});
  }
  std::vector<std::string> environment = message.environment;
  environment.push_back(mark_);
  task.group = groups_.take(message.memory_bytes);
  ChildSpec spec{.argv = message.argv,
                 .environment = environment,
                 .working_folder = message.working_folder,
                 .stdin_file = message.stdin_file,
                 .outputs = {ends[0].get(), ends[1].get()},
                 .group = task.group ? &*task.group : nullptr};
  auto pid = start_child(spec);
  if (pid || !pid.error().group_refused) return pid;
  log::warn("exec", "{}; it runs without one", pid.error().message);
  task.group.reset();
  spec.group = nullptr;
  return start_child(spec);
}

void Attempts::kill(const KillMessage& message) {
  const auto found = tasks_.find(message.attempt);
  if (found != tasks_.end()) begin_kill(found->second, message.reason, message.grace);
}

void Attempts::extend(const ExtendMessage& message) {
  const auto found = tasks_.find(message.attempt);
  if (found == tasks_.end() || found->second.over) return;
  TimePoint& lease_end = found->second.about.running.lease_end;
  lease_end = std::max(lease_end, message.lease_end);
  guard_.extend(found->second.pid, lease_end);
}

std::vector<RunningMessage> Attempts::running() const {
  std::vector<RunningMessage> list;
  list.reserve(tasks_.size());
  for (const auto& [attempt, task] : tasks_) list.push_back(task.about);
  return list;
}

// A task that is over keeps its own result; a second kill may only shorten the grace.
void Attempts::begin_kill(Task& task, EndReason reason, std::chrono::milliseconds grace) {
  task.timeout_at = kNoTime;
  if (task.over) return;
  if (!task.killed_for) task.killed_for = reason;
  if (grace.count() <= 0) {
    task.kill_at = kNoTime;
    kill_tree(task);
    return;
  }
  ::kill(-task.pid, SIGTERM);
  task.kill_at = std::min(task.kill_at, std::chrono::steady_clock::now() + grace);
}

// REQUIRES: the first process is not collected, so that the number of the group is still its own.
void Attempts::kill_tree(Task& task) {
  if (task.group) task.group->kill();
  ::kill(-task.pid, SIGKILL);
}

// --- The loop ----------------------------------------------------------------------------------

void Attempts::watch(std::vector<pollfd>& set) {
  first_stream_ = set.size();
  polled_streams_.clear();
  for (auto& [attempt, task] : tasks_) {
    for (Capture& stream : task.streams) {
      if (stream.descriptor() < 0) continue;
      set.push_back({.fd = stream.descriptor(), .events = POLLIN, .revents = 0});
      polled_streams_.push_back(&stream);
    }
  }
}

Attempts::SteadyTime Attempts::wake_at() const {
  SteadyTime at = remains_check_at_;
  for (const auto& [attempt, task] : tasks_) at = std::min({at, task.timeout_at, task.kill_at});
  return at;
}

void Attempts::pump(std::span<const pollfd> set) {
  for (std::size_t i = 0; i < polled_streams_.size(); ++i) {
    if (set[first_stream_ + i].revents != 0) polled_streams_[i]->pump(buffer_);
  }
}

// The group is killed while its dead first process still holds the number, so that it cannot be
// another's.
void Attempts::collect_ends() {
  while (true) {
    siginfo_t info{};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0) return;
    const auto found = first_processes_.find(info.si_pid);
    bool lease_over = false;
    if (found != first_processes_.end()) {
      lease_over = guard_.remove(info.si_pid);
      ::kill(-info.si_pid, SIGKILL);
    }
    int status = 0;
    rusage usage{};
    if (wait4(info.si_pid, &status, 0, &usage) != info.si_pid) return;
    if (found == first_processes_.end()) continue;  // An orphan; settle() looks for more.
    Task& task = tasks_.at(found->second);
    first_processes_.erase(found);
    on_first_process_ended(task, status, usage, lease_over);
  }
}

void Attempts::on_first_process_ended(Task& task, int status, const rusage& usage,
                                      bool lease_over) {
  task.over = true;
  ++over_count_;
  remains_check_interval_ = kRemainsCheckMin;
  task.timeout_at = task.kill_at = kNoTime;
  AttemptResult& result = task.result;
  result.ended = wall_now();
  result.cpu_time = duration_of(usage.ru_utime) + duration_of(usage.ru_stime);
  result.memory_bytes_peak = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  if (WIFSIGNALED(status)) {
    result.reason = EndReason::signalled;
    result.signal = WTERMSIG(status);
    result.exit_status = 128 + result.signal;
    if (result.signal == SIGKILL && task.group) task.group->set_killed();
  } else {
    result.exit_status = WEXITSTATUS(status);
  }
  explain(task, lease_over);
}

// Why it ended, if not by itself.
void Attempts::explain(Task& task, bool lease_over) {
  AttemptResult& result = task.result;
  const bool memory_exceeded = task.group && task.group->memory_exceeded();
  if (task.killed_for) {
    result.reason = *task.killed_for;
  } else if (lease_over) {
    result.reason = EndReason::node_stopped;
    result.message = "its lease was over: this node did not reach the task's owner in time";
    log::warn("exec", "{} attempt {}: its lease is over; its process tree was killed",
              to_string(task.about.running.attempt.task), task.about.running.attempt.number);
  } else if (memory_exceeded && !result.good()) {
    result.message = format("it needed more than its {} of memory: give it more with --mem",
                            size_text(task.about.running.memory_bytes));
  }
}

void Attempts::enforce_deadlines() {
  std::optional<SteadyTime> now;
  for (auto& [attempt, task] : tasks_) {
    if (task.timeout_at == kNoTime && task.kill_at == kNoTime) continue;
    if (!now) now = std::chrono::steady_clock::now();
    if (*now >= task.timeout_at) begin_kill(task, EndReason::timed_out, kTimeoutGrace);
    if (*now >= task.kill_at) {
      task.kill_at = kNoTime;
      if (!task.over) kill_tree(task);
    }
  }
}

void Attempts::settle() {
  remains_check_at_ = kNoTime;
  if (over_count_ == 0) return;
  kill_remains();
  for (auto next = tasks_.begin(); next != tasks_.end();) {
    const auto current = next++;
    Task& task = current->second;
    if (!task.over) continue;
    if (task.tree_remains) {
      remains_check_at_ = std::chrono::steady_clock::now() + remains_check_interval_;
      continue;
    }
    finish(current->first, task);
    tasks_.erase(current);
    --over_count_;
  }
  if (remains_check_at_ == kNoTime) return;
  remains_check_interval_ = std::min(2 * remains_check_interval_, kRemainsCheckMax);
}

// Costs two or three short system calls when nothing remains of the tasks that are over.
void Attempts::kill_remains() {
  for (auto& [attempt, task] : tasks_) {
    if (!task.over) continue;
    task.tree_remains = task.group && !task.group->empty();
    if (task.tree_remains) task.group->kill();
  }
  kill_orphans();
}

// Kills the orphans of tasks that are over; those of running tasks may go on. An orphan without a
// known owner delays the answers a little, in case it will show its marks, and is killed once no
// task runs.
void Attempts::kill_orphans() {
  bool ownerless = false;
  for (const pid_t child : children_.read()) {
    if (first_processes_.contains(child)) continue;
    Task* const owner = owner_of(child);
    if (owner != nullptr && !owner->over) continue;
    if (owner != nullptr) owner->tree_remains = true;
    if (owner == nullptr) ownerless = true;
    if (owner != nullptr || first_processes_.empty()) ::kill(child, SIGKILL);
  }
  if (!ownerless) return;
  for (auto& [attempt, task] : tasks_) {
    if (!task.over) continue;
    if (first_processes_.empty() || task.ownerless_checks < kOwnerlessChecksMax) {
      task.tree_remains = true;
    }
    ++task.ownerless_checks;
  }
}

Attempts::Task* Attempts::owner_of(pid_t orphan) {
  const ProcessInfo info = process_info(orphan);
  for (auto& [attempt, task] : tasks_) {
    if (info.session == task.pid || info.group == task.pid) return &task;
  }
  const std::string environment = environment_of(orphan);
  for (auto& [attempt, task] : tasks_) {
    if (holds_marks(environment, task.marks)) return &task;
  }
  return nullptr;
}

void Attempts::finish(const AttemptId& attempt, Task& task) {
  EndedMessage message{.attempt = attempt, .result = std::move(task.result), .tails = {}};
  for (std::size_t i = 0; i < 2; ++i) {
    Capture& stream = task.streams[i];
    stream.finish(buffer_);
    message.result.output_bytes[i] = stream.bytes();
    message.result.output_capped[i] = stream.capped();
    message.tails[i] = stream.take_tail();
    if (message.result.message.empty()) message.result.message = stream.failure();
  }
  std::string& text = message.result.message;
  text.resize(std::min(text.size(), kMessageBytesMax));
  if (!task.scratch.empty()) rmdir(task.scratch.c_str());
  if (task.group) groups_.give_back(std::move(*task.group));
  on_ended_(std::move(message));
}

// Every child is to go, whoever owns it: kill, collect, and again, as the dead leave orphans.
void Attempts::end_all() {
  const SteadyTime give_up_at = std::chrono::steady_clock::now() + kEndAllMax;
  for (const auto& [pid, attempt] : first_processes_) {
    guard_.remove(pid);
    kill_tree(tasks_.at(attempt));
  }
  while (std::chrono::steady_clock::now() < give_up_at) {
    pid_t collected = 0;
    while ((collected = waitpid(-1, nullptr, WNOHANG)) > 0) {
    }
    bool remains = collected == 0;  // Else ECHILD: nobody is left.
    for (const pid_t child : children_.read()) ::kill(child, SIGKILL);
    for (auto& [attempt, task] : tasks_) {
      if (!task.group || task.group->empty()) continue;
      task.group->kill();
      remains = true;
    }
    if (!remains) break;
    usleep(static_cast<useconds_t>(kRemainsCheckMin / std::chrono::microseconds(1)));
  }
  for (auto& [attempt, task] : tasks_) {
    for (Capture& stream : task.streams) stream.finish(buffer_);
    if (!task.scratch.empty()) rmdir(task.scratch.c_str());
    if (task.group) groups_.give_back(std::move(*task.group));
  }
  first_processes_.clear();
  tasks_.clear();
  over_count_ = 0;
}

}  // namespace shoal::exec
