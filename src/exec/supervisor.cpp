#include "exec/supervisor.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/format.hpp"
#include "exec/capture.hpp"
#include "exec/child.hpp"
#include "exec/process_tree.hpp"
#include "exec/protocol.hpp"

namespace shoal::exec {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;
constexpr SteadyTime kNoTime = SteadyTime::max();
constexpr std::chrono::milliseconds kOrphanCheckInterval{10};
constexpr int kOwnerlessChecksMax = 5;  // An orphan amid exec shows no environment for a moment.
constexpr std::chrono::seconds kShutdownMax{10};
constexpr std::size_t kBufferBytes = 64 * 1024;
constexpr std::size_t kMessageBytesMax = 1024;  // A sentence; records keep it.

WallTime wall_now() {
  return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

std::chrono::microseconds duration_of(const timeval& time) {
  return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
}

class Supervisor {
 public:
  Supervisor(int socket, int signals) : socket_(socket), signals_(signals) {}

  int run() {
    while (!node_gone_) {
      wait_for_events();
      if (poll_set_[1].revents != 0) collect_ends();
      pump_streams();
      enforce_deadlines();
      if (poll_set_[0].revents != 0) receive();
      settle();
      flush();
    }
    end_everything();
    return 0;
  }

 private:
  struct Task {
    pid_t pid = -1;
    Marks marks;
    std::array<Capture, 2> streams;
    std::string scratch;  // To be removed if empty; or nothing.
    SteadyTime timeout_at = kNoTime;
    SteadyTime kill_at = kNoTime;         // SIGKILL follows SIGTERM.
    std::optional<EndReason> killed_for;  // Somebody here ends it.
    bool over = false;                    // Its first process is collected; `result` is complete.
    bool awaits_orphans = false;          // It is over, but orphans of its tree may still run.
    int ownerless_checks = 0;
    AttemptResult result;
  };
  using Tasks = std::map<std::uint64_t, Task>;

  void wait_for_events();
  void pump_streams();
  void enforce_deadlines();

  void receive();
  void on_message(const LaunchMessage& message);
  void on_message(const KillMessage& message);
  void on_message(const EndedMessage&) { node_gone_ = true; }  // No node says that.
  std::expected<pid_t, StartFailure> start(Task& task, const LaunchMessage& message);
  void begin_kill(Task& task, EndReason reason, std::chrono::milliseconds grace);

  void collect_ends();
  void on_first_process_ended(Task& task, int status, const rusage& usage);
  void settle();
  void kill_orphans();
  Task* owner_of(pid_t orphan);
  void finish(std::uint64_t launch, Task& task);
  void send(const EndedMessage& message);
  void flush();
  void end_everything();

  int socket_;
  int signals_;
  bool node_gone_ = false;
  Decoder decoder_;
  std::string outgoing_;
  Tasks tasks_;
  std::unordered_map<pid_t, std::uint64_t> first_processes_;  // Not yet collected ones.
  std::size_t over_count_ = 0;  // Tasks that are over but not settled.
  SteadyTime orphan_check_at_ = kNoTime;
  ChildList children_;
  std::vector<pollfd> poll_set_;
  std::vector<Capture*> polled_streams_;  // The stream behind poll_set_[i + 2].
  std::array<char, kBufferBytes> buffer_;
};

void Supervisor::wait_for_events() {
  poll_set_.clear();
  polled_streams_.clear();
  const short socket_events = outgoing_.empty() ? POLLIN : POLLIN | POLLOUT;
  poll_set_.push_back({.fd = socket_, .events = socket_events, .revents = 0});
  poll_set_.push_back({.fd = signals_, .events = POLLIN, .revents = 0});
  SteadyTime wake_at = orphan_check_at_;
  for (auto& [launch, task] : tasks_) {
    wake_at = std::min({wake_at, task.timeout_at, task.kill_at});
    for (Capture& stream : task.streams) {
      if (stream.descriptor() < 0) continue;
      poll_set_.push_back({.fd = stream.descriptor(), .events = POLLIN, .revents = 0});
      polled_streams_.push_back(&stream);
    }
  }
  int timeout = -1;
  if (wake_at != kNoTime) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(wake_at - std::chrono::steady_clock::now());
    timeout = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
  }
  if (poll(poll_set_.data(), poll_set_.size(), timeout) < 0) {
    for (pollfd& entry : poll_set_) entry.revents = 0;
  }
}

void Supervisor::pump_streams() {
  for (std::size_t i = 0; i < polled_streams_.size(); ++i) {
    if (poll_set_[i + 2].revents != 0) polled_streams_[i]->pump(buffer_);
  }
}

void Supervisor::enforce_deadlines() {
  std::optional<SteadyTime> now;
  for (auto& [launch, task] : tasks_) {
    if (task.timeout_at == kNoTime && task.kill_at == kNoTime) continue;
    if (!now) now = std::chrono::steady_clock::now();
    if (*now >= task.timeout_at) begin_kill(task, EndReason::timed_out, kTimeoutGrace);
    if (*now >= task.kill_at) {
      task.kill_at = kNoTime;
      if (!task.over) kill(-task.pid, SIGKILL);
    }
  }
}

void Supervisor::receive() {
  // Events of the socket other than room for writing are found by reading, too.
  const ssize_t count = recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
  if (count < 0) {
    if (errno != EAGAIN && errno != EINTR) node_gone_ = true;
    return;
  }
  if (count == 0) {
    node_gone_ = true;
    return;
  }
  decoder_.feed({buffer_.data(), static_cast<std::size_t>(count)});
  while (!node_gone_) {
    const auto message = decoder_.next();
    // A node that sends garbage cannot be obeyed any more: the same end as for a node that is gone.
    if (!message) node_gone_ = true;
    if (!message || !*message) return;
    std::visit([this](const auto& value) { on_message(value); }, **message);
  }
}

void Supervisor::on_message(const LaunchMessage& message) {
  if (tasks_.contains(message.launch)) {
    node_gone_ = true;
    return;
  }
  const auto capture = [&message](std::size_t stream) {
    return Capture(message.output_files[stream], message.output_bytes_max);
  };
  Task task{.marks = marks_of(message.environment), .streams = {capture(0), capture(1)}};
  task.result.started = wall_now();
  const auto pid = start(task, message);
  if (!pid) {
    if (!task.scratch.empty()) rmdir(task.scratch.c_str());
    task.result.reason = pid.error().reason;
    task.result.exit_status = pid.error().exit_status;
    task.result.message = pid.error().message;
    task.result.ended = wall_now();
    send({.launch = message.launch, .result = std::move(task.result), .tails = {}});
    return;
  }
  task.pid = *pid;
  if (message.timeout.count() > 0) {
    task.timeout_at = std::chrono::steady_clock::now() + message.timeout;
  }
  first_processes_.emplace(*pid, message.launch);
  tasks_.emplace(message.launch, std::move(task));
}

std::expected<pid_t, StartFailure> Supervisor::start(Task& task, const LaunchMessage& message) {
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
  std::array<int, 2> ends{task.streams[0].open_pipe(), task.streams[1].open_pipe()};
  std::expected<pid_t, StartFailure> pid = std::unexpected(StartFailure{
      .message = "no pipe could be made for the output: this node is at its limit of open files"});
  if (ends[0] >= 0 && ends[1] >= 0) {
    pid = start_child({.argv = message.argv,
                       .environment = message.environment,
                       .working_folder = message.working_folder,
                       .stdin_file = message.stdin_file,
                       .outputs = ends});
  }
  for (const int end : ends) {
    if (end >= 0) close(end);
  }
  return pid;
}

void Supervisor::on_message(const KillMessage& message) {
  const auto found = tasks_.find(message.launch);
  if (found != tasks_.end()) begin_kill(found->second, message.reason, message.grace);
}

// A task that is over keeps its own result; a second kill may only shorten the grace.
void Supervisor::begin_kill(Task& task, EndReason reason, std::chrono::milliseconds grace) {
  task.timeout_at = kNoTime;
  if (task.over) return;
  if (!task.killed_for) task.killed_for = reason;
  if (grace.count() <= 0) {
    task.kill_at = kNoTime;
    kill(-task.pid, SIGKILL);
    return;
  }
  kill(-task.pid, SIGTERM);
  task.kill_at = std::min(task.kill_at, std::chrono::steady_clock::now() + grace);
}

// The group is killed while its dead leader still holds the number, so that it cannot be another's.
void Supervisor::collect_ends() {
  signalfd_siginfo signal{};  // At most one is pending, for any number of ends.
  [[maybe_unused]] const ssize_t count = read(signals_, &signal, sizeof(signal));
  while (true) {
    siginfo_t info{};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0) return;
    const auto found = first_processes_.find(info.si_pid);
    if (found != first_processes_.end()) kill(-info.si_pid, SIGKILL);
    int status = 0;
    rusage usage{};
    if (wait4(info.si_pid, &status, 0, &usage) != info.si_pid) return;
    if (found == first_processes_.end())
      continue;  // An orphan; settle() looks whether more are left.
    Task& task = tasks_.at(found->second);
    first_processes_.erase(found);
    on_first_process_ended(task, status, usage);
  }
}

void Supervisor::on_first_process_ended(Task& task, int status, const rusage& usage) {
  task.over = true;
  ++over_count_;
  task.timeout_at = task.kill_at = kNoTime;
  AttemptResult& result = task.result;
  result.ended = wall_now();
  result.cpu_time = duration_of(usage.ru_utime) + duration_of(usage.ru_stime);
  result.memory_bytes_peak = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  if (WIFSIGNALED(status)) {
    result.reason = EndReason::signalled;
    result.signal = WTERMSIG(status);
    result.exit_status = 128 + result.signal;
  } else {
    result.exit_status = WEXITSTATUS(status);
  }
  if (task.killed_for) result.reason = *task.killed_for;
}

// Answers every launch whose tree is gone. Costs one system call when there are no orphans.
void Supervisor::settle() {
  orphan_check_at_ = kNoTime;
  if (over_count_ == 0) return;
  kill_orphans();
  for (auto next = tasks_.begin(); next != tasks_.end();) {
    const auto current = next++;
    Task& task = current->second;
    if (!task.over) continue;
    if (task.awaits_orphans) {
      orphan_check_at_ = std::chrono::steady_clock::now() + kOrphanCheckInterval;
      continue;
    }
    finish(current->first, task);
    tasks_.erase(current);
    --over_count_;
  }
}

// Kills the orphans of tasks that are over; those of running tasks may go on. An orphan without a
// known owner delays the answers a little, in case it will show its marks, and is killed once no
// task runs.
void Supervisor::kill_orphans() {
  for (auto& [launch, task] : tasks_) task.awaits_orphans = false;
  bool ownerless = false;
  for (const pid_t child : children_.read()) {
    if (first_processes_.contains(child)) continue;
    Task* const owner = owner_of(child);
    if (owner != nullptr && !owner->over) continue;
    if (owner != nullptr) owner->awaits_orphans = true;
    if (owner == nullptr) ownerless = true;
    if (owner != nullptr || first_processes_.empty()) kill(child, SIGKILL);
  }
  if (!ownerless) return;
  for (auto& [launch, task] : tasks_) {
    if (!task.over) continue;
    if (first_processes_.empty() || task.ownerless_checks < kOwnerlessChecksMax) {
      task.awaits_orphans = true;
    }
    ++task.ownerless_checks;
  }
}

Supervisor::Task* Supervisor::owner_of(pid_t orphan) {
  const ProcessInfo info = process_info(orphan);
  for (auto& [launch, task] : tasks_) {
    if (info.session == task.pid || info.group == task.pid) return &task;
  }
  const std::string environment = environment_of(orphan);
  for (auto& [launch, task] : tasks_) {
    if (holds_marks(environment, task.marks)) return &task;
  }
  return nullptr;
}

void Supervisor::finish(std::uint64_t launch, Task& task) {
  EndedMessage message{.launch = launch, .result = std::move(task.result), .tails = {}};
  for (std::size_t i = 0; i < 2; ++i) {
    Capture& stream = task.streams[i];
    stream.finish(buffer_);
    message.result.output_bytes[i] = stream.bytes();
    message.result.output_capped[i] = stream.capped();
    message.tails[i] = stream.take_tail();
    if (message.result.message.empty()) message.result.message = stream.failure();
  }
  if (!task.scratch.empty()) rmdir(task.scratch.c_str());
  send(message);
}

// REQUIRES: `message` fits a frame, which its parts guarantee: two tails and a sentence.
void Supervisor::send(const EndedMessage& message) {
  EndedMessage shortened = message;
  shortened.result.message.resize(std::min(message.result.message.size(), kMessageBytesMax));
  if (!append_frame(outgoing_, shortened)) node_gone_ = true;
}

void Supervisor::flush() {
  if (outgoing_.empty() || node_gone_) return;
  const ssize_t count =
      ::send(socket_, outgoing_.data(), outgoing_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (count > 0) outgoing_.erase(0, static_cast<std::size_t>(count));
  if (count < 0 && errno != EAGAIN && errno != EINTR) node_gone_ = true;
}

// Every child is to go, whoever owns it: kill, collect, and again, as the dead leave orphans.
void Supervisor::end_everything() {
  close(socket_);
  const SteadyTime give_up_at = std::chrono::steady_clock::now() + kShutdownMax;
  for (const auto& [pid, launch] : first_processes_) kill(-pid, SIGKILL);
  while (std::chrono::steady_clock::now() < give_up_at) {
    pid_t collected = 0;
    while ((collected = waitpid(-1, nullptr, WNOHANG)) > 0) {
    }
    if (collected < 0) break;  // ECHILD: nobody is left.
    for (const pid_t child : children_.read()) kill(child, SIGKILL);
    pollfd signals{.fd = signals_, .events = POLLIN, .revents = 0};
    poll(&signals, 1, static_cast<int>(kOrphanCheckInterval.count()));
    signalfd_siginfo signal{};
    [[maybe_unused]] const ssize_t count = read(signals_, &signal, sizeof(signal));
  }
  for (auto& [launch, task] : tasks_) {
    for (Capture& stream : task.streams) stream.finish(buffer_);
    if (!task.scratch.empty()) rmdir(task.scratch.c_str());
  }
}

}  // namespace

int supervisor_main(int socket) {
  // A session of its own: what a terminal sends to the node's group is the node's to answer.
  setsid();
  prctl(PR_SET_NAME, "shoal-superv");
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) return 1;
  fcntl(socket, F_SETFD, FD_CLOEXEC);
  const auto number = static_cast<unsigned>(socket);
  if (number > 3) close_range(3, number - 1, 0);
  close_range(number + 1, ~0U, 0);
  prepare_for_children();
  // SIGTERM and its kin are left pending for ever: the socket alone says when to end. Children
  // start with an empty mask.
  sigset_t blocked;
  sigemptyset(&blocked);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) sigaddset(&blocked, signal);
  sigprocmask(SIG_SETMASK, &blocked, nullptr);
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGCHLD);
  const int signals = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signals < 0) return 1;
  const auto supervisor = std::make_unique<Supervisor>(socket, signals);
  return supervisor->run();
}

}  // namespace shoal::exec
