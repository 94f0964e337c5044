// What the monitor makes of every message and write.
#include <algorithm>

#include "scheduling/lease.hpp"
#include "sim/monitor.hpp"
#include "task/record_key.hpp"

namespace shoal::sim {

void Monitor::take_taps() {
  Taps taps;
  // A copy of another node does not stand for that one.
  taps.started = [this](NodeIndex at) {
    if (!world_.abandoned(at)) indices_[world_.id(at)] = at;
  };
  taps.requested = [this](NodeIndex, const wire::ClientRequest& request) {
    const auto* told = std::get_if<wire::CommandNode>(&request.body);
    if (told == nullptr) return;
    const auto* command = std::get_if<wire::RecoverShard>(&told->body);
    if (command != nullptr) recovers(told->node, *command);
  };
  taps.sent = [this](NodeIndex from, const node::Envelope& envelope) { sent(from, envelope); };
  taps.delivered = [this](NodeIndex to, const node::Source&, const wire::Message& message) {
    if (const auto* grant = std::get_if<wire::Grant>(&message)) {
      leases_.delivered(world_.id(to), *grant);
    }
  };
  taps.written = [this](NodeIndex at, std::span<const wire::Write> writes) {
    if (!of_interest(at)) return;
    for (const wire::Write& write : writes) {
      if (const auto* put = std::get_if<wire::PutRecord>(&write)) {
        record_checker_.seen(world_.now(), put->shard, put->record);
      }
    }
  };
  taps.durable = [this](NodeIndex at, std::span<const wire::Write> writes) { durable(at, writes); };
  taps.damaged = [this](NodeIndex at, ShardId shard, const wire::RecordKey& key) {
    records_.damage(world_.id(at), shard, key);
  };
  taps.replaced = [this](NodeIndex at) { replaced(at); };
  world_.set_taps(std::move(taps));
}

bool Monitor::of_interest(NodeIndex at) {
  if (!world_.up(at)) return false;
  const ClusterId cluster = world_.node(at).cluster();
  if (!cluster) return false;
  if (!cluster_) {
    cluster_ = cluster;
    replies_.set_shard_count(world_.config(at).shard_count);
    expiry_.set_shard_count(world_.config(at).shard_count);
  }
  return cluster == cluster_;
}

void Monitor::sent(NodeIndex from, const node::Envelope& envelope) {
  const NodeId sender = world_.id(from);
  incarnations_.sent(world_.now(), sender, envelope.message);
  if (envelope.channel == node::Channel::datagram || !of_interest(from)) return;
  sent_by_shards(sender, envelope.to, envelope.message);
  sent_work(envelope.to, envelope.message);
  replies_.sent(world_.now(), sender, envelope.to, envelope.message);
}

void Monitor::sent_by_shards(NodeId from, NodeId to, const wire::Message& message) {
  const TimePoint now = world_.now();
  const auto config = [&](ShardId shard, const wire::ShardConfig& each) {
    shard_checker_.seen(now, shard, each);
  };
  if (const auto* writes = std::get_if<wire::WriteRecords>(&message)) {
    for (const wire::WriteItem& item : writes->items) {
      duels_.owned(item.shard, item.ballot);
      if (item.config) config(item.shard, *item.config);
      for (const wire::Record& record : item.records) record_checker_.seen(now, item.shard, record);
    }
  } else if (const auto* prepare = std::get_if<wire::Prepare>(&message)) {
    for (const wire::PrepareItem& item : prepare->items) {
      config(item.shard, item.config);
      if (counts(from)) duels_.prepared(now, item.shard, item.ballot);
    }
  } else if (const auto* promise = std::get_if<wire::Promise>(&message)) {
    for (const wire::PromiseItem& item : promise->items) config(item.shard, item.config);
    // A candidate's first question goes to its own disk. Who is cut off for good may ask for ever.
    if (from != to || !counts(from)) return;
    for (const wire::PromiseItem& item : promise->items) {
      duels_.prepared(now, item.shard, item.ballot);
    }
  } else if (const auto* refuse = std::get_if<wire::Refuse>(&message)) {
    for (const wire::RefuseItem& item : refuse->items) config(item.shard, item.config);
  } else if (const auto* ack = std::get_if<wire::Ack>(&message)) {
    for (const wire::AckItem& item : ack->items) {
      if (item.config) config(item.shard, *item.config);
    }
  } else if (const auto* fetched = std::get_if<wire::Fetched>(&message)) {
    for (const wire::FetchedItem& item : fetched->items) {
      for (const wire::Record& record : item.records) record_checker_.seen(now, item.shard, record);
    }
  } else if (const auto* table = std::get_if<wire::TableEntries>(&message)) {
    for (const wire::TableEntry& entry : table->entries) config(entry.shard, entry.config);
  }
}

void Monitor::sent_work(NodeId to, const wire::Message& message) {
  if (const auto* grant = std::get_if<wire::Grant>(&message)) {
    const auto index = index_of(to);
    if (!index) return;
    for (const wire::GrantItem& item : grant->items) {
      const TimePoint ends = scheduling::lease_end_at_executor(
          grant->pull_sent, std::chrono::milliseconds(item.lease_ms));
      leases_.granted(world_.now(), to, item.attempt, grant->transfer,
                      world_.clock(*index).world(ends));
    }
  }
}

void Monitor::durable(NodeIndex at, std::span<const wire::Write> writes) {
  const TimePoint now = world_.now();
  const NodeId disk = world_.id(at);
  const bool replicated = of_interest(at);
  for (const wire::Write& write : writes) {
    if (const auto* meta = std::get_if<wire::PutMeta>(&write)) {
      incarnations_.durable(disk, *meta);
    } else if (!replicated) {
      continue;
    } else if (const auto* put = std::get_if<wire::PutRecord>(&write)) {
      record_checker_.durable(now, disk, put->shard, put->record);
      note_committed(records_, shards_, disk, put->shard, put->record.key);
      expiry_.durable(now, disk, put->shard, put->record.key);
    } else if (const auto* shard = std::get_if<wire::PutShard>(&write)) {
      shard_checker_.durable(now, disk, *shard);
    } else if (const auto* drop = std::get_if<wire::DropRecords>(&write)) {
      expiry_.dropped(now, disk, *drop);
      if (drop->all) records_.drop_shard(disk, drop->shard);
      for (const wire::RecordKey& key : drop->keys) records_.drop(disk, drop->shard, key);
    }
  }
}

// The others that survive may add what they hold, and need not.
void Monitor::recovers(NodeId survivor, const wire::RecoverShard& command) {
  shard_checker_.lost(command.lost);
  records_.for_each(command.shard, [&](const wire::RecordKey& key, const RecordBook::Entry& entry) {
    const RecordBook::Copy* kept = entry.copy(survivor);
    const bool newest = kept != nullptr && std::ranges::all_of(entry.copies, [&](const auto& copy) {
                          return copy.version <= kept->version;
                        });
    if (!newest) given_up_.insert(task::record_name({key.high, key.low}).job);
  });
  forget_gone();
}

void Monitor::replaced(NodeIndex at) {
  const NodeId disk = world_.id(at);
  records_.forget_disk(disk);
  shards_.forget_disk(disk);
  incarnations_.excuse(disk);
}

}  // namespace shoal::sim
