// The gateway: what a client asks of the node it happens to talk to, carried to the owners of the
// shards concerned and answered when they have.
//
// Every node is a gateway. It holds nothing durable: when it dies, the client sends the same ids to
// another one. A request that touches several shards is done when every part is; the first refusal
// of a part that a retry cannot mend is the answer to the whole.
//
// Sans I/O: call on_time() no later than wake_at(), and flush() after each input.
// Limits: kClientRequestsMax open requests, kKeptBytesMax of content kept for retries, and
// kWatchesMax watches; beyond them ErrorCode::overload, and nothing was begun.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "node/context.hpp"
#include "node/listings.hpp"
#include "node/log_reader.hpp"
#include "node/owner_calls.hpp"
#include "node/task_pager.hpp"
#include "node/watch_relay.hpp"

namespace shoal::node {

inline constexpr std::size_t kClientRequestsMax = 4096;
inline constexpr std::size_t kKeptBytesMax = std::size_t{64} * 1024 * 1024;

class Gateway {
 public:
  // Hears clients' commands to nodes, and answers them.
  using OnCommand = std::function<void(Now, SessionId, std::uint64_t request, wire::CommandNode)>;

  Gateway(Context& context, LocalViews local, OnCommand on_command = {});
  Gateway(const Gateway&) = delete;  // Its parts refer to each other.
  Gateway& operator=(const Gateway&) = delete;

  // While this node does not serve: what it waits for, a whole sentence for people.
  void set_waiting_for(std::string text) { waiting_for_ = std::move(text); }

  void on_client(Now now, SessionId session, wire::ClientRequest request);
  void on_forget(Now now, SessionId session, std::uint64_t request);
  void on_closed(Now now, SessionId session);

  void on_replies(Now now, NodeId from, wire::OwnerReplies replies);
  void on_events(Now now, wire::TaskEvents events);
  void on_job_event(Now now, wire::JobEvent event);
  void on_node_query(Now now, NodeId from, const wire::NodeQuery& query);
  void on_node_answer(Now now, NodeId from, wire::NodeAnswer answer);
  // Another gateway, or this one, reads a file of this node; the answer goes back in bulk.
  void on_read_output(Now now, NodeId from, const wire::ReadOutput& request);
  void on_output_piece(Now now, task::OutputPiece piece);
  void on_output_data(Now now, NodeId from, wire::OutputData data);
  void on_peer_closed(Now now, NodeId peer);
  void on_suspect(Now now, NodeId peer) { calls_.on_peer_closed(now, peer); }
  void on_time(Now now);
  TimePoint wake_at() const;
  void flush(Now now);

  std::size_t open_count() const;

 private:
  // A request that is answered once, made of one part for each shard.
  struct Operation {
    std::vector<std::uint64_t> calls;
    TimePoint deadline;
    std::size_t waiting = 0;        // Parts asked for, not answered.
    std::size_t waiting_bytes = 0;  // Of those parts.
    wire::CreateTasks create;       // Without its elements: what the later parts have in common.
    std::deque<std::pair<ShardId, std::vector<wire::NewElement>>> later;
    std::size_t later_bytes = 0;
    std::uint32_t copies = ~0U;  // The least of the parts.
    bool wants_job = false;      // A JobReply is the answer; else each part ends with Done.
    std::optional<Error> error;  // Of a part that could not be done now.
  };
  using Part = std::pair<ShardId, wire::OwnerRequestBody>;

  void handle(Now now, ClientRef client, wire::CreateJob& create);
  void handle(Now now, ClientRef client, wire::CreateTasks& create);
  void handle(Now now, ClientRef client, const wire::CloseJob& close);
  void handle(Now now, ClientRef client, const wire::CancelRequest& cancel);
  void handle(Now now, ClientRef client, const wire::GetJob& get);
  void handle(Now now, ClientRef client, const wire::ShowTasks& show);
  void handle(Now now, ClientRef client, const wire::ListJobs& list);
  void handle(Now now, ClientRef client, const wire::WatchJob& watch);
  void handle(Now now, ClientRef client, const wire::ReadLog& read);
  void handle(Now now, ClientRef client, const wire::ListMembers& list);
  void handle(Now now, ClientRef client, const wire::GetRing& get);
  void handle(Now now, ClientRef client, wire::CommandNode& command);

  bool admitted(ClientRef client);
  bool known(ClientRef client) const;
  void start(Now now, ClientRef client, Part part, bool wants_job = false);
  void ask_part(Now now, ClientRef client, Operation& operation, Part part);
  void ask_later(Now now, ClientRef client, Operation& operation);
  void on_part(Now now, ClientRef client, std::size_t bytes, wire::OwnerReplyBody& body);
  void drop_operation(ClientRef client);
  ShardId shard_of(JobId job) const;

  Context& context_;
  OnCommand on_command_;
  OwnerCalls calls_;
  TaskPager pager_;
  WatchRelay watches_;
  Listings listings_;
  LogReader logs_;
  std::map<ClientRef, Operation> operations_;
  std::size_t later_bytes_ = 0;  // Of all operations.
  std::string waiting_for_ = "this node has not met its cluster yet";
};

}  // namespace shoal::node
