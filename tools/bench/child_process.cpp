#include "tools/bench/child_process.hpp"

#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>

namespace shoal::bench {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

std::string contents(std::FILE* file) {
  std::string text;
  std::array<char, 4096> buffer{};
  std::rewind(file);
  while (const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), file)) {
    text.append(buffer.data(), got);
  }
  return text;
}

// False when `limit` passed first.
bool wait_for_exit(pid_t pid, std::chrono::seconds limit) {
  const long descriptor = ::syscall(SYS_pidfd_open, pid, 0);
  if (descriptor < 0) return true;  // An old kernel: wait without a limit.
  const auto end = std::chrono::steady_clock::now() + limit;
  pollfd waiting{.fd = static_cast<int>(descriptor), .events = POLLIN, .revents = 0};
  int ready = 0;
  while (ready <= 0) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    if (left.count() <= 0) break;
    ready = ::poll(&waiting, 1, static_cast<int>(left.count()));
  }
  ::close(static_cast<int>(descriptor));
  return ready > 0;
}

}  // namespace

Result<Finished> run_program(const std::vector<std::string>& arguments, const std::string& input,
                             std::chrono::seconds limit) {
  // Files, not pipes: a daemon that the program leaves behind keeps its descriptors open.
  const File in(std::tmpfile());
  const File out(std::tmpfile());
  const File errors(std::tmpfile());
  if (!in || !out || !errors) {
    return fail(ErrorCode::io, std::string("cannot make a temporary file: ") +
                                   std::strerror(errno) + ". Free some space in /tmp");
  }
  std::fwrite(input.data(), 1, input.size(), in.get());
  std::rewind(in.get());

  std::vector<std::string> words = arguments;
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, fileno(in.get()), 0);
  posix_spawn_file_actions_adddup2(&actions, fileno(out.get()), 1);
  posix_spawn_file_actions_adddup2(&actions, fileno(errors.get()), 2);
  const auto began = std::chrono::steady_clock::now();
  pid_t pid = 0;
  const int spawned = ::posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (spawned != 0) {
    return fail(ErrorCode::io, "cannot start " + words.front() + ": " + std::strerror(spawned));
  }
  const bool ended = wait_for_exit(pid, limit);
  if (!ended) ::kill(pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  if (!ended) {
    return fail(ErrorCode::timeout, words.front() + " did not end in " +
                                        std::to_string(limit.count()) + " s and was killed");
  }
  return Finished{.exit_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status),
                  .output = contents(out.get()),
                  .error_output = contents(errors.get()),
                  .seconds = took.count()};
}

}  // namespace shoal::bench
