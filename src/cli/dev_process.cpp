#include "cli/dev_process.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstring>
#include <fstream>
#include <random>
#include <sstream>

#include "base/format.hpp"

extern char** environ;

namespace shoal::cli {
namespace {

constexpr std::uint16_t kPortMin = 20'000;
constexpr std::uint16_t kPortMax = 32'000;  // Below the usual range of outgoing connections.

bool port_is_free(std::uint16_t port, int type) {
  const int socket = ::socket(AF_INET, type | SOCK_CLOEXEC, 0);
  if (socket < 0) return false;
  const int on = 1;
  if (type == SOCK_STREAM) ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool bound =
      ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(socket);
  return bound;
}

}  // namespace

std::optional<std::uint64_t> process_start_time(pid_t pid) {
  if (pid <= 0) return std::nullopt;
  ::waitpid(pid, nullptr, WNOHANG);  // If it is a child of ours that has ended.
  std::ifstream file(format("/proc/{}/stat", pid));
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  // The name in parentheses may hold anything; the fields after it are plain.
  const std::size_t close = line.rfind(')');
  if (close == std::string::npos) return std::nullopt;
  std::istringstream fields(line.substr(close + 1));
  std::string state;
  fields >> state;
  if (state == "Z" || state == "X") return std::nullopt;
  constexpr int kBetweenStateAndStartTime = 18;
  std::string skipped;
  for (int i = 0; i < kBetweenStateAndStartTime; ++i) fields >> skipped;
  std::uint64_t start_time = 0;
  if (!(fields >> start_time)) return std::nullopt;
  return start_time;
}

Result<pid_t> start_detached(const std::vector<std::string>& arguments,
                             const std::filesystem::path& log) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  sigset_t all;
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, static_cast<short>(POSIX_SPAWN_SETSID) |
                                            POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::vector<std::string> words = arguments;
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, argv.front(), &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    return fail(ErrorCode::io, format("{} cannot be started: {}. Its output was to go to {}.",
                                      arguments.front(), std::strerror(error), log.string()));
  }
  return pid;
}

Result<std::vector<std::uint16_t>> free_ports(std::uint32_t count) {
  std::random_device random;
  std::vector<std::uint16_t> ports;
  const std::uint32_t width = kPortMax - kPortMin;
  const std::uint32_t begin = static_cast<std::uint32_t>(random()) % width;
  for (std::uint32_t i = 0; i < width && ports.size() < count; ++i) {
    const auto port = static_cast<std::uint16_t>(kPortMin + (begin + i) % width);
    if (port_is_free(port, SOCK_STREAM) && port_is_free(port, SOCK_DGRAM)) ports.push_back(port);
  }
  if (ports.size() == count) return ports;
  return fail(ErrorCode::io,
              format("There are not {} free ports from {} to {} on 127.0.0.1. Stop programs that "
                     "hold them, or start fewer nodes.",
                     count, kPortMin, kPortMax));
}

}  // namespace shoal::cli
