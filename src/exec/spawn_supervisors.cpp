#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "base/format.hpp"
#include "exec/descriptor.hpp"
#include "exec/supervisor.hpp"
#include "exec/tree_sweep.hpp"

extern char** environ;

namespace shoal::exec {
namespace {

constexpr off_t kLogBytesMax = 1024 * 1024;
constexpr int kListener = 3;  // The descriptor of the listening socket inside the supervisor.

std::unexpected<Error> cannot_start(const std::string& program, int error) {
  return fail(
      ErrorCode::io,
      format("no supervisor process could be started from `{}`: {}; tasks cannot run on this "
             "node until that works",
             program, strerror(error)));
}

void shorten_log(const std::string& path) {
  struct stat status{};
  if (stat(path.c_str(), &status) < 0 || status.st_size <= kLogBytesMax) return;
  [[maybe_unused]] const int done = truncate(path.c_str(), 0);
}

// Its standard streams are its own: whoever waits for the end of the node's must not wait for it.
Result<pid_t> spawn(const SpawnConfig& config, const SupervisorFolder& folder,
                    const std::string& id, const Descriptor& listener) {
  std::vector<std::string> words = supervisor_words({.data_folder = config.data_folder,
                                                     .id = id,
                                                     .listener = kListener,
                                                     .linger = config.linger});
  words.insert(words.begin(), "shoal");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const std::string log = folder.log_file();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, listener.get(), kListener);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log.c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  pid_t pid = -1;
  const int error =
      posix_spawn(&pid, config.program.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return cannot_start(config.program, error);
  return pid;
}

Result<StartedSupervisor> spawn_one(const SpawnConfig& config, const SupervisorFolder& folder) {
  StartedSupervisor started{.id = make_supervisor_id()};
  const auto socket = folder.listen(started.id);
  if (!socket) return std::unexpected(socket.error());
  const Descriptor listener(*socket);
  const auto pid = spawn(config, folder, started.id, listener);
  if (!pid) {
    folder.remove(started.id);
    return std::unexpected(pid.error());
  }
  started.pid = *pid;
  return started;
}

}  // namespace

std::vector<std::string> supervisor_words(const SupervisorConfig& config) {
  return {"supervisor",
          "--data",
          config.data_folder,
          "--id",
          config.id,
          "--fd",
          format("{}", config.listener),
          "--linger",
          format("{}", config.linger.count())};
}

Result<std::vector<StartedSupervisor>> spawn_supervisors(const SpawnConfig& config) {
  const auto folder = SupervisorFolder::open(config.data_folder);
  if (!folder) return std::unexpected(folder.error());
  shorten_log(folder->log_file());
  std::vector<StartedSupervisor> all;
  while (all.size() < config.count) {
    auto started = spawn_one(config, *folder);
    if (started) {
      all.push_back(std::move(*started));
      continue;
    }
    discard_supervisors(config, all);
    return std::unexpected(started.error());
  }
  return all;
}

void discard_supervisors(const SpawnConfig& config,
                         std::span<const StartedSupervisor> supervisors) {
  const auto folder = SupervisorFolder::open(config.data_folder);
  for (const StartedSupervisor& each : supervisors) {
    kill(each.pid, SIGKILL);
    waitpid(each.pid, nullptr, 0);
    if (folder) sweep_supervisor(*folder, each.id);
  }
}

}  // namespace shoal::exec
