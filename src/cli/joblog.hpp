// GNU parallel's job log: one line for each task that ended, nine columns parted by tabs.
#pragma once

#include <string>
#include <string_view>

#include "shoal/job.hpp"

namespace shoal::cli {

inline constexpr std::string_view kJoblogHeader =
    "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";

// Seq counts from 1; times are seconds; Receive is the size of stdout; Exitval is 128 + N after
// signal N. Empty for a task that was never started. `command` has its argument already.
std::string joblog_row(const TaskStatus& task, std::string_view host, std::string_view command);

}  // namespace shoal::cli
