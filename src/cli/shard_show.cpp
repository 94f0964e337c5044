// `shoal shard show`: all copies of one shard, side by side.
#include <algorithm>
#include <functional>
#include <memory>

#include "base/format.hpp"
#include "base/units.hpp"
#include "cli/program.hpp"
#include "cli/shards.hpp"

namespace shoal::cli {
namespace {

std::string floor_text(std::chrono::sys_seconds floor) {
  return rfc3339(WallTime(floor.time_since_epoch()));
}

std::optional<std::size_t> place_in(const std::vector<NodeId>& nodes, NodeId node) {
  const auto found = std::ranges::find(nodes, node);
  if (found == nodes.end()) return std::nullopt;
  return static_cast<std::size_t>(found - nodes.begin()) + 1;
}

// What the node is to the shard, by the newest config: "home 1", "next 2", "learner", "left".
std::string part_of(const ShardReport& report, NodeId node) {
  const std::vector<NodeId> home = report.home();
  const std::vector<NodeId> next = report.next();
  std::string text;
  if (const auto rank = place_in(home, node)) text = format("home {}", *rank);
  if (const auto rank = place_in(next, node)) {
    text += format("{}next {}", text.empty() ? "" : ", ", *rank);
  }
  const ShardCopy* newest = report.newest();
  if (newest != nullptr && place_in(newest->learners, node)) {
    text += text.empty() ? "learner" : ", learner";
  }
  return text.empty() ? "left" : text;
}

std::string role_text(ShardRole role) {
  switch (role) {
    case ShardRole::none:
      return "-";
    case ShardRole::candidate:
      return "candidate";
    case ShardRole::owner:
      return "owner";
  }
  return "-";
}

Json json_of(const BallotView& ballot, const Roster& roster) {
  return {{"round", ballot.round},
          {"node", ballot.node ? Json(roster.name(ballot.node)) : Json(nullptr)}};
}

Json json_of(const std::vector<NodeId>& nodes, const Roster& roster) {
  Json list = Json::array();
  for (const NodeId node : nodes) list.push_back(roster.name(node));
  return list;
}

Json json_of(const FoundCopy& found, const ShardReport& report, const Roster& roster) {
  Json json{{"node", roster.name(found.node)},    {"node_id", to_string(found.node)},
            {"state", roster.state(found.node)},  {"part", part_of(report, found.node)},
            {"answered", found.copy.has_value()}, {"why", found.why}};
  if (!found.copy) return json;
  const ShardCopy& copy = *found.copy;
  json["known"] = copy.known;
  json["role"] = role_text(copy.role);
  json["promised"] = json_of(copy.promised, roster);
  json["config"] = {{"ballot", json_of(copy.ballot, roster)}, {"seq", copy.seq}};
  json["home"] = json_of(copy.home, roster);
  json["next"] = json_of(copy.next, roster);
  json["learners"] = json_of(copy.learners, roster);
  json["floor"] =
      copy.floor.time_since_epoch().count() == 0 ? Json(nullptr) : Json(floor_text(copy.floor));
  json["records"] = copy.records;
  json["bad"] = copy.bad;
  return json;
}

// Of those that are there: the dead cannot be blamed for it.
std::vector<NodeId> silent(const ShardReport& report) {
  std::vector<NodeId> nodes;
  for (const FoundCopy& found : report.copies) {
    if (!found.copy) nodes.push_back(found.node);
  }
  return nodes;
}

Json json_of(const ShardReport& report, const Roster& roster) {
  Json copies = Json::array();
  for (const FoundCopy& found : report.copies) copies.push_back(json_of(found, report, roster));
  const ShardTrouble trouble = trouble_of(report, roster);
  const FoundCopy* owner = report.owner();
  return {{"schema", "shoal.shard/1"},
          {"shard", number_of(report.known.shard)},
          {"shard_count", roster.view().shard_count},
          {"owner", owner == nullptr ? Json(nullptr) : Json(roster.name(owner->node))},
          {"complete", silent(report).empty()},
          {"missing", json_of(silent(report), roster)},
          {"stuck", trouble.stuck},
          {"problems", trouble.problems},
          {"copies", copies}};
}

std::string list_text(const std::vector<NodeId>& nodes, const Roster& roster) {
  return nodes.empty() ? "-" : roster.names(nodes);
}

// A column for each node.
Table table_of(const Program& program, const ShardReport& report, const Roster& roster) {
  std::vector<Table::Column> columns{{"", Table::Align::left}};
  for (const FoundCopy& found : report.copies) {
    columns.push_back({roster.full_name(found.node), Table::Align::left});
  }
  Table table(columns);
  const auto add = [&](std::string title,
                       const std::function<std::string(const FoundCopy&)>& cell) {
    std::vector<std::string> row{std::move(title)};
    for (const FoundCopy& found : report.copies) row.push_back(cell(found));
    table.add(std::move(row));
  };
  const auto add_known = [&](std::string title,
                             const std::function<std::string(const ShardCopy&)>& cell) {
    add(std::move(title), [&](const FoundCopy& found) {
      return found.copy && found.copy->known ? cell(*found.copy) : std::string("-");
    });
  };
  add("state", [&](const FoundCopy& found) {
    return state_text(program.out_style(), word_of_member(roster.state(found.node)));
  });
  add("part", [&](const FoundCopy& found) { return part_of(report, found.node); });
  add("role", [&](const FoundCopy& found) {
    if (!found.copy) return found.why;
    return found.copy->known ? role_text(found.copy->role) : "keeps nothing";
  });
  add_known("promised", [&](const ShardCopy& copy) { return ballot_text(copy.promised, roster); });
  add_known("config", [&](const ShardCopy& copy) {
    return format("{} seq {}", ballot_text(copy.ballot, roster), copy.seq);
  });
  add_known("home", [&](const ShardCopy& copy) { return list_text(copy.home, roster); });
  add_known("next", [&](const ShardCopy& copy) { return list_text(copy.next, roster); });
  add_known("learners", [&](const ShardCopy& copy) { return list_text(copy.learners, roster); });
  add_known("floor", [&](const ShardCopy& copy) {
    return copy.floor.time_since_epoch().count() == 0 ? "-" : floor_text(copy.floor);
  });
  add_known("records", [](const ShardCopy& copy) { return format("{}", copy.records); });
  add_known("bad", [](const ShardCopy& copy) { return format("{}", copy.bad); });
  return table;
}

void print(Program& program, const ShardReport& report, const Roster& roster) {
  const FoundCopy* owner = report.owner();
  program.out(format("shard {} of {}   {}\n", number_of(report.known.shard),
                     roster.view().shard_count,
                     owner == nullptr ? "no owner"
                                      : format("owner {} (round {})", roster.full_name(owner->node),
                                               owner->copy->promised.round)));
  program.out(table_of(program, report, roster).text(program.out_style()));
  const ShardTrouble trouble = trouble_of(report, roster);
  if (!trouble.ok()) program.note(trouble.text());
  for (const FoundCopy& found : report.copies) {
    if (!found.copy) {
      program.note(format("note: {} does not answer: {}", roster.full_name(found.node), found.why));
    }
  }
  if (trouble.stuck) {
    program.note("if those homes never come back: shoal shard recover --help");
  }
}

asio::awaitable<int> show(Program& program, std::shared_ptr<const std::string> text) {
  auto view = co_await program.client().members(false);
  if (!view) co_return program.failed(view.error());
  auto ring = co_await program.client().ring();
  if (!ring) co_return program.failed(ring.error());
  const auto shard = co_await resolve_shard(program, ring->shard_count, *text);
  if (!shard) co_return program.failed(shard.error());
  const Roster roster(std::move(*view));
  const auto known = std::ranges::find(ring->shards, *shard, &ShardView::shard);
  std::vector<ShardView> one{known == ring->shards.end() ? ShardView{.shard = *shard} : *known};
  const auto reports = co_await survey(program, roster, std::move(one));
  const ShardReport& report = reports.front();
  if (program.json()) {
    program.out_json(json_of(report, roster));
  } else if (program.options().quiet) {
    program.out(format("{}\n", number_of(*shard)));
  } else {
    print(program, report, roster);
  }
  co_return silent(report).empty() ? kExitGood : program.partial();
}

}  // namespace

void add_shard_show(CLI::App& shard, GlobalOptions& globals) {
  auto text = std::make_shared<std::string>();
  auto* command = shard.add_subcommand("show", "All copies of one shard, side by side");
  command->fallthrough();
  command->add_option("shard", *text, "A shard's number, JOB or JOB[INDEX]")->required();
  command->footer(
      "A number below the count of shards is a shard; a job whose id begins with it is named with\n"
      "more of its characters. Ballots are (round, node), configs are ordered by (ballot, seq).");
  command->callback([text, &globals] {
    run_client(globals, [text](Program& program) { return show(program, text); });
  });
}

}  // namespace shoal::cli
