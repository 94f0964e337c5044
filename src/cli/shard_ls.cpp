// `shoal shard ls`: who owns how many shards, and those that are not as they should be.
#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "base/format.hpp"
#include "cli/program.hpp"
#include "cli/shards.hpp"

namespace shoal::cli {
namespace {

// So many shards with the same trouble get a line each; of more there is one line for all.
constexpr std::size_t kAlikeMax = 3;

struct Listed {
  ShardReport report;
  ShardTrouble trouble;
};

struct Listing {
  Roster roster;
  std::vector<Listed> shards;
  std::vector<NodeId> silent;  // There, and did not answer.
};

NodeId owner_of(const ShardReport& report) {
  const FoundCopy* owner = report.owner();
  return owner == nullptr ? NodeId{} : owner->node;
}

std::uint64_t round_of(const ShardReport& report) {
  const FoundCopy* owner = report.owner();
  return owner == nullptr ? report.known.round : owner->copy->promised.round;
}

Json json_of(const std::vector<NodeId>& nodes, const Roster& roster) {
  Json list = Json::array();
  for (const NodeId node : nodes) list.push_back(roster.name(node));
  return list;
}

Json json_of(const Listed& listed, const Roster& roster) {
  const NodeId owner = owner_of(listed.report);
  Json row{{"shard", number_of(listed.report.known.shard)},
           {"owner", owner ? Json(roster.name(owner)) : Json(nullptr)},
           {"round", round_of(listed.report)},
           {"home", json_of(listed.report.home(), roster)},
           {"next", json_of(listed.report.next(), roster)}};
  row["healthy"] = listed.trouble.ok();
  row["stuck"] = listed.trouble.stuck;
  row["problems"] = listed.trouble.problems;
  return row;
}

Json json_of(const Listing& listing) {
  Json shards = Json::array();
  for (const Listed& listed : listing.shards) shards.push_back(json_of(listed, listing.roster));
  return {{"schema", "shoal.shards/1"},
          {"shard_count", listing.roster.view().shard_count},
          {"complete", listing.silent.empty()},
          {"missing", json_of(listing.silent, listing.roster)},
          {"shards", shards}};
}

Table by_owner(const Program& program, const Listing& listing) {
  struct Share {
    std::size_t owned = 0;
    std::size_t kept = 0;
  };
  std::map<NodeId, Share> shares;
  for (const MemberView& member : listing.roster.view().members) {
    if (present(member)) shares[member.node];
  }
  for (const Listed& listed : listing.shards) {
    if (const NodeId owner = owner_of(listed.report)) ++shares[owner].owned;
    for (const NodeId node : listed.report.home()) ++shares[node].kept;
  }
  std::vector<std::pair<std::string, NodeId>> order;
  for (const auto& [node, share] : shares) order.emplace_back(listing.roster.full_name(node), node);
  std::ranges::sort(order);
  using enum Table::Align;
  Table table({{"NODE", left}, {"STATE", left}, {"OWNS", right}, {"KEEPS", right}});
  for (const auto& [name, node] : order) {
    table.add({name, state_text(program.out_style(), word_of_member(listing.roster.state(node))),
               format("{}", shares[node].owned), format("{}", shares[node].kept)});
  }
  return table;
}

// Shards that are not as they should be, by what is wrong with them.
std::map<std::string, std::vector<ShardId>> troubled(const Listing& listing) {
  std::map<std::string, std::vector<ShardId>> alike;
  for (const Listed& listed : listing.shards) {
    if (!listed.trouble.ok()) {
      alike[listed.trouble.text()].push_back(listed.report.known.shard);
    }
  }
  return alike;
}

std::string lines_for_many(const std::map<std::string, std::vector<ShardId>>& alike) {
  std::string text;
  for (const auto& [trouble, shards] : alike) {
    if (shards.size() <= kAlikeMax) continue;
    text += format("{} shards ({}, {}, {}, ...): {}\n", shards.size(), number_of(shards[0]),
                   number_of(shards[1]), number_of(shards[2]), trouble);
  }
  return text;
}

Table rows(const Listing& listing, bool all) {
  const auto alike = troubled(listing);
  using enum Table::Align;
  Table table(
      {{"SHARD", right}, {"OWNER", left}, {"ROUND", right}, {"HOME", left}, {"TROUBLE", left}});
  for (const Listed& listed : listing.shards) {
    if (!all && listed.trouble.ok()) continue;
    if (!all && alike.at(listed.trouble.text()).size() > kAlikeMax) continue;
    const NodeId owner = owner_of(listed.report);
    table.add({format("{}", number_of(listed.report.known.shard)),
               owner ? listing.roster.name(owner) : "-", format("{}", round_of(listed.report)),
               listing.roster.names(listed.report.home()),
               listed.trouble.ok() ? "-" : listed.trouble.text()});
  }
  return table;
}

std::string summary(const Listing& listing) {
  std::size_t bad = 0;
  std::size_t stuck = 0;
  std::size_t joint = 0;
  for (const Listed& listed : listing.shards) {
    bad += listed.trouble.ok() ? 0 : 1;
    stuck += listed.trouble.stuck ? 1 : 0;
    joint += listed.trouble.joint ? 1 : 0;
  }
  std::string text =
      format("{} shards: {} healthy", listing.shards.size(), listing.shards.size() - bad);
  if (bad > 0) text += format(", {} not", bad);
  if (joint > 0) text += format(", {} changing their home", joint);
  if (stuck > 0) {
    text += format(
        ", {} without a majority. They serve again when enough of their homes are back; "
        "if those never come: shoal shard recover --help",
        stuck);
  }
  return text;
}

void print(Program& program, const Listing& listing, bool all) {
  if (program.jsonl()) {
    for (const Listed& listed : listing.shards) program.out_json(json_of(listed, listing.roster));
  } else if (program.json()) {
    program.out_json(json_of(listing));
  } else if (program.options().quiet) {
    for (const Listed& listed : listing.shards) {
      if (!all && listed.trouble.ok()) continue;
      program.out(format("{}\n", number_of(listed.report.known.shard)));
    }
  } else {
    const Table table = rows(listing, all);
    if (!all) program.out(by_owner(program, listing).text(program.out_style()));
    const std::string many = all ? std::string() : lines_for_many(troubled(listing));
    if (!all && (table.row_count() > 0 || !many.empty())) program.out("\n");
    if (all || table.row_count() > 0) program.out(table.text(program.out_style()));
    program.out(many);
    program.note(summary(listing) + (many.empty() ? "" : ". A line for each: --all"));
  }
}

asio::awaitable<int> ls(Program& program, std::shared_ptr<const bool> all) {
  auto view = co_await program.client().members(false);
  if (!view) co_return program.failed(view.error());
  auto ring = co_await program.client().ring();
  if (!ring) co_return program.failed(ring.error());
  Listing listing{.roster = Roster(std::move(*view))};
  std::set<NodeId> silent;
  auto reports = co_await survey_owners(program, listing.roster, std::move(ring->shards));
  for (ShardReport& report : reports) {
    for (const FoundCopy& found : report.copies) {
      if (!found.copy && listing.roster.present(found.node)) silent.insert(found.node);
    }
    ShardTrouble trouble = trouble_of(report, listing.roster);
    listing.shards.push_back({std::move(report), std::move(trouble)});
  }
  listing.silent.assign(silent.begin(), silent.end());
  print(program, listing, *all);
  if (silent.empty()) co_return kExitGood;
  program.note(format("note: {} did not answer; what it says of its shards is missing",
                      listing.roster.names(listing.silent)));
  co_return program.partial();
}

}  // namespace

void add_shard_ls(CLI::App& shard, GlobalOptions& globals) {
  auto all = std::make_shared<bool>(false);
  auto* command = shard.add_subcommand("ls", "Owners, and shards that are not as they should be");
  command->fallthrough();
  command->add_flag("--all", *all, "A line for each shard");
  command->footer(
      "Of each shard its owner is asked. Not as they should be: shards without an owner, with "
      "homes\n"
      "that are gone, with fewer homes than three (where there are three members), and those that\n"
      "are changing their home. -q: their numbers only.");
  command->callback([all, &globals] {
    run_client(globals, [all](Program& program) { return ls(program, all); });
  });
}

}  // namespace shoal::cli
