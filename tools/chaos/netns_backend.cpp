#include "tools/chaos/netns_backend.hpp"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <map>

namespace shoal::chaos {
namespace {

constexpr std::uint16_t kPort = 7461;
constexpr const char* kSubnet = "10.77.0.";  // In namespaces of the run: free there.
constexpr const char* kHubAddress = "10.77.0.254/24";
constexpr const char* kSpaces = "/run/netns/";

std::vector<std::string> inside(const std::string& space) {
  return {"nsenter", text("--net=", kSpaces, space)};
}

RunProgram ip(std::vector<std::string> words) {
  words.insert(words.begin(), "ip");
  return {.words = std::move(words)};
}

RunProgram nft(const std::string& space, const std::string& commands) {
  std::vector<std::string> words = inside(space);
  words.insert(words.end(), {"nft", commands});
  return {.words = std::move(words)};
}

RunProgram removal(const std::string& space) {
  return {.words = {"ip", "netns", "del", space}, .good = {}};
}

std::string address_of(std::uint32_t number) { return text(kSubnet, number); }

}  // namespace

std::string packet_verdict(const Fault& fault) {
  if (fault.kind == FaultKind::net_loss) {
    return text("numgen random mod 10000 < ", std::lround(fault.number("pct") * 100), " drop");
  }
  if (fault.kind == FaultKind::net_rate) {
    return text("limit rate over ", std::max<std::uint64_t>(1, fault.size("rate")),
                " bytes/second burst 65536 bytes drop");
  }
  return "drop";
}

Result<std::unique_ptr<Backend>> NetnsBackend::open(const BackendOptions& options) {
  if (options.against != "netns") {
    return fail(ErrorCode::bad_input,
                "namespaces are made for a run's own cluster only: `run SCENARIO --against netns`");
  }
  if (options.imaginary) return std::make_unique<NetnsBackend>(options);
  if (::geteuid() != 0) {
    return fail(ErrorCode::bad_input,
                "network namespaces take root; `--against relay` does the same without");
  }
  for (const char* program : {"ip", "nft", "nsenter"}) {
    if (run_program({program, "--version"}, Ms(5000))) continue;
    return fail(ErrorCode::bad_input, text("there is no program `", program,
                                           "` here: install iproute2 and nftables, or take "
                                           "`--against relay`"));
  }
  return std::make_unique<NetnsBackend>(options);
}

std::string NetnsBackend::hub() const { return text(kOwnFolder, token(), "-hub"); }

std::string NetnsBackend::space(std::uint32_t number) const {
  return text(kOwnFolder, token(), "-", number);
}

std::vector<std::string> NetnsBackend::client_words() const { return inside(hub()); }

WiredBackend::Place NetnsBackend::place(std::uint32_t number) const {
  const std::string address = text(address_of(number), ":", kPort);
  return {.address = address, .before = inside(space(number)), .options = {"--listen", address}};
}

Steps NetnsBackend::space_birth(std::uint32_t number) const {
  const std::string here = space(number);
  const std::string port = text("port", number);
  return {
      ip({"netns", "add", here}),
      ip({"-n", here, "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", hub()}),
      ip({"-n", here, "addr", "add", address_of(number) + "/24", "dev", "eth0"}),
      ip({"-n", here, "link", "set", "eth0", "up"}),
      ip({"-n", here, "link", "set", "lo", "up"}),
      ip({"-n", hub(), "link", "set", port, "master", "bridge0"}),
      ip({"-n", hub(), "link", "set", port, "up"})};
}

Plan NetnsBackend::network_birth() const {
  Plan plan;
  plan.inject = {ip({"netns", "add", hub()}),
                 ip({"-n", hub(), "link", "add", "bridge0", "type", "bridge"}),
                 ip({"-n", hub(), "addr", "add", kHubAddress, "dev", "bridge0"}),
                 ip({"-n", hub(), "link", "set", "bridge0", "up"}),
                 ip({"-n", hub(), "link", "set", "lo", "up"})};
  for (std::uint32_t i = 1; i <= options().nodes; ++i) {
    const Steps steps = space_birth(i);
    plan.inject.insert(plan.inject.end(), steps.begin(), steps.end());
    plan.heal.push_back(removal(space(i)));
  }
  plan.heal.push_back(removal(hub()));
  return plan;
}

Result<LocalBackend::Joiner> NetnsBackend::joiner(const Injection& injection,
                                                  const std::string& name) {
  auto joiner = WiredBackend::joiner(injection, name);
  if (!joiner) return joiner;
  // Its place is the one that its address names.
  const std::size_t begin = std::strlen(kSubnet);
  const auto number = static_cast<std::uint32_t>(
      std::stoul(joiner->address.substr(begin, joiner->address.find(':') - begin)));
  joiner->before = space_birth(number);
  joiner->after = {removal(space(number))};
  return joiner;
}

// Threads that start later are there as well.
Result<void> NetnsBackend::enter() {
  const int file = ::open((kSpaces + hub()).c_str(), O_RDONLY | O_CLOEXEC);
  const int entered = file < 0 ? -1 : ::setns(file, CLONE_NEWNET);
  const int error = errno;
  if (file >= 0) ::close(file);
  if (entered == 0) return {};
  return fail(ErrorCode::io,
              text("the namespace ", hub(), " cannot be entered: ", std::strerror(error)));
}

std::optional<std::string> NetnsBackend::cannot_network(const Fault& fault) const {
  switch (fault.kind) {
    case FaultKind::partition:
    case FaultKind::net_loss:
    case FaultKind::net_rate:
      return std::nullopt;
    default:
      return "namespaces here only drop packets; `--against relay` delays and alters them";
  }
}

Result<Plan> NetnsBackend::network(const Injection& injection) {
  const auto links = links_of(injection, names());
  if (!links) return std::unexpected(links.error());
  const std::string table = text("inet chaos", injection.id);
  std::map<std::uint32_t, std::vector<std::uint32_t>> senders;
  for (const Link& link : *links) senders[number_of(link.to)].push_back(number_of(link.from));
  Plan plan;
  for (const auto& [receiver, from] : senders) {
    std::string commands = text("add table ", table, "; add chain ", table,
                                " arriving { type filter hook input priority 0; }");
    for (const std::uint32_t each : from) {
      commands += text("; add rule ", table, " arriving ip saddr ", address_of(each), " ",
                       packet_verdict(injection.fault));
    }
    plan.inject.push_back(nft(space(receiver), commands));
    RunProgram heal = nft(space(receiver), text("delete table ", table));
    heal.good = {};  // It may never have been made.
    plan.heal.push_back(heal);
  }
  return plan;
}

}  // namespace shoal::chaos
