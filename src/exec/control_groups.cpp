#include "exec/control_groups.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <system_error>
#include <utility>

#include "base/format.hpp"
#include "base/log.hpp"
#include "exec/small_file.hpp"
#include "exec/supervisor_folder.hpp"

namespace shoal::exec {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kIdleMax = 64;
constexpr int kMakeTriesMax = 3;  // Another supervisor may take our folder for an abandoned one.
constexpr const char* kOwnFolder = "/self";
constexpr const char* kPrefix = "shoal-";

bool write_at(int folder, const char* name, std::string_view text) {
  const Descriptor file(::openat(folder, name, O_WRONLY | O_CLOEXEC));
  return file && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

bool write_to(const std::string& path, std::string_view text) {
  return write_at(AT_FDCWD, path.c_str(), text);
}

Descriptor open_folder(const std::string& path) {
  return Descriptor(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

// The words of `text` between separators.
std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const std::size_t length = std::min(text.find(separator), text.size());
    words.push_back(text.substr(0, length));
    text.remove_prefix(std::min(length + 1, text.size()));
  }
  return words;
}

bool holds(std::string_view list, std::string_view word, char separator) {
  const std::vector<std::string_view> words = split(list, separator);
  return std::ranges::find(words, word) != words.end();
}

// The path of the calling process's group within its hierarchy.
std::optional<std::string_view> own_path(std::string_view groups, std::string_view controller) {
  for (const std::string_view line : split(groups, '\n')) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const bool found =
        controller.empty() ? controllers.empty() : holds(controllers, controller, ',');
    if (found) return line.substr(second + 1);
  }
  return std::nullopt;
}

// One line of mountinfo: id, parent, device, root, mount point, options, optional fields, "-",
// type, source, options of the file system.
struct Mount {
  std::string_view root;
  std::string_view point;
};
std::optional<Mount> mount_of(std::string_view line, std::string_view controller) {
  const std::vector<std::string_view> words = split(line, ' ');
  const auto dash = std::ranges::find(words, "-");
  if (words.size() < 6 || words.end() - dash < 4) return std::nullopt;
  const std::string_view type = dash[1];
  const bool found =
      controller.empty() ? type == "cgroup2" : type == "cgroup" && holds(dash[3], controller, ',');
  if (!found) return std::nullopt;
  return Mount{.root = words[3], .point = words[4]};
}

// Calls `visit` with each group below `folder`, and returns whether it asked to stop.
bool visit_below(int folder, const std::function<bool(int)>& visit) {
  const int again = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (again < 0) return false;
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(::fdopendir(again), ::closedir);
  while (const dirent* entry = entries ? ::readdir(entries.get()) : nullptr) {
    const std::string_view name = entry->d_name;
    if (entry->d_type != DT_DIR || name == "." || name == "..") continue;
    const Descriptor below(::openat(folder, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (below && visit(below.get())) return true;
  }
  return false;
}

// Kills one by one what is in the group and below; where nothing tells who is there, nobody is.
void kill_listed(int folder) {
  for (const std::string_view line : split(read_small_file_at(folder, "cgroup.procs"), '\n')) {
    pid_t pid = 0;
    std::from_chars(line.data(), line.data() + line.size(), pid);
    if (pid > 0) ::kill(pid, SIGKILL);
  }
  visit_below(folder, [](int below) {
    kill_listed(below);
    return false;
  });
}

// Removes what abandoned supervisors left in OWN: a folder in use cannot be removed.
void remove_abandoned(const std::string& own) {
  std::error_code error;
  std::vector<std::string> found;
  for (fs::directory_iterator entry(own, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with(kPrefix)) continue;
    if (valid_supervisor_id(std::string_view(name).substr(std::strlen(kPrefix)))) {
      found.push_back(entry->path().string());
    }
  }
  for (const std::string& path : found) remove_group_at(path);
}

// OWN/shoal-ID/self, with the calling process in it.
bool make_root(const std::string& root) {
  const std::string self = root + kOwnFolder;
  for (int i = 0; i < kMakeTriesMax; ++i) {
    ::mkdir(root.c_str(), 0755);
    ::mkdir(self.c_str(), 0755);
    if (write_to(self + "/cgroup.procs", "0")) return true;
    if (errno != ENOENT && errno != ENODEV) break;
  }
  remove_group_at(root);
  return false;
}

}  // namespace

std::optional<std::string> own_group_folder(std::string_view mounts, std::string_view groups,
                                            std::string_view controller) {
  const auto path = own_path(groups, controller);
  if (!path) return std::nullopt;
  for (const std::string_view line : split(mounts, '\n')) {
    const auto mount = mount_of(line, controller);
    if (!mount) continue;
    // What is mounted may be a group far down: the path is told from the hierarchy's root.
    const std::string_view root = mount->root == "/" ? std::string_view{} : mount->root;
    const bool below =
        path->starts_with(root) && (path->size() == root.size() || (*path)[root.size()] == '/');
    if (!below) continue;
    std::string folder(mount->point);
    folder += path->substr(root.size());
    if (folder.ends_with('/')) folder.pop_back();
    return folder;
  }
  return std::nullopt;
}

void kill_group(int folder) {
  if (write_at(folder, "cgroup.kill", "1")) return;
  const bool frozen = write_at(folder, "freezer.state", "FROZEN");
  kill_listed(folder);
  if (frozen) write_at(folder, "freezer.state", "THAWED");
}

bool group_empty(int folder) {
  const std::string events = read_small_file_at(folder, "cgroup.events");
  if (!events.empty()) return events.find("populated 0") != std::string::npos;
  if (!read_small_file_at(folder, "cgroup.procs").empty()) return false;
  return !visit_below(folder, [](int below) { return !group_empty(below); });
}

void kill_group_at(const std::string& path) {
  const Descriptor folder = open_folder(path);
  if (folder) kill_group(folder.get());
}

bool remove_group_at(const std::string& path) {
  if (::rmdir(path.c_str()) == 0 || errno == ENOENT) return true;
  std::error_code error;
  std::vector<std::string> below;
  for (fs::directory_iterator entry(path, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code unknown;
    if (entry->is_directory(unknown)) below.push_back(entry->path().string());
  }
  for (const std::string& each : below) remove_group_at(each);
  return ::rmdir(path.c_str()) == 0 || errno == ENOENT;
}

// --- One attempt's group -----------------------------------------------------------------------

std::array<Descriptor, 2> TaskGroup::doors() const {
  const auto open_door = [](const Descriptor& folder) {
    return Descriptor(folder ? ::openat(folder.get(), "tasks", O_WRONLY | O_CLOEXEC) : -1);
  };
  if (version2_) return {Descriptor(), open_door(memory_)};
  return {open_door(tree_), open_door(memory_)};
}

void TaskGroup::kill() {
  killed_ = true;
  kill_group(tree_.get());
}

bool TaskGroup::memory_exceeded() const {
  if (!limited_) return false;
  const std::string text = memory_ ? read_small_file_at(memory_.get(), "memory.oom_control")
                                   : read_small_file_at(tree_.get(), "memory.events");
  for (const std::string_view line : split(text, '\n')) {
    if (line.starts_with("oom_kill ")) return line != "oom_kill 0";
  }
  return false;
}

// --- All of a supervisor's ---------------------------------------------------------------------

ControlGroups::ControlGroups(const std::string& supervisor_id) : name_(kPrefix + supervisor_id) {
  const std::string mounts = read_small_file("/proc/self/mountinfo");
  const std::string groups = read_small_file("/proc/self/cgroup");
  for (const char* controller : {"", "freezer", "pids"}) {
    const auto own = own_group_folder(mounts, groups, controller);
    if (!own || !open_trees(*own)) continue;
    version2_ = std::string_view(controller).empty();
    hierarchy_ = controller;
    break;
  }
  if (own_.empty()) return;
  if (version2_) find_memory(own_);
  if (memory_ != Memory::counted) return;
  const auto own = own_group_folder(mounts, groups, "memory");
  if (!own) return;
  remove_abandoned(*own);
  const std::string probe = *own + "/" + name_;
  if (::mkdir(probe.c_str(), 0755) < 0) return;
  ::rmdir(probe.c_str());
  memory_ = Memory::version1;
  memory_own_ = *own;
}

bool ControlGroups::open_trees(const std::string& own) {
  remove_abandoned(own);
  const std::string root = own + "/" + name_;
  if (!make_root(root)) return false;
  const bool version2 = ::access((own + "/cgroup.controllers").c_str(), F_OK) == 0;
  if (version2 && ::access((root + "/cgroup.kill").c_str(), F_OK) < 0) {
    write_to(own + "/cgroup.procs", "0");
    remove_group_at(root);
    return false;
  }
  own_ = own;
  trees_ = root;
  return true;
}

// v2: a controller is handed down level by level, by groups that hold no process.
void ControlGroups::find_memory(const std::string& own) {
  for (const std::string& level : {own, trees_}) {
    const std::string controllers = read_small_file(level + "/cgroup.controllers");
    if (!holds(controllers.substr(0, controllers.find('\n')), "memory", ' ')) return;
    if (!write_to(level + "/cgroup.subtree_control", "+memory")) return;
  }
  memory_ = Memory::version2;
}

ControlGroups::~ControlGroups() { close(); }

void ControlGroups::close() {
  idle_.clear();
  const std::string own = std::exchange(own_, {});
  if (own.empty()) return;
  write_to(own + "/cgroup.procs", "0");
  remove_group_at(trees_);
  if (memory_root_.empty()) return;
  write_to(memory_own_ + "/cgroup.procs", "0");
  remove_group_at(memory_root_);
}

std::string ControlGroups::description() const {
  if (own_.empty()) return "process groups; memory is counted, not limited";
  const std::string trees =
      version2_ ? std::string("cgroup v2") : format("cgroup v1 ({})", hierarchy_);
  switch (memory_) {
    case Memory::counted:
      return trees + "; memory is counted, not limited";
    case Memory::version1:
      return trees + "; memory is limited by cgroup v1";
    case Memory::version2:
      return trees + "; memory is limited by cgroup v2";
  }
  return trees;
}

std::vector<std::string> ControlGroups::folders() const {
  std::vector<std::string> folders;
  if (!own_.empty()) folders.push_back(trees_);
  if (!memory_own_.empty()) folders.push_back(memory_own_ + "/" + name_);
  return folders;
}

std::optional<TaskGroup> ControlGroups::take(std::uint64_t memory_bytes) {
  if (own_.empty()) return std::nullopt;
  const bool limited = memory_bytes > 0 && memory_ != Memory::counted;
  if (!limited && !idle_.empty()) {
    TaskGroup group = std::move(idle_.back());
    idle_.pop_back();
    return group;
  }
  remove_doomed();
  TaskGroup group;
  group.name_ = format("/t{}", ++made_);
  group.version2_ = version2_;
  const std::string path = trees_ + group.name_;
  if (::mkdir(path.c_str(), 0755) == 0) group.tree_ = open_folder(path);
  if (!group.tree_) {
    log::warn("exec", "no control group can be made at {}: {}; a task runs without one", path,
              std::strerror(errno));
    return std::nullopt;
  }
  if (limited && !limit_memory(group, memory_bytes)) {
    log::warn("exec", "a task's memory cannot be limited: {}; it is counted only",
              std::strerror(errno));
  }
  return group;
}

bool ControlGroups::limit_memory(TaskGroup& group, std::uint64_t memory_bytes) {
  const std::string bytes = format("{}", memory_bytes);
  if (memory_ == Memory::version2) {
    group.limited_ = true;
    write_at(group.tree_.get(), "memory.oom.group", "1");
    return write_at(group.tree_.get(), "memory.max", bytes);
  }
  if (memory_root_.empty()) {
    if (!make_root(memory_own_ + "/" + name_)) return false;
    memory_root_ = memory_own_ + "/" + name_;
  }
  const std::string path = memory_root_ + group.name_;
  if (::mkdir(path.c_str(), 0755) < 0) return false;
  group.limited_ = true;
  group.memory_ = open_folder(path);
  return group.memory_ && write_at(group.memory_.get(), "memory.limit_in_bytes", bytes);
}

void ControlGroups::give_back(TaskGroup group) {
  if (!group.killed_ && !group.limited_ && idle_.size() < kIdleMax) {
    idle_.push_back(std::move(group));
    return;
  }
  doomed_.push_back(trees_ + group.name_);
  if (group.memory_) doomed_.push_back(memory_root_ + group.name_);
  remove_doomed();
}

void ControlGroups::remove_doomed() {
  std::erase_if(doomed_, [](const std::string& path) { return remove_group_at(path); });
}

}  // namespace shoal::exec
