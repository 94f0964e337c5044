#include "node/watches.hpp"

#include <algorithm>

namespace shoal::node {

TaskStatus Watches::status_of(std::uint32_t index, const task::TaskRecord& task) {
  return {.index = index,
          .state = task.state,
          .attempt = task.attempt,
          .node = task.node,
          .argument = task.argument,
          .result = task.result,
          .failures = task.failures,
          .recovered = task.recovered};
}

void Watches::subscribe(Now now, NodeId gateway, ShardId shard, const wire::WatchShard& watch) {
  const Key key{watch.job, shard};
  std::vector<Watch>& list = watches_[key];
  const auto found = std::ranges::find_if(
      list, [&](const Watch& w) { return w.gateway == gateway && w.id == watch.watch; });
  if (watch.stop) {
    if (found != list.end()) list.erase(found);
  } else if (found != list.end()) {
    found->expires = now.steady + kWatchExpiry;
  } else {
    list.push_back({gateway, watch.watch, watch.with_output, now.steady + kWatchExpiry});
    snapshot(key, list.back());
  }
  const auto watchers = static_cast<std::uint32_t>(list.size());
  if (list.empty()) watches_.erase(key);
  if (ShardJob* job = store_.job(shard, watch.job)) job->watchers = watchers;
}

bool Watches::wants_output(ShardId shard, JobId job) const {
  const auto found = watches_.find({job, shard});
  return found != watches_.end() &&
         std::ranges::any_of(found->second, [](const Watch& w) { return w.with_output; });
}

void Watches::note_tails(const AttemptId& attempt, std::array<std::string, 2> tails) {
  tails_[attempt] = std::move(tails);
}

void Watches::snapshot(const Key& key, const Watch& watch) {
  const auto& [job, shard] = key;
  const Recipient recipient{watch.gateway, watch.id, shard};
  if (const auto held = store_.committed_job(shard, job);
      held.presence == TaskStore::Presence::present && held.job.single) {
    tell(shard, {job, 0}, watch, *held.job.single, true);
  }
  context_.shards->for_each_record(shard, element_key({job, 0}), element_key({job, ~0U}),
                                   [&](const wire::RecordKey& record, const std::string&, bool) {
                                     const std::uint32_t index = record_name(record).index;
                                     const auto shown = store_.committed(shard, {job, index});
                                     if (shown.presence == TaskStore::Presence::present) {
                                       tell(shard, {job, index}, watch, shown.task, true);
                                     }
                                   });
  // The end of the snapshot follows the events whose tails are still being read.
  Batch& batch = batches_[recipient];
  if (snapshot_reads_.contains(recipient)) return;
  batch.events.snapshot_end = true;
}

void Watches::tell(ShardId shard, TaskId id, const Watch& watch, const task::TaskRecord& task,
                   bool in_snapshot) {
  const Recipient recipient{watch.gateway, watch.id, shard};
  wire::TaskEvent event{.status = status_of(id.index, task)};
  if (!watch.with_output || !terminal(task.state) || !task.result) {
    queue(recipient, std::move(event));
    return;
  }
  event.has_tails = true;
  const AttemptId attempt{id, task.attempt};
  if (const auto noted = tails_.find(attempt); noted != tails_.end()) {
    event.tails = noted->second;
    queue(recipient, std::move(event));
    return;
  }
  std::size_t reads = 0;
  for (std::size_t stream = 0; stream < 2; ++stream) {
    if (task.result->output_bytes.at(stream) == 0) continue;
    if (reads++ == 0) ++last_event_;
    const std::uint64_t read =
        context_.shards->read(shard, tail_key(attempt, static_cast<task::Stream>(stream)));
    reads_[read] = {.event = last_event_, .stream = stream};
  }
  if (reads == 0) {
    queue(recipient, std::move(event));
    return;
  }
  if (in_snapshot) ++snapshot_reads_[recipient];
  waiting_events_[last_event_] = {recipient, std::move(event), reads, in_snapshot};
}

void Watches::queue(const Recipient& recipient, wire::TaskEvent event) {
  Batch& batch = batches_[recipient];
  if (event.status.result) batch.bytes += event.status.result->message.size();
  batch.bytes += 200 + event.status.argument.size() + event.tails[0].size() + event.tails[1].size();
  batch.events.events.push_back(std::move(event));
  if (batch.bytes >= kEventsBytesMax) send(recipient);
}

void Watches::send(const Recipient& recipient) {
  const auto found = batches_.find(recipient);
  if (found == batches_.end()) return;
  const auto& [gateway, watch, shard] = recipient;
  found->second.events.watch = watch;
  found->second.events.shard = shard;
  context_.send(gateway, std::move(found->second.events));
  batches_.erase(found);
}

void Watches::on_task(ShardId shard, TaskId id) {
  const auto found = watches_.find({id.job, shard});
  if (found != watches_.end()) {
    const auto shown = store_.committed(shard, id);
    if (shown.presence == TaskStore::Presence::present) {
      for (const Watch& watch : found->second) {
        tell(shard, id, watch, shown.task, false);
      }
    }
  }
  const auto first = tails_.lower_bound({id, 0});
  auto last = first;
  while (last != tails_.end() && last->first.task == id) ++last;
  tails_.erase(first, last);
}

void Watches::on_job(ShardId shard, JobId job, const JobStatus& status) {
  const auto found = watches_.find({job, shard});
  if (found == watches_.end()) return;
  for (const Watch& watch : found->second) {
    send({watch.gateway, watch.id, shard});
    context_.send(watch.gateway, wire::JobEvent{watch.id, status});
  }
}

void Watches::read_tail(NodeId gateway, std::uint64_t request, ShardId shard,
                        const wire::GetTail& get) {
  const std::uint64_t read = context_.shards->read(shard, tail_key(get.attempt, get.stream));
  reads_[read] = {.for_request = true, .gateway = gateway, .request = request};
}

void Watches::on_value(const shard::ValueEvent& value) {
  const auto found = reads_.find(value.id);
  if (found == reads_.end()) return;
  const PendingRead read = found->second;
  reads_.erase(found);
  if (read.for_request) {
    operations_.answer(read.gateway, read.request,
                       wire::TailReply{value.value.has_value(), value.value.value_or("")});
    return;
  }
  const auto waiting = waiting_events_.find(read.event);
  if (waiting == waiting_events_.end()) return;
  WaitingEvent& event = waiting->second;
  event.event.tails.at(read.stream) = value.value.value_or("");
  if (--event.reads > 0) return;
  const Recipient recipient = event.recipient;
  const bool in_snapshot = event.in_snapshot;
  queue(recipient, std::move(event.event));
  waiting_events_.erase(waiting);
  if (!in_snapshot) return;
  const auto left = snapshot_reads_.find(recipient);
  if (left == snapshot_reads_.end() || --left->second > 0) return;
  snapshot_reads_.erase(left);
  batches_[recipient].events.snapshot_end = true;
}

void Watches::on_time(Now now) {
  if (now.steady < next_sweep_) return;
  next_sweep_ = now.steady + std::chrono::seconds(1);
  for (auto entry = watches_.begin(); entry != watches_.end();) {
    auto& [key, list] = *entry;
    std::erase_if(list, [&](const Watch& watch) { return watch.expires < now.steady; });
    if (ShardJob* job = store_.cached_job(key.second, key.first)) {
      job->watchers = static_cast<std::uint32_t>(list.size());
    }
    entry = list.empty() ? watches_.erase(entry) : std::next(entry);
  }
}

void Watches::flush() {
  while (!batches_.empty()) send(Recipient{batches_.begin()->first});
}

void Watches::drop_shard(ShardId shard) {
  std::erase_if(watches_, [shard](const auto& entry) { return entry.first.second == shard; });
  std::erase_if(waiting_events_, [shard](const auto& entry) {
    return std::get<2>(entry.second.recipient) == shard;
  });
  std::erase_if(snapshot_reads_,
                [shard](const auto& entry) { return std::get<2>(entry.first) == shard; });
  tails_.clear();
}

}  // namespace shoal::node
