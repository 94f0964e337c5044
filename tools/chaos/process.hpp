// Processes of this machine, as /proc tells: who they are, who their children are, and signals that
// reach nobody else.
//
// A process is named by its id and its start time together. A process id that the system has given
// to another program meanwhile names nobody here.
#pragma once

#include <sys/types.h>

#include <compare>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/chaos/text.hpp"

namespace shoal::chaos {

struct ProcessId {
  pid_t pid = 0;
  std::uint64_t start = 0;  // Clock ticks since the machine's boot.
  auto operator<=>(const ProcessId&) const = default;
  explicit operator bool() const { return pid > 0; }
};

struct ProcessRow {
  ProcessId process;
  pid_t parent = 0;
  char state = '?';  // As ps(1) has it: R, S, D, T, Z...
};

// Absent when there is none, or it has ended and was only not waited for.
std::optional<ProcessRow> process_row(pid_t pid);
std::optional<ProcessId> identify(pid_t pid);
ProcessId this_process();
bool lives(const ProcessId& process);
bool stopped(const ProcessId& process);  // By a signal.

// False when it does not live. The process cannot change between the check and the signal.
bool send_signal(const ProcessId& process, int number);
// False when it still lives after `limit`.
bool wait_for_end(const ProcessId& process, Ms limit);

std::vector<ProcessRow> all_processes();
// Children, their children and so on; `root` itself is not among them.
std::vector<ProcessId> descendants(pid_t root);

std::vector<std::string> command_line(pid_t pid);
// Entries end in zero bytes; empty when it cannot be read.
std::string environment(pid_t pid);
// Whose command line or environment holds `mark`; this process and its ancestors excepted.
std::vector<ProcessId> marked_processes(std::string_view mark);

struct Finished {
  int exit_status = 0;  // 128 + N after signal N.
  std::string output;
  std::string error_output;
};
// Runs a program to its end. After `limit` it is killed and the result is an error; so it is when
// it cannot be started, but not when its exit status is another than 0.
Result<Finished> run_program(const std::vector<std::string>& words, Ms limit);

// Starts a program in a session of its own; both output streams are appended to `log`.
Result<ProcessId> start_detached(const std::vector<std::string>& words,
                                 const std::filesystem::path& log);

std::filesystem::path this_program();
std::string boot_id();       // Differs after each boot of the machine.
std::string random_token();  // 16 hexadecimal digits that nobody else has.

}  // namespace shoal::chaos
