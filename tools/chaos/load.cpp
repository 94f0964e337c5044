#include "tools/chaos/load.hpp"

#include <algorithm>

namespace shoal::chaos {
namespace {

constexpr Ms kAnswerLimit{5'000};  // Then the outcome of a submission is unknown.
constexpr Ms kPause{200};          // Before the same is put again.
constexpr Ms kSpotCheckEvery{500};

bool of_hundred(Random& random, double percent) {
  return static_cast<double>(random.below(1'000'000)) < percent * 10'000;
}

}  // namespace

Load::Load(Crew& crew, Recording& recording, History& history, LoadOptions options)
    : crew_(crew), recording_(recording), history_(history), options_(std::move(options)) {
  draw_jobs();
  for (std::uint32_t i = 0; i < options_.spec.clients; ++i) {
    ClientOptions client;
    const std::size_t count = options_.addresses.size();
    for (std::size_t k = 0; k < count; ++k) {
      client.addresses.push_back(options_.addresses[(i + k) % count]);
    }
    client.timeout = kAnswerLimit;
    clients_.push_back(std::make_unique<Client>(crew_.context(), std::move(client)));
  }
}

void Load::draw_jobs() {
  const LoadSpec& spec = options_.spec;
  Random random(options_.seed, "load");
  std::uint32_t left = spec.tasks;
  std::uint32_t singles = 0;
  while (left > 0) {
    Job job;
    // Singles are so many of a hundred tasks, not of a hundred jobs.
    const std::uint32_t sent = spec.tasks - left;
    job.single = static_cast<double>(singles) < spec.single / 100 * static_cast<double>(sent + 1);
    job.tasks = job.single ? 1 : std::min(spec.array, left);
    job.at_most_once = of_hundred(random, spec.at_most_once);
    job.nonce = {.high = random.next(), .low = random.next()};
    singles += job.single ? 1 : 0;
    if (spec.even) {
      job.due = Ms(options_.duration.count() * std::int64_t{sent} / std::int64_t{spec.tasks});
    }
    left -= job.tasks;
    jobs_.push_back(job);
  }
  counts_.jobs = static_cast<std::uint32_t>(jobs_.size());
  counts_.tasks = spec.tasks;
}

TaskSpec Load::spec_of(const Job& job) const {
  TaskSpec spec;
  spec.argv = {options_.mark_program, options_.marks_file,
               std::to_string(options_.spec.beat.count()), "{}"};
  spec.substitute = true;
  spec.cpu_millis = options_.spec.cpu_millis;
  spec.at_most_once = job.at_most_once;
  return spec;
}

Submission Load::submission_of(const Job& job, std::size_t number) const {
  Random random(options_.seed, text("job ", number));
  Submission submission{.name = options_.name, .spec = spec_of(job), .array = !job.single};
  for (std::uint32_t i = 0; i < job.tasks; ++i) {
    const LoadSpec& spec = options_.spec;
    const bool longer = of_hundred(random, spec.longer);
    const Time least = longer ? spec.longer_least : spec.sleep_least;
    const Time most = longer ? spec.longer_most : spec.sleep_most;
    submission.arguments.push_back(std::to_string(random.between(least.count(), most.count())));
  }
  submission.id = job.id;
  submission.nonce = job.nonce;
  return submission;
}

void Load::start() {
  for (std::uint32_t client = 0; client < options_.spec.clients; ++client) {
    for (std::uint32_t i = 0; i < options_.spec.in_flight; ++i) crew_.spawn(hand_in(client));
  }
  crew_.spawn(spot_check());
}

void Load::close() {
  crew_.stop();
  for (std::unique_ptr<Client>& client : clients_) client.reset();
}

asio::awaitable<void> Load::hand_in(std::uint32_t client) {
  while (next_ < jobs_.size() && !crew_.stopping()) {
    const std::size_t number = next_++;
    co_await crew_.sleep_until(recording_.origin() + jobs_[number].due);
    if (crew_.stopping()) break;
    co_await submit(client, number);
  }
}

asio::awaitable<void> Load::submit(std::uint32_t client, std::size_t number) {
  Job& job = jobs_[number];
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  job.id = JobId::mint(now, Retention::week, job.nonce.low);
  job.begun = true;
  const Submit op{
      .client = client, .job = job.id, .tasks = job.tasks, .at_most_once = job.at_most_once};
  std::uint32_t counted = 0;  // Repeats acknowledge again what was acknowledged before.
  while (!crew_.stopping() && !job.acknowledged) {
    const Time begun = recording_.now();
    const auto progress = [this, &counted](std::uint32_t accepted) {
      if (accepted <= counted) return;
      recording_.acknowledged(accepted - counted);
      counted = accepted;
    };
    const std::string gateway = clients_[client]->gateway();
    const auto done = co_await clients_[client]->submit(submission_of(job, number), progress);
    const OpResult result = done ? OpResult::ok : result_of(done.error());
    history_.submitted(op, gateway, begun, result, done ? std::string() : done.error().message);
    if (result == OpResult::fail) {
      ++counts_.jobs_refused;
      job.ended = true;
      co_return;
    }
    job.acknowledged = result == OpResult::ok;
    if (!job.acknowledged) co_await crew_.sleep(kPause);
  }
  if (!job.acknowledged) co_return;
  ++counts_.jobs_acknowledged;
  counts_.tasks_acknowledged += job.tasks;
  newest_ = std::max(newest_, number);
  crew_.spawn(follow((client + 1) % options_.spec.clients, number));
}

void Load::take_end(Job& job, const JobStatus& status) {
  if (job.ended || status.state != JobState::finished) return;
  job.ended = true;
  ++counts_.jobs_ended;
}

asio::awaitable<void> Load::follow(std::uint32_t client, std::size_t number) {
  const std::string by = text("client ", client);
  std::uint32_t shown = 0;
  while (!crew_.stopping() && !jobs_[number].ended) {
    const auto on_update = [&](const std::vector<TaskUpdate>& updates, const JobStatus*) {
      std::vector<TaskStatus> tasks;
      for (const TaskUpdate& update : updates) {
        if (terminal(update.status.state)) tasks.push_back(update.status);
      }
      history_.seen(jobs_[number].id, by, tasks);
      shown += static_cast<std::uint32_t>(tasks.size());
      counts_.tasks_ended += static_cast<std::uint32_t>(tasks.size());
      return !crew_.stopping();
    };
    const auto ended =
        co_await clients_[client]->watch(jobs_[number].id, WatchOptions{}, on_update);
    if (ended) take_end(jobs_[number], *ended);
    if (jobs_[number].ended) co_return;
    // A new watch tells everything again.
    counts_.tasks_ended -= shown;
    shown = 0;
    co_await crew_.sleep(kPause);
  }
}

// Reads random jobs through random nodes all the time: an outcome once shown must not change.
asio::awaitable<void> Load::spot_check() {
  Random random(options_.seed, "spot checks");
  while (!crew_.stopping()) {
    co_await crew_.sleep(kSpotCheckEvery);
    if (crew_.stopping()) co_return;
    const std::size_t number = random.below(newest_ + 1);
    const std::size_t client = random.below(clients_.size());
    if (!jobs_[number].acknowledged) continue;
    const auto tasks = co_await clients_[client]->tasks(jobs_[number].id);
    if (tasks) history_.seen(jobs_[number].id, text("client ", client), tasks->tasks);
  }
}

bool Load::complete() const {
  return std::ranges::all_of(jobs_, [](const Job& job) { return job.ended; });
}

std::optional<JobId> Load::newest() const {
  std::optional<JobId> found;
  for (const Job& job : jobs_) {
    if (job.acknowledged && !job.ended) found = job.id;
  }
  if (!found && jobs_[newest_].acknowledged) found = jobs_[newest_].id;
  return found;
}

}  // namespace shoal::chaos
