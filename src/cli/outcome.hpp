// How a task ended, as an exit status and as a sentence.
#pragma once

#include <string>

#include "cli/json.hpp"
#include "shoal/job.hpp"

namespace shoal::cli {

// What `shoal run` exits with: the command's own status, 128 + N after signal N, 127 and 126 for a
// command that is not there or not executable, 125 when it could not be started.
// REQUIRES: the task ended.
int exit_code_of(const TaskStatus& task);

// "k7r0x failed on n2: exit 3 (attempt 1 of 1, 0.02s)".
std::string failure_line(JobId job, const TaskStatus& task, const TaskSpec& spec,
                         const NodeNames& names);

// kExitGood when every task succeeded. REQUIRES: the job is finished.
int exit_code_of(const JobStatus& job);

// The last line of a stream that says something; empty when none does.
std::string last_line(std::string_view output);

}  // namespace shoal::cli
