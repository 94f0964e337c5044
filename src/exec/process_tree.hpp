// Which processes belong to an attempt, as /proc tells it.
//
// An attempt's tree is its first process, that process's group and session, and every descendant.
// The supervisor is a child subreaper (prctl(2)), so when a process of the tree dies, its children
// become the supervisor's: whoever kills the direct children round after round reaches every
// descendant.
//
// Residue, which no rule here can find (a control group can): a process that left the session,
// cleared its environment and lost its parent, while other attempts of the same supervisor still
// run. It is ended when none of them runs, unless the supervisor was killed before.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace shoal::exec {

// The variables that name an attempt in its processes' environment, NAME=VALUE: job, index,
// attempt.
inline constexpr std::size_t kMarks = 3;
using Marks = std::vector<std::string>;

// The marks among `environment`: its first kMarks entries, or fewer when it is shorter.
Marks marks_of(std::span<const std::string> environment);

// The direct children of the calling process, dead ones that were not waited for included.
class ChildList {
 public:
  ChildList();
  ~ChildList();
  ChildList(const ChildList&) = delete;
  ChildList& operator=(const ChildList&) = delete;

  // One system call where the kernel offers /proc/PID/task/TID/children, else a walk through /proc.
  const std::vector<pid_t>& read();

 private:
  void walk();

  int file_ = -1;
  std::vector<pid_t> children_;
  std::string text_;
};

struct ProcessInfo {
  pid_t parent = 0;
  pid_t group = 0;
  pid_t session = 0;
  bool exists = false;
};
ProcessInfo process_info(pid_t pid);

// The environment that `pid` was started with, entries ended by zero bytes; empty if it cannot be
// read.
std::string environment_of(pid_t pid);

// Whether all of `marks` are among those entries. False for no marks.
bool holds_marks(std::string_view environment, const Marks& marks);

// SIGKILLs every process of this machine that bears one of these sets of marks; returns their
// number. Walks through all of /proc: for rare events only.
std::size_t kill_marked(std::span<const Marks> attempts);

// SIGKILLs the process of a supervisor, known by its command line. Whether there was one.
bool kill_supervisor(std::string_view id);

}  // namespace shoal::exec
