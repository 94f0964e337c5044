// WatchJob at the gateway: subscribes to all shards of a job and relays what changes to the client.
//
// A watch is a snapshot, then changes. Owners keep subscriptions as soft state, so the gateway
// renews them every 2 s and subscribes anew where an owner changed or a stream closed. Events that
// were lost on the way show at the end: the job is finished, but fewer tasks have ended as told
// than its counts say; then all shards are asked for a snapshot again, under a new number.
//
// Limits: kWatchesMax at once. A watch keeps one bit for each task of its job, and has at most
// kSnapshotsMax snapshots on their way: those of all shards at once would fill the streams that
// the shards' writes take as well.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "node/context.hpp"
#include "node/owner_calls.hpp"

namespace shoal::node {

inline constexpr std::size_t kWatchesMax = 1024;
inline constexpr std::size_t kSnapshotsMax = 16;

class WatchRelay {
 public:
  WatchRelay(Context& context, OwnerCalls& calls) : context_(context), calls_(calls) {}

  // REQUIRES: `client` has no watch open; fewer than kWatchesMax are.
  void open(Now now, ClientRef client, const wire::WatchJob& ask);
  void drop(ClientRef client);
  void drop_session(SessionId session);
  bool contains(ClientRef client) const { return watches_.contains(client); }
  std::size_t size() const { return watches_.size(); }

  void on_events(Now now, wire::TaskEvents events);
  void on_job_event(Now now, const wire::JobEvent& event);
  void on_peer_closed(Now now, NodeId peer);
  void on_time(Now now);
  TimePoint wake_at() const { return wake_at_; }

 private:
  struct Subscription {
    NodeId owner;            // That answered last.
    std::uint64_t call = 0;  // 0: none is open.
    TimePoint renew_at{};
    TimePoint heard{};     // Since it was asked for: when some of its snapshot came.
    bool asked = false;    // Under the watch's number.
    bool restart = false;  // What the owner told since may be lost: it has to tell all again.
    bool told = false;     // The snapshot under the watch's number is complete.
  };
  struct Watch {
    wire::WatchJob ask;
    std::uint64_t number = 0;  // At the owners; 0 until the job was found.
    std::optional<JobStatus> status;
    std::vector<bool> ended;  // By index: the task's end was relayed.
    std::uint32_t ended_count = 0;
    std::map<ShardId, Subscription> shards;
    std::uint64_t job_call = 0;
    TimePoint next_job = kNever;    // When the job's status is asked for again.
    TimePoint next_check = kNever;  // When the subscriptions are looked through.
    TimePoint gap_at = kNever;      // When events are taken for lost.
    std::uint32_t gaps = 0;         // Snapshots in a row that brought nothing new.
  };
  using Watches = std::map<ClientRef, Watch>;

  Watch* find(std::uint64_t number);
  void ask_job(Now now, ClientRef client, Watch& watch, TimePoint deadline);
  void on_job(Now now, ClientRef client, wire::OwnerReplyBody& body);
  void begin(Now now, ClientRef client, Watch& watch);
  void renumber(ClientRef client, Watch& watch);
  void stop(const Watch& watch);
  void subscribe(Now now, ClientRef client, Watch& watch, ShardId shard);
  void subscribe_more(Now now, ClientRef client, Watch& watch);
  void on_subscribed(Now now, ClientRef client, ShardId shard, NodeId from, bool done);
  void check(Now now, ClientRef client, Watch& watch);
  void take_status(Now now, ClientRef client, Watch& watch, const JobStatus& status);
  bool finish_if_told(Now now, ClientRef client, Watch& watch);
  void fill_gap(Now now, ClientRef client, Watch& watch);
  void wake_by(TimePoint at);

  Context& context_;
  OwnerCalls& calls_;
  Watches watches_;
  std::map<std::uint64_t, ClientRef> by_number_;
  std::uint64_t last_number_ = 0;
  TimePoint wake_at_ = kNever;
};

}  // namespace shoal::node
