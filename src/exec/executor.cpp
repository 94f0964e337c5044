#include "exec/executor.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/write.hpp>
#include <cerrno>
#include <chrono>
#include <map>
#include <optional>
#include <thread>
#include <utility>

#include "base/assert.hpp"
#include "base/log.hpp"
#include "exec/launch_message.hpp"
#include "exec/process_tree.hpp"
#include "exec/protocol.hpp"

namespace shoal::exec {
namespace {

constexpr std::chrono::seconds kStopMax{5};
constexpr std::chrono::seconds kLifetimeMin{
    1};  // One that lived shorter is replaced after a pause.
constexpr std::chrono::milliseconds kSweepInterval{20};
constexpr int kSweepsMax = 50;

WallTime wall_now() {
  return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

// An attempt between its launch and its report.
struct Running {
  AttemptId attempt;
  WallTime launched;
  Marks marks;
};

// One supervisor and what is said to it.
struct Link {
  Link(asio::io_context& io_context, SupervisorHandle handle)
      : pid(handle.pid),
        socket(io_context, asio::local::stream_protocol(), handle.socket),
        timer(io_context) {}

  pid_t pid;
  asio::local::stream_protocol::socket socket;  // Writes to a dead peer raise no SIGPIPE.
  asio::steady_timer timer;  // Sweeps after its death, then the pause before its replacement.
  std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();
  bool alive = true;
  bool flush_posted = false;
  bool writing = false;
  int sweeps = 0;
  std::string queued;   // To be written next.
  std::string written;  // Being written.
  Decoder decoder;
  std::map<std::uint64_t, Running> running;  // By launch number.
  std::array<char, 64 * 1024> buffer;
};
using LinkPtr = std::shared_ptr<Link>;

}  // namespace

// Shared with the handlers in flight, which may outlive the executor by one turn of the loop.
class Executor::State : public std::enable_shared_from_this<Executor::State> {
 public:
  State(asio::io_context& io_context, ExecutorConfig config, OnEnded on_ended)
      : io_context_(io_context),
        config_(std::move(config)),
        on_ended_(std::move(on_ended)),
        files_(config_.data_folder),
        defaults_(default_environment()) {}

  Result<void> adopt(std::vector<SupervisorHandle> supervisors);
  void launch(const task::Launch& launch);
  void kill(const task::Kill& kill);
  void stop();

  std::size_t running() const { return attempts_.size(); }
  std::size_t supervisors() const {
    return static_cast<std::size_t>(std::ranges::count(links_, true, &Link::alive));
  }
  OutputFiles& files() { return files_; }

 private:
  struct Place {
    LinkPtr link;  // Null: it could not be handed to a supervisor, and its report is on its way.
    std::uint64_t launch_number = 0;
  };

  void add(SupervisorHandle handle);
  void read(const LinkPtr& link);
  void say(const LinkPtr& link, const std::string& frames);
  void write(const LinkPtr& link);
  void on_bytes(const LinkPtr& link, std::size_t count);
  void on_message(const LinkPtr& link, EndedMessage message);
  void on_death(const LinkPtr& link);
  void sweep(const LinkPtr& link);
  void replace(const LinkPtr& link);
  void refuse(AttemptId attempt, EndReason reason, std::string message);
  void report(task::ProcessEnded ended);

  asio::io_context& io_context_;
  ExecutorConfig config_;
  OnEnded on_ended_;
  OutputFiles files_;
  std::vector<EnvironmentVariable> defaults_;
  std::vector<LinkPtr> links_;
  std::map<AttemptId, Place> attempts_;
  std::uint64_t next_launch_number_ = 1;
  bool stopped_ = false;
};

Result<void> Executor::State::adopt(std::vector<SupervisorHandle> supervisors) {
  for (const SupervisorHandle& handle : supervisors) add(handle);
  return files_.prepare();
}

void Executor::State::add(SupervisorHandle handle) {
  auto link = std::make_shared<Link>(io_context_, handle);
  link->socket.non_blocking(true);
  links_.push_back(link);
  read(link);
}

void Executor::State::launch(const task::Launch& launch) {
  SHOAL_ASSERT(!stopped_);
  SHOAL_ASSERT(!attempts_.contains(launch.attempt));
  attempts_.emplace(launch.attempt, Place{});
  files_.on_started(launch.attempt);
  LinkPtr best;
  for (const LinkPtr& link : links_) {
    if (link->alive && (!best || link->running.size() < best->running.size())) best = link;
  }
  if (!best) {
    refuse(launch.attempt, EndReason::node_stopped,
           "this node has no supervisor process at the moment");
    return;
  }
  const std::uint64_t number = next_launch_number_++;
  LaunchMessage message = launch_message(number, launch, config_.node, files_, defaults_);
  Marks marks = marks_of(message.environment);
  std::string frame;
  if (const auto appended = append_frame(frame, std::move(message)); !appended) {
    refuse(launch.attempt, EndReason::start_failed, appended.error().message);
    return;
  }
  best->running.emplace(
      number,
      Running{.attempt = launch.attempt, .launched = wall_now(), .marks = std::move(marks)});
  attempts_[launch.attempt] = {.link = best, .launch_number = number};
  say(best, frame);
}

void Executor::State::kill(const task::Kill& kill) {
  const auto found = attempts_.find(kill.attempt);
  if (found == attempts_.end() || !found->second.link) return;
  std::string frame;
  const KillMessage message{.launch = found->second.launch_number,
                            .reason = kill.reason,
                            .grace = std::max(kill.grace, std::chrono::milliseconds(0))};
  const auto appended = append_frame(frame, message);
  SHOAL_ASSERT(appended.has_value());
  say(found->second.link, frame);
}

void Executor::State::say(const LinkPtr& link, const std::string& frames) {
  if (!link->alive) return;
  link->queued += frames;
  if (link->flush_posted || link->writing) return;
  link->flush_posted = true;
  asio::post(io_context_, [self = shared_from_this(), link] {
    link->flush_posted = false;
    if (!link->writing) self->write(link);
  });
}

void Executor::State::write(const LinkPtr& link) {
  if (!link->alive || link->queued.empty()) return;
  link->writing = true;
  link->written = std::exchange(link->queued, {});
  asio::async_write(link->socket, asio::buffer(link->written),
                    [self = shared_from_this(), link](const asio::error_code& error, std::size_t) {
                      link->writing = false;
                      if (error) return;  // The reader finds out as well.
                      self->write(link);
                    });
}

void Executor::State::read(const LinkPtr& link) {
  link->socket.async_read_some(
      asio::buffer(link->buffer),
      [self = shared_from_this(), link](const asio::error_code& error, std::size_t count) {
        if (self->stopped_ || !link->alive) return;
        if (error) {
          self->on_death(link);
          return;
        }
        self->on_bytes(link, count);
        if (link->alive && !self->stopped_) self->read(link);
      });
}

void Executor::State::on_bytes(const LinkPtr& link, std::size_t count) {
  link->decoder.feed({link->buffer.data(), count});
  while (link->alive && !stopped_) {
    auto message = link->decoder.next();
    if (message && !*message) return;
    EndedMessage* const ended = message ? std::get_if<EndedMessage>(&**message) : nullptr;
    if (ended == nullptr) {
      log::error("exec", "supervisor {} sent what is no message; it is ended", link->pid);
      on_death(link);
      return;
    }
    on_message(link, std::move(*ended));
  }
}

void Executor::State::on_message(const LinkPtr& link, EndedMessage message) {
  const auto found = link->running.find(message.launch);
  if (found == link->running.end()) {
    log::warn("exec", "supervisor {} ended launch {}, which does not run", link->pid,
              message.launch);
    return;
  }
  const AttemptId attempt = found->second.attempt;
  link->running.erase(found);
  report(
      {.attempt = attempt, .result = std::move(message.result), .tails = std::move(message.tails)});
}

void Executor::State::on_death(const LinkPtr& link) {
  link->alive = false;
  asio::error_code ignored;
  link->socket.close(ignored);
  ::kill(link->pid, SIGKILL);
  waitpid(link->pid, nullptr, 0);
  log::warn("exec", "supervisor {} died; {} attempts end with it", link->pid, link->running.size());
  sweep(link);
}

// Round after round until no process bears a mark of the dead supervisor's attempts: one that forks
// can slip through a single walk.
void Executor::State::sweep(const LinkPtr& link) {
  std::vector<Marks> marks;
  for (const auto& [number, running] : link->running) marks.push_back(running.marks);
  if (!marks.empty() && kill_marked(marks) > 0 && ++link->sweeps < kSweepsMax) {
    link->timer.expires_after(kSweepInterval);
    link->timer.async_wait([self = shared_from_this(), link](const asio::error_code& error) {
      if (!error && !self->stopped_) self->sweep(link);
    });
    return;
  }
  const auto pause = std::chrono::steady_clock::now() - link->started < kLifetimeMin
                         ? std::chrono::milliseconds(kLifetimeMin)
                         : std::chrono::milliseconds(0);
  link->timer.expires_after(pause);
  link->timer.async_wait([self = shared_from_this(), link](const asio::error_code& error) {
    if (!error && !self->stopped_) self->replace(link);
  });
  for (auto& [number, running] : std::exchange(link->running, {})) {
    task::ProcessEnded ended{.attempt = running.attempt, .result = {}, .tails = {}};
    ended.result.reason = EndReason::node_stopped;
    ended.result.exit_status = 128 + SIGKILL;
    ended.result.signal = SIGKILL;
    ended.result.started = running.launched;
    ended.result.ended = wall_now();
    ended.result.message = "the supervisor process of this attempt died on its node";
    report(std::move(ended));
  }
}

void Executor::State::replace(const LinkPtr& link) {
  const auto handles = spawn_supervisors(1, config_.supervisor_program);
  if (!handles) {
    log::error("exec", "{}", handles.error().message);
    link->timer.expires_after(kLifetimeMin);
    link->timer.async_wait([self = shared_from_this(), link](const asio::error_code& error) {
      if (!error && !self->stopped_) self->replace(link);
    });
    return;
  }
  std::erase(links_, link);
  add(handles->front());
}

void Executor::State::refuse(AttemptId attempt, EndReason reason, std::string message) {
  task::ProcessEnded ended{.attempt = attempt, .result = {}, .tails = {}};
  ended.result.reason = reason;
  ended.result.exit_status = 125;
  ended.result.started = ended.result.ended = wall_now();
  ended.result.message = std::move(message);
  asio::post(io_context_, [self = shared_from_this(), ended = std::move(ended)]() mutable {
    self->report(std::move(ended));
  });
}

void Executor::State::report(task::ProcessEnded ended) {
  if (stopped_) return;
  attempts_.erase(ended.attempt);
  files_.on_ended(ended.attempt);
  on_ended_(std::move(ended));
}

void Executor::State::stop() {
  if (std::exchange(stopped_, true)) return;
  for (const LinkPtr& link : links_) {
    asio::error_code ignored;
    link->timer.cancel();
    link->socket.close(ignored);
  }
  const auto give_up_at = std::chrono::steady_clock::now() + kStopMax;
  for (const LinkPtr& link : links_) {
    if (!std::exchange(link->alive, false)) continue;
    while (waitpid(link->pid, nullptr, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() >= give_up_at) {
        log::warn("exec",
                  "supervisor {} has not ended within {} s; it goes on killing its attempts",
                  link->pid, kStopMax.count());
        break;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
  attempts_.clear();
}

Executor::Executor(asio::io_context& io_context, ExecutorConfig config, OnEnded on_ended)
    : state_(std::make_shared<State>(io_context, std::move(config), std::move(on_ended))) {}

Executor::~Executor() { stop(); }

Result<void> Executor::adopt(std::vector<SupervisorHandle> supervisors) {
  return state_->adopt(std::move(supervisors));
}

void Executor::launch(const task::Launch& launch) { state_->launch(launch); }
void Executor::kill(const task::Kill& kill) { state_->kill(kill); }

task::OutputPiece Executor::read_output(const task::OutputRead& request) const {
  return state_->files().read(request);
}

void Executor::stop() { state_->stop(); }
std::size_t Executor::running() const { return state_->running(); }
std::size_t Executor::supervisors() const { return state_->supervisors(); }
OutputFiles& Executor::output_files() { return state_->files(); }

}  // namespace shoal::exec
