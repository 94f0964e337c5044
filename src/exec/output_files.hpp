// Where the output of attempts is kept on this node: DATA/output/JOB/INDEX.ATTEMPT.out and .err.
//
// Supervisors write the files, with their first byte; a stream that stays empty has none. So that
// readers can still tell "nothing was written" from "never ran here", the last kEndedRemembered
// attempts are remembered. Files stay until remove_job(): the node decides by the job's retention.
#pragma once

#include <array>
#include <cstddef>
#include <deque>
#include <set>
#include <string>
#include <vector>

#include "shoal/id.hpp"
#include "shoal/result.hpp"
#include "task/process.hpp"

namespace shoal::exec {

inline constexpr std::size_t kEndedRemembered = 4096;
inline constexpr std::size_t kOutputReadBytesMax = 1024 * 1024;

class OutputFiles {
 public:
  explicit OutputFiles(const std::string& data_folder);

  // Makes the folders output/ and scratch/.
  Result<void> prepare();

  std::string file(AttemptId attempt, task::Stream stream) const;
  std::string scratch_folder(AttemptId attempt) const;  // DATA/scratch/JOB.INDEX.ATTEMPT

  void on_started(AttemptId attempt);
  void on_ended(AttemptId attempt);

  // At most kOutputReadBytesMax bytes. Beyond the end of the file the piece is empty.
  task::OutputPiece read(const task::OutputRead& request) const;

  std::vector<JobId> jobs() const;  // With output here, in no order.
  void remove_job(JobId job);       // REQUIRES: none of its attempts runs here.

 private:
  std::string data_folder_;
  std::set<AttemptId> running_;
  std::set<AttemptId> ended_;          // The attempts in ended_order_.
  std::deque<AttemptId> ended_order_;  // Oldest first.
};

}  // namespace shoal::exec
