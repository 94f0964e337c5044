#include "node/parts.hpp"

#include <algorithm>
#include <span>
#include <utility>
#include <variant>

#include "base/log.hpp"
#include "base/probes.hpp"
#include "wire/codec.hpp"

namespace shoal::node {
namespace {

membership::MembershipConfig membership_config(Profile profile) {
  switch (profile) {
    case Profile::local:
      return membership::config_of(membership::Profile::local);
    case Profile::lan:
      return membership::config_of(membership::Profile::lan);
    case Profile::wan:
      return membership::config_of(membership::Profile::wan);
  }
  return membership::config_of(membership::Profile::lan);
}

constexpr std::size_t kMembersKept = 4000;  // On disk: with the longest names, less than a frame.
constexpr Duration kStopStep = std::chrono::milliseconds(50);
constexpr Duration kLeaveInterval = std::chrono::milliseconds(200);
constexpr std::string_view kMetaBoot = "boot";
constexpr std::string_view kMetaMembers = "members";

}  // namespace

Node::Parts::Parts(const NodeConfig& config, std::uint64_t seed)
    : context(config, seed),
      shards(config.id, config.shards, mix64(seed)),
      founding(context),
      store(context),
      operations(context),
      watches(context, store, operations),
      runner(context),
      relay(context),
      leases(context, store),
      claims(context, store, leases, runner, relay, watches),
      tracker(context, store),
      job_owner(context, store, operations, claims, tracker, watches),
      gateway(context,
              {.jobs = [this](const wire::ListJobs& query) { return local_jobs(query); },
               .stats = [this] { return local_stats(); },
               .cluster = [this] { return founding.cluster(); }},
              [this](Now at, SessionId session, std::uint64_t request, wire::CommandNode command) {
                commands.on_client(at, session, request, std::move(command));
              }),
      identity(context),
      takeovers(context),
      home_changes(context),
      commands(context, home_changes),
      expiry(context, store, tracker) {
  context.shards = &shards;
  context.table = &table;
}

void Node::Parts::start(Now at) {
  now = at;
  started = true;
  context.started_wall = at.wall;
  ++context.boot_epoch;
  context.boot_nonce = context.random.next() | 1;
  context.output.writes.emplace_back(
      wire::PutMeta{std::string(kMetaBoot), std::to_string(context.boot_epoch)});
  const NodeConfig& config = context.config;
  const wire::MemberInfo info{.address = config.address,
                              .name = config.name,
                              .zone = config.zone,
                              .weight_eighths = config.weight_eighths,
                              .cpu_millis = config.cpu_millis,
                              .memory_bytes = config.memory_bytes,
                              .boot_nonce = context.boot_nonce};
  membership =
      std::make_unique<membership::Membership>(membership_config(config.profile), config.id,
                                               wire::Incarnation{.boot_epoch = context.boot_epoch},
                                               info, Random(context.random.next()), at.steady);
  context.membership = membership.get();
  membership->restore(at.steady, remembered);
  remembered.clear();
  founding.start(at);
  identity.start(at);
  takeovers.start(at);
  home_changes.start(at);
  commands.start(at);
  take_over_own(at);
  // Comes back when what was written above is on disk: from then on this node may speak.
  context.output.promises.push_back({config.id, {}, Channel::stream, wire::FoundingHeld{}});
}

// C1 for the shards this node owned last, or is first to own. Not before it may vote (F2).
void Node::Parts::take_over_own(Now at) {
  if (!identity.may_vote() || !founding.take_just_founded()) return;
  for (std::uint32_t number = 0; number < founding.shard_count(); ++number) {
    const ShardId shard{number};
    const wire::ShardConfig* config = shards.config(shard);
    if (config == nullptr || config->home.empty()) continue;
    const wire::Ballot promised = shards.promised(shard);
    table.merge({.shard = shard, .config = *config, .owner = promised});
    const NodeId last = promised.node ? promised.node : config->home.front();
    if (last == context.self()) shards.take_over(at.steady, shard);
  }
  next_table = at.steady;
}

// The shard protocol's messages and writes, where this node may speak (F2).
void Node::Parts::pass_on(Now at, shard::Output& out) {
  const auto send = [&](std::vector<Envelope>& list, NodeId to, shard::Message& message) {
    if (!identity.may_talk(to)) return identity.on_withheld(at, to, {});
    const membership::Member* member = membership->find(to);
    const Address address = member == nullptr ? Address{} : member->info.address;
    list.push_back(std::visit(
        [&](auto& m) {
          return Envelope{to, address, Channel::stream, wire::Message(std::move(m))};
        },
        message));
  };
  Output& output = context.output;
  for (auto& [to, message] : out.messages) {
    if (probes::fails(probes::Site::shard_message_lost)) continue;
    send(output.messages, to, message);
  }
  for (auto& [to, message] : out.promises) {
    if (to != context.self() && probes::fails(probes::Site::shard_message_lost)) continue;
    send(output.promises, to, message);
  }
  if (!out.writes.empty()) identity.on_shard_writes(at);
  std::ranges::move(out.writes, std::back_inserter(output.writes));
  for (const shard::DetachedRead& read : out.reads) {
    output.store_reads.push_back({read.id, read.shard, read.key});
  }
}

bool Node::Parts::drain_shards(Now at) {
  shard::Output out = shards.take_output(at.steady);
  if (identity.refused()) return false;
  const bool moved = !out.messages.empty() || !out.promises.empty() || !out.writes.empty() ||
                     !out.committed.empty() || !out.owned.empty() || !out.lost.empty() ||
                     !out.confirmed.empty() || !out.values.empty();
  pass_on(at, out);
  for (const ShardId shard : out.lost) {
    job_owner.on_lost(shard);
    takeovers.on_lost(at, shard);
    home_changes.on_lost(shard);
    expiry.on_lost(shard);
  }
  for (const shard::RefusedEvent& event : out.refused) takeovers.on_refused(at, event);
  for (const ShardId shard : out.owned) {
    if (!shards.owns(shard)) continue;  // Won and lost in one turn.
    table.merge({.shard = shard, .config = {}, .owner = shards.ballot(shard)});
    next_table = std::min(next_table, at.steady);
    const bool recovered = std::ranges::find(out.recovered, shard) != out.recovered.end();
    job_owner.on_owned(at, shard, recovered);
    takeovers.on_owned(at, shard);
    home_changes.on_owned(at, shard);
    expiry.on_owned(shard);
  }
  for (const shard::CommittedEvent& event : out.committed) {
    if (event.token == 0 || !context.serves(event.shard)) continue;
    job_owner.on_committed(at, event.shard, event.key, unpack(event.token));
  }
  for (const shard::ConfirmDone& done : out.confirmed) {
    leases.on_confirmed(at, done);
    job_owner.on_confirmed(done);
  }
  for (const shard::ValueEvent& value : out.values) watches.on_value(value);
  for (const ShardId shard : out.settled_configs) {
    table.merge({.shard = shard, .config = *shards.config(shard), .owner = shards.ballot(shard)});
    next_table = std::min(next_table, at.steady);
    home_changes.on_settled(at, shard);
  }
  for (const shard::HandOver& left : out.handed_over) {
    context.send(left.to, wire::HandOver{{left.shard}});
  }
  for (const ShardId shard : out.recovered) commands.on_recovered(at, shard);
  return moved;
}

bool Node::Parts::drain_membership(Now at) {
  membership::Output out = membership->take_output();
  for (membership::Envelope& envelope : out.messages) {
    std::visit(
        [&](auto& message) {
          const Channel channel = envelope.channel == membership::Channel::datagram
                                      ? Channel::datagram
                                      : Channel::stream;
          context.output.messages.push_back(
              {envelope.to, envelope.address, channel, wire::Message(std::move(message))});
        },
        envelope.message);
  }
  memory_dirty = memory_dirty || out.memory_changed;
  if (out.rival) identity.on_rival(at, *out.rival);
  for (const membership::Event& event : out.events) {
    identity.on_member(at, event);
    if (event.node == context.self()) continue;
    takeovers.on_member(at, event);
    home_changes.on_member(at, event);
    note_boot(at, event.node);
    const bool gone = event.change == membership::Change::dead ||
                      event.change == membership::Change::left ||
                      event.change == membership::Change::forgotten;
    const membership::Member* member = membership->find(event.node);
    log::info("node", "{} ({}) is {}", short_text(event.node),
              member == nullptr ? "" : member->info.name, membership::to_string(event.change));
    if (event.change == membership::Change::alive) leases.on_member_alive(event.node);
    if (event.change == membership::Change::suspect) gateway.on_suspect(at, event.node);
    if (gone) {
      runner.on_member_gone(event.node);
      gateway.on_peer_closed(at, event.node);
    }
  }
  return !out.messages.empty();
}

// A process that was started anew has read its disk again, and may have found bad copies (C5).
void Node::Parts::note_boot(Now at, NodeId node) {
  const membership::Member* member = membership->find(node);
  if (member == nullptr || member->state != wire::MemberState::alive) return;
  std::uint64_t& known = boots[node];
  if (known != 0 && known < member->incarnation.boot_epoch) {
    shards.on_peer_restarted(at.steady, node);
  }
  known = std::max(known, member->incarnation.boot_epoch);
}

void Node::Parts::settle(Now at) {
  if (!started) return;
  const Source self{context.self(), founding.cluster(), {}, Channel::stream};
  for (bool moved = true; moved;) {
    moved = false;
    while (!context.inbox.empty()) {
      wire::Message message = std::move(context.inbox.front());
      context.inbox.pop_front();
      dispatch(at, self, std::move(message));
    }
    take_over_own(at);
    claims.pump(at);
    runner.pump(at, claims.queue().any_fits(runner.capacity()));
    runner.flush();
    relay.flush();
    claims.flush();
    leases.flush();
    for (const auto& [shard, owner] : std::exchange(context.unanswered, {})) {
      if (owner && owner != context.self()) takeovers.on_unanswered(at, shard, owner);
    }
    takeovers.flush();
    moved = drain_shards(at) || moved;
    moved = drain_membership(at) || moved;
    operations.flush();
    watches.flush();
    gateway.flush(at);
    moved = moved || !context.inbox.empty();
  }
}

void Node::Parts::spread_table(Now at) {
  if (at.steady < next_table || !founding.serving()) return;
  next_table = at.steady + kTableInterval;
  const std::span<const NodeId> peers = membership->peers();
  if (peers.empty() || probes::fails(probes::Site::table_not_spread)) return;
  context.send(peers[context.random.below(peers.size())], table.digest());
}

void Node::Parts::remember_members(Now at) {
  if (!memory_dirty || at.steady < next_memory) return;
  next_memory = at.steady + kMemoryInterval;
  memory_dirty = false;
  wire::MemberTable kept{.records = membership->memory(at.steady)};
  // What is left out is learnt again from the members that are not.
  if (kept.records.size() > kMembersKept) kept.records.resize(kMembersKept);
  context.output.writes.emplace_back(
      wire::PutMeta{std::string(kMetaMembers), wire::encode_message(kept)});
}

void Node::Parts::every_second(Now at) {
  if (at.steady < next_second) return;
  next_second = at.steady + std::chrono::seconds(1);
  context.records = 0;
  for (std::uint32_t shard = 0; shard < context.shard_count; ++shard) {
    context.records += shards.record_count(ShardId{shard});
  }
  store.sweep();
}

void Node::Parts::stop(Now at, bool end_tasks) {
  if (context.stopping) return;
  context.stopping = true;
  stop_deadline = at.steady + kStopMax;
  // What it would win it could not keep.
  for (std::uint32_t shard = 0; shard < context.shard_count; ++shard) shards.yield(ShardId{shard});
  runner.on_stop(at, end_tasks);
}

void Node::Parts::stop_step(Now at) {
  if (!context.stopping && home_changes.leaving() && at.steady >= next_leave) {
    next_leave = at.steady + kLeaveInterval;
    if (home_changes.may_go() && (home_changes.at_once() || runner.running_count() == 0)) {
      log::info("node", "this node leaves the cluster");
      stop(at, true);
    }
  }
  if (!context.stopping) return;
  const bool over = runner.idle(at) || at.steady >= stop_deadline;
  if (over && !farewell) {
    farewell = true;
    farewell_until = at.steady + std::chrono::seconds(1);
    if (home_changes.may_go()) {  // Stopped on its way out, it is still needed, and comes back.
      membership->leave(at.steady);
    } else {
      membership->announce_stop(at.steady);
    }
  }
  if (farewell && (membership->farewell_sent() || at.steady >= farewell_until)) {
    context.output.stopped = true;
  }
}

void Node::Parts::on_time(Now at) {
  if (!started || identity.refused()) return;
  const scheduling::Resources free = runner.free();
  membership->set_load({.cpu_millis_free = static_cast<std::uint32_t>(free.cpu_millis),
                        .memory_bytes_free = free.memory_bytes,
                        .ready = static_cast<std::uint32_t>(claims.queue().size()),
                        .running = static_cast<std::uint32_t>(runner.running_count()),
                        .store_sequence = identity.announced(),
                        .wall_ms = at.wall.time_since_epoch().count()});
  membership->on_time(at.steady);
  shards.set_wall(static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(at.wall.time_since_epoch()).count()));
  shards.on_time(at.steady);
  founding.on_time(at);
  runner.on_time(at);
  claims.on_time(at);
  leases.on_time(at);
  relay.on_time(at);
  tracker.on_time(at);
  watches.on_time(at);
  gateway.set_waiting_for(founding.waiting_for());
  gateway.on_time(at);
  identity.on_time(at);
  if (identity.may_vote()) takeovers.on_time(at);
  home_changes.on_time(at);
  commands.on_time(at);
  expiry.on_time(at);
  spread_table(at);
  remember_members(at);
  every_second(at);
  stop_step(at);
}

TimePoint Node::Parts::wake_at() const {
  if (identity.refused()) return kNever;
  TimePoint at =
      std::min({membership->wake_at(), shards.wake_at(), founding.wake_at(), runner.wake_at(),
                claims.wake_at(), leases.wake_at(), relay.wake_at(), tracker.wake_at(),
                watches.wake_at(), gateway.wake_at(), identity.wake_at(), home_changes.wake_at(),
                commands.wake_at(), expiry.wake_at(), next_second});
  if (identity.may_vote()) at = std::min(at, takeovers.wake_at());
  if (founding.serving()) at = std::min(at, next_table);
  if (memory_dirty) at = std::min(at, next_memory);
  if (context.stopping) at = std::min(at, now.steady + kStopStep);
  if (home_changes.leaving() && !context.stopping) at = std::min(at, next_leave);
  return at;
}

std::vector<JobStatus> Node::Parts::local_jobs(const wire::ListJobs& query) {
  std::vector<JobStatus> found;
  const JobPrefix prefix{query.prefix_bits, query.prefix_mask};
  const auto& index = store.index();
  for (auto entry = index.rbegin(); entry != index.rend() && found.size() < query.limit; ++entry) {
    const auto& [id, shard] = *entry;
    if (!prefix.matches(id) || !context.serves(shard)) continue;
    const auto shown = store.committed_job(shard, id);
    if (shown.presence != TaskStore::Presence::present) continue;
    if ((query.states >> static_cast<unsigned>(shown.job.state) & 1) == 0) continue;
    if (!query.name.empty() && shown.job.name != query.name) continue;
    found.push_back(tracker.status(shard, id, shown.job));
  }
  return found;
}

wire::NodeStats Node::Parts::local_stats() const {
  wire::NodeStats stats{.tasks_run = context.counters.tasks_run,
                        .tasks_stolen = context.counters.tasks_stolen,
                        .tasks_given = context.counters.tasks_given,
                        .commits = context.counters.commits,
                        .resident_bytes = resident_bytes,
                        .dropped_inputs = context.counters.dropped_inputs};
  for (std::uint32_t number = 0; number < context.shard_count; ++number) {
    const ShardId shard{number};
    if (shards.owns(shard)) ++stats.shards_owned;
    stats.records += shards.record_count(shard);
  }
  stats.shards_home = home_changes.homes();
  stats.sync = {sync_times.count(), sync_times.quantile(500), sync_times.quantile(990)};
  stats.uptime_ms = static_cast<std::uint64_t>((now.wall - context.started_wall).count());
  const scheduling::Resources capacity = runner.capacity();
  const scheduling::Resources started_now = runner.started();
  stats.cpu_millis = static_cast<std::uint32_t>(capacity.cpu_millis);
  stats.cpu_millis_free = static_cast<std::uint32_t>((capacity - started_now).cpu_millis);
  stats.memory_bytes = capacity.memory_bytes;
  stats.memory_bytes_free = (capacity - started_now).memory_bytes;
  stats.running = static_cast<std::uint32_t>(runner.running_count());
  stats.ready = static_cast<std::uint32_t>(claims.queue().size());
  return stats;
}

}  // namespace shoal::node
