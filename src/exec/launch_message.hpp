// What a supervisor is told about an attempt: its description, made complete with this node's
// environment.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "exec/output_files.hpp"
#include "exec/protocol.hpp"
#include "shoal/id.hpp"
#include "task/process.hpp"

namespace shoal::exec {

// The part of this process's environment that tasks inherit: PATH, HOME, USER, LANG and TMPDIR,
// where set.
std::vector<EnvironmentVariable> default_environment();

// The marks and other SHOAL_* variables come first, and win; then the task's own; then the
// defaults.
LaunchMessage launch_message(const task::Launch& launch, NodeId node, const OutputFiles& files,
                             const std::vector<EnvironmentVariable>& defaults);

}  // namespace shoal::exec
