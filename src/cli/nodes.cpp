// `shoal nodes`: the members as the gateway sees them, with their figures.
#include <map>
#include <memory>

#include "base/format.hpp"
#include "base/units.hpp"
#include "cli/members.hpp"
#include "cli/program.hpp"

namespace shoal::cli {
namespace {

std::string cpu_text(std::uint32_t millis) {
  if (millis % 1000 == 0) return format("{}", millis / 1000);
  return format("{:.1f}", static_cast<double>(millis) / 1000);
}

std::vector<std::string> row_of(const Program& program, const MemberView& member) {
  const std::string name = printable(member.name) + (member.self ? " *" : "");
  std::vector<std::string> row{name, member.address,
                               state_text(program.out_style(), word_of_member(state_of(member)))};
  const std::size_t figures = program.wide() ? 13 : 8;
  if (!member.figures) {
    row.resize(3 + figures, "-");
    row.push_back(member.version.empty() ? "-" : printable(member.version));
    return row;
  }
  const NodeFigures& is = *member.figures;
  row.push_back(format("{}/{}",
                       cpu_text(is.cpu_millis - std::min(is.cpu_millis, is.cpu_millis_free)),
                       cpu_text(is.cpu_millis)));
  row.push_back(size_text(is.memory_bytes));
  row.push_back(format("{}", is.running));
  row.push_back(format("{}", is.ready));
  row.push_back(format("{}", is.tasks_run));
  row.push_back(format("{}", is.tasks_stolen));
  row.push_back(format("{}", is.shards_owned));
  if (program.wide()) {
    row.push_back(format("{}", is.shards_home));
    row.push_back(format("{}", is.records));
    row.push_back(size_text(is.resident_bytes));
    row.push_back(format("{}us", is.sync.p50));
    row.push_back(format("{}", is.dropped_inputs));
  }
  row.push_back(age_text(std::chrono::milliseconds(is.uptime_ms)));
  row.push_back(printable(member.version));
  return row;
}

Table table_of(const Program& program, const ClusterView& view) {
  using enum Table::Align;
  std::vector<Table::Column> columns{
      {"NAME", left}, {"ADDR", left},   {"STATE", left}, {"CPU", right},   {"MEM", right},
      {"RUN", right}, {"QUEUE", right}, {"DONE", right}, {"STOLE", right}, {"SHARDS", right}};
  if (program.wide()) {
    columns.insert(
        columns.end(),
        {{"HOME", right}, {"RECORDS", right}, {"RSS", right}, {"SYNC", right}, {"DROPPED", right}});
  }
  columns.push_back({"UP", right});
  columns.push_back({"VERSION", left});
  Table table(columns);
  for (const MemberView& member : view.members) table.add(row_of(program, member));
  return table;
}

std::string summary(const ClusterView& view) {
  std::map<std::string_view, std::size_t> states;
  for (const MemberView& member : view.members) ++states[state_of(member)];
  std::string text = format("{} members:", view.members.size());
  std::string_view separator = " ";
  for (const auto& [state, count] : states) {
    text += format("{}{} {}", separator, count, state);
    separator = ", ";
  }
  return text + ". * this node";
}

asio::awaitable<int> nodes(Program& program) {
  const auto view = co_await program.client().members();
  if (!view) co_return program.failed(view.error());
  if (program.jsonl()) {
    const Json whole = json_of(*view);
    for (const Json& node : whole["nodes"]) program.out_json(node);
  } else if (program.json()) {
    program.out_json(json_of(*view));
  } else if (program.options().quiet) {
    for (const MemberView& member : view->members) program.out(printable(member.name) + "\n");
  } else {
    program.out(table_of(program, *view).text(program.out_style()));
    program.note(summary(*view));
  }
  if (!view->serving) {
    program.note(format("the cluster does not serve yet: {}",
                        view->waiting_for.empty() ? "no reason was told" : view->waiting_for));
  }
  co_return kExitGood;
}

}  // namespace

void add_nodes(CLI::App& app, GlobalOptions& globals) {
  auto* command = app.add_subcommand("nodes", "List the cluster's members");
  command->alias("members");
  command->callback([&globals] { run_client(globals, nodes); });
}

}  // namespace shoal::cli
