#include "sim/workload.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "base/format.hpp"

namespace shoal::sim {

using namespace std::chrono_literals;

Workload::Workload(Simulator& world, const WorkloadOptions& options, JobHooks hooks,
                   std::uint64_t seed)
    : world_(world), options_(options), hooks_(std::move(hooks)), random_(seed) {
  SHOAL_ASSERT(options_.noops || options_.sleeps || options_.processes);
  rival_hooks_ = hooks_;
  rival_hooks_.finished = [this] { ++finished_; };
  hooks_.finished = [this] {
    ++finished_;
    begin_next();
  };
}

void Workload::begin() {
  for (std::uint32_t job = 0; job < options_.jobs_at_once; ++job) {
    world_.after(random_.below(options_.pause_max), [this] { begin_next(); });
  }
}

void Workload::begin_client(const JobHooks& hooks, JobPlan plan) {
  jobs_.push_back(std::make_unique<JobClient>(world_, hooks, std::move(plan), random_.next()));
  JobClient* job = jobs_.back().get();
  world_.after(random_.below(options_.pause_max), [job] { job->begin(); });
}

void Workload::begin_next() {
  if (planned_ >= options_.tasks) return;
  JobPlan plan = plan_next();
  if (plan.contested) {
    JobPlan rival = plan;
    rival.nonce = {random_.next(), random_.next()};
    rival.spec.kind = TaskKind::process;
    rival.spec.argv = {"true"};
    begin_client(rival_hooks_, std::move(rival));
  }
  begin_client(hooks_, std::move(plan));
}

void Workload::plan_process(TaskSpec& spec) {
  if (random_.chance(options_.failing_percent, 100)) {
    spec.argv = {random_.chance(1, 2) ? "false" : "missing"};
  } else if (random_.chance(options_.timeout_percent, 100)) {
    spec.argv = {"sleep", format("{}ms", 1 + random_.below(2000))};
    spec.timeout = std::chrono::milliseconds(1 + random_.below(1000));
  } else if (random_.chance(1, 10)) {
    spec.argv = {"flaky", "2"};
    spec.retries = 3;
    return;
  } else if (random_.chance(1, 3)) {
    spec.argv = {"sleep", format("{}ms", 10 + random_.below(1500))};
  } else {
    spec.argv = {"true"};
  }
  spec.at_most_once = random_.chance(options_.at_most_once_percent, 100);
}

TaskSpec Workload::next_spec() {
  TaskSpec spec;
  spec.cpu_millis = static_cast<std::uint32_t>(
      std::max<std::uint64_t>(options_.cpu_millis_max / 4, 1) * (1 + random_.below(4)));
  if (options_.memory_bytes_max > 0 && random_.chance(1, 3)) {
    spec.memory_bytes = random_.below(options_.memory_bytes_max);
  }
  std::vector<TaskKind> kinds;
  if (options_.noops) kinds.push_back(TaskKind::noop);
  if (options_.sleeps) kinds.push_back(TaskKind::sleep);
  if (options_.processes) kinds.insert(kinds.end(), 2, TaskKind::process);
  spec.kind = kinds[random_.below(kinds.size())];
  spec.retries = static_cast<std::uint32_t>(random_.below(3));
  if (spec.kind == TaskKind::noop) {
    spec.cpu_millis = 0;
    spec.memory_bytes = 0;
  } else if (spec.kind == TaskKind::sleep) {
    spec.sleep = std::chrono::milliseconds(1 + random_.below(200));
  } else {
    plan_process(spec);
  }
  return spec;
}

// How the client behaves beside handing in its job.
void Workload::plan_client(JobPlan& plan) {
  if (random_.chance(options_.cancel_percent, 100)) {
    plan.cancel_after = 1ms + random_.below(Duration(3s));
  } else if (!plan.single && random_.chance(options_.cancel_one_percent, 100)) {
    plan.cancel_after = 1ms + random_.below(Duration(3s));
    plan.cancel_index = static_cast<std::uint32_t>(random_.below(plan.count));
  }
  if (random_.chance(options_.asking_percent, 100)) {
    plan.questions_every = 50ms + random_.below(Duration(1s));
  }
  if (random_.chance(options_.slow_percent, 100)) {
    plan.pause_max = 50ms + random_.below(Duration(2s));
  }
  if (random_.chance(options_.dying_percent, 100)) {
    plan.dies_after = 1ms + random_.below(Duration(1s));
  }
  plan.contested = random_.chance(options_.contested_percent, 100);
  plan.with_output = random_.chance(1, 10);
}

JobPlan Workload::plan_next() {
  JobPlan plan;
  const auto seconds = std::chrono::floor<std::chrono::seconds>(world_.wall());
  plan.job = JobId::mint(seconds, Retention::week, random_.next());
  plan.nonce = {random_.next(), random_.next()};
  plan.name = format("job-{}", jobs_.size() + 1);
  plan.spec = next_spec();
  plan.single = random_.chance(options_.single_percent, 100);
  const std::uint32_t left = options_.tasks - planned_;
  const auto wanted = static_cast<std::uint32_t>(2 + random_.below(options_.array_max));
  plan.count = plan.single ? 1 : std::min({wanted, options_.array_max, left});
  plan_client(plan);
  if (options_.expiring_percent > 0 && random_.chance(options_.expiring_percent, 100)) {
    plan_expiring(plan);
  }
  planned_ += plan.count;
  return plan;
}

// A job whose hour is nearly over, or is when its client comes to it. Some never end by themselves.
void Workload::plan_expiring(JobPlan& plan) {
  const auto left = 1s + std::chrono::seconds(random_.below(30));
  const auto minted = std::chrono::floor<std::chrono::seconds>(world_.wall()) - 1h + left;
  plan.job = JobId::mint(minted, Retention::hour, random_.next());
  if (!random_.chance(1, 3)) return;
  plan.count = std::min(plan.count, 4U);
  plan.spec.kind = TaskKind::process;
  plan.spec.argv = {"sleep", "10h"};
  plan.spec.timeout = {};
  plan.cancel_index.reset();
  plan.cancel_after = random_.chance(1, 3) ? left + random_.below(Duration(9s)) : Duration{};
}

std::uint64_t Workload::retries() const {
  std::uint64_t retries = 0;
  for (const auto& job : jobs_) retries += job->retries();
  return retries;
}

std::string Workload::progress() const {
  std::string text = format("{} of {} jobs finished", finished_, jobs_.size());
  std::uint32_t told = 0;
  for (const auto& job : jobs_) {
    if (job->finished()) continue;
    if (++told > 3) break;
    text += "; " + job->progress();
  }
  return text;
}

}  // namespace shoal::sim
