#include "sim/job_client.hpp"

#include <algorithm>
#include <utility>

#include "base/format.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kBatch = 512;
constexpr std::uint32_t kPage = 1024;
constexpr Duration kSilenceMax = 8s;

// A retry with the same ids is harmless and may help.
bool passing(ErrorCode code) {
  return code == ErrorCode::unavailable || code == ErrorCode::overload ||
         code == ErrorCode::timeout;
}

bool must_fail(const TaskSpec& spec) {
  return spec.kind == TaskKind::process && !spec.argv.empty() &&
         (spec.argv[0] == "false" || spec.argv[0] == "missing");
}

}  // namespace

JobClient::JobClient(Simulator& world, const JobHooks& hooks, JobPlan plan, std::uint64_t seed)
    : world_(world), hooks_(hooks), plan_(std::move(plan)), random_(seed) {}

void JobClient::begin() {
  if (plan_.cancel_after > Duration::zero()) {
    world_.after(plan_.cancel_after, [this] {
      cancel_due_ = true;
      send_cancel();
    });
  }
  connect();
}

std::string JobClient::progress() const {
  static constexpr const char* kSteps[] = {"create", "add", "close", "wait", "verify", "finished"};
  return format("job {} ({} x {}): {}, {} acknowledged, {} retries", short_text(plan_.job),
                plan_.count, plan_.spec.argv.empty() ? "built-in" : plan_.spec.argv[0],
                kSteps[static_cast<std::size_t>(step_)], added_, retries_);
}

void JobClient::connect() {
  if (finished()) return;
  const auto any = static_cast<NodeIndex>(random_.below(world_.node_count()));
  const NodeIndex gateway = std::exchange(plan_.gateway, std::nullopt).value_or(any);
  const std::uint64_t epoch = ++epoch_;
  session_ = world_.connect(
      gateway,
      [this, epoch](wire::ClientReply reply) {
        if (epoch == epoch_) on_reply(std::move(reply));
      },
      [this, epoch] {
        if (epoch == epoch_) lost();
      });
  if (!session_) {
    world_.after(20ms + random_.below(Duration(100ms)), [this, epoch] {
      if (epoch == epoch_) connect();
    });
    return;
  }
  heard_ = world_.now();
  guard();
  watch_ = cancel_ = 0;
  if (step_ != Step::create) send_watch();
  send_cancel();
  send();
}

void JobClient::lost() {
  ++retries_;
  if (session_) world_.disconnect(*session_);
  session_.reset();
  pending_ = 0;
  const std::uint64_t epoch = ++epoch_;
  world_.after(random_.below(Duration(200ms)), [this, epoch] {
    if (epoch == epoch_) connect();
  });
}

void JobClient::guard() {
  const std::uint64_t epoch = epoch_;
  world_.after(1s, [this, epoch] {
    if (epoch != epoch_ || finished()) return;
    if (world_.now() - heard_ > kSilenceMax) return lost();
    guard();
  });
}

void JobClient::request(std::uint64_t id, wire::ClientRequestBody body) {
  if (session_) world_.request(*session_, {id, std::move(body)});
}

void JobClient::send_watch() {
  if (watch_ != 0 || step_ == Step::create || !session_ || finished()) return;
  watch_ = ++requests_;
  request(watch_, wire::WatchJob{.job = plan_.job, .tasks = true});
}

void JobClient::send_cancel() {
  if (!cancel_due_ || cancel_ != 0 || step_ == Step::create || !session_ || finished()) return;
  cancelled_ = true;
  cancel_ = ++requests_;
  request(cancel_, wire::CancelRequest{.job = plan_.job});
}

wire::ClientRequestBody JobClient::body_of_step() const {
  if (step_ == Step::create) {
    return wire::CreateJob{.job = plan_.job,
                           .nonce = plan_.nonce,
                           .name = plan_.name,
                           .spec = plan_.spec,
                           .count = plan_.count,
                           .single = plan_.single};
  }
  if (step_ == Step::add) {
    wire::CreateTasks create{.job = plan_.job, .nonce = plan_.nonce, .spec = plan_.spec};
    const std::uint32_t end = std::min(plan_.count, added_ + kBatch);
    for (std::uint32_t index = added_; index < end; ++index) {
      create.elements.push_back({index, format("input-{}", index)});
    }
    return create;
  }
  if (step_ == Step::close) return wire::CloseJob{.job = plan_.job, .nonce = plan_.nonce};
  if (plan_.single) return wire::GetJob{.job = plan_.job};
  return wire::ShowTasks{.job = plan_.job, .from = page_at_, .limit = kPage};
}

void JobClient::send() {
  if (step_ == Step::wait || finished() || !session_ || pending_ != 0) return;
  pending_ = ++requests_;
  request(pending_, body_of_step());
}

void JobClient::retry_later() {
  ++retries_;
  pending_ = 0;
  const std::uint64_t epoch = epoch_;
  world_.after(50ms + random_.below(Duration(400ms)), [this, epoch] {
    if (epoch != epoch_) return;
    send_watch();
    send_cancel();
    send();
  });
}

void JobClient::set_step(Step step) {
  step_ = step;
  if (step_ != Step::finished) return;
  ++epoch_;
  if (session_) world_.disconnect(*session_);
  session_.reset();
  hooks_.finished();
}

void JobClient::on_reply(wire::ClientReply reply) {
  heard_ = world_.now();
  if (finished()) return;
  if (reply.id == watch_) {
    on_watch(std::move(reply));
  } else if (reply.id == pending_ && pending_ != 0) {
    on_answer(std::move(reply));
  } else if (reply.id == cancel_) {
    const auto* error = std::get_if<Error>(&reply.body);
    if (error != nullptr && passing(error->code)) {
      cancel_ = 0;
      retry_later();
    }
  }
}

void JobClient::on_answer(wire::ClientReply reply) {
  if (const auto* error = std::get_if<Error>(&reply.body)) {
    on_error(*error);
  } else if (const auto* tasks = std::get_if<wire::TasksReply>(&reply.body)) {
    pending_ = 0;
    for (const TaskStatus& status : tasks->tasks) verified(status);
    if (!tasks->tasks.empty()) page_at_ = tasks->tasks.back().index + 1;
    page_done(tasks->more && !tasks->tasks.empty());
  } else if (const auto* job = std::get_if<wire::JobReply>(&reply.body)) {
    pending_ = 0;
    if (job->single) verified(*job->single);
    page_done(false);
  } else if (std::holds_alternative<wire::Done>(reply.body)) {
    pending_ = 0;
    on_done();
  } else {
    hooks_.trouble(format("{}: an answer of kind {}", progress(), reply.body.index()));
    set_step(Step::finished);
  }
}

void JobClient::on_done() {
  if (step_ == Step::create) {
    if (plan_.single) hooks_.acknowledged({plan_.job, 0});
    added_ = plan_.single ? 1 : 0;
    set_step(plan_.single ? Step::wait : Step::add);
    send_watch();
    send_cancel();
  } else if (step_ == Step::add) {
    const std::uint32_t end = std::min(plan_.count, added_ + kBatch);
    for (; added_ < end; ++added_) hooks_.acknowledged({plan_.job, added_});
    if (added_ == plan_.count) set_step(Step::close);
  } else if (step_ == Step::close) {
    set_step(Step::wait);
  }
  send();
}

void JobClient::on_error(const Error& error) {
  if (passing(error.code)) return retry_later();
  // A cancel closes the job and may overtake what its client still sends.
  const bool overtaken = cancelled_ && (step_ == Step::add || step_ == Step::close) &&
                         error.code == ErrorCode::conflict;
  pending_ = 0;
  if (overtaken) return set_step(Step::wait);
  hooks_.trouble(
      format("{}: error {}: {}", progress(), static_cast<int>(error.code), error.message));
  set_step(Step::finished);
}

void JobClient::on_watch(wire::ClientReply reply) {
  bool job_finished = false;
  if (const auto* event = std::get_if<wire::WatchEvent>(&reply.body)) {
    for (const wire::TaskEvent& task : event->tasks) hooks_.shown(plan_.job, task.status);
    job_finished = event->job && event->job->state == JobState::finished;
  } else if (const auto* error = std::get_if<Error>(&reply.body)) {
    if (!passing(error->code)) hooks_.trouble(format("{}: watch: {}", progress(), error->message));
  }
  if (job_finished && step_ == Step::wait) {
    set_step(Step::verify);
    page_at_ = ended_ = 0;
    send();
  } else if (reply.last && !finished() && step_ != Step::verify) {
    watch_ = 0;
    const std::uint64_t epoch = epoch_;
    world_.after(100ms, [this, epoch] {
      if (epoch == epoch_) send_watch();
    });
  }
}

void JobClient::verified(const TaskStatus& status) {
  hooks_.shown(plan_.job, status);
  if (!terminal(status.state)) {
    hooks_.trouble(format("{}: finished, and task {} is {}", progress(), status.index,
                          to_string(status.state)));
    return;
  }
  ++ended_;
  const bool wrong = must_fail(plan_.spec) ? status.state == TaskState::succeeded
                                           : status.state == TaskState::failed;
  const bool cancelled = status.state == TaskState::cancelled && !cancelled_;
  if (wrong || cancelled) {
    hooks_.trouble(
        format("{}: task {} ended as {}", progress(), status.index, to_string(status.state)));
  }
}

void JobClient::page_done(bool more) {
  if (more) return send();
  const bool all = ended_ == plan_.count || (cancelled_ && ended_ >= added_);
  if (!all) hooks_.trouble(format("{}: {} tasks of {} shown", progress(), ended_, plan_.count));
  set_step(Step::finished);
}

}  // namespace shoal::sim
