// `shoal node`: runs one node in the foreground.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "base/address.hpp"
#include "base/format.hpp"
#include "base/log.hpp"
#include "base/units.hpp"
#include "cli/commands.hpp"
#include "cli/machine.hpp"
#include "daemon/driver.hpp"

namespace shoal::cli {
namespace {

constexpr const char* kVersion = "0.1.0";
constexpr std::size_t kNameBytesMax = 64;

template <class... Args>
void say(FormatString<Args...> text, Args&&... args) {
  const std::string line = format(text, std::forward<Args>(args)...);
  std::fwrite(line.data(), 1, line.size(), stderr);
}

struct NodeFlags {
  std::string listen = "127.0.0.1:7461";
  std::vector<std::string> join;
  std::uint32_t expect = 1;
  std::string data;
  std::string name;
  std::string cpus;
  std::string memory;
  std::string profile = "lan";
  std::string advertise;
  bool end_tasks = false;
  std::string disk_reserve;
  bool new_identity = false;
};

Result<std::string> checked_name(const std::string& name) {
  const auto visible = [](char c) { return c > ' ' && c != 0x7f; };
  if (name.empty() || name.size() > kNameBytesMax || !std::ranges::all_of(name, visible)) {
    return fail(ErrorCode::bad_input,
                format("'{}' cannot be a node's name: use 1 to {} characters without spaces.", name,
                       kNameBytesMax));
  }
  return name;
}

// HOST:PORT with a numeric host, or localhost.
Result<Address> numeric_address(const HostPort& parts) {
  const std::string host = parts.host == "localhost" ? "127.0.0.1" : parts.host;
  const bool v6 = host.find(':') != std::string::npos;
  return parse_address(v6 ? format("[{}]:{}", host, parts.port)
                          : format("{}:{}", host, parts.port));
}

Result<Address> checked_advertise(const std::string& text, const Address& listen) {
  const auto parts = parse_host_port(text, listen.port);
  if (!parts) return std::unexpected(parts.error());
  auto address = numeric_address(*parts);
  if (address && address->unspecified()) {
    return fail(ErrorCode::bad_input,
                format("{} cannot be advertised: no other node could reach this one there. Give "
                       "an address of this machine with --advertise.",
                       text));
  }
  return address;
}

Result<Address> checked_listen(const std::string& text) {
  const auto parts = parse_host_port(text.starts_with(':') ? "0.0.0.0" + text : text);
  if (!parts) return std::unexpected(parts.error());
  return numeric_address(*parts);
}

Result<daemon::DriverConfig> config_of(const NodeFlags& flags) {
  daemon::DriverConfig config;
  const auto name = checked_name(flags.name.empty() ? machine_name() : flags.name);
  if (!name) return std::unexpected(name.error());
  config.name = *name;
  config.version = kVersion;
  const auto listen = checked_listen(flags.listen);
  if (!listen) return std::unexpected(listen.error());
  config.listen = *listen;
  if (!flags.advertise.empty()) {
    const auto advertise = checked_advertise(flags.advertise, *listen);
    if (!advertise) return std::unexpected(advertise.error());
    config.advertise = *advertise;
  }
  for (const std::string& text : flags.join) {
    const auto seed = parse_host_port(text);
    if (!seed) return std::unexpected(seed.error());
    config.seeds.push_back(*seed);
  }
  config.expect = flags.expect;
  config.profile = flags.profile;
  config.supervisors = machine_cores();
  config.end_tasks = flags.end_tasks;
  config.cpu_millis = machine_cores() * 1000;
  if (!flags.cpus.empty()) {
    const auto cpus = parse_cpus(flags.cpus);
    if (!cpus) return fail(ErrorCode::bad_input, "--cpus: " + cpus.error().message);
    config.cpu_millis = *cpus;
  }
  config.memory_bytes = machine_memory_bytes();
  if (!flags.memory.empty()) {
    const auto memory = parse_size(flags.memory);
    if (!memory) return fail(ErrorCode::bad_input, "--mem: " + memory.error().message);
    config.memory_bytes = *memory;
  }
  config.new_identity = flags.new_identity;
  if (!flags.disk_reserve.empty()) {
    const auto reserve = parse_size(flags.disk_reserve);
    if (!reserve) return fail(ErrorCode::bad_input, "--disk-reserve: " + reserve.error().message);
    config.disk_reserve = *reserve;
  }
  // Nodes of one machine differ in their port.
  const std::filesystem::path folder = flags.data.empty()
                                           ? state_folder() / format("node-{}", listen->port)
                                           : std::filesystem::path(flags.data);
  std::error_code error;
  config.data_folder = std::filesystem::absolute(folder, error);
  return config;
}

// The first lines are for people.
void print_banner(const daemon::Driver& driver, const daemon::DriverConfig& config) {
  say("shoal {}  node {} ({})\n", kVersion, config.name, short_text(driver.id()));
  say("  listening {} udp+tcp\n", to_string(driver.listening()));
  say("  capacity  {:g} cpus, {}\n", config.cpu_millis / 1000.0, size_text(config.memory_bytes));
  say("  data      {} ({} free)\n", config.data_folder.string(),
      size_text(free_bytes(config.data_folder)));
  if (config.seeds.empty() && config.expect <= 1) return;
  std::string seeds;
  for (const HostPort& seed : config.seeds) {
    seeds += format("{}{}:{}", seeds.empty() ? "via " : ", ", seed.host, seed.port);
  }
  if (config.expect > 1) {
    seeds += format("{}a new cluster waits for {} nodes", seeds.empty() ? "" : "; ", config.expect);
  }
  say("  joining   {}\n", seeds);
}

int run_node(const NodeFlags& flags, const GlobalOptions& options) {
  auto config = config_of(flags);
  if (!config) {
    say("shoal: {}\n", config.error().message);
    return kExitUsage;
  }
  log::set_level(options.verbose ? log::Level::debug : log::Level::info);
  config->on_ready = [] { say("ready\n"); };
  const auto driver = daemon::Driver::boot(*config);
  if (!driver) {
    say("shoal: {}\n", driver.error().message);
    return kExitFailed;
  }
  print_banner(**driver, *config);
  return (*driver)->run();
}

}  // namespace

void add_node(CLI::App& app, GlobalOptions& options) {
  const auto flags = std::make_shared<NodeFlags>();
  CLI::App* command = app.add_subcommand("node", "Run a node in the foreground");
  command->add_option("--listen", flags->listen, "ADDRESS:PORT for peers and clients")
      ->capture_default_str();
  command
      ->add_option("--join", flags->join,
                   "HOST:PORT of a node to join (repeatable; a name stands for all its addresses)")
      ->take_all();
  command->add_option("--expect", flags->expect, "Found a new cluster with this many nodes")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command->add_option("--data", flags->data,
                      "Folder of this node's state (default: $XDG_STATE_HOME/shoal/node-PORT)");
  command->add_option("--name", flags->name, "Name shown to people (default: the host's)");
  command->add_option("--cpus", flags->cpus, "Cpus offered to tasks (default: all)");
  command->add_option("--mem", flags->memory, "Memory offered to tasks (default: all)");
  command->add_option("--profile", flags->profile, "Network between the nodes: local, lan or wan")
      ->check(CLI::IsMember({"local", "lan", "wan"}))
      ->capture_default_str();
  command->add_option("--advertise", flags->advertise,
                      "Address where others reach this node (default: the one it joins from)");
  command->add_flag("--end-tasks", flags->end_tasks,
                    "End running tasks as the node stops (always so for process 1 of a "
                    "container); else they run on, and the node finds them when it is back");
  command->add_option("--disk-reserve", flags->disk_reserve,
                      "Room kept free on the data folder's disk: below it no new tasks are taken "
                      "or started (default: 64MiB, or 2 % of the disk if that is more)");
  command->add_flag("--new-identity", flags->new_identity,
                    "Start as a new node: set the folder's former identity and store aside");
  command->callback([flags, &options] { options.exit_code = run_node(*flags, options); });
}

}  // namespace shoal::cli
