#include "exec/child.hpp"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/format.hpp"
#include "exec/descriptor.hpp"

namespace shoal::exec {
namespace {

constexpr const char* kPathDefault = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr std::size_t kChildStackBytes = 64 * 1024;

rlimit open_files_before{};
bool open_files_raised = false;

enum class Step : std::uint8_t { none, parent_gone, group, folder, input, outputs, execute };

// What parent and child share while the parent is suspended in clone().
struct Shared {
  const char* program = nullptr;
  char* const* argv = nullptr;
  char* const* environment = nullptr;
  const char* folder = nullptr;
  const char* input = nullptr;
  std::array<int, 2> outputs{-1, -1};
  std::array<int, 3> doors{-1, -1, -1};  // Writing "0" moves the writer into the group.
  pid_t parent = 0;
  volatile Step failed = Step::none;
  volatile int error = 0;
};

[[noreturn]] void give_up(Shared& shared, Step step) {
  shared.error = errno;
  shared.failed = step;
  _exit(127);
}

// A FIFO without a writer must not hold up the supervisor, hence O_NONBLOCK for the opening alone.
void open_input(Shared& shared) {
  const int file = open(shared.input, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (file < 0) give_up(shared, Step::input);
  const int flags = fcntl(file, F_GETFL);
  if (fcntl(file, F_SETFL, flags & ~O_NONBLOCK) < 0) give_up(shared, Step::input);
  if (dup2(file, STDIN_FILENO) < 0) give_up(shared, Step::input);
}

// Runs in the parent's memory on a stack of its own: system calls only, nothing is allocated.
int run_child(void* argument) {
  Shared& shared = *static_cast<Shared*>(argument);
  setsid();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != shared.parent) give_up(shared, Step::parent_gone);
  for (const int door : shared.doors) {
    if (door >= 0 && write(door, "0", 1) != 1) give_up(shared, Step::group);
  }
  if (shared.folder != nullptr && chdir(shared.folder) < 0) give_up(shared, Step::folder);
  if (shared.input != nullptr) open_input(shared);
  if (dup2(shared.outputs[0], STDOUT_FILENO) < 0) give_up(shared, Step::outputs);
  if (dup2(shared.outputs[1], STDERR_FILENO) < 0) give_up(shared, Step::outputs);
  if (open_files_raised) setrlimit(RLIMIT_NOFILE, &open_files_before);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execve(shared.program, shared.argv, shared.environment);
  give_up(shared, Step::execute);
}

StartFailure not_found(const std::string& command) {
  return {
      .reason = EndReason::not_found,
      .exit_status = 127,
      .message = format("command `{}` was not found in this node's PATH: install it on every node "
                        "or give its full path",
                        command)};
}

StartFailure not_executable(const std::string& program, std::string_view why) {
  return {.reason = EndReason::not_executable,
          .exit_status = 126,
          .message = format("`{}` cannot be executed: {}", program, why)};
}

// The file to execute. A file that is there but not executable is reported only if no later folder
// of PATH has a better one, as shells do. Relative folders are passed over: they would
// mean another one for every task.
std::expected<std::string, StartFailure> find_program(const std::string& command) {
  if (command.find('/') != std::string::npos) return command;
  if (command.empty()) return std::unexpected(not_found(command));
  const char* path_variable = getenv("PATH");
  std::string_view path = path_variable != nullptr ? path_variable : kPathDefault;
  std::string refused;
  while (true) {
    const std::size_t length = std::min(path.find(':'), path.size());
    std::string candidate(path.substr(0, length));
    candidate.append("/").append(command);
    struct stat status{};
    if (path.starts_with('/') && stat(candidate.c_str(), &status) == 0 && S_ISREG(status.st_mode)) {
      if (access(candidate.c_str(), X_OK) == 0) return candidate;
      if (refused.empty()) refused = candidate;
    }
    if (length == path.size()) break;
    path.remove_prefix(length + 1);
  }
  if (refused.empty()) return std::unexpected(not_found(command));
  return std::unexpected(
      not_executable(refused, "its mode does not allow it; `chmod +x` it on every node"));
}

// Whether the program's own file is there. The supervisor does not share the child's working
// folder.
bool program_exists(const ChildSpec& spec, const std::string& program) {
  if (program.front() == '/' || spec.working_folder.empty())
    return access(program.c_str(), F_OK) == 0;
  return access(format("{}/{}", spec.working_folder, program).c_str(), F_OK) == 0;
}

StartFailure execute_failure(const ChildSpec& spec, const std::string& program, int error) {
  const std::string why = strerror(error);
  switch (error) {
    case ENOENT:
      if (program_exists(spec, program)) {
        return {
            .reason = EndReason::not_found,
            .exit_status = 127,
            .message = format("`{}` needs an interpreter or loader that is not on this node: look "
                              "at its first line",
                              program)};
      }
      [[fallthrough]];
    case ENOTDIR:
      return {
          .reason = EndReason::not_found,
          .exit_status = 127,
          .message = format("command `{}` does not exist on this node: check its path", program)};
    case EACCES:
    case EPERM:
    case EISDIR:
      return not_executable(program, format("{}; `chmod +x` it on every node", why));
    case ENOEXEC:
      return not_executable(program,
                            "it is no program; a script needs a first line like #!/bin/sh");
    case E2BIG:
      return {.message =
                  format("`{}` was given too long a command line or environment: pass the data "
                         "in a file",
                         program)};
    default:
      return {.message = format("`{}` could not be executed: {}", program, why)};
  }
}

StartFailure failure_of(const ChildSpec& spec, const std::string& program, const Shared& shared) {
  const std::string why = strerror(shared.error);
  switch (shared.failed) {
    case Step::folder:
      return {.message =
                  format("working folder `{}` cannot be entered on this node: {}; make it on "
                         "every node or name another",
                         spec.working_folder, why)};
    case Step::input:
      return {.message =
                  format("stdin file `{}` cannot be opened on this node: {}; it must be there on "
                         "every node",
                         spec.stdin_file, why)};
    case Step::execute:
      return execute_failure(spec, program, shared.error);
    case Step::group:
      return {.message = format("`{}` could not enter its control group: {}", program, why),
              .group_refused = true};
    default:
      return {.message = format("`{}` could not be started: {}", program, why)};
  }
}

#if defined(__x86_64__)
// The C library has no wrapper for a clone3(2) that goes on with another stack. The child finds it
// empty, calls `function` and never returns.
long clone3_call(const clone_args& arguments, int (*function)(void*), void* argument) {
  long result = 0;
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "mov %[argument], %%rdi\n\t"
      "call *%[function]\n\t"
      "hlt\n"
      "1:"
      : "=a"(result)
      : "a"(static_cast<long>(SYS_clone3)), "D"(&arguments),
        "S"(sizeof arguments), [function] "r"(function), [argument] "r"(argument)
      : "rcx", "r11", "memory");
  return result;
}

// A child that starts inside the group at `group_folder`; not positive where that cannot be done.
pid_t clone_into(int group_folder, Shared& shared, char* stack, std::size_t stack_bytes) {
  static bool refused = false;  // Older kernels and some containers know no such call.
  if (refused) return -1;
  clone_args arguments{};
  arguments.flags = CLONE_VM | CLONE_VFORK | CLONE_INTO_CGROUP;
  arguments.exit_signal = SIGCHLD;
  arguments.stack = reinterpret_cast<std::uintptr_t>(stack);
  arguments.stack_size = stack_bytes;
  arguments.cgroup = static_cast<std::uint64_t>(group_folder);
  const long result = clone3_call(arguments, run_child, &shared);
  refused = result == -ENOSYS || result == -EPERM || result == -EINVAL || result == -E2BIG;
  return static_cast<pid_t>(result);
}
#else
pid_t clone_into(int, Shared&, char*, std::size_t) { return -1; }
#endif

// Suspends this thread until the child executes its program or has failed; -1 with errno.
pid_t clone_child(const TaskGroup* group, Shared& shared) {
  static std::vector<char> stack(kChildStackBytes);
  const auto begin = (reinterpret_cast<std::uintptr_t>(stack.data()) + 63) & ~std::uintptr_t{63};
  const std::size_t size = kChildStackBytes - 128;
  Descriptor door;
  if (group != nullptr && group->cloned_into()) {
    const pid_t pid = clone_into(group->folder(), shared, reinterpret_cast<char*>(begin), size);
    if (pid > 0) return pid;
    door = Descriptor(openat(group->folder(), "cgroup.procs", O_WRONLY | O_CLOEXEC));
    shared.doors[2] = door.get();
  }
  // The stack grows downwards.
  return clone(run_child, reinterpret_cast<void*>(begin + size), CLONE_VM | CLONE_VFORK | SIGCHLD,
               &shared);
}

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  // execve() takes non-const pointers for history's sake and changes nothing.
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

bool holds_zero_byte(const std::vector<std::string>& texts) {
  return std::ranges::any_of(
      texts, [](const std::string& text) { return text.find('\0') != std::string::npos; });
}

}  // namespace

void prepare_for_children() {
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null >= 0) {
    dup2(null, STDIN_FILENO);
    if (fcntl(STDOUT_FILENO, F_GETFD) < 0) dup2(null, STDOUT_FILENO);
    if (fcntl(STDERR_FILENO, F_GETFD) < 0) dup2(null, STDERR_FILENO);
    if (null > STDERR_FILENO) close(null);
  }
  for (int number = 1; number <= SIGRTMAX; ++number) signal(number, SIG_DFL);
  if (getrlimit(RLIMIT_NOFILE, &open_files_before) == 0 &&
      open_files_before.rlim_cur < open_files_before.rlim_max) {
    rlimit raised = open_files_before;
    raised.rlim_cur = std::min<rlim_t>(raised.rlim_max, 65536);
    open_files_raised =
        raised.rlim_cur > open_files_before.rlim_cur && setrlimit(RLIMIT_NOFILE, &raised) == 0;
  }
}

std::expected<pid_t, StartFailure> start_child(const ChildSpec& spec) {
  if (spec.argv.empty()) {
    return std::unexpected(StartFailure{.message = "the task has no command: give one after `--`"});
  }
  if (holds_zero_byte(spec.argv) || holds_zero_byte(spec.environment)) {
    return std::unexpected(StartFailure{
        .message = "an argument or variable holds a zero byte, which no program can be given"});
  }
  const auto program = find_program(spec.argv.front());
  if (!program) return std::unexpected(program.error());

  static const pid_t self = getpid();
  const std::vector<char*> argv = pointers_to(spec.argv);
  const std::vector<char*> environment = pointers_to(spec.environment);
  Shared shared{
      .program = program->c_str(),
      .argv = argv.data(),
      .environment = environment.data(),
      .folder = spec.working_folder.empty() ? nullptr : spec.working_folder.c_str(),
      .input = spec.stdin_file.empty() ? nullptr : spec.stdin_file.c_str(),
      .outputs = spec.outputs,
      .parent = self,
  };
  std::array<Descriptor, 2> doors;
  if (spec.group != nullptr) doors = spec.group->doors();
  shared.doors = {doors[0].get(), doors[1].get(), -1};
  const pid_t pid = clone_child(spec.group, shared);
  if (pid < 0) {
    return std::unexpected(StartFailure{
        .message = format("no process could be made on this node: {}; it may be at its limit of "
                          "processes or memory",
                          strerror(errno))});
  }
  if (shared.failed == Step::none) return pid;
  waitpid(pid, nullptr, 0);
  return std::unexpected(failure_of(spec, *program, shared));
}

}  // namespace shoal::exec
