#include "exec/executor.hpp"

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <cerrno>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/assert.hpp"
#include "base/log.hpp"
#include "exec/build_id.hpp"
#include "exec/clock.hpp"
#include "exec/launch_message.hpp"
#include "exec/protocol.hpp"
#include "exec/supervisor_link.hpp"
#include "exec/tree_sweep.hpp"

namespace shoal::exec {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;
constexpr std::chrono::seconds kQuitMax{5};
constexpr std::chrono::seconds kLifetimeMin{
    1};  // One that lived shorter is replaced after a pause.
constexpr std::chrono::milliseconds kSweepInterval{20};
constexpr std::chrono::milliseconds kConnectInterval{20};
constexpr int kSilentChecksMax = 5;

enum class Phase : std::uint8_t {
  connecting,
  greeting,  // Hello was said; its report is not complete.
  serving,
  quitting,  // It was told to.
  dying,     // It is being killed, with its tree.
};

// One supervisor, as the node sees it.
struct Supervisor {
  Supervisor(asio::io_context& io_context, std::string name, pid_t child)
      : id(std::move(name)), pid(child), timer(io_context) {}

  // Takes launches, unless it is dying: started by this process.
  bool own() const { return pid > 0; }
  bool gone() const { return phase == Phase::dying || phase == Phase::quitting; }

  std::string id;
  pid_t pid;  // A child of this process; else -1.
  Phase phase = Phase::connecting;
  std::unique_ptr<SupervisorLink> link;
  asio::steady_timer timer;  // Connecting, sweeps, the pause before a replacement.
  SteadyTime since = std::chrono::steady_clock::now();  // Of its start here.
  SteadyTime dying_since;
  bool ping_open = false;
  int silent_checks = 0;  // In a row, at which an answer was due.
  std::vector<task::RecoveredAttempt> report;
  std::set<AttemptId> running;
  std::map<std::uint64_t, AttemptId> unsettled;  // In the order in which they were told.
  std::size_t unsettled_bytes = 0;
};
using SupervisorPtr = std::shared_ptr<Supervisor>;

task::ProcessEnded without_process(AttemptId attempt, EndReason reason, std::string message) {
  task::ProcessEnded ended{.attempt = attempt, .result = {}, .tails = {}};
  ended.result.reason = reason;
  ended.result.exit_status = 125;
  ended.result.started = ended.result.ended = wall_now();
  ended.result.message = std::move(message);
  return ended;
}

}  // namespace

// Shared with the handlers in flight, which may outlive the executor by one turn of the loop.
class Executor::State : public std::enable_shared_from_this<Executor::State> {
 public:
  State(asio::io_context& io_context, ExecutorConfig config, Events events)
      : io_context_(io_context),
        config_(std::move(config)),
        events_(std::move(events)),
        files_(config_.supervisors.data_folder),
        defaults_(default_environment()),
        check_timer_(io_context) {}

  Result<void> start(std::vector<StartedSupervisor> supervisors);
  void launch(const task::Launch& launch);
  void kill(const task::Kill& kill);
  void extend(const task::Extend& extend);
  void settled(const AttemptId& attempt);
  bool idle() const;
  void dismiss_idle();
  void leave();
  void end_all();

  std::size_t running() const { return attempts_.size() - ended_count_; }
  std::size_t count(bool own) const {
    return static_cast<std::size_t>(std::ranges::count_if(
        supervisors_, [own](const SupervisorPtr& s) { return s->own() == own && !s->gone(); }));
  }
  OutputFiles& files() { return files_; }

 private:
  struct Attempt {
    SupervisorPtr supervisor;  // Null: none took it, and its report is on its way.
    bool ended = false;        // Told to the node, and not settled.
    std::uint64_t number = 0;
    std::size_t bytes = 0;  // Of the result.
  };
  using Attempts = std::map<AttemptId, Attempt>;

  void add(std::string id, pid_t pid);
  void connect(const SupervisorPtr& supervisor);
  void say(const SupervisorPtr& supervisor, const Message& message);
  void on_message(const SupervisorPtr& supervisor, Message message);
  void on_welcome(const SupervisorPtr& supervisor, const WelcomeMessage& welcome);
  void on_reported(const SupervisorPtr& supervisor);
  void on_ended(const SupervisorPtr& supervisor, EndedMessage message);
  void bound_unsettled(const SupervisorPtr& supervisor);
  void forget(Attempts::iterator attempt);
  void quit_if_drained(const SupervisorPtr& supervisor);
  void check_recovery();

  void start_checking();
  void check();
  void on_death(const SupervisorPtr& supervisor, std::string_view why);
  void sweep(const SupervisorPtr& supervisor);
  void bury(const SupervisorPtr& supervisor);
  void replace(const SupervisorPtr& supervisor);

  void refuse(AttemptId attempt, EndReason reason, std::string message);
  void report(task::ProcessEnded ended);
  template <class F>
  void after(asio::steady_timer& timer, std::chrono::milliseconds pause, F action);

  asio::io_context& io_context_;
  ExecutorConfig config_;
  Events events_;
  OutputFiles files_;
  std::optional<SupervisorFolder> folder_;
  std::vector<EnvironmentVariable> defaults_;
  asio::steady_timer check_timer_;
  std::vector<SupervisorPtr> supervisors_;
  std::vector<pid_t> children_;    // Own supervisors that were not waited for.
  std::set<std::string> unheard_;  // Former ones that have neither reported nor gone.
  bool recovered_ = false;         // The node knows that there are none.
  bool grouping_told_ = false;
  Attempts attempts_;
  std::size_t ended_count_ = 0;
  std::uint64_t next_number_ = 0;
  bool dismissing_ = false;
  bool stopped_ = false;
};

template <class F>
void Executor::State::after(asio::steady_timer& timer, std::chrono::milliseconds pause, F action) {
  timer.expires_after(pause);
  timer.async_wait([self = shared_from_this(), action](const asio::error_code& error) {
    if (!error && !self->stopped_) action(*self);
  });
}

// --- Supervisors -------------------------------------------------------------------------------

Result<void> Executor::State::start(std::vector<StartedSupervisor> supervisors) {
  auto folder = SupervisorFolder::open(config_.supervisors.data_folder);
  if (!folder) return std::unexpected(folder.error());
  folder_.emplace(std::move(*folder));
  if (auto prepared = files_.prepare(); !prepared) return prepared;
  std::set<std::string> own;
  for (const StartedSupervisor& each : supervisors) own.insert(each.id);
  for (std::string& id : folder_->ids()) {
    if (!own.contains(id)) unheard_.insert(std::move(id));
  }
  for (StartedSupervisor& each : supervisors) add(std::move(each.id), each.pid);
  const std::set<std::string> former = unheard_;
  for (const std::string& id : former) add(id, -1);
  asio::post(io_context_, [self = shared_from_this()] { self->check_recovery(); });
  start_checking();
  return {};
}

void Executor::State::add(std::string id, pid_t pid) {
  auto supervisor = std::make_shared<Supervisor>(io_context_, std::move(id), pid);
  supervisors_.push_back(supervisor);
  if (pid > 0) children_.push_back(pid);
  connect(supervisor);
}

void Executor::State::connect(const SupervisorPtr& supervisor) {
  const auto socket = folder_->connect(supervisor->id);
  if (socket) {
    supervisor->phase = Phase::greeting;
    // The supervisor owns the link, whose events therefore hold it weakly.
    supervisor->link = std::make_unique<SupervisorLink>(
        io_context_, Descriptor(*socket),
        SupervisorLink::Events{.on_message =
                                   [this, weak = std::weak_ptr(supervisor)](Message message) {
                                     if (const auto from = weak.lock())
                                       on_message(from, std::move(message));
                                   },
                               .on_closed =
                                   [this, weak = std::weak_ptr(supervisor)] {
                                     if (const auto from = weak.lock())
                                       on_death(from, "it is gone");
                                   }});
    say(supervisor, HelloMessage{.build = build_id()});
    return;
  }
  if (socket.error() != EAGAIN) {
    // From the loop, as everything that ends in a report.
    after(supervisor->timer, std::chrono::milliseconds(0),
          [supervisor](State& state) { state.on_death(supervisor, "it is gone"); });
    return;
  }
  after(supervisor->timer, kConnectInterval,
        [supervisor](State& state) { state.connect(supervisor); });
}

void Executor::State::say(const SupervisorPtr& supervisor, const Message& message) {
  if (!supervisor->link) return;
  const auto said = supervisor->link->say(message);
  SHOAL_ASSERT(said.has_value());
}

void Executor::State::on_message(const SupervisorPtr& supervisor, Message message) {
  if (stopped_ || supervisor->phase == Phase::dying) return;
  if (const auto* welcome = std::get_if<WelcomeMessage>(&message)) {
    on_welcome(supervisor, *welcome);
  } else if (auto* running = std::get_if<RunningMessage>(&message)) {
    supervisor->report.push_back(std::move(running->running));
  } else if (auto* ended = std::get_if<EndedMessage>(&message)) {
    on_ended(supervisor, std::move(*ended));
  } else if (std::holds_alternative<ReportedMessage>(message)) {
    on_reported(supervisor);
  } else if (std::holds_alternative<PongMessage>(message)) {
    supervisor->ping_open = false;
  } else {
    on_death(supervisor, "it sent what no supervisor says");
  }
}

void Executor::State::on_welcome(const SupervisorPtr& supervisor, const WelcomeMessage& welcome) {
  if (supervisor->own() && !std::exchange(grouping_told_, true)) {
    log::info("exec", "tasks are kept together by {}", welcome.grouping);
  }
  if (!supervisor->own() && welcome.build != build_id()) {
    log::info("exec", "supervisor {} is of another build ({}): it takes no new tasks",
              supervisor->id, welcome.build);
  }
}

// Of a supervisor that was just started the report is empty.
void Executor::State::on_reported(const SupervisorPtr& supervisor) {
  if (supervisor->phase != Phase::greeting) return;
  supervisor->phase = Phase::serving;
  std::vector<task::RecoveredAttempt> report = std::exchange(supervisor->report, {});
  std::erase_if(report, [this](const task::RecoveredAttempt& running) {
    if (!attempts_.contains(running.attempt)) return false;
    log::error("exec", "{} attempt {} runs twice on this node", to_string(running.attempt.task),
               running.attempt.number);
    return true;
  });
  for (const task::RecoveredAttempt& running : report) {
    attempts_[running.attempt] = {.supervisor = supervisor};
    supervisor->running.insert(running.attempt);
    files_.on_started(running.attempt);
  }
  if (!supervisor->own()) {
    log::info("exec", "supervisor {} of a former process of this node runs {} attempts",
              supervisor->id, report.size());
  }
  if (!report.empty()) events_.on_recovered(std::move(report));
  unheard_.erase(supervisor->id);
  check_recovery();
  quit_if_drained(supervisor);
}

void Executor::State::check_recovery() {
  if (stopped_ || recovered_ || !unheard_.empty()) return;
  recovered_ = true;
  events_.on_recovery_complete();
}

// --- Attempts ----------------------------------------------------------------------------------

void Executor::State::launch(const task::Launch& launch) {
  SHOAL_ASSERT(!stopped_);
  SHOAL_ASSERT(!attempts_.contains(launch.attempt));
  attempts_.emplace(launch.attempt, Attempt{});
  files_.on_started(launch.attempt);
  SupervisorPtr best;
  for (const SupervisorPtr& each : supervisors_) {
    if (!each->own() || each->gone() || !each->link) continue;
    if (!best || each->running.size() < best->running.size()) best = each;
  }
  if (!best) {
    refuse(launch.attempt, EndReason::node_stopped,
           "this node has no supervisor process at the moment");
    return;
  }
  const auto said = best->link->say(launch_message(launch, config_.node, files_, defaults_));
  if (!said) {
    refuse(launch.attempt, EndReason::start_failed, said.error().message);
    return;
  }
  best->running.insert(launch.attempt);
  attempts_[launch.attempt].supervisor = best;
}

void Executor::State::kill(const task::Kill& kill) {
  const auto found = attempts_.find(kill.attempt);
  if (found == attempts_.end() || found->second.ended || !found->second.supervisor) return;
  say(found->second.supervisor,
      KillMessage{
          .attempt = kill.attempt, .reason = kill.reason, .grace = std::max(kill.grace, {})});
}

void Executor::State::extend(const task::Extend& extend) {
  const auto found = attempts_.find(extend.attempt);
  if (found == attempts_.end() || found->second.ended || !found->second.supervisor) return;
  say(found->second.supervisor,
      ExtendMessage{.attempt = extend.attempt, .lease_end = extend.lease_end});
}

void Executor::State::settled(const AttemptId& attempt) {
  const auto found = attempts_.find(attempt);
  if (found == attempts_.end() || !found->second.ended) return;
  const SupervisorPtr supervisor = found->second.supervisor;
  say(supervisor, SettledMessage{.attempt = attempt});
  forget(found);
  quit_if_drained(supervisor);
}

// REQUIRES: it has ended, and a supervisor knows of it.
void Executor::State::forget(Attempts::iterator attempt) {
  Attempt& ended = attempt->second;
  ended.supervisor->unsettled.erase(ended.number);
  ended.supervisor->unsettled_bytes -= ended.bytes;
  attempts_.erase(attempt);
  --ended_count_;
}

void Executor::State::on_ended(const SupervisorPtr& supervisor, EndedMessage message) {
  const auto found = attempts_.find(message.attempt);
  const bool known = found != attempts_.end();
  const bool expected = known ? found->second.supervisor == supervisor && !found->second.ended
                              : supervisor->phase == Phase::greeting && !supervisor->own();
  if (!expected) {
    log::warn("exec", "supervisor {} ended {} attempt {}, which does not run there", supervisor->id,
              to_string(message.attempt.task), message.attempt.number);
    return;
  }
  Attempt& attempt = known ? found->second : attempts_[message.attempt];
  attempt.supervisor = supervisor;
  attempt.ended = true;
  attempt.number = ++next_number_;
  attempt.bytes =
      message.tails[0].size() + message.tails[1].size() + message.result.message.size() + 256;
  ++ended_count_;
  supervisor->running.erase(message.attempt);
  supervisor->unsettled.emplace(attempt.number, message.attempt);
  supervisor->unsettled_bytes += attempt.bytes;
  bound_unsettled(supervisor);
  report({.attempt = message.attempt,
          .result = std::move(message.result),
          .tails = std::move(message.tails)});
}

void Executor::State::bound_unsettled(const SupervisorPtr& supervisor) {
  while (supervisor->unsettled_bytes > kUnsettledBytesMax) {
    const AttemptId oldest = supervisor->unsettled.begin()->second;
    log::warn("exec",
              "too many results wait to be recorded; the one of {} attempt {} would be "
              "lost in a crash",
              to_string(oldest.task), oldest.number);
    say(supervisor, SettledMessage{.attempt = oldest});
    forget(attempts_.find(oldest));
  }
}

void Executor::State::quit_if_drained(const SupervisorPtr& supervisor) {
  if (supervisor->own() && !dismissing_) return;
  if (supervisor->phase != Phase::serving) return;
  if (!supervisor->running.empty() || !supervisor->unsettled.empty()) return;
  supervisor->phase = Phase::quitting;
  supervisor->silent_checks = 0;
  say(supervisor, QuitMessage{});
}

void Executor::State::refuse(AttemptId attempt, EndReason reason, std::string message) {
  asio::post(io_context_, [self = shared_from_this(),
                           ended = without_process(attempt, reason, std::move(message))]() mutable {
    self->attempts_.erase(ended.attempt);
    self->report(std::move(ended));
  });
}

void Executor::State::report(task::ProcessEnded ended) {
  if (stopped_) return;
  files_.on_ended(ended.attempt);
  events_.on_ended(std::move(ended));
}

// --- Deaths ------------------------------------------------------------------------------------

// Finds supervisors that hang. Checks are counted rather than time: this process may have been
// frozen, and has not read yet what it was told.
void Executor::State::check() {
  const std::vector<SupervisorPtr> all = supervisors_;
  for (const SupervisorPtr& each : all) {
    if (each->phase == Phase::dying) continue;
    if (each->phase == Phase::serving && !each->ping_open) {
      each->silent_checks = 0;
      each->ping_open = true;
      say(each, PingMessage{});
    } else if (++each->silent_checks >= kSilentChecksMax) {
      on_death(each, "it does not answer");
    }
  }
  std::erase_if(children_, [](pid_t pid) { return waitpid(pid, nullptr, WNOHANG) != 0; });
  start_checking();
}

void Executor::State::start_checking() {
  after(check_timer_, config_.answer_max / kSilentChecksMax, [](State& state) { state.check(); });
}

void Executor::State::on_death(const SupervisorPtr& supervisor, std::string_view why) {
  if (stopped_ || supervisor->phase == Phase::dying) return;
  // Of a former one nothing may be left at all: that is no news.
  const bool quiet = supervisor->phase == Phase::quitting || supervisor->phase == Phase::connecting;
  if (!quiet) {
    log::warn("exec", "supervisor {} is ended: {}; {} attempts end with it", supervisor->id, why,
              supervisor->running.size());
  }
  supervisor->phase = Phase::dying;
  supervisor->dying_since = std::chrono::steady_clock::now();
  if (supervisor->link) supervisor->link->close();
  sweep(supervisor);
}

void Executor::State::sweep(const SupervisorPtr& supervisor) {
  const bool remains = sweep_supervisor(*folder_, supervisor->id);
  const bool in_time = std::chrono::steady_clock::now() < supervisor->dying_since + kSweepMax;
  if (remains && in_time) {
    after(supervisor->timer, kSweepInterval,
          [supervisor](State& state) { state.sweep(supervisor); });
    return;
  }
  if (remains) {
    log::error("exec", "something that supervisor {} started cannot be killed", supervisor->id);
    folder_->remove(supervisor->id);
  }
  bury(supervisor);
}

void Executor::State::bury(const SupervisorPtr& supervisor) {
  std::erase(supervisors_, supervisor);
  for (const auto& [number, attempt] : supervisor->unsettled) {
    attempts_.erase(attempt);
    --ended_count_;
  }
  supervisor->unsettled.clear();
  if (supervisor->own() && !dismissing_) {
    const bool short_lived = std::chrono::steady_clock::now() - supervisor->since < kLifetimeMin;
    after(supervisor->timer, short_lived ? kLifetimeMin : std::chrono::seconds(0),
          [supervisor](State& state) { state.replace(supervisor); });
  }
  for (const AttemptId& attempt : std::exchange(supervisor->running, {})) {
    task::ProcessEnded ended =
        without_process(attempt, EndReason::node_stopped,
                        "the supervisor process of this attempt died on its node");
    ended.result.signal = SIGKILL;
    ended.result.exit_status = 128 + SIGKILL;
    attempts_.erase(attempt);
    report(std::move(ended));
  }
  unheard_.erase(supervisor->id);
  check_recovery();
}

void Executor::State::replace(const SupervisorPtr& supervisor) {
  SpawnConfig one = config_.supervisors;
  one.count = 1;
  auto started = spawn_supervisors(one);
  if (!started) {
    log::error("exec", "{}", started.error().message);
    after(supervisor->timer, kLifetimeMin,
          [supervisor](State& state) { state.replace(supervisor); });
    return;
  }
  add(std::move(started->front().id), started->front().pid);
}

// --- The end -----------------------------------------------------------------------------------

bool Executor::State::idle() const {
  return std::ranges::all_of(
      supervisors_, [](const SupervisorPtr& each) { return !each->link || each->link->idle(); });
}

void Executor::State::dismiss_idle() {
  dismissing_ = true;
  for (const SupervisorPtr& each : supervisors_) quit_if_drained(each);
}

void Executor::State::leave() {
  if (std::exchange(stopped_, true)) return;
  check_timer_.cancel();
  for (const SupervisorPtr& each : supervisors_) {
    each->timer.cancel();
    if (each->link) each->link->close();
  }
  attempts_.clear();
}

void Executor::State::end_all() {
  leave();
  if (!end_supervisors(config_.supervisors.data_folder, kQuitMax)) {
    log::error("exec", "not every task of this node could be ended");
  }
  for (const pid_t pid : children_) waitpid(pid, nullptr, WNOHANG);
}

// --- The face ----------------------------------------------------------------------------------

Executor::Executor(asio::io_context& io_context, ExecutorConfig config, Events events)
    : state_(std::make_shared<State>(io_context, std::move(config), std::move(events))) {}

Executor::~Executor() { leave(); }

Result<void> Executor::start(std::vector<StartedSupervisor> supervisors) {
  return state_->start(std::move(supervisors));
}

void Executor::launch(const task::Launch& launch) { state_->launch(launch); }
void Executor::kill(const task::Kill& kill) { state_->kill(kill); }
void Executor::extend(const task::Extend& extend) { state_->extend(extend); }
void Executor::settled(const AttemptId& attempt) { state_->settled(attempt); }

task::OutputPiece Executor::read_output(const task::OutputRead& request) const {
  return state_->files().read(request);
}

bool Executor::idle() const { return state_->idle(); }
void Executor::dismiss_idle() { state_->dismiss_idle(); }
void Executor::leave() { state_->leave(); }
void Executor::end_all() { state_->end_all(); }
std::size_t Executor::running() const { return state_->running(); }
std::size_t Executor::supervisors() const { return state_->count(true); }
std::size_t Executor::former() const { return state_->count(false); }
OutputFiles& Executor::output_files() { return state_->files(); }

}  // namespace shoal::exec
