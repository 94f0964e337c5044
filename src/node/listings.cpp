#include "node/listings.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <tuple>
#include <utility>

#include "base/format.hpp"
#include "base/log.hpp"
#include "task/record.hpp"

namespace shoal::node {
namespace {

constexpr Duration kPatience = std::chrono::seconds(1);
constexpr std::uint32_t kJobsMax = 1000;
constexpr std::size_t kJobFixedBytes = 300;
// A listing's row shows what is run, not all of it: `show` has the rest.
constexpr std::size_t kListedSpecBytes = 2048;
// Upper bounds of what a member's row takes, besides its name and zone, and of its figures.
constexpr std::size_t kMemberBytes = 120;
constexpr std::size_t kFiguresBytes = 160;
constexpr std::size_t kMemberListBytes = 960 * 1024;

bool newer(const JobStatus& a, const JobStatus& b) {
  return std::tuple(a.id.minted(), a.id) > std::tuple(b.id.minted(), b.id);
}

void shorten(TaskSpec& spec) {
  if (task::spec_bytes(spec) <= kListedSpecBytes) return;
  spec.environment.clear();
  while (spec.argv.size() > 1 && task::spec_bytes(spec) > kListedSpecBytes) spec.argv.pop_back();
}

// Newest first, at most `limit`, and no more than one message holds.
void bound(std::vector<JobStatus>& jobs, std::uint32_t limit) {
  std::ranges::sort(jobs, newer);
  const auto repeated = std::ranges::unique(jobs, {}, &JobStatus::id);
  jobs.erase(repeated.begin(), repeated.end());
  if (jobs.size() > limit) jobs.resize(limit);
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    shorten(jobs[i].spec);
    bytes += kJobFixedBytes + task::spec_bytes(jobs[i].spec) + jobs[i].name.size();
    if (bytes <= kMessageBytes || i == 0) continue;
    jobs.resize(i);
    return;
  }
}

}  // namespace

void Listings::list_jobs(Now now, ClientRef client, const wire::ListJobs& ask) {
  Query query{.client = client, .ask = ask};
  auto& bounded = std::get<wire::ListJobs>(query.ask);
  bounded.limit = std::clamp(ask.limit, 1U, kJobsMax);
  query.answers[context_.self()].jobs = local_.jobs(bounded);
  start(now, std::move(query), true);
}

void Listings::list_members(Now now, ClientRef client, const wire::ListMembers& ask,
                            const std::string& waiting_for) {
  Query query{.client = client, .ask = ask, .waiting_for = waiting_for};
  if (ask.with_stats) query.answers[context_.self()].stats = local_.stats();
  query.answers[context_.self()].version = context_.config.version;
  // Nodes of no cluster yet do not answer each other's questions.
  start(now, std::move(query), ask.with_stats && context_.shard_count != 0);
}

void Listings::start(Now now, Query query, bool ask_others) {
  const std::uint64_t id = fresh_id(context_, ++last_query_);
  query.deadline = now.steady + kPatience;
  if (ask_others) {
    for (const auto& [node, member] : context_.membership->members()) {
      if (member.gone() || node == context_.self()) continue;
      query.waiting.insert(node);
      context_.send(node, wire::NodeQuery{id, query.ask});
    }
  }
  by_client_[query.client] = id;
  const auto at = queries_.emplace(id, std::move(query)).first;
  if (at->second.waiting.empty()) finish(at);
}

void Listings::drop(ClientRef client) {
  const auto found = by_client_.find(client);
  if (found == by_client_.end()) return;
  queries_.erase(found->second);
  by_client_.erase(found);
}

void Listings::drop_session(SessionId session) {
  for (auto found = by_client_.lower_bound({session, 0});
       found != by_client_.end() && found->first.session == session;
       found = by_client_.lower_bound({session, 0})) {
    drop(found->first);
  }
}

void Listings::on_query(NodeId from, const wire::NodeQuery& query) {
  wire::NodeAnswer answer{.id = query.id, .version = context_.config.version};
  if (const auto* jobs = std::get_if<wire::ListJobs>(&query.body)) {
    const std::uint32_t limit = std::clamp(jobs->limit, 1U, kJobsMax);
    answer.jobs = local_.jobs(*jobs);
    bound(answer.jobs, limit);
  } else {
    answer.stats = local_.stats();
  }
  context_.send(from, std::move(answer));
}

void Listings::on_answer(NodeId from, wire::NodeAnswer answer) {
  const auto found = queries_.find(answer.id);
  if (found == queries_.end()) return;
  Query& query = found->second;
  if (query.waiting.erase(from) == 0) return;
  query.answers[from] = std::move(answer);
  if (query.waiting.empty()) finish(found);
}

void Listings::on_time(Now now) {
  while (!queries_.empty() && queries_.begin()->second.deadline <= now.steady) {
    finish(queries_.begin());
  }
}

TimePoint Listings::wake_at() const {
  return queries_.empty() ? kNever : queries_.begin()->second.deadline;
}

void Listings::finish(Queries::iterator found) {
  Query& query = found->second;
  const ClientRef client = query.client;
  if (const auto* jobs = std::get_if<wire::ListJobs>(&query.ask)) {
    context_.reply(client.session, client.request, job_list(query, *jobs));
  } else {
    context_.reply(client.session, client.request, member_list(query));
  }
  by_client_.erase(client);
  queries_.erase(found);
}

wire::JobList Listings::job_list(Query& query, const wire::ListJobs& ask) const {
  wire::JobList list{.missing = missing(query)};
  for (auto& [node, answer] : query.answers) {
    std::ranges::move(answer.jobs, std::back_inserter(list.jobs));
  }
  // A shard that changed its owner meanwhile may be told twice: the later view is kept.
  std::ranges::sort(list.jobs, [](const JobStatus& a, const JobStatus& b) {
    return std::tuple(a.id, a.state, a.counts.ended()) >
           std::tuple(b.id, b.state, b.counts.ended());
  });
  const auto repeated = std::ranges::unique(list.jobs, {}, &JobStatus::id);
  list.jobs.erase(repeated.begin(), repeated.end());
  bound(list.jobs, ask.limit);
  return list;
}

// A dead member is missed only while shards have no other owner: what was taken over is listed.
std::vector<std::string> Listings::missing(const Query& query) const {
  std::set<NodeId> owners;
  for (std::uint32_t shard = 0; shard < context_.shard_count; ++shard) {
    if (const NodeId owner = calls_.owner(ShardId{shard})) owners.insert(owner);
  }
  std::vector<std::string> names;
  for (const auto& [node, member] : context_.membership->members()) {
    if (node == context_.self()) continue;
    const bool silent = query.waiting.contains(node);
    if (silent || (member.gone() && owners.contains(node))) {
      names.push_back(member_name(context_, node));
    }
  }
  std::ranges::sort(names);
  return names;
}

wire::MemberList Listings::member_list(Query& query) const {
  wire::MemberList list{.cluster = local_.cluster ? local_.cluster() : ClusterId{},
                        .serving = context_.shard_count != 0,
                        .shard_count = context_.shard_count,
                        .waiting_for = query.waiting_for};
  const auto& members = context_.membership->members();
  std::size_t bytes = 0;
  for (const auto& [node, member] : members) {
    bytes += kMemberBytes + member.info.name.size() + member.info.zone.size();
    if (bytes > kMemberListBytes) break;
    list.members.push_back({.node = node,
                            .state = member.state,
                            .info = member.info,
                            .self = node == context_.self()});
  }
  if (list.members.size() < members.size()) {
    log::warn("node", "{} of {} members are listed: no more fit one message", list.members.size(),
              members.size());
  }
  // Rather all members without figures than some members with them.
  for (wire::MemberRow& row : list.members) {
    const auto answer = query.answers.find(row.node);
    if (answer == query.answers.end()) continue;
    bytes += kFiguresBytes + answer->second.version.size();
    if (bytes > kMemberListBytes) break;
    row.stats = answer->second.stats;
    row.version = answer->second.version;
  }
  std::ranges::sort(list.members, [](const wire::MemberRow& a, const wire::MemberRow& b) {
    return std::tie(a.info.name, a.node) < std::tie(b.info.name, b.node);
  });
  return list;
}

}  // namespace shoal::node
