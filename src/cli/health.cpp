// `shoal health`: is a node fit for service? One line and a status, for probes of containers.
#include <memory>

#include "base/format.hpp"
#include "cli/members.hpp"
#include "cli/program.hpp"

namespace shoal::cli {
namespace {

// A probe wants a word soon, and a node that hangs does accept connections.
constexpr const char* kTimeout = "3s";

struct Health {
  bool good = false;
  std::string text;
};

std::string alive_text(const ClusterView& view) {
  std::size_t alive = 0;
  std::size_t members = 0;
  for (const MemberView& member : view.members) {
    if (member.state == "left") continue;
    ++members;
    if (member.state == "alive") ++alive;
  }
  return format("{} of {} members alive", alive, members);
}

// The node that was asked: of others it need not know more than its table says.
Health own_health(const Roster& roster, const MemberView& node) {
  const ClusterView& view = roster.view();
  const std::string name = roster.full_name(node.node);
  if (!view.serving) {
    return {false,
            format("{} does not serve yet: {}", name,
                   view.waiting_for.empty() ? "no reason was told" : printable(view.waiting_for))};
  }
  return {true, format("{} serves; {}", name, alive_text(view))};
}

// Draining and leaving are an operator's will, not an illness.
Health health_of(const Roster& roster, const MemberView& node) {
  const std::string name = roster.full_name(node.node);
  if (node.self) return own_health(roster, node);
  if (node.state != "alive") return {false, format("{} is {}", name, node.state)};
  if (!node.figures) return {false, format("{} counts as alive and did not answer in time", name)};
  return {true, format("{} is {}, owns {} shards, runs {} {}", name, state_of(node),
                       node.figures->shards_owned, node.figures->running,
                       node.figures->running == 1 ? "task" : "tasks")};
}

int told(Program& program, const std::string& node, const Health& health) {
  if (program.json()) {
    program.out_json({{"schema", "shoal.health/1"},
                      {"node", node.empty() ? Json(nullptr) : Json(node)},
                      {"healthy", health.good},
                      {"text", health.text}});
  } else if (!program.options().quiet) {
    program.out(format("{}: {}\n", health.good ? "healthy" : "not healthy", health.text));
  }
  return health.good ? kExitGood : kExitFailed;
}

asio::awaitable<int> health(Program& program, std::shared_ptr<const std::string> wanted) {
  auto view = co_await program.client().members(!wanted->empty());
  if (!view) co_return told(program, "", {false, view.error().message});
  const Roster roster(std::move(*view));
  if (!wanted->empty()) {
    const auto node = roster.find(*wanted);
    if (!node) co_return program.failed(node.error());
    co_return told(program, node->name, health_of(roster, *node));
  }
  const MemberView* self = roster.self();
  if (self == nullptr) {
    co_return told(program, "", {false, "the node that answered does not say which it is"});
  }
  co_return told(program, self->name, own_health(roster, *self));
}

}  // namespace

void add_health(CLI::App& app, GlobalOptions& globals) {
  const auto node = std::make_shared<std::string>();
  auto* command = app.add_subcommand("health", "Say whether a node is fit for service");
  command->add_option("node", *node,
                      "Its name, its id, or the start of either (default: the node that is asked)");
  command->footer(
      "Status 0: it answers and serves; 1: it does not, and the line says why. The node that is\n"
      "asked is the first of --addr, or 127.0.0.1:7461; it gets 3 seconds (--timeout).");
  command->callback([node, &globals] {
    if (globals.timeout.empty()) globals.timeout = kTimeout;
    run_client(globals, [node](Program& program) { return health(program, node); });
  });
}

}  // namespace shoal::cli
