// The load: a seeded mixture of jobs, each handed in by a client of its own at a node of its
// choice. It records what was acknowledged and shown; what may be wrong with that is the checkers'
// part.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sim/job_client.hpp"

namespace shoal::sim {

struct WorkloadOptions {
  std::uint32_t tasks = 1000;      // All jobs together.
  std::uint32_t jobs_at_once = 8;  // Handed in and not finished.
  std::uint32_t array_max = 200;   // Tasks of one job.
  std::uint32_t single_percent = 30;
  std::uint32_t failing_percent = 8;  // Jobs whose command fails, with retries.
  std::uint32_t cancel_percent = 3;
  std::uint32_t cancel_one_percent = 2;    // One element of an array.
  std::uint32_t timeout_percent = 3;       // Processes that may not run as long as they want.
  std::uint32_t at_most_once_percent = 0;  // Processes.
  std::uint32_t asking_percent = 25;       // Clients that ask questions all the time.
  std::uint32_t slow_percent = 3;          // Clients that pause before each request.
  std::uint32_t dying_percent = 3;         // Clients that die, and another one resumes the job.
  std::uint32_t contested_percent = 1;     // Job ids that two clients mint at once.
  std::uint32_t expiring_percent = 0;      // Jobs whose retention ends within half a minute.
  std::uint32_t cpu_millis_max = 1000;
  std::uint64_t memory_bytes_max = 256ULL << 20;
  bool noops = true;  // Else every task is a process.
  bool sleeps = true;
  bool processes = true;                                // REQUIRES: one of the three.
  Duration pause_max = std::chrono::milliseconds(200);  // Between one job and the next.
};

class Workload {
 public:
  // REQUIRES: `hooks.finished` is empty: the workload counts that itself.
  Workload(Simulator& world, const WorkloadOptions& options, JobHooks hooks, std::uint64_t seed);

  void begin();
  bool done() const { return planned_ >= options_.tasks && finished_ == jobs_.size(); }
  std::size_t jobs() const { return jobs_.size(); }
  std::uint32_t tasks() const { return planned_; }  // Of jobs begun.
  std::uint64_t retries() const;
  // The first few jobs that are not finished, for people.
  std::string progress() const;

 private:
  void begin_next();
  void begin_client(const JobHooks& hooks, JobPlan plan);
  JobPlan plan_next();
  void plan_client(JobPlan& plan);
  void plan_expiring(JobPlan& plan);
  TaskSpec next_spec();
  void plan_process(TaskSpec& spec);

  Simulator& world_;
  WorkloadOptions options_;
  JobHooks hooks_;
  JobHooks rival_hooks_;
  Random random_;
  std::vector<std::unique_ptr<JobClient>> jobs_;
  std::size_t finished_ = 0;
  std::uint32_t planned_ = 0;
};

}  // namespace shoal::sim
