// A world of real node::Node objects in virtual time: the other driver beside the daemon.
//
// Everything that happens follows from one seed: the order of events, latencies, losses, what a
// crash leaves on a disk, how long a process runs. Nothing here knows what a correct cluster is;
// that is the checkers' part, as the load is the workload's and misfortune the faults'.
//
// An input is followed at once by take_output(), carried out as node/output.hpp says. A node that
// is paused, or slow and just not running, finds its inputs in order when it goes on.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/random.hpp"
#include "node/inspection.hpp"
#include "node/node.hpp"
#include "sim/disk.hpp"
#include "sim/event_queue.hpp"
#include "sim/network.hpp"
#include "sim/node_clock.hpp"
#include "sim/processes.hpp"
#include "sim/trace.hpp"

namespace shoal::sim {

struct WorldOptions {
  std::uint64_t seed = 1;
  NetworkOptions network;
  DiskOptions disk;
  ProcessOptions processes;
  std::uint32_t clock_rate_ppm_max = 1000;              // Each node's clock is off by up to this.
  Duration slow_slice = std::chrono::milliseconds(20);  // How long a slow node runs at a time.
  std::uint32_t encode_one_in = 64;  // This share of the messages is encoded, sizes checked.
};

struct WorldFigures {
  std::uint64_t inputs = 0;
  std::uint64_t datagrams = 0;
  std::uint64_t stream_messages = 0;
  std::uint64_t grants = 0;     // Granted attempts on their way to another node.
  std::uint64_t takeovers = 0;  // Distinct (shard, ballot) prepared.
  std::uint64_t launches = 0;
  std::uint64_t crashes = 0;
  std::uint64_t syncs = 0;
};

// What observers of the world may be told. Empty ones are not called.
struct WorldHooks {
  std::function<void(NodeIndex, const AttemptId&, const TaskSpec&)> process_started;
  std::function<void(NodeIndex, const AttemptId&)> process_ended;  // Also by a crash.
  std::function<void(NodeIndex)> suspended;
  std::function<void(NodeIndex)> processes_resumed;
  std::function<void(NodeIndex)> progressed;   // It was granted or started something.
  std::function<void(std::string)> violation;  // Broken rules that the world itself sees.
};

class Simulator {
 public:
  explicit Simulator(const WorldOptions& options);
  ~Simulator();
  Simulator(const Simulator&) = delete;
  Simulator& operator=(const Simulator&) = delete;

  // --- Nodes
  // `config` gets an id, a name and an address where it has none. The node starts when told.
  NodeIndex add_node(node::NodeConfig config, std::vector<NodeIndex> seeds = {});
  std::size_t node_count() const { return hosts_.size(); }
  void start(NodeIndex index);    // REQUIRES: down. Also after a crash or stop.
  void crash(NodeIndex index);    // kill -9. No effect when it is down.
  void stop(NodeIndex index);     // SIGTERM; goes down when it says so.
  void suspend(NodeIndex index);  // The whole host: node and processes.
  void resume(NodeIndex index);   // The node at once, its processes 200 ms later.
  void slow_down(NodeIndex index, std::uint32_t factor);  // Runs 1/factor of the time; 1: always.
  void set_disk_low(NodeIndex index, bool low);  // Its disk has little room, or enough again.
  void move_to(NodeIndex index, const Address& address);  // REQUIRES: down.

  bool up(NodeIndex index) const;
  bool paused(NodeIndex index) const;
  std::uint32_t boot(NodeIndex index) const { return host(index).boot; }  // Counts its starts.
  NodeId id(NodeIndex index) const;
  const node::NodeConfig& config(NodeIndex index) const;
  node::NodeConfig& config_at_next_start(NodeIndex index);
  // What the host really has: the config's, unless set_capacity() says otherwise (a mutation).
  Capacity capacity(NodeIndex index) const { return host(index).capacity; }
  void set_capacity(NodeIndex index, Capacity capacity) { host(index).capacity = capacity; }
  node::Node& node(NodeIndex index);  // REQUIRES: up.
  Disk& disk(NodeIndex index);
  // Why the node refused to go on (F2) when it ended last; empty when it did not.
  const std::string& refusal(NodeIndex index) const { return host(index).refusal; }
  const Processes& processes(NodeIndex index) const;
  ProcessOptions& process_options(NodeIndex index);
  Network& network() { return network_; }

  // --- Clients
  using OnReply = std::function<void(wire::ClientReply)>;
  using OnClosed = std::function<void()>;
  // A connection to a node; absent when it is down. `closed` comes when the node dies.
  std::optional<node::SessionId> connect(NodeIndex gateway, OnReply reply, OnClosed closed);
  void request(node::SessionId session, wire::ClientRequest request);
  void forget(node::SessionId session, std::uint64_t request);
  void disconnect(node::SessionId session);

  // --- Time
  TimePoint now() const { return now_; }
  WallTime wall() const;
  void at(TimePoint when, std::function<void()> action);
  void after(Duration delay, std::function<void()> action) { at(now_ + delay, std::move(action)); }
  bool step();  // One event; false when none is left.
  void run_until(TimePoint when);
  void run_for(Duration duration) { run_until(now_ + duration); }
  // Asks `done` every so often; false when `deadline` passes first.
  bool run_until(const std::function<bool()>& done, Duration deadline,
                 Duration every = std::chrono::milliseconds(10));

  // --- Looking on
  void set_hooks(WorldHooks hooks) { hooks_ = std::move(hooks); }
  // Messages for which it returns true vanish: a mutation, for the checkers' own tests.
  void set_filter(std::function<bool(NodeIndex from, const node::Envelope&)> drops);
  // What the node and its host are at, and whom it sees: one line for people.
  std::string describe(NodeIndex index) const;
  const Trace& trace() const { return trace_; }
  const WorldFigures& figures() const { return figures_; }
  Random& random() { return random_; }
  std::uint64_t seed() const { return options_.seed; }

 private:
  using Input = std::move_only_function<void(node::Node&, Now)>;
  struct Host {
    node::NodeConfig config;
    std::vector<NodeIndex> seeds;
    std::unique_ptr<node::Node> node;  // Null: down.
    std::uint32_t boot = 0;
    std::string refusal;
    bool paused = false;
    std::uint32_t slow_factor = 1;
    std::deque<Input> inbox;  // While it does not run. Datagrams beyond kInboxMax are dropped.
    bool drain_due = false;
    TimePoint wake_wanted = kNever;     // What the node last asked for.
    TimePoint wake_scheduled = kNever;  // The event that stands for it, perhaps earlier.
    TimePoint woken_at;
    std::uint32_t wakes_at_once = 0;  // In one moment: a node that spins is a bug.
    NodeClock clock;
    Capacity capacity;
    Disk disk;
    Processes processes;
  };
  struct Session {
    NodeIndex gateway = 0;
    std::uint32_t boot = 0;
    OnReply reply;
    OnClosed closed;
  };
  struct Delivery {
    NodeIndex to = 0;
    std::uint32_t boot = 0;  // 0: whoever runs there then.
    bool datagram = false;
    Flight flight;
  };
  struct StreamDue {
    Network::Lane lane;
  };
  struct PeerCloses {
    NodeIndex at = 0;
    std::uint32_t boot = 0;
    NodeId peer;
  };
  enum class Due : std::uint8_t { wake, sync, drain, processes_resume };
  struct HostDue {
    NodeIndex at = 0;
    std::uint32_t boot = 0;
    Due what = Due::wake;
    Duration took{};
  };
  struct ProcessDue {
    NodeIndex at = 0;
    Processes::Ending ending;
  };
  struct Action {
    std::function<void()> action;
  };
  using Event =
      std::variant<std::monostate, Delivery, StreamDue, PeerCloses, HostDue, ProcessDue, Action>;

  Host& host(NodeIndex index);
  const Host& host(NodeIndex index) const;
  Now now_at(const Host& host) const;
  bool runs_now(NodeIndex index, const Host& host) const;
  TimePoint next_slice(NodeIndex index) const;
  void violation(std::string text);

  void input(NodeIndex index, Input apply, bool droppable = false);
  void drain(NodeIndex index);
  void carry_out(NodeIndex index);
  void release(NodeIndex index, Deferred deferred);
  void begin_sync(NodeIndex index);
  void schedule_wake(NodeIndex index, TimePoint wanted);
  void wake(NodeIndex index);
  void send(NodeIndex from, node::Envelope envelope);
  void send_stream(NodeIndex from, NodeIndex to, node::Envelope envelope);
  void refuse(NodeIndex from, std::optional<NodeIndex> to, NodeId peer, bool bulk);
  std::optional<NodeIndex> listener(const node::Envelope& envelope) const;
  void count(const wire::Message& message);
  void check_size(NodeIndex from, const node::Envelope& envelope);
  void answer(NodeIndex index, node::ClientAnswer answer);
  void go_down(NodeIndex index);
  void close_connections(NodeIndex index);
  void launch(NodeIndex index, const task::Launch& launch);
  void kill(NodeIndex index, const task::Kill& each, Deferred& deferred);
  void read_store(NodeIndex index, const node::StoreRead& read);

  void on(std::monostate) {}
  void on(Delivery delivery);
  void on(StreamDue due);
  void on(PeerCloses closes);
  void on(HostDue due);
  void on(ProcessDue due);
  void on(Action action) { action.action(); }
  void deliver(NodeIndex to, Flight flight, bool datagram);

  WorldOptions options_;
  Random random_;
  Network network_;
  TimePoint now_;
  EventQueue<Event> events_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::map<NodeId, NodeIndex> by_id_;
  std::map<Address, NodeIndex> by_address_;
  std::map<node::SessionId, Session> sessions_;
  std::uint64_t sessions_made_ = 0;
  std::uint64_t messages_sent_ = 0;
  std::map<ShardId, std::map<wire::Ballot, bool>> prepared_;
  WorldHooks hooks_;
  std::function<bool(NodeIndex, const node::Envelope&)> drops_;
  Trace trace_;
  WorldFigures figures_;
};

}  // namespace shoal::sim
