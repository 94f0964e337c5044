// The compose back end's plans: docker commands, and tables of packets to drop.
#include <algorithm>
#include <map>

#include "tools/chaos/compose_backend.hpp"
#include "tools/chaos/links.hpp"
#include "tools/chaos/local_backend.hpp"
#include "tools/chaos/netns_backend.hpp"

namespace shoal::chaos {
namespace {

constexpr const char* kProgram = "/usr/local/bin/shoal";  // In the image.
constexpr const char* kGrace = "30";                      // A node gives itself 20 s.
constexpr Ms kStopLimit{45'000};
constexpr Ms kLeaveLimit{180'000};

RunProgram docker(std::vector<std::string> words, Ms limit = kStopLimit) {
  words.insert(words.begin(), "docker");
  return {.words = std::move(words), .limit = limit};
}

// Mends, or finds nothing to mend.
RunProgram mending(std::vector<std::string> words, Ms limit = kStopLimit) {
  RunProgram step = docker(std::move(words), limit);
  step.good.clear();
  return step;
}

void plan_pause(Plan& plan, const std::string& container, bool host) {
  if (host) {
    plan.inject.push_back(docker({"pause", container}));
    plan.heal.push_back(mending({"unpause", container}));
  } else {
    plan.inject.push_back(docker({"kill", "--signal", "STOP", container}));
    plan.heal.push_back(mending({"kill", "--signal", "CONT", container}));
  }
}

std::string ip_of(const std::string& address) { return address.substr(0, address.rfind(':')); }

}  // namespace

Result<std::vector<ComposeBackend::Target>> ComposeBackend::targets_of(const Injection& injection) {
  const auto all = nodes();
  if (!all) return std::unexpected(all.error());
  std::vector<Target> targets;
  for (std::size_t i = 0; i < all->size(); ++i) {
    const bool hit = std::ranges::find(injection.nodes, (*all)[i].name) != injection.nodes.end();
    if (hit) targets.push_back({(*all)[i], containers_[i]});
  }
  if (targets.empty()) return fail(ErrorCode::not_found, "none of its targets is a node here");
  return targets;
}

void ComposeBackend::plan_end(Plan& plan, const Target& target, FaultKind kind) const {
  const std::string& container = target.container.name;
  if (kind == FaultKind::kill) {
    plan.inject.push_back(docker({"kill", container}));
  } else {
    plan.inject.push_back(docker({"stop", "-t", kGrace, container}));
  }
  plan.heal.push_back(docker({"start", container}));
}

// In place: the container, its data and its address stay.
Steps ComposeBackend::upgraded(const Target& target, const std::string& program) const {
  const std::string& container = target.container.name;
  return {docker({"cp", program, text(container, ":", kProgram)}), docker({"start", container})};
}

Result<Plan> ComposeBackend::process(const Injection& injection) {
  const auto targets = targets_of(injection);
  if (!targets) return std::unexpected(targets.error());
  const Fault& fault = injection.fault;
  const bool upgrade = fault.kind == FaultKind::upgrade;
  const bool copied = upgrade && fault.word("program") == kCopiedProgram;
  const std::string copy = (folder_ / text("program-", injection.id)).string();
  Plan plan;
  for (const Target& target : *targets) {
    if (!target.node.process && !options_.imaginary && !upgrade) continue;
    if (fault.kind == FaultKind::pause) {
      plan_pause(plan, target.container.name, fault.word("scope") == "host");
      continue;
    }
    if (copied && plan.inject.empty()) {
      plan.inject.push_back(docker({"cp", text(target.container.name, ":", kProgram), copy}));
    }
    plan_end(plan, target, fault.kind);
    if (!upgrade) continue;
    const Steps steps = upgraded(target, copied ? copy : fault.word("program"));
    plan.inject.insert(plan.inject.end(), steps.begin(), steps.end());
  }
  if (plan.inject.empty()) return fail(ErrorCode::conflict, "none of its targets runs");
  return plan;
}

Result<Plan> ComposeBackend::disk(const Injection&) {
  return fail(ErrorCode::internal, "a disk of containers");
}

Result<Plan> ComposeBackend::load(const Injection& injection) {
  const auto targets = targets_of(injection);
  if (!targets) return std::unexpected(targets.error());
  std::vector<BackendNode> nodes;
  for (const Target& target : *targets) nodes.push_back(target.node);
  return plan_load(nodes, injection.fault, options_.imaginary);
}

Result<Plan> ComposeBackend::members(const Injection& injection) {
  if (const auto all = nodes(); !all) return std::unexpected(all.error());
  const Fault& fault = injection.fault;
  const std::string end = fault.word("end");
  const auto count = static_cast<int>(fault.number("count"));
  Plan plan;
  for (int i = 1; i <= count; ++i) {
    const std::string name = text("x", injection.id, count > 1 ? text("-", i) : std::string());
    const std::string container = text(where_.project, "-", name, "-", random_token().substr(0, 6));
    std::vector<std::string> words{"run",
                                   "-d",
                                   "--name",
                                   container,
                                   "--hostname",
                                   name,
                                   "--label",
                                   "com.docker.compose.project=" + where_.project,
                                   "--network",
                                   network_name(),
                                   "--network-alias",
                                   "node"};
    if (own()) words.insert(words.end(), {"-v", (folder_ / "shared").string() + ":/chaos"});
    words.insert(words.end(), {containers_.front().image, "node", "--listen", "0.0.0.0:7461",
                               "--data", "/var/lib/shoal", "--join", "node:7461", "--cpus", "1"});
    plan.inject.push_back(docker(std::move(words)));
    if (end == "leave") {
      plan.heal.push_back(mending({"exec", container, "shoal", "leave"}, kLeaveLimit));
    } else if (end == "stop") {
      plan.heal.push_back(mending({"stop", "-t", kGrace, container}));
    }
    if (!own()) {  // Its marks go with it.
      plan.heal.push_back(
          mending({"cp", text(container, ":", marks_file({})), joiner_marks() + name}));
    }
    plan.heal.push_back(mending({"rm", "-fv", container}));
  }
  return plan;
}

// A table for each fault, in the bridges' way from one container to another: it stands while
// containers end and start, and whatever of it is gone needs no mending.
Result<Plan> ComposeBackend::network(const Injection& injection) {
  const auto all = nodes();
  if (!all) return std::unexpected(all.error());
  const auto links = links_of(injection, names());
  if (!links) return std::unexpected(links.error());
  std::map<std::string, std::string> ips;
  for (const BackendNode& node : *all) ips[node.name] = ip_of(node.address);
  std::string rules;
  for (const Link& link : *links) {
    if (ips[link.from].empty() || ips[link.to].empty()) continue;  // A container that is down.
    rules += text("ip saddr ", ips[link.from], " ip daddr ", ips[link.to], " ",
                  packet_verdict(injection.fault), "; ");
  }
  if (rules.empty()) return fail(ErrorCode::conflict, "none of its targets runs");
  const std::string table = text("bridge shoal-chaos-", token_, "-", injection.id);
  Plan plan;
  plan.inject.push_back(RunProgram{
      .words = {"nft", text("table ", table, " { chain cut { type filter hook forward priority 0; ",
                            rules, "}; }")}});
  plan.heal.push_back(RunProgram{.words = {"nft", "delete table " + table}, .good = {}});
  return plan;
}

}  // namespace shoal::chaos
