// `shoal ring`: who keeps what. Without a job each node's part of the shards; with one, the owner
// and the replicas of its record.
#include <map>
#include <memory>

#include "base/format.hpp"
#include "cli/program.hpp"

namespace shoal::cli {
namespace {

Json json_of(const RingView& ring, const NodeNames& names) {
  Json shards = Json::array();
  for (const ShardView& shard : ring.shards) {
    Json home = Json::array();
    for (const NodeId node : shard.home) home.push_back(name_of(names, node));
    Json row{{"shard", static_cast<std::uint32_t>(shard.shard)},
             {"home", home},
             {"owner", nullptr},
             {"round", shard.round}};
    if (shard.owner) row["owner"] = name_of(names, shard.owner);
    shards.push_back(std::move(row));
  }
  return {{"schema", "shoal.ring/1"}, {"shard_count", ring.shard_count}, {"shards", shards}};
}

Table shares(const RingView& ring, const NodeNames& names) {
  struct Share {
    std::size_t owned = 0;
    std::size_t kept = 0;
  };
  std::map<std::string, Share> by_node;
  for (const ShardView& shard : ring.shards) {
    if (shard.owner) ++by_node[name_of(names, shard.owner)].owned;
    for (const NodeId node : shard.home) ++by_node[name_of(names, node)].kept;
  }
  using enum Table::Align;
  Table table({{"NODE", left}, {"OWNS", right}, {"SHARE", right}, {"KEEPS", right}});
  const double all = static_cast<double>(std::max<std::size_t>(ring.shards.size(), 1));
  for (const auto& [name, share] : by_node) {
    table.add({printable(name), format("{}", share.owned),
               format("{:.1f}%", 100 * static_cast<double>(share.owned) / all),
               format("{}", share.kept)});
  }
  return table;
}

void print_home(Program& program, JobId job, const RingView& ring, const NodeNames& names) {
  for (const ShardView& shard : ring.shards) {
    std::string replicas;
    for (const NodeId node : shard.home) {
      if (node == shard.owner) continue;
      replicas += (replicas.empty() ? "" : ", ") + name_of(names, node);
    }
    program.out(format("job {}  shard {} of {}  owner {} (round {})  replicas {}\n",
                       shown_id(program.out_style(), job), static_cast<std::uint32_t>(shard.shard),
                       ring.shard_count, shard.owner ? name_of(names, shard.owner) : "not known",
                       shard.round, replicas.empty() ? "none" : replicas));
  }
}

asio::awaitable<int> ring(Program& program, std::shared_ptr<const std::string> text) {
  std::optional<JobId> job;
  if (!text->empty()) {
    const auto id = co_await program.client().resolve(*text);
    if (!id) co_return program.failed(id.error());
    job = *id;
  }
  const auto view = co_await program.client().ring(job);
  if (!view) co_return program.failed(view.error());
  const NodeNames names = co_await program.node_names();
  if (program.json()) {
    program.out_json(json_of(*view, names));
  } else if (job) {
    print_home(program, *job, *view, names);
  } else {
    program.out(shares(*view, names).text(program.out_style()));
    program.note(format("{} shards; shoal ring JOB shows who keeps a job", view->shard_count));
  }
  co_return kExitGood;
}

}  // namespace

void add_ring(CLI::App& app, GlobalOptions& globals) {
  auto job = std::make_shared<std::string>();
  auto* command = app.add_subcommand("ring", "Who keeps what: shards, owners and replicas");
  command->add_option("job", *job, "Only this job's record");
  command->callback([job, &globals] {
    run_client(globals, [job](Program& program) { return ring(program, job); });
  });
}

}  // namespace shoal::cli
