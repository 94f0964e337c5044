// What gateways ask of the owners of shards, and what owners tell gateways and each other of jobs.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "shoal/job.hpp"
#include "shoal/result.hpp"
#include "task/process.hpp"
#include "wire/shard_messages.hpp"

namespace shoal::wire {

// -------------------------------------------------------------------------------

struct NewElement {
  std::uint32_t index = 0;
  std::string argument;
};

// Creates the job's record. Same id and nonce: the same submission; another nonce:
// ErrorCode::conflict.
struct CreateJob {
  JobId job;
  Nonce nonce;
  std::string name;
  TaskSpec spec;
  std::uint32_t count = 1;
  bool single = false;   // One task, kept in the job's record; the job is closed from the start.
  std::string argument;  // Of the single task.
};
// Creates elements (all of one shard between nodes; of any shards from a client).
struct CreateTasks {
  JobId job;
  Nonce nonce;
  TaskSpec spec;
  std::vector<NewElement> elements;
};
struct CloseJob {
  JobId job;
  Nonce nonce;
};
// Marks the job cancelled; its owner then tells every shard that holds elements.
struct CancelJob {
  JobId job;
};
// Cancels the elements of this job in the addressed shard: one, or all.
struct CancelTasks {
  JobId job;
  std::optional<std::uint32_t> index;
};
// `local`: the owner's committed value without a Confirm round; it may be outdated.
struct GetJob {
  JobId job;
  bool local = false;
};
// Elements of the addressed shard with index >= from, at most `limit`, whose state bit is set in
// `states`.
struct GetTasks {
  JobId job;
  std::uint32_t from = 0;
  std::uint32_t limit = 1024;
  std::uint32_t states = ~0U;
  bool local = false;
};
// Soft state: renewed every 2 s, dropped by the owner after 6 s. The first one is answered by a
// snapshot (TasksReply pages as events), then changes follow as TaskEvents.
struct WatchShard {
  JobId job;
  std::uint64_t watch = 0;  // Chosen by the gateway.
  bool with_output = false;
  bool stop = false;
};
struct GetTail {
  AttemptId attempt;
  task::Stream stream = task::Stream::out;
};

using OwnerRequestBody = std::variant<CreateJob, CreateTasks, CloseJob, CancelJob, CancelTasks,
                                      GetJob, GetTasks, WatchShard, GetTail>;
struct OwnerRequest {
  std::uint64_t id = 0;  // Chosen by the gateway; echoed.
  ShardId shard{};
  OwnerRequestBody body;
};
struct OwnerRequests {
  std::vector<OwnerRequest> items;
};

struct Done {
  std::uint32_t copies = 0;  // How many disks a quorum is made of here: what the answer stands on.
};
// The addressed node does not own the shard: here is what it knows.
struct WrongOwner {
  TableEntry entry;
};
struct JobReply {
  JobStatus status;
  NodeId owner;
  std::vector<NodeId> home;
  std::optional<TaskStatus> single;
};
struct TasksReply {
  std::vector<TaskStatus> tasks;
  bool more = false;
  // To clients only: shards of the job that nobody answered for, and the first index behind those
  // that this page speaks of.
  std::vector<ShardId> missing;
  std::uint32_t next = 0;
};
struct TailReply {
  bool known = false;
  std::string bytes;
};
using OwnerReplyBody = std::variant<Done, Error, WrongOwner, JobReply, TasksReply, TailReply>;
struct OwnerReply {
  std::uint64_t id = 0;
  OwnerReplyBody body;
};
struct OwnerReplies {
  std::vector<OwnerReply> items;
};

// One committed change of a task. `tails` are set when the watch asked for output and the task
// ended.
struct TaskEvent {
  TaskStatus status;
  bool has_tails = false;
  std::array<std::string, 2> tails;
};
// `snapshot_end`: all tasks that this shard holds of the job have been told.
struct TaskEvents {
  std::uint64_t watch = 0;
  ShardId shard{};
  std::vector<TaskEvent> events;
  bool snapshot_end = false;
};
// To watchers of a job, from the owner of its record.
struct JobEvent {
  std::uint64_t watch = 0;
  JobStatus status;
};

// Absolute counts of one shard's elements of a job, to the job's owner: at changes (at most one
// each 100 ms), and as the answer to a CountQuery.
struct CountItem {
  JobId job;
  ShardId shard{};
  Ballot ballot;  // Of the reporting owner: a lower one than known is stale.
  TaskCounts counts;
  bool cancelled = false;  // The shard knows, durably, that the job is cancelled.
};
struct CountReport {
  std::vector<CountItem> items;
};
// Job's owner -> owners of the job's other shards, every second until the job is finished.
struct CountQueryItem {
  JobId job;
  ShardId shard{};
  bool cancelled = false;  // The job is: cancel what is left, and what is created later.
};
struct CountQuery {
  std::vector<CountQueryItem> items;
};

}  // namespace shoal::wire
