#include "sim/job_client.hpp"

#include <algorithm>
#include <utility>

#include "base/format.hpp"
#include "base/units.hpp"
#include "task/record_key.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kBatch = 512;
constexpr std::uint32_t kPage = 1024;
constexpr Duration kSilenceMax = 8s;
constexpr Duration kResumedMax = 5s;

// A retry with the same ids is harmless and may help.
bool passing(ErrorCode code) {
  return code == ErrorCode::unavailable || code == ErrorCode::overload ||
         code == ErrorCode::timeout;
}

// Whether the command can succeed, and whether it can fail, by itself.
bool may_succeed(const TaskSpec& spec) {
  if (spec.kind != TaskKind::process || spec.argv.empty()) return true;
  if (spec.argv[0] == "false" || spec.argv[0] == "missing") return false;
  if (spec.argv[0] != "sleep" || spec.timeout.count() == 0) return true;
  return parse_duration(spec.argv[1]).value_or(0ms) <= spec.timeout;
}

bool may_fail(const TaskSpec& spec) {
  if (!may_succeed(spec)) return true;
  if (spec.kind != TaskKind::process || spec.argv.empty()) return false;
  const bool flaky = spec.argv[0] == "flaky" && spec.retries < 3;
  return flaky || spec.timeout.count() != 0;
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
  if (plan_.dies_after > Duration::zero()) {
    world_.after(plan_.dies_after, [this] { die(); });
  }
  connect();
}

std::string JobClient::progress() const {
  static constexpr const char* kSteps[] = {"create", "add", "close", "wait", "verify", "finished"};
  return format("job {} ({} x {}): {}, {} acknowledged, {} retries", short_text(plan_.job),
                plan_.count, plan_.spec.argv.empty() ? "built-in" : plan_.spec.argv[0],
                kSteps[static_cast<std::size_t>(step_)], added_, retries_);
}

void JobClient::later(Duration delay, std::function<void()> action) {
  world_.after(delay, [this, epoch = epoch_, action = std::move(action)] {
    if (epoch == epoch_ && !finished()) action();
  });
}

void JobClient::connect() {
  if (finished()) return;
  if (given_up()) return set_step(Step::finished);
  const auto any = static_cast<NodeIndex>(random_.below(world_.node_count()));
  gateway_ = std::exchange(plan_.gateway, std::nullopt).value_or(any);
  const std::uint64_t epoch = ++epoch_;
  session_ = world_.connect(
      gateway_,
      [this, epoch](wire::ClientReply reply) {
        if (epoch == epoch_) on_reply(std::move(reply));
      },
      [this, epoch] {
        if (epoch == epoch_) lost();
      });
  if (!session_) {
    later(20ms + random_.below(Duration(100ms)), [this] { connect(); });
    return;
  }
  heard_ = world_.now();
  guard();
  watch_ = cancel_ = 0;
  question_ = {};
  if (step_ != Step::create) send_watch();
  send_cancel();
  send();
  ask_later();
}

void JobClient::lost() {
  ++retries_;
  if (session_) world_.disconnect(*session_);
  session_.reset();
  pending_ = 0;
  ++epoch_;
  later(random_.below(Duration(200ms)), [this] { connect(); });
}

// Another client goes on with the same ids: it knows the job's description, and nothing of what was
// acknowledged.
void JobClient::die() {
  if (finished()) return;
  if (session_) world_.disconnect(*session_);
  session_.reset();
  pending_ = 0;
  added_ = page_at_ = ended_ = 0;
  step_ = Step::create;
  ++epoch_;
  later(random_.below(kResumedMax), [this] { connect(); });
}

void JobClient::guard() {
  later(1s, [this] {
    if (given_up()) return set_step(Step::finished);
    if (world_.now() - heard_ > kSilenceMax + plan_.pause_max) return lost();
    guard();
  });
}

void JobClient::request(std::uint64_t id, wire::ClientRequestBody body) {
  if (session_) world_.request(*session_, {id, std::move(body)});
}

void JobClient::send_watch() {
  if (watch_ != 0 || step_ == Step::create || !session_ || finished()) return;
  watch_ = ++requests_;
  request(watch_,
          wire::WatchJob{.job = plan_.job, .tasks = true, .with_output = plan_.with_output});
}

void JobClient::send_cancel() {
  if (!cancel_due_ || cancel_ != 0 || step_ == Step::create || !session_ || finished()) return;
  if (plan_.cancel_index && most_added_ <= *plan_.cancel_index) return;
  cancelled_ = true;
  cancel_ = ++requests_;
  request(cancel_, wire::CancelRequest{.job = plan_.job, .index = plan_.cancel_index});
}

bool JobClient::may_be_expired() const {
  const auto latest = std::chrono::floor<std::chrono::seconds>(world_.latest_wall());
  return std::chrono::sys_seconds(std::chrono::seconds(task::expiry_of(plan_.job))) <= latest;
}

void JobClient::trouble(std::string text) {
  if (!given_up()) hooks_.trouble(std::move(text));
}

bool JobClient::may_be_cancelled(std::uint32_t index) const {
  return cancelled_ && plan_.cancel_index.value_or(index) == index;
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
  if (plan_.pause_max == Duration::zero()) return send_now();
  later(random_.below(plan_.pause_max), [this] { send_now(); });
}

void JobClient::send_now() {
  if (step_ == Step::wait || finished() || !session_ || pending_ != 0) return;
  pending_ = ++requests_;
  asked_ = world_.now();
  request(pending_, body_of_step());
}

void JobClient::retry_later() {
  if (world_.abandoned(gateway_)) return lost();  // It may refuse for ever.
  ++retries_;
  pending_ = 0;
  later(50ms + random_.below(Duration(400ms)), [this] {
    if (step_ != Step::create) send_watch();
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

// --- Questions beside the job's own course

void JobClient::ask_later() {
  if (plan_.questions_every == Duration::zero()) return;
  later(random_.below(2 * plan_.questions_every), [this] { ask(); });
}

void JobClient::ask() {
  ask_later();
  if (!session_ || question_.id != 0 || step_ == Step::create) return;
  if (random_.chance(1, 10)) return lost();  // For no reason: another gateway.
  question_ = {.id = ++requests_, .asked = world_.now(), .local = random_.chance(1, 4)};
  if (plan_.single || random_.chance(1, 3)) {
    request(question_.id, wire::GetJob{.job = plan_.job, .local = question_.local});
    return;
  }
  question_.from = static_cast<std::uint32_t>(random_.below(plan_.count));
  request(question_.id, wire::ShowTasks{.job = plan_.job,
                                        .from = question_.from,
                                        .limit = 1 + static_cast<std::uint32_t>(random_.below(64)),
                                        .local = question_.local});
}

void JobClient::read_job(const Question& question, const wire::JobReply& reply) {
  if (question.local) {
    hooks_.job_shown(plan_.job, reply.status);
    if (reply.single) hooks_.shown(plan_.job, *reply.single);
    return;
  }
  hooks_.job_read(question.asked, plan_.job, reply.status);
  if (reply.single) hooks_.read(question.asked, plan_.job, *reply.single);
}

void JobClient::read_tasks(const Question& question, const wire::TasksReply& reply) {
  std::uint32_t next = question.from;
  const bool whole = reply.missing.empty() && !question.local;
  for (const TaskStatus& status : reply.tasks) {
    for (; whole && next < status.index; ++next) hooks_.absent(question.asked, plan_.job, next);
    next = status.index + 1;
    if (question.local) {
      hooks_.shown(plan_.job, status);
    } else {
      hooks_.read(question.asked, plan_.job, status);
    }
  }
  if (reply.more || !whole) return;
  for (; next < plan_.count; ++next) hooks_.absent(question.asked, plan_.job, next);
}

void JobClient::on_question(const wire::ClientReply& reply) {
  const Question question = std::exchange(question_, {});
  if (const auto* tasks = std::get_if<wire::TasksReply>(&reply.body)) {
    read_tasks(question, *tasks);
  } else if (const auto* job = std::get_if<wire::JobReply>(&reply.body)) {
    read_job(question, *job);
  } else if (const auto* error = std::get_if<Error>(&reply.body)) {
    if (error->code == ErrorCode::not_found && !question.local) {
      hooks_.absent(question.asked, plan_.job, std::nullopt);
    } else if (error->code == ErrorCode::expired) {
      hooks_.gone(plan_.job);
    }
  }
}

// --- Answers

void JobClient::on_reply(wire::ClientReply reply) {
  heard_ = world_.now();
  if (finished()) return;
  if (reply.id == watch_) {
    on_watch(std::move(reply));
  } else if (reply.id == pending_ && pending_ != 0) {
    on_answer(std::move(reply));
  } else if (reply.id == cancel_) {
    on_cancel(reply);
  } else if (reply.id == question_.id) {
    on_question(reply);
  }
}

void JobClient::on_cancel(const wire::ClientReply& reply) {
  const auto* error = std::get_if<Error>(&reply.body);
  if (error == nullptr || !passing(error->code)) return;
  cancel_ = 0;
  retry_later();
}

void JobClient::on_answer(wire::ClientReply reply) {
  const Question question{.asked = asked_, .from = page_at_};
  if (const auto* error = std::get_if<Error>(&reply.body)) {
    on_error(*error);
  } else if (const auto* tasks = std::get_if<wire::TasksReply>(&reply.body)) {
    pending_ = 0;
    read_tasks(question, *tasks);
    if (!tasks->missing.empty()) return retry_later();  // Some shard had nobody to answer for it.
    for (const TaskStatus& status : tasks->tasks) verified(status);
    if (!tasks->tasks.empty()) page_at_ = tasks->tasks.back().index + 1;
    page_done(tasks->more && !tasks->tasks.empty());
  } else if (const auto* job = std::get_if<wire::JobReply>(&reply.body)) {
    pending_ = 0;
    read_job(question, *job);
    if (job->single) verified(*job->single);
    page_done(false);
  } else if (std::holds_alternative<wire::Done>(reply.body)) {
    pending_ = 0;
    on_done();
  } else {
    trouble(format("{}: an answer of kind {}", progress(), reply.body.index()));
    set_step(Step::finished);
  }
}

void JobClient::on_done() {
  if (step_ == Step::create) {
    hooks_.accepted(plan_.job, plan_.nonce, plan_.spec);
    if (plan_.single) hooks_.acknowledged({plan_.job, 0});
    added_ = plan_.single ? 1 : 0;
    most_added_ = std::max(most_added_, added_);
    set_step(plan_.single ? Step::wait : Step::add);
    send_watch();
    send_cancel();
  } else if (step_ == Step::add) {
    const std::uint32_t end = std::min(plan_.count, added_ + kBatch);
    for (; added_ < end; ++added_) hooks_.acknowledged({plan_.job, added_});
    most_added_ = std::max(most_added_, added_);
    send_cancel();
    if (added_ == plan_.count) set_step(Step::close);
  } else if (step_ == Step::close) {
    set_step(Step::wait);
  }
  send();
}

void JobClient::on_error(const Error& error) {
  if (passing(error.code)) return retry_later();
  // A node whose clock is behind takes a new id for one from the future.
  const bool creating = step_ == Step::create || step_ == Step::add;
  const bool refused_mint = creating && error.code == ErrorCode::bad_input;
  if (refused_mint && world_.clocks_were_wrong()) return retry_later();
  // A cancel closes the job and may overtake what its client still sends.
  const bool overtaken = cancelled_ && (step_ == Step::add || step_ == Step::close) &&
                         error.code == ErrorCode::conflict;
  // Its records go one shard after the other, and "gone" is said when a quorum knows it.
  const bool going = step_ >= Step::wait && error.code == ErrorCode::not_found && may_be_expired();
  if (going) return retry_later();
  pending_ = 0;
  if (overtaken) return set_step(Step::wait);
  const bool refused = plan_.contested && step_ < Step::wait && error.code == ErrorCode::conflict;
  if (error.code == ErrorCode::expired && may_be_expired()) {
    // A question is answered so when it is gone; a change is refused before that (E3).
    if (step_ >= Step::wait) hooks_.gone(plan_.job);
  } else if (!refused) {
    trouble(format("{}: error {}: {}", progress(), static_cast<int>(error.code), error.message));
  }
  set_step(Step::finished);
}

void JobClient::on_watch(wire::ClientReply reply) {
  bool job_finished = false;
  if (const auto* event = std::get_if<wire::WatchEvent>(&reply.body)) {
    for (const wire::TaskEvent& task : event->tasks) hooks_.shown(plan_.job, task.status);
    if (event->job) hooks_.job_shown(plan_.job, *event->job);
    job_finished = event->job && event->job->state == JobState::finished;
  } else if (const auto* error = std::get_if<Error>(&reply.body)) {
    if (error->code == ErrorCode::expired && may_be_expired()) {
      hooks_.gone(plan_.job);
      return set_step(Step::finished);
    }
    const bool going = error->code == ErrorCode::not_found && may_be_expired();
    if (!passing(error->code) && !going) {
      trouble(format("{}: watch: {}", progress(), error->message));
    }
  }
  if (job_finished && step_ == Step::wait) {
    set_step(Step::verify);
    page_at_ = ended_ = 0;
    send();
  } else if (reply.last && !finished() && step_ != Step::verify) {
    if (world_.abandoned(gateway_)) return lost();
    watch_ = 0;
    later(100ms, [this] { send_watch(); });
  }
}

void JobClient::verified(const TaskStatus& status) {
  if (!terminal(status.state)) {
    trouble(format("{}: finished, and task {} is {}", progress(), status.index,
                   to_string(status.state)));
    return;
  }
  ++ended_;
  const bool wrong = (status.state == TaskState::succeeded && !may_succeed(plan_.spec)) ||
                     (status.state == TaskState::failed && !may_fail(plan_.spec)) ||
                     (status.state == TaskState::cancelled && !may_be_cancelled(status.index)) ||
                     (status.state == TaskState::expired && !may_be_expired());
  if (wrong) {
    trouble(format("{}: task {} ended as {}", progress(), status.index, to_string(status.state)));
  }
}

void JobClient::page_done(bool more) {
  if (more) return send();
  const bool whole_cancelled = cancelled_ && !plan_.cancel_index;
  const bool all = ended_ == plan_.count || (whole_cancelled && ended_ >= added_);
  if (!all && !may_be_expired()) {
    trouble(format("{}: {} tasks of {} shown", progress(), ended_, plan_.count));
  }
  set_step(Step::finished);
}

}  // namespace shoal::sim
