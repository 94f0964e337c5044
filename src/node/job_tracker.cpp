#include "node/job_tracker.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace shoal::node {
namespace {

std::vector<ShardId> shards_of(JobId id, std::uint32_t tasks, std::uint32_t shard_count) {
  std::set<ShardId> shards;
  for (std::uint64_t index = 0; index < tasks && shards.size() < shard_count;
       index += task::kRunLength) {
    shards.insert(task::shard_of(TaskId{id, static_cast<std::uint32_t>(index)}, shard_count));
  }
  return {shards.begin(), shards.end()};
}

void add(TaskCounts& sum, const TaskCounts& more) {
  sum.total += more.total;
  sum.ready += more.ready;
  sum.claimed += more.claimed;
  sum.succeeded += more.succeeded;
  sum.failed += more.failed;
  sum.cancelled += more.cancelled;
  sum.lost += more.lost;
}

}  // namespace

TaskCounts JobTracker::Tracked::sum() const {
  TaskCounts total;
  for (const auto& [at, report] : reports) add(total, report.item.counts);
  return total;
}

void JobTracker::track(Now now, ShardId shard, JobId id, const task::JobRecord& record) {
  if (record.single) return;
  if (record.state == JobState::finished) {
    jobs_.erase(id);
    return;
  }
  Tracked& tracked = jobs_[id];
  if (tracked.shards.empty()) {
    tracked.shards = shards_of(id, record.count, context_.shard_count);
  }
  tracked.shard = shard;
  tracked.count = record.count;
  tracked.closed = record.state == JobState::closed;
  if (record.cancelled && !tracked.cancelled) {
    tracked.cancelled = true;
    tracked.asked_at = {};
    next_query_ = now.steady;
  }
  finish_if_done(now, id, tracked);
}

void JobTracker::on_report(Now now, const wire::CountReport& report) {
  for (const wire::CountItem& item : report.items) {
    const auto found = jobs_.find(item.job);
    if (found == jobs_.end()) continue;
    if (!std::ranges::binary_search(found->second.shards, item.shard)) continue;
    Report& known = found->second.reports[item.shard];
    if (item.ballot < known.item.ballot) continue;
    known = {item, now.steady};
    finish_if_done(now, item.job, found->second);
  }
}

void JobTracker::finish_if_done(Now now, JobId id, Tracked& tracked) {
  if (!tracked.closed || tracked.finishing) return;
  const TaskCounts sum = tracked.sum();
  bool done = sum.ended() >= tracked.count;
  if (!done && tracked.cancelled && sum.ended() == sum.total) {
    done = std::ranges::all_of(tracked.shards, [&](ShardId shard) {
      const auto found = tracked.reports.find(shard);
      return found != tracked.reports.end() && found->second.item.cancelled;
    });
  }
  if (!done) return;
  auto record = store_.proposed_job(tracked.shard, id);
  if (!record || record->state == JobState::finished) return;
  tracked.finishing = true;
  record->state = JobState::finished;
  record->ended = now.wall;
  record->counts = sum;
  store_.put_job(now, tracked.shard, id, *record, {.change = Change::job});
}

JobStatus JobTracker::status(ShardId shard, JobId id, const task::JobRecord& record) {
  JobStatus status{.id = id,
                   .name = record.name,
                   .state = record.state,
                   .count = record.count,
                   .spec = record.spec,
                   .counts = record.counts,
                   .created = record.created,
                   .ended = record.ended,
                   .cancelled = record.cancelled};
  if (record.state == JobState::finished) return status;
  if (record.single) {
    if (const ShardJob* job = store_.job(shard, id)) status.counts = job->counts();
    return status;
  }
  if (const auto found = jobs_.find(id); found != jobs_.end()) status.counts = found->second.sum();
  return status;
}

wire::CountItem JobTracker::item_of(Context& context, ShardId shard, JobId id,
                                    const ShardJob* job) {
  wire::CountItem item{.job = id, .shard = shard, .ballot = context.shards->ballot(shard)};
  if (job != nullptr) {
    item.counts = job->counts();
    item.cancelled = job->cancelled && job->unfinished() + job->creating == 0;
  }
  return item;
}

void JobTracker::send_report(NodeId to, wire::CountReport report) {
  context_.send_list(to, std::move(report.items), [](std::vector<wire::CountItem> part) {
    return wire::CountReport{std::move(part)};
  });
}

void JobTracker::send_changed(Now now) {
  std::map<NodeId, wire::CountReport> reports;
  for (const auto& [shard, id] : store_.take_changed()) {
    const ShardJob* job = store_.cached_job(shard, id);
    if (job == nullptr || job->single || !context_.serves(shard)) continue;
    const NodeId owner = context_.owner(task::shard_of(id, context_.shard_count));
    if (owner) reports[owner].items.push_back(item_of(context_, shard, id, job));
  }
  for (auto& [owner, report] : reports) send_report(owner, std::move(report));
  next_report_ = now.steady + kReportInterval;
}

void JobTracker::ask(Now now) {
  next_query_ = now.steady + kQueryInterval;
  std::map<NodeId, wire::CountQuery> queries;
  for (auto& [id, tracked] : jobs_) {
    if ((!tracked.closed && !tracked.cancelled) || tracked.finishing) continue;
    if (now.steady - tracked.asked_at < kQueryInterval) continue;
    tracked.asked_at = now.steady;
    for (const ShardId shard : tracked.shards) {
      const auto found = tracked.reports.find(shard);
      const bool known =
          found != tracked.reports.end() && (!tracked.cancelled || found->second.item.cancelled);
      const bool over =
          known && found->second.item.counts.ended() == found->second.item.counts.total;
      const bool fresh = known && now.steady - found->second.at < kReportStale;
      if (known && (fresh || (over && tracked.cancelled))) continue;
      const NodeId owner = context_.owner(shard);
      if (owner) queries[owner].items.push_back({id, shard, tracked.cancelled});
    }
  }
  for (auto& [owner, query] : queries) {
    context_.send_list(owner, std::move(query.items), [](std::vector<wire::CountQueryItem> part) {
      return wire::CountQuery{std::move(part)};
    });
  }
}

void JobTracker::on_query(Now, NodeId from, const wire::CountQuery& query) {
  wire::CountReport report;
  for (const wire::CountQueryItem& item : query.items) {
    if (!context_.serves(item.shard)) continue;
    report.items.push_back(
        item_of(context_, item.shard, item.job, store_.job(item.shard, item.job)));
  }
  send_report(from, std::move(report));
}

void JobTracker::on_time(Now now) {
  if (now.steady >= next_report_) send_changed(now);
  if (now.steady >= next_query_) ask(now);
}

TimePoint JobTracker::wake_at() const {
  TimePoint at = store_.any_changed() ? next_report_ : kNever;
  if (!jobs_.empty()) at = std::min(at, next_query_);
  return at;
}

void JobTracker::drop_shard(ShardId shard) {
  std::erase_if(jobs_, [shard](const auto& entry) { return entry.second.shard == shard; });
}

void JobTracker::drop_expired(ShardId shard, std::uint64_t floor) {
  std::erase_if(jobs_, [&](const auto& entry) {
    return entry.second.shard == shard && task::expiry_of(entry.first) <= floor;
  });
}

}  // namespace shoal::node
