#include "exec/process_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <optional>

#include "base/format.hpp"
#include "exec/small_file.hpp"

namespace shoal::exec {
namespace {

constexpr std::size_t kEnvironmentBytesMax =
    4 * 1024 * 1024;  // Linux allows no more with 8 MiB stacks.

std::optional<pid_t> parse_pid(std::string_view text) {
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
  if (error != std::errc{} || end != text.data() + text.size() || pid <= 0) return std::nullopt;
  return pid;
}

std::vector<pid_t> all_processes() {
  std::vector<pid_t> pids;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir("/proc"), closedir);
  if (!folder) return pids;
  while (const dirent* entry = readdir(folder.get())) {
    if (const auto pid = parse_pid(entry->d_name)) pids.push_back(*pid);
  }
  return pids;
}

}  // namespace

Marks marks_of(std::span<const std::string> environment) {
  const auto first = environment.first(std::min(environment.size(), kMarks));
  return Marks(first.begin(), first.end());
}

ChildList::ChildList() : file_(open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC)) {}

ChildList::~ChildList() {
  if (file_ >= 0) close(file_);
}

const std::vector<pid_t>& ChildList::read() {
  children_.clear();
  if (file_ < 0) {
    walk();
    return children_;
  }
  text_.clear();
  std::array<char, 4096> chunk;
  ssize_t count = 0;
  while ((count = pread(file_, chunk.data(), chunk.size(), static_cast<off_t>(text_.size()))) > 0) {
    text_.append(chunk.data(), static_cast<std::size_t>(count));
    if (static_cast<std::size_t>(count) < chunk.size() / 2) break;  // The usual case: all of it.
  }
  std::string_view rest = text_;
  while (!rest.empty()) {
    const std::size_t length = std::min(rest.find(' '), rest.size());
    if (const auto pid = parse_pid(rest.substr(0, length))) children_.push_back(*pid);
    rest.remove_prefix(std::min(length + 1, rest.size()));
  }
  return children_;
}

void ChildList::walk() {
  const pid_t self = getpid();
  for (const pid_t pid : all_processes()) {
    if (process_info(pid).parent == self) children_.push_back(pid);
  }
}

ProcessInfo process_info(pid_t pid) {
  ProcessInfo info;
  const std::string text = read_small_file(format("/proc/{}/stat", pid), 4096);
  // The command's name stands in parentheses and may hold any character; what follows may not.
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return info;
  char state = 0;
  if (sscanf(text.c_str() + name_end + 1, " %c %d %d %d", &state, &info.parent, &info.group,
             &info.session) == 4) {
    info.exists = true;
  }
  return info;
}

std::string environment_of(pid_t pid) {
  return read_small_file(format("/proc/{}/environ", pid), kEnvironmentBytesMax);
}

bool holds_marks(std::string_view environment, const Marks& marks) {
  if (marks.empty()) return false;
  return std::ranges::all_of(marks, [environment](const std::string& mark) {
    for (std::size_t at = environment.find(mark); at != std::string_view::npos;
         at = environment.find(mark, at + 1)) {
      const std::size_t end = at + mark.size();
      const bool starts = at == 0 || environment[at - 1] == '\0';
      if (starts && (end == environment.size() || environment[end] == '\0')) return true;
    }
    return false;
  });
}

std::size_t kill_marked(std::span<const Marks> attempts) {
  std::size_t killed = 0;
  const pid_t self = getpid();
  for (const pid_t pid : all_processes()) {
    if (pid == self) continue;
    const std::string environment = environment_of(pid);
    const bool marked = std::ranges::any_of(
        attempts, [&](const Marks& marks) { return holds_marks(environment, marks); });
    if (marked && kill(pid, SIGKILL) == 0) ++killed;
  }
  return killed;
}

bool kill_supervisor(std::string_view id) {
  // The words of a command line are ended by zero bytes.
  const std::string words = std::string("--id") + '\0' + std::string(id) + '\0';
  bool found = false;
  for (const pid_t pid : all_processes()) {
    if (pid == getpid()) continue;
    const std::string command = read_small_file(format("/proc/{}/cmdline", pid), 8192);
    const std::string_view rest = std::string_view(command).substr(command.find('\0') + 1);
    if (!rest.starts_with("supervisor") || rest.find(words) == rest.npos) continue;
    if (kill(pid, SIGKILL) == 0) found = true;
  }
  return found;
}

}  // namespace shoal::exec
