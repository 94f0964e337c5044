// Listings that no single node can answer: jobs and members, asked of every member at once
// (scatter-gather) and answered with what came in time.
//
// Limits: one second; then the members that did not answer are named. A list of members is one
// message: from about 3,000 on, the last of them come without figures, and from 3,800 (with the
// longest names and zones; 7,000 with short ones) on, some are left out, with a warning in the log.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "node/context.hpp"
#include "node/owner_calls.hpp"

namespace shoal::node {

// What a listing asks of the rest of this node.
struct LocalViews {
  std::function<std::vector<JobStatus>(const wire::ListJobs&)> jobs;  // Of the shards owned here.
  std::function<wire::NodeStats()> stats;
  std::function<ClusterId()> cluster;
};

class Listings {
 public:
  Listings(Context& context, OwnerCalls& calls, LocalViews local)
      : context_(context), calls_(calls), local_(std::move(local)) {}

  // REQUIRES: `client` has no listing open.
  void list_jobs(Now now, ClientRef client, const wire::ListJobs& ask);
  void list_members(Now now, ClientRef client, const wire::ListMembers& ask,
                    const std::string& waiting_for);
  void drop(ClientRef client);
  void drop_session(SessionId session);
  bool contains(ClientRef client) const { return by_client_.contains(client); }
  std::size_t size() const { return queries_.size(); }

  void on_query(NodeId from, const wire::NodeQuery& query);
  void on_answer(NodeId from, wire::NodeAnswer answer);
  void on_time(Now now);
  TimePoint wake_at() const;

 private:
  struct Query {
    ClientRef client;
    std::variant<wire::ListJobs, wire::ListMembers> ask;
    std::string waiting_for;
    TimePoint deadline;
    std::set<NodeId> waiting;
    std::map<NodeId, wire::NodeAnswer> answers;
  };
  using Queries = std::map<std::uint64_t, Query>;

  void start(Now now, Query query, bool ask_others);
  void finish(Queries::iterator found);
  wire::JobList job_list(Query& query, const wire::ListJobs& ask) const;
  wire::MemberList member_list(Query& query) const;
  std::vector<std::string> missing(const Query& query) const;

  Context& context_;
  OwnerCalls& calls_;
  LocalViews local_;
  Queries queries_;  // By id, which is also the order of their deadlines.
  std::map<ClientRef, std::uint64_t> by_client_;
  std::uint64_t last_query_ = 0;
};

}  // namespace shoal::node
