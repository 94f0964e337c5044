// Ends supervisors from outside, with everything that they started.
#pragma once

#include <chrono>
#include <string>

#include "exec/supervisor_folder.hpp"

namespace shoal::exec {

// One round against a supervisor that is dead or hangs: kills its process, what is in its control
// groups and what bears its mark. False when there was nothing of that any more; its traces are
// removed then. One that forks can slip through a round, so repeat it until then. Walks through all
// of /proc: for rare events only.
//
// What can be missed: where there are no control groups, a process that left the session, cleared
// its environment and lost its parent.
bool sweep_supervisor(const SupervisorFolder& folder, const std::string& id);

// Asks all supervisors listed in the data folder to quit, waits, and sweeps those that have not
// after `patience`. False when something could not be killed (blocked in the kernel).
bool end_supervisors(const std::string& data_folder, std::chrono::milliseconds patience);

}  // namespace shoal::exec
