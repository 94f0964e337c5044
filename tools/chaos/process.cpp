#include "tools/chaos/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <sstream>
#include <thread>

namespace shoal::chaos {
namespace {

namespace fs = std::filesystem;
using SteadyClock = std::chrono::steady_clock;

// As far as it can be read. A file of /proc fails in the middle when its process ends: read() notes
// that, where an iterator over the buffer would throw.
std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string whole;
  std::array<char, 4096> buffer{};
  while (file.read(buffer.data(), buffer.size()), file.gcount() > 0) {
    whole.append(buffer.data(), static_cast<std::size_t>(file.gcount()));
  }
  return whole;
}

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return number_; }

 private:
  int number_;
};

int open_process(pid_t pid) { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); }

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

std::string contents(std::FILE* file) {
  std::string whole;
  char buffer[4096];
  std::rewind(file);
  while (const std::size_t got = std::fread(buffer, 1, sizeof buffer, file)) {
    whole.append(buffer, got);
  }
  return whole;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> all;
  for (std::string& word : words) all.push_back(word.data());
  all.push_back(nullptr);
  return all;
}

// What this tool blocks or ignores is not the child's.
void default_signals(posix_spawnattr_t& attributes, short flags) {
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  sigset_t all;
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  const int more = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
  posix_spawnattr_setflags(&attributes, static_cast<short>(flags | more));
}

bool among_ancestors(pid_t pid, const std::map<pid_t, pid_t>& parents) {
  pid_t at = ::getpid();
  while (at > 1) {
    if (at == pid) return true;
    const auto found = parents.find(at);
    if (found == parents.end()) return false;
    at = found->second;
  }
  return false;
}

}  // namespace

std::optional<ProcessRow> process_row(pid_t pid) {
  if (pid <= 0) return std::nullopt;
  const std::string line = contents(text("/proc/", pid, "/stat"));
  // The name in parentheses may hold anything; the fields after it are plain.
  const std::size_t close = line.rfind(')');
  if (close == std::string::npos) return std::nullopt;
  std::istringstream fields(line.substr(close + 1));
  ProcessRow row{.process = {.pid = pid}};
  fields >> row.state >> row.parent;
  constexpr int kBetweenParentAndStart = 17;
  std::string skipped;
  for (int i = 0; i < kBetweenParentAndStart; ++i) fields >> skipped;
  if (!(fields >> row.process.start) || row.state == 'Z' || row.state == 'X') return std::nullopt;
  return row;
}

std::optional<ProcessId> identify(pid_t pid) {
  const auto row = process_row(pid);
  if (!row) return std::nullopt;
  return row->process;
}

ProcessId this_process() { return identify(::getpid()).value_or(ProcessId{.pid = ::getpid()}); }

bool lives(const ProcessId& process) { return process && identify(process.pid) == process; }

bool stopped(const ProcessId& process) {
  const auto row = process_row(process.pid);
  return row && row->process == process && row->state == 'T';
}

bool send_signal(const ProcessId& process, int number) {
  if (!process) return false;
  const Descriptor handle(open_process(process.pid));
  // The handle holds on to one process: if that is still the one meant, nobody else can be hit.
  if (handle.get() < 0 || !lives(process)) return false;
  return ::syscall(SYS_pidfd_send_signal, handle.get(), number, nullptr, 0) == 0;
}

bool wait_for_end(const ProcessId& process, Ms limit) {
  const auto end = SteadyClock::now() + limit;
  while (true) {
    ::waitpid(process.pid, nullptr, WNOHANG);  // If it is a child of ours.
    if (!lives(process)) return true;
    if (SteadyClock::now() >= end) return false;
    std::this_thread::sleep_for(Ms(5));
  }
}

std::vector<ProcessRow> all_processes() {
  std::vector<ProcessRow> rows;
  std::error_code error;
  for (fs::directory_iterator at("/proc", error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (const auto row = process_row(static_cast<pid_t>(std::stol(name)))) rows.push_back(*row);
  }
  return rows;
}

std::vector<ProcessId> descendants(pid_t root) {
  const std::vector<ProcessRow> rows = all_processes();
  std::set<pid_t> parents{root};
  std::vector<ProcessId> found;
  bool more = true;
  while (more) {
    more = false;
    for (const ProcessRow& row : rows) {
      if (!parents.contains(row.parent) || row.process.pid == root) continue;
      if (!parents.insert(row.process.pid).second) continue;
      found.push_back(row.process);
      more = true;
    }
  }
  return found;
}

std::vector<std::string> command_line(pid_t pid) {
  std::string whole = contents(text("/proc/", pid, "/cmdline"));
  std::vector<std::string> words;
  std::istringstream pieces(std::move(whole));
  for (std::string word; std::getline(pieces, word, '\0');) words.push_back(word);
  return words;
}

std::string environment(pid_t pid) { return contents(text("/proc/", pid, "/environ")); }

std::vector<ProcessId> marked_processes(std::string_view mark) {
  const std::vector<ProcessRow> rows = all_processes();
  std::map<pid_t, pid_t> parents;
  for (const ProcessRow& row : rows) parents[row.process.pid] = row.parent;
  std::vector<ProcessId> found;
  for (const ProcessRow& row : rows) {
    if (among_ancestors(row.process.pid, parents)) continue;
    const std::string words = contents(text("/proc/", row.process.pid, "/cmdline"));
    const bool hit = words.find(mark) != std::string::npos ||
                     environment(row.process.pid).find(mark) != std::string::npos;
    if (hit) found.push_back(row.process);
  }
  return found;
}

Result<Finished> run_program(const std::vector<std::string>& words, Ms limit) {
  // Files, not pipes: a daemon that the program leaves behind keeps its descriptors open.
  const File out(std::tmpfile());
  const File errors(std::tmpfile());
  if (!out || !errors) {
    return fail(ErrorCode::io, text("cannot make a temporary file: ", std::strerror(errno),
                                    ". Free some space in /tmp"));
  }
  std::vector<std::string> arguments = words;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, fileno(out.get()), 1);
  posix_spawn_file_actions_adddup2(&actions, fileno(errors.get()), 2);
  posix_spawnattr_t attributes;
  default_signals(attributes, 0);
  pid_t pid = 0;
  const int spawned = ::posix_spawnp(&pid, arguments.front().c_str(), &actions, &attributes,
                                     pointers(arguments).data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (spawned != 0) {
    return fail(ErrorCode::io, text("cannot start ", words.front(), ": ", std::strerror(spawned)));
  }
  bool ended = true;
  if (const Descriptor handle(open_process(pid)); handle.get() >= 0) {
    pollfd waiting{.fd = handle.get(), .events = POLLIN, .revents = 0};
    ended = ::poll(&waiting, 1, static_cast<int>(limit.count())) > 0;
  }
  if (!ended) ::kill(pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!ended) {
    return fail(ErrorCode::timeout, text(shell_line(words), " did not end in ",
                                         duration_text(limit), " and was killed"));
  }
  return Finished{.exit_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status),
                  .output = contents(out.get()),
                  .error_output = contents(errors.get())};
}

Result<ProcessId> start_detached(const std::vector<std::string>& words, const fs::path& log) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  posix_spawnattr_t attributes;
  default_signals(attributes, static_cast<short>(POSIX_SPAWN_SETSID));
  std::vector<std::string> arguments = words;
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, arguments.front().c_str(), &actions, &attributes,
                                   pointers(arguments).data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    return fail(ErrorCode::io, text("cannot start ", words.front(), ": ", std::strerror(error)));
  }
  return identify(pid).value_or(ProcessId{.pid = pid});
}

fs::path this_program() {
  std::error_code error;
  const fs::path path = fs::read_symlink("/proc/self/exe", error);
  return error ? fs::path("shoal-chaos") : path;
}

std::string boot_id() {
  return std::string(trimmed(contents(fs::path("/proc/sys/kernel/random/boot_id"))));
}

std::string random_token() {
  std::random_device source;
  const std::uint64_t bits = (std::uint64_t{source()} << 32) | source();
  std::array<char, 17> digits{};
  std::snprintf(digits.data(), digits.size(), "%016llx", static_cast<unsigned long long>(bits));
  return digits.data();
}

}  // namespace shoal::chaos
