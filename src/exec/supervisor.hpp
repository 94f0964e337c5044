// A supervisor: a small process beside the node that owns the children of attempts (design, section
// 9).
//
// It starts them, collects their output and their ends, enforces timeouts, and ends whole process
// trees, even while the node is frozen. It has no thread, no store and little memory. A node starts
// one for each core, before it grows: two small processes start children faster than two threads of
// one large process.
//
// 1. Every launch is answered with exactly one `ended`, after nothing of its tree runs (the residue
// is
//    stated in process_tree.hpp). A process that cannot be killed (blocked in the kernel) delays
//    it.
// 2. When the socket closes, the node is gone: every tree is killed at once and the process exits.
// 3. An attempt's first process is killed by the kernel if the supervisor itself dies.
//
// An attempt ends with its first process: what that leaves behind in the background is killed. A
// kill with grace sends SIGTERM to the process group; after the grace, or as soon as the first
// process ends, the rest of the tree gets SIGKILL. Timeouts have a grace of kTimeoutGrace.
//
// cpu_time and memory_bytes_peak are those of the first process and of the children that it waited
// for (wait4(2)). The kernel counts the memory of the supervisor at the time of the start as the
// least peak. Memory is not limited: address-space limits break ordinary programs, and cgroups are
// not used.
//
// Limits: as many attempts as the node launches; what waits to be sent is bounded by those that
// run.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "shoal/result.hpp"

namespace shoal::exec {

inline constexpr std::chrono::milliseconds kTimeoutGrace{2000};

// Serves the node at the other end of `socket` (a stream socket; owned) until it is gone; returns
// the exit status of the process. REQUIRES: a process of its own, with one thread.
int supervisor_main(int socket);

// A running supervisor, as its node holds it.
struct SupervisorHandle {
  pid_t pid = -1;
  int socket = -1;  // Owned by whoever holds the handle.
};

// Starts `count` processes `PROGRAM supervisor --fd N`. Call it before the node has threads or much
// memory. An error leaves no process behind.
Result<std::vector<SupervisorHandle>> spawn_supervisors(std::size_t count,
                                                        const std::string& program);

}  // namespace shoal::exec
