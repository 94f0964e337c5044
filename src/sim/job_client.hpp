// One client that submits one job and follows it to its end, as the real one does: it mints the
// ids, sends the same ones again when in doubt, and goes on with another node when its gateway dies
// or falls silent.
//
// It may be slow, ask questions in between, change its gateway for no reason, cancel, or die and
// leave the rest to another client, which has the ids and remembers nothing else.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sim/simulator.hpp"

namespace shoal::sim {

// Durations of zero: never.
struct JobPlan {
  JobId job;
  Nonce nonce;
  std::string name;
  TaskSpec spec;
  std::uint32_t count = 1;
  bool single = false;
  Duration cancel_after{};
  std::optional<std::uint32_t> cancel_index{};  // Only this element is cancelled.
  std::optional<NodeIndex> gateway{};           // Its first; absent: any.
  Duration pause_max{};                         // Before each request: a slow client.
  Duration questions_every{};                   // Asks for the job or some of its tasks.
  Duration dies_after{};                        // Resumed up to 5 s later.
  bool contested = false;    // Another submission has the same id: one of them is refused.
  bool with_output = false;  // Its watch asks for output.
};

struct JobHooks {
  // The job's creation was acknowledged.
  std::function<void(JobId, const Nonce&, const TaskSpec&)> accepted;
  std::function<void(const TaskId&)> acknowledged;
  std::function<void(JobId, const TaskStatus&)> shown;  // By a watch, or without a Confirm round.
  std::function<void(JobId, const JobStatus&)> job_shown;
  // Answers to questions asked at that time. `absent`: a task, or the job itself.
  std::function<void(TimePoint asked, JobId, const TaskStatus&)> read;
  std::function<void(TimePoint asked, JobId, const JobStatus&)> job_read;
  std::function<void(TimePoint asked, JobId, std::optional<std::uint32_t> index)> absent;
  std::function<void(JobId)> gone;           // Past its retention, a node says.
  std::function<void(std::string)> trouble;  // An answer that no correct cluster gives.
  std::function<void()> finished;            // Once.
  // What was promised of it may be gone with nodes that are lost for good: nobody is to blame.
  std::function<bool(JobId)> given_up;
};

class JobClient {
 public:
  // `hooks` must outlive the client, and the client the world's run.
  JobClient(Simulator& world, const JobHooks& hooks, JobPlan plan, std::uint64_t seed);

  void begin();
  bool finished() const { return step_ == Step::finished; }
  const JobPlan& plan() const { return plan_; }
  std::uint32_t retries() const { return retries_; }
  std::uint32_t acknowledged() const { return added_; }
  std::string progress() const;  // For people: what it waits for.

 private:
  enum class Step : std::uint8_t { create, add, close, wait, verify, finished };

  struct Question {
    std::uint64_t id = 0;  // 0: none is open.
    TimePoint asked;
    bool local = false;
    std::uint32_t from = 0;
  };

  void connect();
  void lost();  // The session is gone: another gateway, after a moment.
  void die();
  void send();  // What the step asks for.
  void send_now();
  void send_watch();
  void send_cancel();
  void ask_later();
  void ask();
  void request(std::uint64_t id, wire::ClientRequestBody body);
  void retry_later();
  void later(Duration delay, std::function<void()> action);  // Not in another session.
  void guard();                                              // Falls silent too long: lost().
  wire::ClientRequestBody body_of_step() const;

  void on_reply(wire::ClientReply reply);
  void on_answer(wire::ClientReply reply);
  void on_error(const Error& error);
  void on_watch(wire::ClientReply reply);
  void on_question(const wire::ClientReply& reply);
  void on_cancel(const wire::ClientReply& reply);
  void on_done();
  void read_job(const Question& question, const wire::JobReply& reply);
  void read_tasks(const Question& question, const wire::TasksReply& reply);
  void verified(const TaskStatus& status);
  void page_done(bool more);
  void set_step(Step step);
  bool may_be_cancelled(std::uint32_t index) const;
  bool given_up() const { return hooks_.given_up && hooks_.given_up(plan_.job); }
  bool may_be_expired() const;  // By some node's clock.
  void trouble(std::string text);

  Simulator& world_;
  const JobHooks& hooks_;
  JobPlan plan_;
  Random random_;
  Step step_ = Step::create;
  NodeIndex gateway_ = 0;
  std::optional<node::SessionId> session_;
  std::uint64_t epoch_ = 0;  // Of the session: older callbacks are void.
  std::uint64_t requests_ = 0;
  std::uint64_t pending_ = 0;  // 0: none.
  TimePoint asked_;            // When it was sent.
  std::uint64_t watch_ = 0;
  std::uint64_t cancel_ = 0;
  Question question_;
  TimePoint heard_;
  std::uint32_t added_ = 0;       // Elements acknowledged so far.
  std::uint32_t most_added_ = 0;  // By a client that died too.
  std::uint32_t page_at_ = 0;     // Next index to verify.
  std::uint32_t ended_ = 0;       // Verified as ended.
  bool cancel_due_ = false;
  bool cancelled_ = false;  // A cancel was sent: outcomes may be `cancelled` from then on.
  std::uint32_t retries_ = 0;
};

}  // namespace shoal::sim
