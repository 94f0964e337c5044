#include "tools/chaos/local_backend.hpp"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "tools/chaos/dev_folder.hpp"
#include "tools/chaos/played.hpp"

namespace shoal::chaos {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kSharedDiskBytes = 8ULL << 30;  // What is larger belongs to others as well.
constexpr std::uint64_t kOwnDiskBytes = 256ULL << 20;
constexpr Ms kBirthLimit{120'000};
constexpr const char* kNoNetwork =
    "nothing can come between nodes that share one loopback; `--against relay` lets all they send "
    "each other pass through a relay, `--against netns` (as root) gives each a network of its own";

std::uint64_t disk_bytes(const fs::path& folder) {
  struct statvfs space{};
  if (::statvfs(folder.c_str(), &space) != 0) return 0;
  return std::uint64_t{space.f_blocks} * space.f_frsize;
}

}  // namespace

Result<std::unique_ptr<Backend>> LocalBackend::open(const BackendOptions& options) {
  const std::size_t colon = options.against.find(':');
  const bool own = colon == std::string::npos;
  const fs::path folder = own ? options.folder / (kOwnFolder + random_token())
                              : fs::absolute(options.against.substr(colon + 1));
  auto backend = std::make_unique<LocalBackend>(options, folder, own);
  if (!own) {
    const auto nodes = backend->nodes();
    if (!nodes) return std::unexpected(nodes.error());
  }
  return backend;
}

LocalBackend::LocalBackend(BackendOptions options, fs::path folder, bool own)
    : options_(std::move(options)), folder_(std::move(folder)), own_(own) {
  const bool disks =
      std::ranges::find(options_.faults, FaultKind::disk_full) != options_.faults.end();
  if (disks && options_.disk_bytes == 0) options_.disk_bytes = kOwnDiskBytes;
  const bool plays = std::ranges::any_of(
      options_.faults, [](FaultKind kind) { return rule_of(kind).family == Family::played; });
  if (own_ && plays) start_for_tests(folder_ / "test-faults");
}

std::string LocalBackend::faults_folder() const {
  if (own_) return (folder_ / "test-faults").string();
  for (const BackendNode& node : nodes_) {
    if (const std::string known = test_faults_of(node.process); !known.empty()) return known;
  }
  return {};
}

bool LocalBackend::own_disks() const { return own_ && options_.disk_bytes > 0 && ::geteuid() == 0; }

std::string LocalBackend::name() const { return own_ ? "local" : "local:" + folder_.string(); }

void LocalBackend::plan_folder(Plan& plan) const {
  const std::string folder = folder_.string();
  plan.inject.push_back(RunProgram{.words = {"mkdir", "-p", folder, faults_folder()}});
  Steps unmount;
  for (std::uint32_t i = 1; own_disks() && i <= options_.nodes; ++i) {
    const std::string data = (folder_ / text("n", i)).string();
    plan.inject.push_back(RunProgram{.words = {"mkdir", data}});
    plan.inject.push_back(RunProgram{.words = {"mount", "-t", "tmpfs", "-o",
                                               text("size=", options_.disk_bytes), "tmpfs", data}});
    unmount.push_back(RunProgram{.words = {"umount", "-l", data}, .good = {}});
  }
  // Nodes and supervisors bear the folder in their command lines.
  plan.heal.push_back(EndMarked{.mark = folder});
  plan.heal.insert(plan.heal.end(), unmount.begin(), unmount.end());
  plan.heal.push_back(Remove{.path = folder, .all = true});
}

Plan LocalBackend::birth() const {
  Plan plan;
  if (!own_) return plan;
  plan_folder(plan);
  plan.inject.push_back(
      RunProgram{.words = {options_.shoal, "dev", "-n", std::to_string(options_.nodes), "--dir",
                           folder_.string()},
                 .limit = kBirthLimit});
  return plan;
}

std::vector<std::string> LocalBackend::names() const {
  std::vector<std::string> names;
  if (own_) {
    for (std::uint32_t i = 1; i <= options_.nodes; ++i) names.push_back(text("n", i));
  } else {
    for (const BackendNode& node : nodes_) names.push_back(node.name);
  }
  return names;
}

Result<std::vector<DevNode>> LocalBackend::listed() const {
  if (!own_ || !options_.imaginary) return read_dev_folder(folder_);
  std::vector<DevNode> imagined;
  for (std::uint32_t i = 1; i <= options_.nodes; ++i) {
    imagined.push_back({.name = text("n", i), .address = text("127.0.0.1:PORT", i)});
  }
  return imagined;
}

Result<std::vector<BackendNode>> LocalBackend::nodes() {
  const auto all = listed();
  if (!all) return std::unexpected(all.error());
  nodes_.clear();
  for (const DevNode& each : *all) {
    BackendNode node{.name = each.name,
                     .address = each.address,
                     .process = each.process,
                     .data_folder = folder_ / each.name,
                     .log = folder_ / (each.name + ".log")};
    if (each.process) node.state = stopped(each.process) ? NodeState::paused : NodeState::up;
    nodes_.push_back(std::move(node));
  }
  return nodes_;
}

Step LocalBackend::start_step(const BackendNode& node, const std::string& program) const {
  return StartNode{.shoal = program, .folder = folder_.string(), .name = node.name};
}

Steps LocalBackend::start(const BackendNode& node) const {
  return {start_step(node, options_.shoal)};
}

std::optional<std::string> LocalBackend::cannot(const Fault& fault) const {
  switch (rule_of(fault.kind).family) {
    case Family::disk:
      return cannot_disk();
    case Family::network:
      return kNoNetwork;
    case Family::played:
      return cannot_play(fault, faults_folder());
    case Family::members:
    case Family::process:
    case Family::load:
      break;
  }
  if (fault.kind != FaultKind::upgrade) return std::nullopt;
  const std::string program = fault.word("program");
  if (program != kCopiedProgram) {
    if (::access(program.c_str(), X_OK) == 0) return std::nullopt;
    return text("there is no program ", program);
  }
  if (!own_)
    return "nodes of a cluster that is not this tool's need a program of their own: name it";
  return std::nullopt;
}

std::optional<std::string> LocalBackend::cannot_disk() const {
  if (own_disks()) return std::nullopt;
  if (own_) {
    return "it takes root, to give each node a small file system of its own";
  }
  for (const BackendNode& node : nodes_) {
    const std::uint64_t total = disk_bytes(node.data_folder);
    if (total <= kSharedDiskBytes) continue;
    return text("the data folder of ", node.name, " lies on a file system of ", size_text(total),
                ": filling it would hurt others. Put it on a small one with a quota, or let `run` "
                "start a cluster of its own as root");
  }
  return std::nullopt;
}

Result<Plan> LocalBackend::network(const Injection&) {
  return fail(ErrorCode::bad_input, kNoNetwork);
}

std::vector<ProcessId> supervisors_of(const BackendNode& node) {
  std::vector<ProcessId> found;
  if (node.data_folder.empty()) return found;
  for (const ProcessRow& row : all_processes()) {
    const std::vector<std::string> words = command_line(row.process.pid);
    if (words.size() < 2 || words[1] != "supervisor") continue;
    const bool child = node.process && row.parent == node.process.pid;
    const bool known = std::ranges::find(words, node.data_folder.string()) != words.end();
    if (child || known) found.push_back(row.process);
  }
  return found;
}

}  // namespace shoal::chaos
