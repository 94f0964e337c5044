// `shoal dev`: a local cluster on loopback, for trying things out and for tests.
#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "base/format.hpp"
#include "cli/commands.hpp"
#include "cli/dev_cluster.hpp"
#include "cli/json.hpp"
#include "cli/machine.hpp"
#include "cli/program.hpp"
#include "shoal/cluster.hpp"

namespace shoal::cli {
namespace {

constexpr std::chrono::seconds kServeTimeMax{60};
constexpr std::chrono::seconds kStopTimeMax{30};  // A node gives itself 20 s.
constexpr std::chrono::seconds kKillTimeMax{5};
constexpr std::uint32_t kNodesDefault = 3;

struct DevFlags {
  std::uint32_t count = 0;  // 0: as many as there are, or the default.
  std::string folder;
  std::string name;
  bool json = false;
};

int failed(const GlobalOptions& options, const Error& error) {
  const int exit_code = exit_code_of(error.code);
  print_error(options, error, exit_code);
  return exit_code;
}

// What one node says of itself. Absent: it does not answer. `interrupted` is set by Ctrl-C.
std::optional<ClusterView> ask(const std::string& address, bool& interrupted) {
  GlobalOptions options;
  options.addresses = {address};
  options.timeout = "2s";
  std::optional<ClusterView> view;
  Program program(options);
  const int exit_code = program.run([&view](Program& asking) -> asio::awaitable<int> {
    auto answer = co_await asking.client().members(false);
    if (answer) view = std::move(*answer);
    co_return kExitGood;
  });
  interrupted = exit_code == kExitInterrupted;
  return view;
}

// Until the node serves, has ended, or time is up.
Result<void> wait_until_serving(const DevCluster& cluster, std::size_t index,
                                std::chrono::steady_clock::time_point deadline) {
  constexpr std::chrono::milliseconds kPause{50};
  const DevNode& node = cluster.nodes().at(index);
  std::string waiting_for = "it does not answer yet";
  while (true) {
    bool interrupted = false;
    const auto view = ask(node.address, interrupted);
    if (interrupted) {
      return fail(ErrorCode::unavailable,
                  "Interrupted. The nodes run on; `shoal dev ps` shows them and `shoal dev stop` "
                  "ends them.");
    }
    if (view && view->serving) return {};
    if (view && !view->waiting_for.empty()) waiting_for = view->waiting_for;
    if (!cluster.running(index)) {
      return fail(ErrorCode::unavailable,
                  format("Node {} ended before it served. Its log, {}, ends with:{}", node.name,
                         cluster.log_of(node).string(), cluster.last_words(index)));
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      return fail(
          ErrorCode::timeout,
          format("Node {} does not serve after {} s: {}. See {}; `shoal dev stop` ends "
                 "the cluster.",
                 node.name, kServeTimeMax.count(), waiting_for, cluster.log_of(node).string()));
    }
    std::this_thread::sleep_for(kPause);
  }
}

Json json_of(const DevCluster& cluster) {
  Json list = Json::array();
  for (std::size_t i = 0; i < cluster.nodes().size(); ++i) {
    const DevNode& node = cluster.nodes()[i];
    list.push_back({{"name", node.name},
                    {"pid", cluster.running(i) ? Json(node.pid) : Json(nullptr)},
                    {"address", node.address}});
  }
  return list;
}

// Lines that a shell may evaluate: the nodes stand in comments.
void print_cluster(Program& program, const DevCluster& cluster) {
  if (program.json()) {
    program.out_json(json_of(cluster));
    return;
  }
  program.out(format("export SHOAL_ADDR={}\n", cluster.addresses()));
  if (program.options().quiet) return;
  for (const DevNode& node : cluster.nodes()) {
    program.out(format("# {}  pid {}  {}\n", node.name, node.pid, node.address));
  }
}

Result<void> start_all(DevCluster& cluster, std::uint32_t count) {
  if (cluster.any_running()) {
    return fail(ErrorCode::conflict,
                "A local cluster runs in this folder already. `shoal dev ps` shows it, `shoal dev "
                "stop` ends it, and --dir starts another one elsewhere.");
  }
  const auto there = static_cast<std::uint32_t>(cluster.nodes().size());
  if (there > 0 && count > 0 && count != there) {
    return fail(ErrorCode::conflict,
                format("This folder holds a cluster of {} nodes. Start it with -n {}, or choose "
                       "another folder with --dir.",
                       there, there));
  }
  if (there == 0) {
    if (auto laid = cluster.lay_out(count > 0 ? count : kNodesDefault); !laid) return laid;
  }
  for (std::size_t i = 0; i < cluster.nodes().size(); ++i) {
    if (auto started = cluster.start(i); !started) return started;
  }
  const auto deadline = std::chrono::steady_clock::now() + kServeTimeMax;
  for (std::size_t i = 0; i < cluster.nodes().size(); ++i) {
    if (auto serving = wait_until_serving(cluster, i, deadline); !serving) return serving;
  }
  return {};
}

Result<std::size_t> find(const DevCluster& cluster, const std::string& name) {
  if (const auto index = cluster.index_of(name)) return *index;
  std::string names;
  for (const DevNode& node : cluster.nodes()) names += (names.empty() ? "" : ", ") + node.name;
  return fail(ErrorCode::not_found,
              names.empty() ? "There is no local cluster in this folder. Start one with `shoal dev "
                              "-n 3`, or name its folder with --dir."
                            : format("There is no node {} here; there are {}.", name, names));
}

int show(const GlobalOptions& options, const DevFlags& flags, const DevCluster& cluster) {
  Program program(options);
  if (flags.json || program.json()) {
    program.out(text_of(json_of(cluster), 2) + "\n");
    return kExitGood;
  }
  Table table({{"NAME"}, {"PID", Table::Align::right}, {"ADDR"}});
  for (std::size_t i = 0; i < cluster.nodes().size(); ++i) {
    const DevNode& node = cluster.nodes()[i];
    table.add({node.name, cluster.running(i) ? format("{}", node.pid) : "-", node.address});
  }
  program.out(table.text(program.out_style()));
  return kExitGood;
}

int kill_one(const GlobalOptions& options, const DevFlags& flags, DevCluster& cluster) {
  const auto index = find(cluster, flags.name);
  if (!index) return failed(options, index.error());
  if (!cluster.signal(*index, SIGKILL)) {
    return failed(options, {ErrorCode::conflict, format("Node {} does not run. `shoal dev start "
                                                        "{}` starts it.",
                                                        flags.name, flags.name)});
  }
  cluster.wait_for_end(*index, kKillTimeMax);
  return kExitGood;
}

int start_one(const GlobalOptions& options, const DevFlags& flags, DevCluster& cluster) {
  const auto index = find(cluster, flags.name);
  if (!index) return failed(options, index.error());
  if (cluster.running(*index)) {
    return failed(options, {ErrorCode::conflict, format("Node {} runs already (process {}).",
                                                        flags.name, cluster.nodes()[*index].pid)});
  }
  if (auto started = cluster.start(*index); !started) return failed(options, started.error());
  const auto serving =
      wait_until_serving(cluster, *index, std::chrono::steady_clock::now() + kServeTimeMax);
  return serving ? kExitGood : failed(options, serving.error());
}

// Nothing stays behind: nodes first, then the tasks that they left with their supervisors.
int stop_all(const GlobalOptions& options, DevCluster& cluster) {
  Program program(options);
  if (!cluster.any_running()) program.note("no node runs");
  for (std::size_t i = 0; i < cluster.nodes().size(); ++i) cluster.signal(i, SIGTERM);
  int exit_code = kExitGood;
  for (std::size_t i = 0; i < cluster.nodes().size(); ++i) {
    const std::string& name = cluster.nodes()[i].name;
    if (!cluster.wait_for_end(i, kStopTimeMax)) {
      program.note(format("node {} did not stop in time and was killed", name));
      cluster.signal(i, SIGKILL);
      cluster.wait_for_end(i, kKillTimeMax);
    }
    if (cluster.end_tasks(i)) continue;
    program.note(format("some task of node {} cannot be killed: it waits inside the kernel", name));
    exit_code = kExitFailed;
  }
  return exit_code;
}

int start_cluster(const GlobalOptions& options, const DevFlags& flags, DevCluster& cluster) {
  if (const auto started = start_all(cluster, flags.count); !started) {
    return failed(options, started.error());
  }
  Program program(options);
  print_cluster(program, cluster);
  return kExitGood;
}

using Action = std::function<int(const GlobalOptions&, const DevFlags&, DevCluster&)>;

int with_cluster(const GlobalOptions& options, const DevFlags& flags, const Action& action) {
  auto cluster = DevCluster::open(flags.folder.empty() ? state_folder() / "dev"
                                                       : std::filesystem::path(flags.folder));
  if (!cluster) return failed(options, cluster.error());
  return action(options, flags, *cluster);
}

}  // namespace

void add_dev(CLI::App& app, GlobalOptions& options) {
  const auto flags = std::make_shared<DevFlags>();
  CLI::App* dev = app.add_subcommand("dev", "Start and steer a cluster on this machine");
  dev->fallthrough();
  dev->require_subcommand(0, 1);
  dev->add_option("-n,--nodes", flags->count, "How many nodes (default 3)")
      ->check(CLI::Range(1, 64));
  dev->add_option("--dir", flags->folder,
                  "The cluster's folder (default: $XDG_STATE_HOME/shoal/dev)");

  const auto add = [&options, flags, dev](const char* name, const char* help, Action action) {
    CLI::App* command = dev->add_subcommand(name, help);
    command->fallthrough();
    command->callback([&options, flags, action = std::move(action)] {
      options.exit_code = with_cluster(options, *flags, action);
    });
    return command;
  };
  CLI::App* ps = add("ps", "List the nodes", show);
  ps->add_flag("--json", flags->json, "As JSON");
  CLI::App* kill = add("kill", "Kill a node without warning (SIGKILL); its tasks run on", kill_one);
  kill->add_option("name", flags->name, "The node's name")->required();
  CLI::App* start = add("start", "Start a node again", start_one);
  start->add_option("name", flags->name, "The node's name")->required();
  add("stop", "Stop all nodes and end their running tasks; their state stays",
      [](const GlobalOptions& all, const DevFlags&, DevCluster& cluster) {
        return stop_all(all, cluster);
      });
  dev->callback([&options, flags, dev] {
    if (dev->get_subcommands().empty()) {
      options.exit_code = with_cluster(options, *flags, start_cluster);
    }
  });
}

}  // namespace shoal::cli
