// The local back end's plans: what is done to processes, disks, clocks and machines.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <iterator>

#include "tools/chaos/local_backend.hpp"
#include "tools/chaos/played.hpp"

namespace shoal::chaos {
namespace {

namespace fs = std::filesystem;

// Tasks that lost their lease while all was stopped are ended by their supervisors in that time,
// before they go on (design, section 9).
constexpr Ms kSupervisorsFirst{200};
constexpr Ms kStopLimit{30'000};  // A node gives itself 20 s.
constexpr Ms kKillLimit{5'000};
constexpr Ms kLeaveLimit{180'000};
constexpr Ms kBurnLimit{600'000};
constexpr std::uint64_t kMemoryKept = 1ULL << 30;  // Free memory that `mem` leaves to others.

void extend(Steps& steps, const Steps& more) {
  steps.insert(steps.end(), more.begin(), more.end());
}

void plan_kill(Plan& plan, const BackendNode& node, bool host) {
  const std::vector<ProcessId> supervisors = host ? supervisors_of(node) : std::vector<ProcessId>();
  // Stopped first, so that they start nothing more.
  for (const ProcessId& each : supervisors) {
    plan.inject.push_back(SendSignal{each, SIGSTOP, node.name + "'s supervisor"});
  }
  plan.inject.push_back(SendSignal{node.process, SIGKILL, node.name});
  for (const ProcessId& each : supervisors) {
    plan.inject.push_back(SignalTree{each, SIGKILL, node.name + "'s tasks"});
    plan.inject.push_back(SendSignal{each, SIGKILL, node.name + "'s supervisor"});
  }
}

void plan_pause(Plan& plan, const BackendNode& node, bool host) {
  plan.inject.push_back(SendSignal{node.process, SIGSTOP, node.name});
  if (!host) {
    plan.heal.push_back(SendSignal{node.process, SIGCONT, node.name});
    return;
  }
  const std::vector<ProcessId> supervisors = supervisors_of(node);
  for (const ProcessId& each : supervisors) {
    plan.inject.push_back(SendSignal{each, SIGSTOP, node.name + "'s supervisor"});
    plan.inject.push_back(SignalTree{each, SIGSTOP, node.name + "'s tasks"});
    plan.heal.push_back(SendSignal{each, SIGCONT, node.name + "'s supervisor"});
  }
  plan.heal.push_back(Wait{kSupervisorsFirst});
  plan.heal.push_back(SendSignal{node.process, SIGCONT, node.name});
  for (const ProcessId& each : supervisors) {
    plan.heal.push_back(SignalTree{each, SIGCONT, node.name + "'s tasks"});
  }
}

std::uint64_t memory_available() {
  std::ifstream file("/proc/meminfo");
  for (std::string word; file >> word;) {
    std::uint64_t kibibytes = 0;
    if (word == "MemAvailable:" && file >> kibibytes) return kibibytes * 1024;
  }
  return 0;
}

// A port of the loopback that is free for streams and datagrams. Another program may take it before
// the node does; the node then says so and ends.
std::optional<std::uint16_t> free_port(Random& random) {
  constexpr int kPortMin = 20'000;
  constexpr int kPortMax = 32'000;
  constexpr int kTries = 200;
  for (int i = 0; i < kTries; ++i) {
    const auto port = static_cast<std::uint16_t>(random.between(kPortMin, kPortMax));
    bool free = true;
    for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
      const int socket = ::socket(AF_INET, type | SOCK_CLOEXEC, 0);
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(port);
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      free =
          free && ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
      ::close(socket);
    }
    if (free) return port;
  }
  return std::nullopt;
}

}  // namespace

Result<std::vector<BackendNode>> LocalBackend::targets_of(const Injection& injection) {
  const auto all = nodes();
  if (!all) return std::unexpected(all.error());
  std::vector<BackendNode> targets;
  for (const BackendNode& node : *all) {
    const bool hit = std::ranges::find(injection.nodes, node.name) != injection.nodes.end();
    if (hit) targets.push_back(node);
  }
  if (targets.empty()) return fail(ErrorCode::not_found, "none of its targets is a node here");
  return targets;
}

Result<Plan> LocalBackend::process(const Injection& injection) {
  const auto targets = targets_of(injection);
  if (!targets) return std::unexpected(targets.error());
  const Fault& fault = injection.fault;
  const bool host = fault.word("scope") == "host";
  const bool copied = fault.kind == FaultKind::upgrade && fault.word("program") == kCopiedProgram;
  const std::string copy = (folder_ / text("program-", injection.id)).string();
  Plan plan;
  Steps ends;
  if (copied) plan.inject.push_back(RunProgram{.words = {"cp", options_.shoal, copy}});
  for (const BackendNode& node : *targets) {
    if (!node.process && !options_.imaginary && fault.kind != FaultKind::upgrade) continue;
    if (fault.kind == FaultKind::pause) {
      plan_pause(plan, node, host);
      continue;
    }
    if (fault.kind == FaultKind::kill) {
      plan_kill(plan, node, host);
      ends.push_back(AwaitEnd{node.process, kKillLimit, node.name});
    } else {
      plan.inject.push_back(SendSignal{node.process, SIGTERM, node.name});
      ends.push_back(AwaitEnd{node.process, kStopLimit, node.name});
    }
    const bool other = fault.kind == FaultKind::upgrade;
    const std::string program = !other ? options_.shoal : copied ? copy : fault.word("program");
    if (other) ends.push_back(start_step(node, program));
    plan.heal.push_back(start_step(node, program));
  }
  extend(plan.inject, ends);
  if (plan.inject.empty()) return fail(ErrorCode::conflict, "none of its targets runs");
  return plan;
}

Result<Plan> LocalBackend::disk(const Injection& injection) {
  const auto targets = targets_of(injection);
  if (!targets) return std::unexpected(targets.error());
  const Fault& fault = injection.fault;
  Plan plan;
  for (const BackendNode& node : *targets) {
    const std::string data = node.data_folder.string();
    struct statvfs space{};
    ::statvfs(data.c_str(), &space);
    const double free = static_cast<double>(space.f_bavail) * static_cast<double>(space.f_frsize);
    const std::string ballast = data + "/chaos-ballast";
    const auto leave = static_cast<std::uint64_t>(free * (100 - fault.number("fill")) / 100);
    plan.inject.push_back(FillDisk{.path = ballast, .leave = leave});
    plan.heal.push_back(Remove{.path = ballast});
    // A node whose disk fails it may end itself.
    plan.heal.push_back(start_step(node, options_.shoal));
  }
  return plan;
}

Result<Plan> LocalBackend::played(const Injection& injection) {
  const auto targets = targets_of(injection);
  if (!targets) return std::unexpected(targets.error());
  if (!own_) start_for_tests(faults_folder());  // Those that end and are started again.
  Plan plan;
  for (const BackendNode& node : *targets) {
    const auto each = plan_played(injection.fault, faults_folder(), node.name);
    if (!each) return std::unexpected(each.error());
    extend(plan.inject, each->inject);
    extend(plan.heal, each->heal);
    // A node whose disk fails it ends itself.
    if (injection.fault.kind == FaultKind::disk_read_only) extend(plan.heal, start(node));
  }
  return plan;
}

Result<Plan> plan_load(const std::vector<BackendNode>& targets, const Fault& fault,
                       bool imaginary) {
  const Ms limit = std::min(fault.duration.value_or(kBurnLimit), kBurnLimit) + Ms(5000);
  Plan plan;
  for (const BackendNode& node : targets) {
    const std::string mark = "shoal-chaos-burn-" + random_token();
    std::vector<std::string> words{this_program().string(), "burn"};
    if (fault.kind == FaultKind::cpu) {
      words.insert(words.end(), {"cpu", std::to_string(static_cast<int>(fault.number("burn")))});
    } else {
      const std::uint64_t bytes = fault.size("burn") * targets.size();
      if (!imaginary && bytes + kMemoryKept > memory_available()) {
        return fail(ErrorCode::refused,
                    text("taking ", size_text(bytes), " would leave this machine less than ",
                         size_text(kMemoryKept), " of memory"));
      }
      words.insert(words.end(), {"mem", std::to_string(fault.size("burn"))});
    }
    words.insert(words.end(), {"--like", std::to_string(node.process.pid), "--for",
                               duration_text(limit), "--mark", mark});
    plan.inject.push_back(StartProgram{.words = words, .log = "/dev/null"});
    plan.heal.push_back(EndMarked{.mark = mark});
  }
  return plan;
}

Result<Plan> LocalBackend::load(const Injection& injection) {
  const auto targets = targets_of(injection);
  if (!targets) return std::unexpected(targets.error());
  return plan_load(*targets, injection.fault, options_.imaginary);
}

Result<LocalBackend::Joiner> LocalBackend::joiner(const Injection& injection,
                                                  const std::string& name) {
  Random ports(injection.id, name + random_token());
  const auto port = free_port(ports);
  if (!port) return fail(ErrorCode::io, "no port of the loopback is free");
  const std::string address = text("127.0.0.1:", *port);
  return Joiner{.address = address, .words = {options_.shoal, "node", "--listen", address}};
}

Result<Plan> LocalBackend::members(const Injection& injection) {
  const auto all = nodes();
  if (!all) return std::unexpected(all.error());
  const Fault& fault = injection.fault;
  const std::string token = random_token();
  const std::string end = fault.word("end");
  const fs::path folder = own_ ? folder_ : options_.folder / (kOwnFolder + token);
  Plan plan;
  if (!own_) plan.inject.push_back(RunProgram{.words = {"mkdir", "-p", folder.string()}});
  Steps removal;
  for (int i = 0; i < static_cast<int>(fault.number("count")); ++i) {
    const std::string name =
        text("x", injection.id, fault.number("count") > 1 ? text("-", i + 1) : std::string());
    const auto joiner = this->joiner(injection, name);
    if (!joiner) return std::unexpected(joiner.error());
    const std::string data = (folder / text(name, "-", token)).string();
    std::vector<std::string> words = joiner->words;
    words.insert(words.end(), {"--name", name, "--data", data, "--cpus", "1", "--profile", "local",
                               "--end-tasks"});
    extend(plan.inject, joiner->before);
    for (const BackendNode& node : *all) words.insert(words.end(), {"--join", node.address});
    plan.inject.push_back(StartProgram{.words = words, .log = (folder / (name + ".log")).string()});
    if (end == "leave") {
      std::vector<std::string> leave = client_words();
      leave.insert(leave.end(), {options_.shoal, "--addr", joiner->address, "leave"});
      plan.heal.push_back(RunProgram{.words = leave, .good = {}, .limit = kLeaveLimit});
    }
    plan.heal.push_back(EndMarked{.mark = data, .grace = end == "kill" ? Ms(0) : kStopLimit});
    extend(removal, joiner->after);
    removal.push_back(own_ ? Remove{.path = data, .all = true}
                           : Remove{.path = folder.string(), .all = true});
  }
  extend(plan.heal, removal);
  return plan;
}

}  // namespace shoal::chaos
