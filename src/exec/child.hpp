// Starts one program as a child of the supervisor.
//
// clone(2) with CLONE_VM and CLONE_VFORK: the child borrows the parent's memory until it executes
// the program, so a start costs no copy of page tables. On the reference machine two small
// processes start and collect about 525 /bin/true a second this way and with vfork, 475 with
// posix_spawn, 306 with fork.
//
// The child leads a session of its own, has default signal handling, standard streams only, and
// dies with the supervisor (PR_SET_PDEATHSIG). It is in its control group before it executes the
// program: cloned into it (clone3(2), which costs nothing), or moving itself there first.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "exec/control_groups.hpp"
#include "shoal/job.hpp"

namespace shoal::exec {

struct ChildSpec {
  const std::vector<std::string>& argv;
  const std::vector<std::string>& environment;
  const std::string& working_folder;  // Empty: the supervisor's.
  const std::string& stdin_file;  // Empty: descriptor 0 as it is. Relative to the working folder.
  std::array<int, 2> outputs;     // Become descriptors 1 and 2.
  const TaskGroup* group = nullptr;
};

// Why there is no child: not_found (127), not_executable (126) or start_failed (125).
struct StartFailure {
  EndReason reason = EndReason::start_failed;
  std::int32_t exit_status = 125;
  std::string message;
  bool group_refused = false;  // It could not enter its group; without one it may start.
};

// Prepares the calling process once: descriptor 0 is /dev/null, signals have their default
// handling, and as many open files are allowed as the machine lets us (children get the former
// limit back).
void prepare_for_children();

// Returns when the program is executing. `command` without a slash is looked for in this process's
// PATH.
std::expected<pid_t, StartFailure> start_child(const ChildSpec& spec);

}  // namespace shoal::exec
