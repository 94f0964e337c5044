#include "node/node.hpp"

#include <charconv>
#include <utility>

#include "node/inspection.hpp"
#include "node/parts.hpp"
#include "wire/codec.hpp"

namespace shoal::node {

namespace {

// F2: a node that must not go on says nothing but that, and starts nothing.
void keep_last_words(Output& output) {
  const auto other = [](const Envelope& envelope) {
    return !std::holds_alternative<wire::SameKey>(envelope.message);
  };
  std::erase_if(output.messages, other);
  std::erase_if(output.promises, other);
  output.launches.clear();
  output.replies.clear();
}

}  // namespace

Node::Node(const NodeConfig& config, std::uint64_t seed)
    : parts_(std::make_unique<Parts>(config, seed)) {}

Node::~Node() = default;

bool Node::restore_meta(std::string_view name, std::string_view value) {
  if (name == "boot") {
    const char* end = value.data() + value.size();
    const auto parsed = std::from_chars(value.data(), end, parts_->context.boot_epoch);
    return parsed.ec == std::errc{} && parsed.ptr == end;
  }
  if (name == "members") {
    auto decoded = wire::decode_messages(value);
    if (!decoded || decoded->size() != 1) return false;
    auto* known = std::get_if<wire::MemberTable>(&decoded->front());
    if (known != nullptr) parts_->remembered = std::move(known->records);
    return known != nullptr;
  }
  parts_->commands.restore(name, value);
  return parts_->founding.restore(name, value) && parts_->identity.restore(name, value);
}

void Node::restore_shard(ShardId shard, wire::ShardState state) {
  parts_->shards.restore_shard(shard, std::move(state));
}

void Node::restore_record(ShardId shard, wire::Record record, bool intact) {
  parts_->shards.restore_record(shard, std::move(record), !intact);
}

void Node::start(Now now) { parts_->start(now); }

void Node::on_seeds(Now now, std::span<const Address> seeds) {
  parts_->now = now;
  if (serving() && parts_->membership->joined()) {
    parts_->membership->set_seeds(now.steady, seeds);
  } else {
    parts_->membership->join(now.steady, seeds);
  }
}

void Node::on_message(Now now, const Source& source, wire::Message message) {
  parts_->now = now;
  parts_->dispatch(now, source, std::move(message));
}

void Node::on_peer_closed(Now now, NodeId peer) {
  parts_->now = now;
  parts_->membership->on_stream_failed(now.steady, peer);
  parts_->gateway.on_peer_closed(now, peer);
  parts_->identity.on_peer_closed(now, peer);
}

void Node::on_client(Now now, SessionId session, wire::ClientRequest request) {
  parts_->now = now;
  parts_->gateway.on_client(now, session, std::move(request));
}

void Node::on_client_forget(Now now, SessionId session, std::uint64_t request) {
  parts_->now = now;
  parts_->gateway.on_forget(now, session, request);
}

void Node::on_client_closed(Now now, SessionId session) {
  parts_->now = now;
  parts_->gateway.on_closed(now, session);
  parts_->commands.on_closed(session);
}

void Node::on_process_ended(Now now, task::ProcessEnded ended) {
  parts_->now = now;
  parts_->runner.on_ended(now, std::move(ended));
}

void Node::on_store_read(Now now, std::uint64_t request, std::optional<wire::Record> record) {
  parts_->now = now;
  parts_->shards.on_values_read(now.steady, {{request, std::move(record)}});
}

void Node::on_output_read(Now now, task::OutputPiece piece) {
  parts_->now = now;
  parts_->gateway.on_output_piece(now, std::move(piece));
}

void Node::on_sync_time(Duration duration) {
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
  parts_->sync_times.add(static_cast<std::uint64_t>(std::max<std::int64_t>(0, micros)));
}

void Node::on_advertised(Now now, const Address& address) {
  parts_->now = now;
  NodeConfig& config = parts_->context.config;
  config.address = address;
  wire::MemberInfo info = parts_->membership->find(config.id)->info;
  info.address = address;
  parts_->membership->set_info(now.steady, info);
}

void Node::on_recovered(Now now, std::vector<task::RecoveredAttempt> attempts) {
  parts_->now = now;
  parts_->runner.on_recovered(now, std::move(attempts));
}

void Node::on_recovery_complete(Now now) {
  parts_->now = now;
  parts_->runner.on_recovery_complete(now);
}

void Node::on_disk_low(Now now, bool low) {
  parts_->now = now;
  parts_->context.disk_low = low;
  parts_->takeovers.on_disk_low(now);
}

void Node::on_stop(Now now, bool end_tasks) {
  parts_->now = now;
  parts_->stop(now, end_tasks);
}

void Node::on_time(Now now) {
  parts_->now = now;
  parts_->on_time(now);
}

Output Node::take_output() {
  Parts& parts = *parts_;
  if (!parts.started) return {};
  parts.settle(parts.now);
  Output output = std::exchange(parts.context.output, {});
  if (!parts.boot_durable) {
    // The boot epoch must be on disk before anybody hears of it.
    std::ranges::move(output.messages, std::back_inserter(output.promises));
    output.messages.clear();
  }
  if (parts.identity.refused()) keep_last_words(output);
  output.stopped = parts.context.output.stopped || output.stopped;
  output.wake_at = parts.wake_at();
  return output;
}

NodeId Node::id() const { return parts_->context.self(); }
ClusterId Node::cluster() const { return parts_->founding.cluster(); }
bool Node::serving() const { return parts_->founding.serving(); }
void Node::set_resident_bytes(std::uint64_t bytes) { parts_->resident_bytes = bytes; }

namespace {

std::vector<Bound> bounds_of(const Node::Parts& parts) {
  const shard::Shards::Load load = parts.shards.load();
  const shard::ShardsConfig& limits = parts.context.config.shards;
  return {
      {"client requests", parts.gateway.open_count(), kClientRequestsMax},
      {"attempts", parts.runner.running_count() + parts.runner.held_count(), kRunningMax},
      {"members", parts.membership->members().size(), membership::MembershipConfig{}.members_max},
      {"Confirm rounds", load.rounds, shard::kRoundsMax},
      {"unanswered writes to a home", load.writes,
       shard::kOutstandingMax + limits.catch_up_window + 1},
      {"catch-up items to a node", load.catching_up, limits.catch_up_window + 1},
  };
}

}  // namespace

Node::Inspection Node::inspect() const {
  const Parts& parts = *parts_;
  Inspection seen;
  for (const auto& [node, member] : parts.membership->members()) {
    seen.members.emplace_back(node, member.state);
  }
  seen.incarnation = parts.membership->incarnation();
  for (std::uint32_t shard = 0; shard < parts.context.shard_count; ++shard) {
    if (parts.shards.owns(ShardId{shard})) seen.owned.push_back(ShardId{shard});
  }
  seen.takes_work = parts.context.takes_work();
  seen.ready = static_cast<std::uint32_t>(parts.claims.queue().size());
  for (const scheduling::Resources& need : parts.claims.queue().needs(16)) {
    seen.ready_needs.push_back({static_cast<std::uint32_t>(need.cpu_millis), need.memory_bytes});
  }
  const scheduling::Resources capacity = parts.runner.capacity();
  const scheduling::Resources started = parts.runner.started();
  const scheduling::Resources unstarted = parts.runner.unstarted();
  seen.cpu_millis = static_cast<std::uint32_t>(capacity.cpu_millis);
  seen.cpu_millis_started = static_cast<std::uint32_t>(started.cpu_millis);
  seen.cpu_millis_unstarted = static_cast<std::uint32_t>(unstarted.cpu_millis);
  seen.memory_bytes = capacity.memory_bytes;
  seen.memory_bytes_started = started.memory_bytes;
  seen.memory_bytes_unstarted = unstarted.memory_bytes;
  seen.running = parts.runner.running();
  seen.bounds = bounds_of(parts);
  seen.votes = parts.identity.may_vote();
  seen.node = this;
  return seen;
}

std::optional<TimePoint> Node::Inspection::lease_end(const AttemptId& attempt) const {
  return node->parts_->runner.lease_end(attempt);
}

std::vector<std::uint64_t> Node::Inspection::open_transfers() const {
  return node->parts_->runner.open_transfers();
}

const wire::ShardConfig* Node::Inspection::config(ShardId shard) const {
  return node->parts_->shards.config(shard);
}

std::uint64_t Node::Inspection::tasks_run() const {
  return node->parts_->context.counters.tasks_run;
}

std::vector<HeldTask> Node::Inspection::tasks() const {
  std::vector<HeldTask> held;
  const Parts& parts = *node->parts_;
  for (const ShardId shard : owned) {
    parts.shards.for_each_record(shard, [&](const wire::RecordKey& key, const std::string&, bool) {
      const task::RecordName name = record_name(key);
      if (name.kind != task::RecordKind::element && name.kind != task::RecordKind::job) return;
      const TaskId id{name.job, name.index};
      // An array's element 0 stands beside its job's record and is met under its own key.
      const bool array = name.kind == task::RecordKind::job &&
                         !parts.store.committed_job(shard, name.job).job.single;
      if (array) return;
      const auto shown = parts.store.committed(shard, id);
      if (shown.presence != TaskStore::Presence::present) return;
      held.push_back(
          {id, shown.task.state, shown.task.attempt, shown.task.node, shown.task.recovered});
    });
  }
  return held;
}

std::vector<TaskId> Node::Inspection::unsettled_tasks() const {
  std::vector<TaskId> tasks;
  const Parts& parts = *node->parts_;
  for (const ShardId shard : owned) {
    parts.shards.for_each_record(shard, [&](const wire::RecordKey& key, const std::string&, bool) {
      const task::RecordName name = record_name(key);
      if (name.kind != task::RecordKind::element && name.kind != task::RecordKind::job) return;
      if (parts.shards.committed(shard, key).state == shard::Committed::unsettled) {
        tasks.push_back({name.job, name.index});
      }
    });
  }
  return tasks;
}

}  // namespace shoal::node
