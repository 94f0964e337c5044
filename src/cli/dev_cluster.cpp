#include "cli/dev_cluster.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>
#include <thread>
#include <utility>

#include "base/format.hpp"
#include "cli/dev_process.hpp"
#include "cli/machine.hpp"
#include "exec/tree_sweep.hpp"

namespace shoal::cli {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kSchema = "shoal.dev/1";

std::unexpected<Error> folder_error(const fs::path& folder, std::string_view why) {
  return fail(ErrorCode::io, format("The folder {} cannot be used for a local cluster: {}. Choose "
                                    "another one with --dir.",
                                    folder.string(), why));
}

}  // namespace

Result<DevCluster> DevCluster::open(const fs::path& folder) {
  std::error_code error;
  const fs::path whole = fs::absolute(folder, error);
  if (!error) fs::create_directories(whole, error);
  if (error) return folder_error(folder, error.message());
  const int lock = ::open((whole / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) return folder_error(whole, std::strerror(errno));
  DevCluster cluster(whole, lock);
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    return fail(ErrorCode::conflict,
                format("Another `shoal dev` command works on {} just now. Try again when it has "
                       "ended.",
                       whole.string()));
  }
  if (auto loaded = cluster.load(); !loaded) return std::unexpected(loaded.error());
  return cluster;
}

DevCluster::DevCluster(DevCluster&& other) noexcept
    : folder_(std::move(other.folder_)),
      lock_(std::exchange(other.lock_, -1)),
      nodes_(std::move(other.nodes_)) {}

DevCluster::~DevCluster() {
  if (lock_ >= 0) ::close(lock_);
}

Result<void> DevCluster::load() {
  std::ifstream file(folder_ / "cluster.json");
  if (!file) return {};
  const Json json = Json::parse(file, nullptr, false);
  try {
    if (json.at("schema") != kSchema)
      return folder_error(folder_, "cluster.json is of another kind");
    for (const Json& each : json.at("nodes")) {
      nodes_.push_back({.name = each.at("name"),
                        .address = each.at("address"),
                        .cpu_millis = each.at("cpu_millis"),
                        .memory_bytes = each.at("memory_bytes"),
                        .pid = each.at("pid"),
                        .start_time = each.at("start_time")});
    }
  } catch (const Json::exception&) {
    return folder_error(folder_, "its cluster.json does not parse");
  }
  return {};
}

Result<void> DevCluster::save() const {
  Json nodes = Json::array();
  for (const DevNode& node : nodes_) {
    nodes.push_back({{"name", node.name},
                     {"address", node.address},
                     {"cpu_millis", node.cpu_millis},
                     {"memory_bytes", node.memory_bytes},
                     {"pid", node.pid},
                     {"start_time", node.start_time}});
  }
  const fs::path aside = folder_ / "cluster.json.new";
  std::ofstream file(aside, std::ios::trunc);
  file << Json{{"schema", kSchema}, {"nodes", nodes}}.dump(2) << '\n';
  file.close();
  std::error_code error;
  if (file) fs::rename(aside, folder_ / "cluster.json", error);
  if (!file || error) return folder_error(folder_, "cluster.json cannot be written");
  return {};
}

std::optional<std::size_t> DevCluster::index_of(const std::string& name) const {
  const auto found = std::ranges::find(nodes_, name, &DevNode::name);
  if (found == nodes_.end()) return std::nullopt;
  return static_cast<std::size_t>(found - nodes_.begin());
}

fs::path DevCluster::log_of(const DevNode& node) const { return folder_ / (node.name + ".log"); }

std::string DevCluster::addresses() const {
  std::string list;
  for (const DevNode& node : nodes_) list += (list.empty() ? "" : ",") + node.address;
  return list;
}

bool DevCluster::running(std::size_t index) const {
  const DevNode& node = nodes_.at(index);
  return node.pid > 0 && process_start_time(node.pid) == node.start_time;
}

bool DevCluster::any_running() const {
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (running(i)) return true;
  }
  return false;
}

Result<void> DevCluster::lay_out(std::uint32_t count) {
  const auto ports = free_ports(count);
  if (!ports) return std::unexpected(ports.error());
  const std::uint32_t cores = (machine_cores() + count - 1) / count;
  for (std::uint32_t i = 0; i < count; ++i) {
    nodes_.push_back({.name = format("n{}", i + 1),
                      .address = format("127.0.0.1:{}", (*ports)[i]),
                      .cpu_millis = cores * 1000,
                      .memory_bytes = machine_memory_bytes() / count});
  }
  return save();
}

std::vector<std::string> DevCluster::command_of(std::size_t index) const {
  const DevNode& node = nodes_.at(index);
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  std::vector<std::string> words{program.string(), "node",
                                 "--listen",       node.address,
                                 "--name",         node.name,
                                 "--data",         (folder_ / node.name).string(),
                                 "--profile",      "local",
                                 "--cpus",         format("{:g}", node.cpu_millis / 1000.0),
                                 "--mem",          format("{}", node.memory_bytes),
                                 "--expect",       format("{}", nodes_.size())};
  for (const DevNode& other : nodes_) {
    if (other.name == node.name) continue;
    words.insert(words.end(), {"--join", other.address});
  }
  return words;
}

Result<void> DevCluster::start(std::size_t index) {
  DevNode& node = nodes_.at(index);
  const auto pid = start_detached(command_of(index), log_of(node));
  if (!pid) return std::unexpected(pid.error());
  node.pid = *pid;
  node.start_time = process_start_time(*pid).value_or(0);
  return save();
}

bool DevCluster::signal(std::size_t index, int number) {
  return running(index) && ::kill(nodes_[index].pid, number) == 0;
}

bool DevCluster::end_tasks(std::size_t index) const {
  constexpr std::chrono::seconds kPatience{5};
  return exec::end_supervisors((folder_ / nodes_.at(index).name).string(), kPatience);
}

bool DevCluster::wait_for_end(std::size_t index, std::chrono::milliseconds time) {
  constexpr std::chrono::milliseconds kPause{20};
  const auto deadline = std::chrono::steady_clock::now() + time;
  while (running(index)) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(kPause);
  }
  return true;
}

std::string DevCluster::last_words(std::size_t index) const {
  constexpr std::size_t kLines = 5;
  std::ifstream file(log_of(nodes_.at(index)));
  std::deque<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    lines.push_back(line);
    if (lines.size() > kLines) lines.pop_front();
  }
  std::string text;
  for (const std::string& line : lines) text += "\n  " + line;
  return text;
}

}  // namespace shoal::cli
