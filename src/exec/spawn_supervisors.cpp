#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "base/format.hpp"
#include "exec/supervisor.hpp"

extern char** environ;

namespace shoal::exec {
namespace {

constexpr int kSupervisorSocket = 3;  // The descriptor of the socket inside the supervisor.

std::unexpected<Error> cannot_start(const std::string& program, int error) {
  return fail(
      ErrorCode::io,
      format("no supervisor process could be started from `{}`: {}; tasks cannot run on this "
             "node until that works",
             program, strerror(error)));
}

Result<SupervisorHandle> spawn_one(const std::string& program) {
  std::array<int, 2> ends{-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) < 0) {
    return cannot_start(program, errno);
  }
  std::string number = std::to_string(kSupervisorSocket);
  std::array<char*, 5> argv{const_cast<char*>("shoal"), const_cast<char*>("supervisor"),
                            const_cast<char*>("--fd"), number.data(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], kSupervisorSocket);
  SupervisorHandle handle{.socket = ends[0]};
  const int error =
      posix_spawn(&handle.pid, program.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  if (error == 0) return handle;
  close(ends[0]);
  return cannot_start(program, error);
}

}  // namespace

Result<std::vector<SupervisorHandle>> spawn_supervisors(std::size_t count,
                                                        const std::string& program) {
  std::vector<SupervisorHandle> handles;
  while (handles.size() < count) {
    const auto handle = spawn_one(program);
    if (handle) {
      handles.push_back(*handle);
      continue;
    }
    for (const SupervisorHandle& started : handles) {
      close(started.socket);
      kill(started.pid, SIGKILL);
      waitpid(started.pid, nullptr, 0);
    }
    return std::unexpected(handle.error());
  }
  return handles;
}

}  // namespace shoal::exec
