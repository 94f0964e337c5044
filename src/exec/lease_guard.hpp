// Kills process trees at the end of their leases (rule L1; holes 13 and 14), by a thread of its
// own: the supervisor itself may be held up by a slow disk, as it writes output or starts a program
// from it.
//
// Boot-time clock: a lease runs on while the machine is suspended, and what ran out meanwhile is
// killed as soon as it wakes. The thread touches no file but the control groups'.
//
// A tree without a control group loses its process group here; the rest is the supervisor's to
// find.
#pragma once

#include <sys/types.h>

#include <map>
#include <mutex>
#include <thread>

#include "base/time.hpp"
#include "exec/descriptor.hpp"

namespace shoal::exec {

class LeaseGuard {
 public:
  // REQUIRES: the signals that the process waits for are blocked; the thread inherits that.
  LeaseGuard();
  ~LeaseGuard();
  LeaseGuard(const LeaseGuard&) = delete;
  LeaseGuard& operator=(const LeaseGuard&) = delete;

  // From now on the tree of `first_process` ends at `lease_end`. `group_folder` is the open folder
  // of its control group, or -1. REQUIRES: neither the process is waited for nor the folder closed
  // before remove().
  void add(pid_t first_process, int group_folder, TimePoint lease_end);
  void extend(pid_t first_process, TimePoint lease_end);
  // Whether the lease had run out and the tree was killed for it.
  bool remove(pid_t first_process);

 private:
  struct Entry {
    int group_folder = -1;
    TimePoint lease_end = kNever;
    bool killed = false;
  };
  void run();
  void arm();

  Descriptor timer_;
  std::mutex mutex_;  // Guards what follows.
  std::map<pid_t, Entry> entries_;
  TimePoint armed_for_ = kNever;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace shoal::exec
