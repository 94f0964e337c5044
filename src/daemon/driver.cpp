#include "daemon/driver.hpp"

#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <csignal>
#include <cstdlib>
#include <map>
#include <tuple>
#include <utility>

#include "base/format.hpp"
#include "base/log.hpp"
#include "daemon/advertised.hpp"
#include "daemon/disk.hpp"
#include "daemon/effect_order.hpp"
#include "daemon/host.hpp"
#include "daemon/seeds.hpp"
#include "exec/executor.hpp"
#include "exec/supervisor.hpp"
#include "net/endpoint.hpp"
#include "net/transport.hpp"
#include "node/node.hpp"
#include "store/commit_writer.hpp"
#include "store/folder.hpp"
#include "store/store.hpp"

namespace shoal::daemon {
namespace {

constexpr std::chrono::seconds kStopMax{20};
constexpr std::chrono::milliseconds kFlushStep{20};
constexpr int kFlushStepsMax = 25;

node::Profile profile_of(const std::string& name) {
  if (name == "local") return node::Profile::local;
  return name == "wan" ? node::Profile::wan : node::Profile::lan;
}

net::Channel channel_of(node::Channel channel) {
  switch (channel) {
    case node::Channel::datagram:
      return net::Channel::datagram;
    case node::Channel::stream:
      return net::Channel::stream;
    case node::Channel::bulk:
      return net::Channel::bulk;
  }
  return net::Channel::stream;
}

// What connections leave of the descriptors is for the store, the supervisors and the streams that
// this node dials. Strangers and clients together do not keep out the peers.
net::Limits connection_limits(std::size_t descriptors) {
  constexpr std::size_t kOtherDescriptors = 300;
  constexpr std::size_t kAcceptedMin = 64;
  net::Limits limits;
  limits.accepted_max = std::max(descriptors, kOtherDescriptors + kAcceptedMin) - kOtherDescriptors;
  limits.ungreeted_max = std::min(limits.ungreeted_max, limits.accepted_max / 4);
  limits.sessions_max = std::min(limits.sessions_max, limits.accepted_max / 2);
  return limits;
}

exec::SpawnConfig spawn_config(const DriverConfig& config) {
  return {.data_folder = config.data_folder.string(), .count = config.supervisors};
}

std::uint64_t bytes_of(const std::vector<wire::Write>& writes) {
  std::uint64_t bytes = 0;
  for (const wire::Write& write : writes) {
    if (const auto* put = std::get_if<wire::PutRecord>(&write)) bytes += put->record.value.size();
  }
  return bytes;
}

}  // namespace

class Driver::Parts {
 public:
  Parts(DriverConfig config, store::DataFolder folder, DiskWatch disk,
        std::unique_ptr<store::Store> store)
      : config_(std::move(config)),
        folder_(std::move(folder)),
        disk_(std::move(disk)),
        store_(std::move(store)),
        wake_timer_(context_),
        tick_timer_(context_),
        seeds_(context_, config_.seeds,
               {.is_own =
                    [this](const Address& address) {
                      return address == advertised() || address == listening();
                    },
                .on_found =
                    [this](std::span<const Address> addresses) {
                      node_->on_seeds(now(), addresses);
                      schedule_turn();
                    },
                .joined = [this] { return node_->serving(); }}),
        stop_timer_(context_),
        flush_timer_(context_),
        signals_(context_, SIGTERM, SIGINT) {}

  Result<void> prepare(NodeId id, std::vector<exec::StartedSupervisor> supervisors);
  int run();

  NodeId id() const { return node_->id(); }
  Address listening() const { return transport_->listening(); }

 private:
  Result<void> listen(NodeId id);
  Result<void> restore();
  void start_threads();

  // Inputs
  Now now();
  void on_messages(const net::Origin& origin, std::vector<wire::Message> messages);
  void on_client_messages(net::SessionId session, std::vector<wire::ClientMessage> messages);
  Address advertised() const { return advertised_ ? advertised_->address() : Address{}; }
  void tell_advertised();
  void on_durable(std::uint64_t sequence, Duration took);
  asio::awaitable<void> wait_for_signals();
  asio::awaitable<void> tick();
  void note_disk();

  // Turns
  void schedule_turn();
  void turn();
  void arm_wake_timer(TimePoint wake_at);
  void note_changes();
  asio::awaitable<void> finish();
  void end();
  asio::awaitable<void> collect_orphans();

  // Effects
  void carry_out(Effects effects);
  void send(std::vector<node::Envelope> envelopes);
  void answer(std::vector<node::ClientAnswer> answers);
  void read_store(const node::StoreRead& read);

  const DriverConfig config_;
  store::DataFolder folder_;
  DiskWatch disk_;
  asio::io_context context_{1};
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<net::Transport> transport_;
  std::unique_ptr<exec::Executor> executor_;
  std::unique_ptr<node::Node> node_;
  std::unique_ptr<store::CommitWriter> writer_;
  std::unique_ptr<store::ReadThread> reader_;
  EffectOrder order_;
  asio::steady_timer wake_timer_;
  asio::steady_timer tick_timer_;
  Seeds seeds_;
  asio::steady_timer stop_timer_;
  asio::steady_timer flush_timer_;
  asio::signal_set signals_;

  std::optional<Advertised> advertised_;  // Once it listens.
  ClusterId cluster_;
  Now now_;
  bool clocks_read_ = false;  // For the inputs since the last turn.
  bool turn_scheduled_ = false;
  TimePoint wake_at_ = kNever;
  TimePoint armed_for_ = kNever;
  std::vector<wire::Message> to_self_;
  bool ready_ = false;
  bool finishing_ = false;
  int status_ = 0;
  bool disk_low_ = false;  // As the node knows it.
  std::uint64_t garbage_seen_ = 0;
};

// --- Boot --------------------------------------------------------------------------------------

Result<void> Driver::Parts::prepare(NodeId id, std::vector<exec::StartedSupervisor> supervisors) {
  executor_ = std::make_unique<exec::Executor>(
      context_, exec::ExecutorConfig{.node = id, .supervisors = spawn_config(config_)},
      exec::Executor::Events{.on_ended =
                                 [this](task::ProcessEnded ended) {
                                   node_->on_process_ended(now(), std::move(ended));
                                   schedule_turn();
                                 },
                             .on_recovered =
                                 [this](std::vector<task::RecoveredAttempt> attempts) {
                                   node_->on_recovered(now(), std::move(attempts));
                                   schedule_turn();
                                 },
                             .on_recovery_complete =
                                 [this] {
                                   node_->on_recovery_complete(now());
                                   schedule_turn();
                                 }});
  if (auto started = executor_->start(std::move(supervisors)); !started) return started;
  if (auto listening = listen(id); !listening) return listening;
  node_ = std::make_unique<node::Node>(node::NodeConfig{.id = id,
                                                        .name = config_.name,
                                                        .address = advertised(),
                                                        .cpu_millis = config_.cpu_millis,
                                                        .memory_bytes = config_.memory_bytes,
                                                        .profile = profile_of(config_.profile),
                                                        .expect = config_.expect,
                                                        .join = !config_.seeds.empty(),
                                                        .version = config_.version},
                                       random_seed());
  return restore();
}

Result<void> Driver::Parts::listen(NodeId id) {
  auto transport = net::Transport::listen(
      context_, config_.listen,
      {.node = id, .cluster = {}, .listening = {}, .version = config_.version},
      connection_limits(descriptors_max()),
      {.on_messages =
           [this](const net::Origin& origin, std::vector<wire::Message> messages) {
             on_messages(origin, std::move(messages));
           },
       .on_peer_closed =
           [this](NodeId peer) {
             node_->on_peer_closed(now(), peer);
             schedule_turn();
           },
       .on_client_messages =
           [this](net::SessionId session, std::vector<wire::ClientMessage> messages) {
             on_client_messages(session, std::move(messages));
           },
       .on_session_closed =
           [this](net::SessionId session) {
             node_->on_client_closed(now(), node::SessionId{static_cast<std::uint64_t>(session)});
             schedule_turn();
           },
       .on_local_address =
           [this](const Address& near) {
             if (advertised_->on_stream(near)) tell_advertised();
           }});
  if (!transport) return std::unexpected(transport.error());
  transport_ = std::move(*transport);
  advertised_.emplace(config_.advertise, listening(), !config_.seeds.empty(),
                      machine_addresses(listening().port));
  transport_->set_identity({}, advertised());
  return {};
}

Result<void> Driver::Parts::restore() {
  const Now began = read_clocks();
  std::uint64_t records = 0;
  const auto recovered = store_->recover(
      {.meta = [this](std::string_view name,
                      std::string_view value) { return node_->restore_meta(name, value); },
       .shard = [this](ShardId shard,
                       wire::ShardState state) { node_->restore_shard(shard, std::move(state)); },
       .record =
           [this, &records](ShardId shard, wire::Record record, bool intact) {
             ++records;
             node_->restore_record(shard, std::move(record), intact);
           }});
  if (!recovered) return recovered;
  if (records > 0) {
    const auto took =
        std::chrono::duration_cast<std::chrono::milliseconds>(read_clocks().steady - began.steady);
    log::info("daemon", "{} records recovered in {} ms", records, took.count());
  }
  return {};
}

void Driver::Parts::start_threads() {
  writer_ = std::make_unique<store::CommitWriter>(
      [this](std::span<const std::vector<wire::Write>> batches) { return store_->write(batches); },
      store::CommitWriter::Callbacks{.on_durable =
                                         [this](std::uint64_t sequence, Duration took) {
                                           asio::post(context_, [this, sequence, took] {
                                             on_durable(sequence, took);
                                           });
                                         },
                                     .on_failed =
                                         [](const Error& error) {
                                           log::error("daemon", "{}", error.message);
                                           std::_Exit(kExitDisk);
                                         }});
  reader_ = std::make_unique<store::ReadThread>();
}

int Driver::Parts::run() {
  start_threads();
  asio::co_spawn(context_, wait_for_signals(), asio::detached);
  asio::co_spawn(context_, tick(), asio::detached);
  seeds_.start();
  if (is_process_one()) asio::co_spawn(context_, collect_orphans(), asio::detached);
  node_->start(now());
  note_disk();
  schedule_turn();
  context_.run();
  writer_.reset();  // What is queued still reaches the disk.
  reader_.reset();
  return status_;
}

// --- Inputs ------------------------------------------------------------------------------------

Now Driver::Parts::now() {
  if (!clocks_read_) {
    now_ = read_clocks();
    clocks_read_ = true;
  }
  return now_;
}

void Driver::Parts::on_messages(const net::Origin& origin, std::vector<wire::Message> messages) {
  const node::Source source{
      .node = origin.node,
      .cluster = origin.cluster,
      .address = origin.address,
      .channel = origin.datagram ? node::Channel::datagram : node::Channel::stream};
  const Now at = now();
  for (wire::Message& message : messages) node_->on_message(at, source, std::move(message));
  schedule_turn();
}

void Driver::Parts::on_client_messages(net::SessionId session,
                                       std::vector<wire::ClientMessage> messages) {
  const node::SessionId client{static_cast<std::uint64_t>(session)};
  const Now at = now();
  for (wire::ClientMessage& message : messages) {
    if (auto* request = std::get_if<wire::ClientRequest>(&message)) {
      node_->on_client(at, client, std::move(*request));
    } else if (const auto* forget = std::get_if<wire::ClientForget>(&message)) {
      node_->on_client_forget(at, client, forget->id);
    } else {
      log::info("daemon", "a client sent a reply instead of a request; its session ends");
      transport_->close_session(session);
      node_->on_client_closed(at, client);
      break;
    }
  }
  schedule_turn();
}

void Driver::Parts::tell_advertised() {
  log::info("daemon", "this node is reached at {}", to_string(advertised()));
  transport_->set_identity(cluster_, advertised());
  node_->on_advertised(now(), advertised());
  schedule_turn();
}

void Driver::Parts::on_durable(std::uint64_t sequence, Duration took) {
  node_->on_sync_time(took);
  carry_out(order_.on_durable(sequence));
}

asio::awaitable<void> Driver::Parts::wait_for_signals() {
  std::error_code error;
  const int first = co_await signals_.async_wait(asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return;
  log::info("daemon", "signal {}: stopping; once more ends the process at once", first);
  node_->on_stop(now(), config_.end_tasks);
  schedule_turn();
  stop_timer_.expires_after(kStopMax);
  stop_timer_.async_wait([this](std::error_code stopped_before) {
    if (stopped_before) return;
    log::warn("daemon", "the node did not stop in time");
    end();
  });
  const int second = co_await signals_.async_wait(asio::redirect_error(asio::use_awaitable, error));
  if (!error) std::_Exit(128 + second);
}

asio::awaitable<void> Driver::Parts::tick() {
  while (true) {
    tick_timer_.expires_after(std::chrono::seconds(1));
    std::error_code error;
    co_await tick_timer_.async_wait(asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    node_->set_resident_bytes(resident_bytes());
    disk_.look();
    note_disk();
    if (advertised_->on_machine(machine_addresses(listening().port))) tell_advertised();
    const std::uint64_t garbage = transport_->stats().garbage;
    if (garbage > garbage_seen_) {
      log::info("daemon", "{} connections or datagrams could not be read so far", garbage);
      garbage_seen_ = garbage;
    }
    // Timers count the time that the machine is awake; the node's clock does not stop.
    if (wake_at_ <= now().steady) schedule_turn();
    if (!turn_scheduled_) clocks_read_ = false;
  }
}

void Driver::Parts::note_disk() {
  if (disk_.low() == disk_low_) return;
  disk_low_ = disk_.low();
  node_->on_disk_low(now(), disk_low_);
  schedule_turn();
}

// --- Turns -------------------------------------------------------------------------------------

void Driver::Parts::schedule_turn() {
  if (turn_scheduled_) return;
  turn_scheduled_ = true;
  // Behind everything that is ready: one turn for all of it.
  asio::post(context_, [this] { turn(); });
}

void Driver::Parts::turn() {
  turn_scheduled_ = false;
  const Now at = now();
  const node::Source self{.node = node_->id(), .cluster = cluster_, .address = advertised()};
  for (wire::Message& message : std::exchange(to_self_, {})) {
    node_->on_message(at, self, std::move(message));
  }
  if (wake_at_ <= at.steady) node_->on_time(at);
  node::Output output = node_->take_output();
  clocks_read_ = false;
  const TimePoint wake_at = output.wake_at;
  if (!output.refused.empty() && status_ == 0) {
    log::error("daemon", "{}", output.refused);
    status_ = kExitIdentity;
  }
  const bool stopped = output.stopped || status_ != 0;
  note_changes();
  carry_out(order_.on_output(std::move(output)));
  arm_wake_timer(wake_at);
  if (stopped && !finishing_) {
    finishing_ = true;
    asio::co_spawn(context_, finish(), asio::detached);
  }
}

void Driver::Parts::arm_wake_timer(TimePoint wake_at) {
  wake_at_ = wake_at;
  if (wake_at_ == kNever || armed_for_ <= wake_at_) return;  // Waking early does no harm.
  armed_for_ = wake_at_;
  const Duration wait = std::max(Duration::zero(), wake_at_ - now_.steady);
  wake_timer_.expires_after(wait);
  wake_timer_.async_wait([this](std::error_code error) {
    if (error) return;
    armed_for_ = kNever;
    schedule_turn();
  });
}

void Driver::Parts::note_changes() {
  if (const ClusterId cluster = node_->cluster(); cluster != cluster_) {
    cluster_ = cluster;
    transport_->set_identity(cluster_, advertised());
  }
  if (!ready_ && node_->serving()) {
    ready_ = true;
    if (config_.on_ready) config_.on_ready();
  }
}

// The node has said and written all: let it leave the queues.
asio::awaitable<void> Driver::Parts::finish() {
  executor_->dismiss_idle();
  const auto idle = [this] { return order_.settled() && transport_->idle() && executor_->idle(); };
  for (int i = 0; i < kFlushStepsMax && !idle(); ++i) {
    flush_timer_.expires_after(kFlushStep);
    std::error_code ignored;
    co_await flush_timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  end();
}

void Driver::Parts::end() {
  if (config_.end_tasks) {
    executor_->end_all();
  } else {
    executor_->leave();
  }
  context_.stop();
}

asio::awaitable<void> Driver::Parts::collect_orphans() {
  asio::signal_set ends(context_, SIGCHLD);
  while (true) {
    collect_ended_children();
    std::error_code error;
    co_await ends.async_wait(asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
  }
}

// --- Effects -----------------------------------------------------------------------------------

void Driver::Parts::carry_out(Effects effects) {
  // The disk first: it works while the rest is done.
  if (!effects.writes.empty()) {
    disk_.on_written(bytes_of(effects.writes));
    note_disk();
    writer_->add(effects.sequence, std::move(effects.writes));
  }
  for (const task::Kill& kill : effects.kills) executor_->kill(kill);
  for (const task::Extend& extend : effects.extensions) executor_->extend(extend);
  for (const AttemptId& attempt : effects.settled) executor_->settled(attempt);
  for (const task::Launch& launch : effects.launches) executor_->launch(launch);
  for (task::ProcessEnded& ended : effects.ended) {
    ended.result.started = ended.result.ended = now().wall;
    node_->on_process_ended(now(), std::move(ended));
    schedule_turn();
  }
  if (!effects.messages.empty()) send(std::move(effects.messages));
  if (!effects.answers.empty()) answer(std::move(effects.answers));
  for (const node::StoreRead& read : effects.store_reads) read_store(read);
  for (const task::OutputRead& read : effects.output_reads) {
    node_->on_output_read(now(), executor_->read_output(read));
    schedule_turn();
  }
}

void Driver::Parts::send(std::vector<node::Envelope> envelopes) {
  using Route = std::tuple<NodeId, Address, node::Channel>;
  std::map<Route, std::vector<wire::Message>> routes;
  for (node::Envelope& envelope : envelopes) {
    if (envelope.to == node_->id()) {
      to_self_.push_back(std::move(envelope.message));
      continue;
    }
    routes[{envelope.to, envelope.address, envelope.channel}].push_back(
        std::move(envelope.message));
  }
  for (const auto& [route, messages] : routes) {
    const auto& [to, address, channel] = route;
    transport_->send(to, address, channel_of(channel), messages);
  }
  if (!to_self_.empty()) schedule_turn();
}

void Driver::Parts::answer(std::vector<node::ClientAnswer> answers) {
  std::map<node::SessionId, std::vector<wire::ClientMessage>> sessions;
  for (node::ClientAnswer& each : answers) {
    sessions[each.session].push_back(std::move(each.reply));
  }
  for (const auto& [session, replies] : sessions) {
    transport_->reply(net::SessionId{static_cast<std::uint64_t>(session)}, replies);
  }
}

void Driver::Parts::read_store(const node::StoreRead& read) {
  const std::uint64_t request = read.request;
  const auto on_read = [this, request](std::optional<wire::Record> record) {
    asio::post(context_, [this, request, record = std::move(record)]() mutable {
      node_->on_store_read(now(), request, std::move(record));
      schedule_turn();
    });
  };
  reader_->add([this, read] { return store_->read(read.shard, read.key); }, on_read);
}

// --- The face ----------------------------------------------------------------------------------

Driver::Driver(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Driver::~Driver() = default;

Result<std::unique_ptr<Driver>> Driver::boot(DriverConfig config) {
  config.end_tasks = config.end_tasks || is_process_one();
  auto folder = store::DataFolder::open(config.data_folder);
  if (!folder) return std::unexpected(folder.error());
  // While this process is small and has one thread. Tasks keep the limit of descriptors they know.
  const exec::SpawnConfig spawning = spawn_config(config);
  auto supervisors = exec::spawn_supervisors(spawning);
  if (!supervisors) return std::unexpected(supervisors.error());
  raise_descriptors_max();
  const auto failed = [&](const Error& error) {
    exec::discard_supervisors(spawning, *supervisors);
    return std::unexpected(error);
  };
  DiskWatch disk(config.data_folder, config.disk_reserve);
  disk.look();  // A full disk needs the ballast's room before the store is opened.
  auto identified = folder->open_store(config.new_identity);
  if (!identified) return failed(identified.error());
  auto parts = std::make_unique<Parts>(std::move(config), std::move(*folder), std::move(disk),
                                       std::move(identified->store));
  if (auto prepared = parts->prepare(identified->id, *supervisors); !prepared) {
    return failed(prepared.error());
  }
  return std::make_unique<Driver>(std::move(parts));
}

NodeId Driver::id() const { return parts_->id(); }
Address Driver::listening() const { return parts_->listening(); }
int Driver::run() { return parts_->run(); }

}  // namespace shoal::daemon
