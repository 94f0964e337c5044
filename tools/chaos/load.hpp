// The work of a run: arrays and single tasks whose attempts leave marks, handed in by several
// clients through different nodes, each followed to its end through another node.
//
// Every submission has an id and a nonce of its own from the start. When its answer is lost it is
// put again under the same id until it is known whether it was taken; so nothing is handed in
// twice, and nothing is taken for lost that was never acknowledged.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shoal/client.hpp"
#include "tools/chaos/crew.hpp"
#include "tools/chaos/history.hpp"
#include "tools/chaos/random.hpp"
#include "tools/chaos/scenario.hpp"

namespace shoal::chaos {

struct LoadOptions {
  LoadSpec spec;
  Ms duration{0};  // What an even load is spread over.
  std::uint64_t seed = 0;
  std::string name;                    // Of the jobs.
  std::vector<std::string> addresses;  // Of all nodes.
  std::string mark_program;
  std::string marks_file;
};

struct LoadCounts {
  std::uint32_t jobs = 0;
  std::uint32_t jobs_acknowledged = 0;
  std::uint32_t jobs_refused = 0;  // For good.
  std::uint32_t jobs_ended = 0;
  std::uint32_t tasks = 0;
  std::uint32_t tasks_acknowledged = 0;
  std::uint32_t tasks_ended = 0;
};

class Load {
 public:
  struct Job {
    JobId id;
    Nonce nonce;
    std::uint32_t tasks = 0;
    bool single = false;
    bool at_most_once = false;
    Ms due{0};
    bool begun = false;  // Something was sent: it may be there.
    bool acknowledged = false;
    bool ended = false;
  };

  Load(Crew& crew, Recording& recording, History& history, LoadOptions options);

  void start();
  // Stops the crew and hangs up, so that whoever waits for a node waits no longer.
  void close();
  const LoadCounts& counts() const { return counts_; }
  const std::vector<Job>& jobs() const { return jobs_; }
  // All were handed in, and all that were acknowledged have ended.
  bool complete() const;
  std::optional<JobId> newest() const;  // The newest one that has not ended, else the newest.

 private:
  void draw_jobs();
  Submission submission_of(const Job& job, std::size_t number) const;
  TaskSpec spec_of(const Job& job) const;
  asio::awaitable<void> hand_in(std::uint32_t client);
  asio::awaitable<void> submit(std::uint32_t client, std::size_t number);
  asio::awaitable<void> follow(std::uint32_t client, std::size_t number);
  asio::awaitable<void> spot_check();
  void take_end(Job& job, const JobStatus& status);

  Crew& crew_;
  Recording& recording_;
  History& history_;
  LoadOptions options_;
  std::vector<Job> jobs_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::size_t next_ = 0;  // The next job to hand in.
  std::size_t newest_ = 0;
  LoadCounts counts_;
};

}  // namespace shoal::chaos
