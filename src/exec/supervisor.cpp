#include "exec/supervisor.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <utility>

#include "base/log.hpp"
#include "exec/attempts.hpp"
#include "exec/build_id.hpp"
#include "exec/child.hpp"
#include "exec/control_groups.hpp"
#include "exec/descriptor.hpp"
#include "exec/node_listener.hpp"

namespace shoal::exec {
namespace {

using SteadyTime = Attempts::SteadyTime;
constexpr std::chrono::seconds kAloneCheckInterval{1};

class Supervisor {
 public:
  Supervisor(const SupervisorConfig& config, SupervisorFolder& folder, ControlGroups& groups,
             Descriptor signals)
      : config_(config),
        folder_(folder),
        groups_(groups),
        signals_(std::move(signals)),
        attempts_(groups, supervisor_mark(config.id),
                  [this](EndedMessage message) { on_ended(std::move(message)); }),
        node_(Descriptor(config.listener),
              {.on_hello = [this](const HelloMessage& hello) { on_hello(hello); },
               .on_message =
                   [this](const Message& message) {
                     std::visit([this](const auto& value) { on_message(value); }, message);
                   }}) {}

  void run() {
    while (!quitting_ && !forsaken()) {
      wait_for_events();
      if (poll_set_[0].revents != 0) collect_ends();
      attempts_.pump(poll_set_);
      attempts_.enforce_deadlines();
      node_.receive(poll_set_);
      attempts_.settle();
      node_.flush();
    }
    attempts_.end_all();
  }

 private:
  void wait_for_events();
  void collect_ends();
  bool forsaken();

  void on_hello(const HelloMessage& hello);
  void on_message(const LaunchMessage& message);
  void on_message(const KillMessage& message) { attempts_.kill(message); }
  void on_message(const ExtendMessage& message) { attempts_.extend(message); }
  void on_message(const SettledMessage& message) { unsettled_.erase(message.attempt); }
  void on_message(const QuitMessage&) { quitting_ = true; }
  void on_message(const PingMessage& message) { node_.send(PongMessage{message.number}); }
  // What only supervisors say, and a second hello, mean nothing here.
  void on_message(const HelloMessage&) {}
  void on_message(const WelcomeMessage&) {}
  void on_message(const RunningMessage&) {}
  void on_message(const EndedMessage&) {}
  void on_message(const ReportedMessage&) {}
  void on_message(const PongMessage&) {}
  void on_ended(EndedMessage message);

  const SupervisorConfig& config_;
  SupervisorFolder& folder_;
  ControlGroups& groups_;
  Descriptor signals_;
  Attempts attempts_;
  NodeListener node_;
  std::map<AttemptId, EndedMessage> unsettled_;
  bool quitting_ = false;
  SteadyTime alone_check_at_{};
  SteadyTime idle_since_ = std::chrono::steady_clock::now();  // Or with a node.
  std::vector<pollfd> poll_set_;
};

void Supervisor::wait_for_events() {
  poll_set_.clear();
  poll_set_.push_back({.fd = signals_.get(), .events = POLLIN, .revents = 0});
  node_.watch(poll_set_);
  attempts_.watch(poll_set_);
  SteadyTime wake_at = attempts_.wake_at();
  if (!node_.connected()) wake_at = std::min(wake_at, alone_check_at_);
  int timeout = -1;
  if (wake_at != Attempts::kNoTime) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(wake_at - std::chrono::steady_clock::now());
    timeout = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
  }
  if (poll(poll_set_.data(), poll_set_.size(), timeout) < 0) {
    for (pollfd& entry : poll_set_) entry.revents = 0;
  }
}

void Supervisor::collect_ends() {
  signalfd_siginfo signal{};  // At most one is pending, for any number of ends.
  [[maybe_unused]] const ssize_t count = read(signals_.get(), &signal, sizeof signal);
  attempts_.collect_ends();
}

// Nobody will ever come, or nobody has come for long enough.
bool Supervisor::forsaken() {
  if (node_.connected()) {
    idle_since_ = alone_check_at_ = {};
    return false;
  }
  const SteadyTime now = std::chrono::steady_clock::now();
  if (idle_since_ == SteadyTime{} || !attempts_.empty()) idle_since_ = now;
  if (now < alone_check_at_) return false;
  alone_check_at_ = std::min(now + kAloneCheckInterval, idle_since_ + config_.linger);
  if (!folder_.listed(config_.id)) {
    log::warn("exec", "supervisor {} is not listed any more: it ends its tasks", config_.id);
    return true;
  }
  return now >= idle_since_ + config_.linger;
}

void Supervisor::on_hello(const HelloMessage&) {
  node_.send(WelcomeMessage{.build = build_id(), .grouping = groups_.description()});
  for (const RunningMessage& message : attempts_.running()) node_.send(message);
  for (const auto& [attempt, message] : unsettled_) node_.send(message);
  node_.send(ReportedMessage{});
}

void Supervisor::on_message(const LaunchMessage& message) {
  if (attempts_.contains(message.attempt) || unsettled_.contains(message.attempt)) {
    log::error("exec", "{} attempt {} was launched twice", to_string(message.attempt.task),
               message.attempt.number);
    return;
  }
  attempts_.launch(message);
}

void Supervisor::on_ended(EndedMessage message) {
  node_.send(message);
  unsettled_.emplace(message.attempt, std::move(message));
}

// What it inherits of the node is given up: session, descriptors, handling of signals.
Descriptor part_from_node(int listener) {
  setsid();
  prctl(PR_SET_NAME, "shoal-superv");
  fcntl(listener, F_SETFD, FD_CLOEXEC);
  const auto number = static_cast<unsigned>(listener);
  if (number > 3) close_range(3, number - 1, 0);
  close_range(number + 1, ~0U, 0);
  prepare_for_children();
  // SIGTERM and its kin are left pending for ever. Children start with an empty mask.
  sigset_t blocked;
  sigemptyset(&blocked);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT}) sigaddset(&blocked, signal);
  sigprocmask(SIG_SETMASK, &blocked, nullptr);
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGCHLD);
  return Descriptor(signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK));
}

}  // namespace

int supervisor_main(const SupervisorConfig& config) {
  if (!valid_supervisor_id(config.id) || config.listener < 3) return 2;
  Descriptor signals = part_from_node(config.listener);
  if (!signals || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) return 1;
  auto folder = SupervisorFolder::open(config.data_folder);
  if (!folder) {
    log::error("exec", "{}", folder.error().message);
    return 1;
  }
  // Who gave it up, as it did not answer in time, has removed its entry.
  if (!folder->listed(config.id)) return 0;
  ControlGroups groups(config.id);
  const auto written = folder->write_facts(
      config.id, {.pid = getpid(), .build = build_id(), .groups = groups.folders()});
  if (!written) {
    log::error("exec", "{}", written.error().message);
    folder->remove(config.id);
    return 1;
  }
  Supervisor supervisor(config, *folder, groups, std::move(signals));
  supervisor.run();
  // Whoever waits for the end of the connection finds no trace then.
  folder->remove(config.id);
  groups.close();
  return 0;
}

}  // namespace shoal::exec
