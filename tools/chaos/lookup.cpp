#include "tools/chaos/lookup.hpp"

#include <algorithm>

namespace shoal::chaos {
namespace {

using Names = std::vector<std::string>;

Result<Names> by_load(const ClusterView& view, bool most, const Names& nodes) {
  const MemberView* found = nullptr;
  const auto tasks = [](const MemberView& member) {
    return std::uint64_t{member.figures->running} + member.figures->ready;
  };
  for (const MemberView& member : view.members) {
    if (!member.figures || std::ranges::find(nodes, member.name) == nodes.end()) continue;
    const bool better =
        found == nullptr || (most ? tasks(member) > tasks(*found) : tasks(member) < tasks(*found));
    if (better) found = &member;
  }
  if (found == nullptr) return fail(ErrorCode::unavailable, "no node told its figures");
  return Names{found->name};
}

Result<Names> of_job(const ClusterView& view, const JobDetails& job, const Target& target,
                     const Names& nodes) {
  for (const MemberView& member : view.members) {
    const bool owner = member.node == job.owner;
    const bool home = std::ranges::find(job.home, member.node) != job.home.end();
    const bool wanted = target.kind == TargetKind::owner ? owner : home && !owner;
    const bool here = std::ranges::find(nodes, member.name) != nodes.end();
    if (wanted && here && member.state == "alive") return Names{member.name};
  }
  return fail(ErrorCode::not_found, text("no living node here is ", target.words));
}

}  // namespace

asio::awaitable<Result<Names>> look_up(Client& client, Target target, std::optional<JobId> load,
                                       Names nodes) {
  const bool by_figures = target.kind == TargetKind::busiest || target.kind == TargetKind::idlest;
  const auto view = co_await client.members(by_figures);
  if (!view) co_return std::unexpected(view.error());
  if (by_figures) co_return by_load(*view, target.kind == TargetKind::busiest, nodes);
  std::optional<JobId> id = load;
  if (target.argument != "load") {
    const auto resolved = co_await client.resolve(target.argument);
    if (!resolved) co_return std::unexpected(resolved.error());
    id = *resolved;
  }
  if (!id) {
    co_return fail(ErrorCode::not_found,
                   text("there is no load whose job '", target.words, "' could mean"));
  }
  const auto job = co_await client.job(*id);
  if (!job) co_return std::unexpected(job.error());
  co_return of_job(*view, *job, target, nodes);
}

}  // namespace shoal::chaos
