#include "node/watch_relay.hpp"

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

#include "base/probes.hpp"
#include "task/record_key.hpp"

namespace shoal::node {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kRenewInterval = seconds(2);
constexpr Duration kCheckInterval = milliseconds(500);
constexpr Duration kGap = seconds(2);
// A snapshot of which nothing has come for so long is taken for lost.
constexpr Duration kSnapshotPatience = seconds(5);
// The job's status is asked for in case a JobEvent was lost; a client that wants no tasks has no
// other sign of progress.
constexpr Duration kJobInterval = seconds(5);
constexpr Duration kProgressInterval = seconds(1);
// After so many complete snapshots with nothing new, what is missing is not there (expired).
constexpr std::uint32_t kGapsMax = 3;

bool finished(const std::optional<JobStatus>& status) {
  return status && status->state == JobState::finished;
}

}  // namespace

void WatchRelay::wake_by(TimePoint at) { wake_at_ = std::min(wake_at_, at); }

WatchRelay::Watch* WatchRelay::find(std::uint64_t number) {
  const auto found = by_number_.find(number);
  return found == by_number_.end() ? nullptr : &watches_.at(found->second);
}

void WatchRelay::open(Now now, ClientRef client, const wire::WatchJob& ask) {
  Watch& watch = watches_[client];
  watch.ask = ask;
  ask_job(now, client, watch, now.steady + kClientPatience);
}

void WatchRelay::drop(ClientRef client) {
  const auto found = watches_.find(client);
  if (found == watches_.end()) return;
  Watch& watch = found->second;
  stop(watch);
  calls_.drop(watch.job_call);
  for (const auto& [shard, subscription] : watch.shards) calls_.drop(subscription.call);
  by_number_.erase(watch.number);
  watches_.erase(found);
}

void WatchRelay::drop_session(SessionId session) {
  for (auto found = watches_.lower_bound({session, 0});
       found != watches_.end() && found->first.session == session;
       found = watches_.lower_bound({session, 0})) {
    drop(found->first);
  }
}

void WatchRelay::stop(const Watch& watch) {
  for (const auto& [shard, subscription] : watch.shards) {
    calls_.tell(shard, wire::WatchShard{.job = watch.ask.job, .watch = watch.number, .stop = true});
  }
}

void WatchRelay::ask_job(Now now, ClientRef client, Watch& watch, TimePoint deadline) {
  const Duration interval = watch.ask.tasks ? kJobInterval : kProgressInterval;
  watch.next_job = now.steady + interval;
  wake_by(watch.next_job);
  if (watch.job_call != 0) return;
  watch.job_call = calls_.ask(
      now, task::shard_of(watch.ask.job, context_.shard_count), wire::GetJob{watch.ask.job},
      deadline,
      [this, client](Now then, NodeId, wire::OwnerReplyBody& body) { on_job(then, client, body); });
}

void WatchRelay::on_job(Now now, ClientRef client, wire::OwnerReplyBody& body) {
  Watch& watch = watches_.at(client);
  watch.job_call = 0;
  const auto* job = std::get_if<wire::JobReply>(&body);
  if (job == nullptr) {
    const auto* error = std::get_if<Error>(&body);
    const Error told = error != nullptr
                           ? *error
                           : Error{ErrorCode::internal,
                                   "the job's owner gave an answer of another kind; are all nodes "
                                   "of one version? ask again through another node"};
    drop(client);
    context_.refuse(client.session, client.request, told.code, told.message);
    return;
  }
  const bool first = watch.number == 0;
  take_status(now, client, watch, job->status);
  if (first && watches_.contains(client)) begin(now, client, watch);
}

void WatchRelay::begin(Now now, ClientRef client, Watch& watch) {
  const JobId job = watch.ask.job;
  watch.shards[task::shard_of(job, context_.shard_count)];
  if (watch.ask.tasks) {
    const std::uint32_t count = std::min(watch.status->count, kJobTasksMax);
    watch.ended.resize(count);
    for (std::uint32_t index = 0; index < count; index += task::kRunLength) {
      watch.shards[task::shard_of(TaskId{job, index}, context_.shard_count)];
    }
  }
  renumber(client, watch);
  // Its owner tells of the job as well: the others may have to wait for their turn.
  subscribe(now, client, watch, task::shard_of(job, context_.shard_count));
  subscribe_more(now, client, watch);
  watch.next_check = now.steady + kCheckInterval;
  wake_by(watch.next_check);
}

void WatchRelay::renumber(ClientRef client, Watch& watch) {
  by_number_.erase(watch.number);
  watch.number = fresh_id(context_, ++last_number_);
  by_number_.emplace(watch.number, client);
}

void WatchRelay::subscribe_more(Now now, ClientRef client, Watch& watch) {
  auto open = static_cast<std::size_t>(std::ranges::count_if(
      watch.shards, [](const auto& entry) { return entry.second.asked && !entry.second.told; }));
  for (const auto& [shard, subscription] : watch.shards) {
    if (open >= kSnapshotsMax) return;
    if (subscription.asked) continue;
    subscribe(now, client, watch, shard);
    ++open;
  }
}

void WatchRelay::subscribe(Now now, ClientRef client, Watch& watch, ShardId shard) {
  Subscription& subscription = watch.shards.at(shard);
  if (std::exchange(subscription.restart, false)) {
    subscription.told = false;
    calls_.tell(shard, wire::WatchShard{.job = watch.ask.job, .watch = watch.number, .stop = true});
  }
  if (!std::exchange(subscription.asked, true)) subscription.heard = now.steady;
  subscription.renew_at = now.steady + kRenewInterval;
  calls_.drop(subscription.call);
  const wire::WatchShard request{.job = watch.ask.job,
                                 .watch = watch.number,
                                 .with_output = watch.ask.with_output && watch.ask.tasks};
  subscription.call = calls_.ask(
      now, shard, request, kNever,
      [this, client, shard](Now then, NodeId from, wire::OwnerReplyBody& body) {
        on_subscribed(then, client, shard, from, std::holds_alternative<wire::Done>(body));
      });
}

void WatchRelay::on_subscribed(Now now, ClientRef client, ShardId shard, NodeId from, bool done) {
  Watch& watch = watches_.at(client);
  Subscription& subscription = watch.shards.at(shard);
  subscription.call = 0;
  if (!done) return;  // Asked again at the next renewal.
  const bool news = subscription.owner != from;
  if (news) subscription.heard = now.steady;
  subscription.owner = from;
  // What happened to the job between the last look and this subscription was told to nobody.
  if (news && shard == task::shard_of(watch.ask.job, context_.shard_count)) {
    ask_job(now, client, watch, kNever);
  }
}

void WatchRelay::on_events(Now now, wire::TaskEvents events) {
  Watch* watch = find(events.watch);
  if (watch == nullptr) return;
  const ClientRef client = by_number_.at(events.watch);
  if (const auto shard = watch->shards.find(events.shard); shard != watch->shards.end()) {
    shard->second.heard = now.steady;
    if (events.snapshot_end && !std::exchange(shard->second.told, true)) {
      subscribe_more(now, client, *watch);
    }
  }
  if (!watch->ask.tasks) return;
  wire::WatchEvent relayed;
  for (wire::TaskEvent& event : events.events) {
    const std::uint32_t index = event.status.index;
    if (index >= watch->ended.size() || watch->ended[index]) continue;
    if (terminal(event.status.state)) {
      watch->ended[index] = true;
      ++watch->ended_count;
      watch->gaps = 0;
      if (watch->gap_at != kNever) watch->gap_at = now.steady + kGap;
    }
    relayed.tasks.push_back(std::move(event));
  }
  if (!relayed.tasks.empty()) context_.reply(client.session, client.request, relayed, false);
  finish_if_told(now, client, *watch);
}

void WatchRelay::on_job_event(Now now, const wire::JobEvent& event) {
  Watch* watch = find(event.watch);
  if (watch == nullptr || event.status.id != watch->ask.job) return;
  take_status(now, by_number_.at(event.watch), *watch, event.status);
}

void WatchRelay::take_status(Now now, ClientRef client, Watch& watch, const JobStatus& status) {
  if (finished(watch.status) && status.state != JobState::finished) return;  // An older view.
  const bool changed = watch.status != status;
  watch.status = status;
  if (watch.number != 0 || !watch.ask.tasks) {
    if (finish_if_told(now, client, watch)) return;
  }
  if (!changed) return;
  context_.reply(client.session, client.request, wire::WatchEvent{.job = watch.status}, false);
}

bool WatchRelay::finish_if_told(Now now, ClientRef client, Watch& watch) {
  if (!finished(watch.status)) return false;
  const bool told = !watch.ask.tasks || watch.ended_count >= watch.status->counts.ended();
  if (!told && watch.gaps < kGapsMax) {
    if (watch.gap_at == kNever) watch.gap_at = now.steady + kGap;
    wake_by(watch.gap_at);
    return false;
  }
  context_.reply(client.session, client.request, wire::WatchEvent{.job = watch.status});
  drop(client);
  return true;
}

void WatchRelay::fill_gap(Now now, ClientRef client, Watch& watch) {
  watch.gap_at = now.steady + kGap;
  const bool complete =
      std::ranges::all_of(watch.shards, [](const auto& entry) { return entry.second.told; });
  // What is missing may come with the snapshots that are on their way, or wait for their turn.
  const auto coming = [&](const auto& entry) { return now.steady < entry.second.heard + kGap; };
  if (!complete && std::ranges::any_of(watch.shards, coming)) return;
  if (complete && ++watch.gaps >= kGapsMax) {
    finish_if_told(now, client, watch);
    return;
  }
  probes::mark(probes::Mark::watch_restarted);
  stop(watch);
  renumber(client, watch);
  for (auto& [shard, subscription] : watch.shards) {
    subscription.told = false;
    subscription.restart = false;
    subscription.asked = false;
    calls_.drop(std::exchange(subscription.call, 0));
  }
  subscribe_more(now, client, watch);
}

void WatchRelay::on_peer_closed(Now now, NodeId peer) {
  for (auto& [client, watch] : watches_) {
    for (auto& [shard, subscription] : watch.shards) {
      if (subscription.owner != peer && calls_.sent_to(subscription.call) != peer) continue;
      calls_.drop(std::exchange(subscription.call, 0));
      subscription.restart = true;
      watch.next_check = std::min(watch.next_check, now.steady + kClosedRetry);
      wake_by(watch.next_check);
    }
  }
}

void WatchRelay::check(Now now, ClientRef client, Watch& watch) {
  for (auto& [shard, subscription] : watch.shards) {
    if (subscription.call != 0 || !subscription.asked) continue;
    const bool lost = !subscription.told && subscription.heard + kSnapshotPatience <= now.steady;
    if (lost || subscription.restart) {
      subscription.restart = true;
      subscription.asked = false;  // Until its turn comes again.
      continue;
    }
    const bool moved = subscription.owner && calls_.owner(shard) != subscription.owner;
    if (moved || subscription.renew_at <= now.steady) subscribe(now, client, watch, shard);
  }
  subscribe_more(now, client, watch);
  watch.next_check = now.steady + kCheckInterval;
}

void WatchRelay::on_time(Now now) {
  if (now.steady < wake_at_) return;
  wake_at_ = kNever;
  for (auto entry = watches_.begin(); entry != watches_.end();) {
    const ClientRef client = entry->first;
    Watch& watch = entry->second;
    ++entry;  // The watch may end below.
    if (watch.next_check <= now.steady) check(now, client, watch);
    if (watch.next_job <= now.steady) ask_job(now, client, watch, kNever);
    wake_by(std::min(watch.next_check, watch.next_job));
    if (watch.gap_at <= now.steady) {
      fill_gap(now, client, watch);
      const auto left = watches_.find(client);
      if (left != watches_.end()) wake_by(left->second.gap_at);
    } else {
      wake_by(watch.gap_at);
    }
  }
}

}  // namespace shoal::node
