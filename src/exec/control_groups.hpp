// Control groups (cgroups(7)) around the attempts of one supervisor: nothing that a task starts
// leaves its group, so the whole tree is found and killed, whatever session or parent it has.
//
//   OWN/shoal-ID/self   the supervisor, so that nobody takes its folder for an abandoned one
//   OWN/shoal-ID/tN     one attempt's tree
//
// OWN is the group in which the supervisor was started. The v2 hierarchy is taken when folders may
// be made in it; no controller is needed, only cgroup.kill (Linux 5.14). Else the freezer or the
// pids hierarchy of v1, where a tree is killed process by process, frozen if possible. Else there
// are no groups (ControlGroups::take() returns none), and process_tree.hpp says what is found and
// what not.
//
// What can be missed: a task that runs as root may move a process into a group elsewhere. Such a
// process is found as process_tree.hpp says, by its session, its parent or its marks.
//
// Memory is limited by the v2 controller if the supervisor may hand it down to its groups (OWN must
// not hold processes of its own, unless it is the root), else by the memory hierarchy of v1 if
// folders may be made there, else it is counted only. Swap is not limited.
//
// A group is used again after a tree that ended by itself, as making and removing one costs a tenth
// of a short task. One that was killed is not: Linux 6.x kills whatever is started into such a
// group (clone3(2) compares the numbers of kills of two different groups). Nor is one with a limit:
// what its tree left in memory would count for the next.
//
// Folders that a crash left are removed by the next supervisor that starts in the same OWN, once
// nothing runs in them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "exec/descriptor.hpp"

namespace shoal::exec {

// The folder of the calling process's own group, from the texts of /proc/self/mountinfo and
// /proc/self/cgroup. `controller` is empty for v2. Absent when that hierarchy is not to be seen.
std::optional<std::string> own_group_folder(std::string_view mounts, std::string_view groups,
                                            std::string_view controller);

// SIGKILLs everything in the group at `folder` and in the groups below. Processes that fork
// meanwhile may need another call in hierarchies of v1. May be called from any thread.
void kill_group(int folder);
bool group_empty(int folder);

// The same for a group by its path; nothing happens when there is none.
void kill_group_at(const std::string& path);
// Removes the group and those below, as far as they are empty. True when it is gone.
bool remove_group_at(const std::string& path);

// The group of one attempt.
class TaskGroup {
 public:
  int folder() const { return tree_.get(); }

  // How a child gets in: into `folder()` as it is cloned (v2), and by writing "0" to `doors` before
  // it executes (v1).
  bool cloned_into() const { return version2_; }
  std::array<Descriptor, 2> doors() const;

  void kill();
  void set_killed() { killed_ = true; }  // Somebody else may have done it.
  bool empty() const { return group_empty(tree_.get()); }
  bool memory_exceeded() const;  // Something was killed because the limit was reached.

 private:
  friend class ControlGroups;
  std::string name_;
  Descriptor tree_;
  Descriptor memory_;  // v1 only, and only with a limit.
  bool version2_ = false;
  bool limited_ = false;
  bool killed_ = false;
};

class ControlGroups {
 public:
  // Finds out what this machine allows, makes OWN/shoal-ID and moves the calling process into it.
  // REQUIRES: the process has one thread.
  explicit ControlGroups(const std::string& supervisor_id);
  ~ControlGroups();  // As close().
  ControlGroups(const ControlGroups&) = delete;
  ControlGroups& operator=(const ControlGroups&) = delete;

  std::string description() const;           // For people.
  std::vector<std::string> folders() const;  // Where the trees of all tasks are.

  // A group for a tree that may use `memory_bytes` (0: as much as there is). Absent: there are
  // none.
  std::optional<TaskGroup> take(std::uint64_t memory_bytes);
  // REQUIRES: nothing runs in it.
  void give_back(TaskGroup group);

  // Moves the process back to where it came from and removes all that is empty. There are no groups
  // any more then.
  void close();

 private:
  enum class Memory : std::uint8_t { counted, version1, version2 };

  bool open_trees(const std::string& own);
  void find_memory(const std::string& own);
  bool limit_memory(TaskGroup& group, std::uint64_t memory_bytes);
  void remove_doomed();

  std::string name_;   // shoal-ID
  std::string own_;    // OWN in the hierarchy of the trees; empty: no groups.
  std::string trees_;  // OWN/shoal-ID
  std::string hierarchy_;
  bool version2_ = false;
  Memory memory_ = Memory::counted;
  std::string memory_own_;   // v1: OWN in the memory hierarchy,
  std::string memory_root_;  // and OWN/shoal-ID there, once it was needed.
  std::uint64_t made_ = 0;
  std::vector<TaskGroup> idle_;
  std::vector<std::string> doomed_;  // To be removed as soon as the kernel lets us.
};

}  // namespace shoal::exec
