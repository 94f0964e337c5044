// A world of real node::Node objects in virtual time: the other driver beside the daemon.
//
// Everything that happens follows from one seed: the order of events, latencies, losses, what a
// crash leaves on a disk, how long a process runs. Nothing here knows what a correct cluster is;
// that is the checkers' part, as the load is the workload's and misfortune the faults'.
//
// An input is followed at once by take_output(), carried out as node/output.hpp says. A node that
// is paused, or slow and just not running, finds its inputs in order when it goes on. A host is
// more than its node: clock, disk and supervised processes outlive it.
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
#include "sim/event_queue.hpp"
#include "sim/events.hpp"
#include "sim/host.hpp"
#include "sim/taps.hpp"
#include "sim/trace.hpp"
#include "sim/world.hpp"

namespace shoal::sim {

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
  void start(NodeIndex index);       // REQUIRES: down. Resumes a suspended host first.
  void crash(NodeIndex index);       // kill -9 of the node alone. No effect when it is down.
  void crash_host(NodeIndex index);  // Power loss: processes too, down until start().
  // SIGTERM; goes down when it says so. `end_tasks`: its processes cannot outlive it.
  void stop(NodeIndex index, bool end_tasks = false);
  bool stopping(NodeIndex index) const { return host(index).stopping; }
  void pause(NodeIndex index);  // SIGSTOP of the node alone: its processes go on.
  void unpause(NodeIndex index);
  void suspend(NodeIndex index);  // The whole host; its clock runs on.
  void resume(NodeIndex index);   // Node and supervisors at once, tasks 200 ms later.
  void slow_down(NodeIndex index, std::uint32_t factor);  // Runs 1/factor of the time; 1: always.
  // Its next output leaves `by` later; the node does nothing meanwhile.
  void stall_loop(NodeIndex index, Duration by);
  void crash_at_sync(NodeIndex index, SyncMoment moment, std::function<void()> crashed);
  void clear_traps(NodeIndex index);                      // Neither; what is stalled goes on.
  void move_to(NodeIndex index, const Address& address);  // REQUIRES: down.
  // Other seeds from `from`, when all that it has are abandoned.
  void renew_seeds(NodeIndex index, std::span<const NodeIndex> from);
  // An empty data folder: a new identity, which joins. REQUIRES: down.
  void replace_store(NodeIndex index);
  void load_store(NodeIndex index, Disk::Image image);  // An older or a foreign one, likewise.
  void damage(NodeIndex index, const Disk::Place& place);
  // Its tasks are killed with it; what it kept is gone. Another one takes its place.
  void kill_supervisor(NodeIndex index, std::uint32_t supervisor);
  // Another host with a copy of this one's data folder, key included. Not started.
  NodeIndex clone(NodeIndex index);
  void set_disk_low(NodeIndex index, bool low);
  void set_wall_offset(NodeIndex index, std::chrono::milliseconds offset);
  void set_clock_rate(NodeIndex index, std::int32_t rate_ppm);
  // Some wall clock was, at some time, so far off that nodes refuse good ids.
  bool clocks_were_wrong() const { return clocks_were_wrong_; }
  // By some node's clock it was, or may be, as late as that.
  WallTime latest_wall() const { return wall() + most_ahead_; }
  std::int32_t clock_rate(NodeIndex index) const { return host(index).clock.rate_ppm(); }
  // Nothing is expected of it any more: no client goes there, nobody looks.
  void abandon(NodeIndex index) { host(index).abandoned = true; }
  bool abandoned(NodeIndex index) const { return host(index).abandoned; }
  // Why its node ended by itself and does not go on with its store; empty: it did not.
  const std::string& refused(NodeIndex index) const { return host(index).refused; }
  // Its store may end its node any moment (F2): nobody may count on it.
  bool spoilt(NodeIndex index) const { return host(index).spoilt; }

  bool up(NodeIndex index) const;
  bool paused(NodeIndex index) const;  // Or its host is suspended.
  std::uint32_t boot(NodeIndex index) const { return host(index).boot; }  // Counts its starts.
  NodeId id(NodeIndex index) const;
  const node::NodeConfig& config(NodeIndex index) const;
  node::NodeConfig& config_at_next_start(NodeIndex index);
  // What the host really has: the config's, unless set_capacity() says otherwise (a mutation).
  Capacity capacity(NodeIndex index) const { return host(index).capacity; }
  void set_capacity(NodeIndex index, Capacity capacity) { host(index).capacity = capacity; }
  node::Node& node(NodeIndex index);  // REQUIRES: up.
  Disk& disk(NodeIndex index);
  const Disk& disk(NodeIndex index) const { return host(index).disk; }
  const Processes& processes(NodeIndex index) const;
  ProcessOptions& process_options(NodeIndex index);
  Network& network() { return network_; }
  // What is open between the two breaks. `half_open`: `second` does not hear of it.
  void reset_streams(NodeIndex first, NodeIndex second, bool half_open);
  void record_datagrams(std::uint32_t one_in) { options_.record_one_in = one_in; }
  void replay_datagrams(std::size_t count);  // Recorded ones, whoever runs there by then.

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
  const NodeClock& clock(NodeIndex index) const { return host(index).clock; }
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
  void set_taps(Taps taps) { taps_ = std::move(taps); }
  // Messages for which it returns true vanish: a mutation, for the checkers' own tests.
  void set_filter(std::function<bool(NodeIndex from, const node::Envelope&)> drops);
  // What the node and its host are at, and whom it sees: one line for people.
  std::string describe(NodeIndex index) const;
  const Trace& trace() const { return trace_; }
  const WorldFigures& figures() const { return figures_; }
  Random& random() { return random_; }
  std::uint64_t seed() const { return options_.seed; }

 private:
  Host& host(NodeIndex index);
  const Host& host(NodeIndex index) const;
  Now now_at(const Host& host) const;
  bool runs_now(NodeIndex index, const Host& host) const;
  TimePoint next_slice(NodeIndex index) const;
  void violation(std::string text);

  void input(NodeIndex index, Input apply, bool droppable = false);
  void drain(NodeIndex index);
  void carry_out(NodeIndex index);
  void carry_out(NodeIndex index, node::Output output);
  WallTime wall_at(const Host& host) const { return wall() + host.wall_offset; }
  void record(NodeIndex to, Flight flight);
  std::size_t size_if_capped(NodeIndex from, NodeIndex to, const wire::Message& message) const;
  void check_corruption(const node::Source& source, const wire::Message& message);
  void spring_trap(NodeIndex index);
  void end_soon(NodeIndex index);
  void end_stall(NodeIndex index);
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
  void extend(NodeIndex index, const task::Extend& each, Deferred& deferred);
  void kill(NodeIndex index, const task::Kill& each, Deferred& deferred);
  void expect(NodeIndex index, const Processes::Ending& ending);
  void expect(NodeIndex index, const std::vector<Processes::Ending>& endings);
  void tell_ended(NodeIndex index, const AttemptId& attempt);
  void ended_unheard(NodeIndex index, const std::vector<AttemptId>& attempts);
  void begin_recovery(NodeIndex index);
  void tell_seeds(NodeIndex index);
  void read_store(NodeIndex index, const node::StoreRead& read);

  void on(std::monostate) {}
  void on(Delivery delivery);
  void on(StreamDue due);
  void on(PeerCloses closes);
  void on(HostDue due);
  void on(ProcessDue due);
  void on(TasksResume due);
  void on(ReportDue due);
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
  bool clocks_were_wrong_ = false;
  std::chrono::milliseconds most_ahead_{};
  std::map<ShardId, std::map<wire::Ballot, bool>> prepared_;
  std::vector<std::pair<NodeIndex, Flight>> recorded_;  // At most kRecordedMax: a random share.
  WorldHooks hooks_;
  Taps taps_;
  std::function<bool(NodeIndex, const node::Envelope&)> drops_;
  Trace trace_;
  WorldFigures figures_;
};

}  // namespace shoal::sim
