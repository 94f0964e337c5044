// How work moves between nodes: requests of gateways to owners, pulls, grants, leases, outcomes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/time.hpp"
#include "shoal/job.hpp"
#include "shoal/result.hpp"
#include "task/process.hpp"
#include "wire/membership_messages.hpp"
#include "wire/shard_messages.hpp"

namespace shoal::wire {

// --- Gateway and owner
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
struct GetJob {
  JobId job;
};
// Elements of the addressed shard with index >= from, at most `limit`, whose state bit is set in
// `states`.
struct GetTasks {
  JobId job;
  std::uint32_t from = 0;
  std::uint32_t limit = 1024;
  std::uint32_t states = ~0U;
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

// --- Binding work to nodes
// -----------------------------------------------------------------------------

// "There is work here that fits you." Never binding.
struct Hint {
  std::uint32_t ready = 0;
};

// Times of the executing node's own clock, echoed by the owner, never compared with another clock.
struct Pull {
  std::uint64_t transfer =
      0;  // Unique at the puller: (boot epoch, counter). A repeat is answered alike.
  TimePoint sent;
  std::uint32_t cpu_millis = 0;
  std::uint64_t memory_bytes = 0;
  std::uint32_t count_max = 0;
  bool hinted = false;
};
struct GrantItem {
  AttemptId attempt;
  std::uint32_t spec = 0;  // Into Grant::specs.
  std::string argument;
  ShardId shard{};
};
// Answer to a Pull. Without items: nothing here that fits; `ready` tells what is left.
struct Grant {
  std::uint64_t transfer = 0;
  TimePoint pull_sent;
  std::uint32_t lease_ms = 0;
  std::uint32_t ready = 0;
  std::vector<TaskSpec> specs;
  std::vector<GrantItem> items;
};

struct HeldAttempt {
  AttemptId attempt;
  ShardId shard{};
};
// Unstarted grants, or attempts ended by the node's stop: no failure of theirs.
struct GiveBack {
  std::vector<HeldAttempt> items;
};
struct GiveBackAck {
  std::vector<AttemptId> items;
};

// All attempts that the sender holds of the receiver's shards (rules L2, L3).
struct Renew {
  TimePoint sent;
  std::vector<HeldAttempt> items;
};
// After a Confirm round begun after the Renew arrived. `over`: not (or no longer) that node's
// attempts.
struct Renewed {
  TimePoint sent;  // Echo: the lease counts from here.
  std::uint32_t lease_ms = 0;
  std::vector<AttemptId> items;
  std::vector<AttemptId> over;
};
// A new owner asks a node named by its claims to renew at once.
struct RenewCall {
  std::vector<ShardId> shards;
};

struct OutcomeItem {
  AttemptId attempt;
  ShardId shard{};
  AttemptResult result;
  std::array<std::string, 2> tails;
};
struct Outcomes {
  std::vector<OutcomeItem> items;
};
// Recorded, or not wanted any more: the executing node may forget these.
struct OutcomeAck {
  std::vector<AttemptId> items;
};
// Owner -> executing node: end these attempts.
struct EndAttempts {
  std::vector<AttemptId> items;
  EndReason reason = EndReason::cancelled;
};

// --- Node and node
// -------------------------------------------------------------------------------------

struct ReadOutput {
  task::OutputRead read;
};
struct OutputData {
  task::OutputPiece piece;
};

}  // namespace shoal::wire
