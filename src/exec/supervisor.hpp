// A supervisor: a small process beside the node that owns the children of attempts (design, section
// 9).
//
// It starts them, collects their output and their ends, enforces timeouts and leases, and ends
// whole process trees (attempts.hpp), even while the node is frozen or gone. It has no store and
// little memory, and one thread besides the guard of leases. A node starts one for each core,
// before it grows: two small processes start children faster than two threads of one large process.
//
// 1. It outlives its node: tasks run on, and the next process of the node finds it
//    (supervisor_folder.hpp), hears what runs and what has ended, and goes on from there. How an
//    attempt ended is kept until the node says that this is settled.
// 2. It listens to one process at a time (node_listener.hpp).
// 3. Without a node it exits `linger` after its last task has ended, or after the node went. It
//    removes its entry in the folder. When somebody else removed that, it ends its tasks and exits.
// 4. After `quit` nothing of its tasks runs, and it exits.
//
// It leads a session of its own and heeds no signal but SIGKILL, so that whatever ends the node's
// group or terminal leaves it alone. (Who kills the node's whole control group kills it too: a
// service of systemd needs KillMode=process.)
//
// Limits: as many attempts as the node launches, and as many unsettled results as it leaves so.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "exec/supervisor_folder.hpp"
#include "shoal/result.hpp"

namespace shoal::exec {

inline constexpr std::chrono::milliseconds kLinger{60'000};

struct SupervisorConfig {
  std::string data_folder;
  std::string id;
  int listener = -1;  // The socket at its place in the folder; owned.
  std::chrono::milliseconds linger = kLinger;
};

// Serves until it has to end; returns the exit status of the process. REQUIRES: a process of its
// own, with one thread.
int supervisor_main(const SupervisorConfig& config);

// The words of a command line that starts one, behind the program: `supervisor --data FOLDER --id
// ID
// --fd N --linger MS`.
std::vector<std::string> supervisor_words(const SupervisorConfig& config);

// A supervisor that was just started: it is reached by its place in the folder.
struct StartedSupervisor {
  std::string id;
  pid_t pid = -1;  // A child of the caller.
};

struct SpawnConfig {
  std::string data_folder;  // Absolute.
  std::string program = "/proc/self/exe";
  std::size_t count = 1;
  std::chrono::milliseconds linger = kLinger;
};

// Starts supervisors and lists them. Call it before the node has threads or much memory. An error
// leaves no process behind. REQUIRES: this process holds the data folder's lock.
Result<std::vector<StartedSupervisor>> spawn_supervisors(const SpawnConfig& config);

// Ends those that were started for nothing. REQUIRES: nothing was launched with them.
void discard_supervisors(const SpawnConfig& config, std::span<const StartedSupervisor> supervisors);

}  // namespace shoal::exec
