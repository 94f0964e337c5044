// What clients say to the node they talk to (their gateway), and what nodes ask all nodes for
// listings.
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
#include "wire/control_messages.hpp"
#include "wire/membership_messages.hpp"
#include "wire/shard_messages.hpp"
#include "wire/work_messages.hpp"

namespace shoal::wire {

// Newest jobs first. `id` narrows by the low bits of a job id (JobPrefix), `name` by equality.
struct ListJobs {
  std::uint32_t limit = 50;
  std::uint32_t states = ~0U;  // Bit for each JobState.
  std::uint64_t prefix_bits = 0;
  std::uint64_t prefix_mask = 0;
  std::string name;
};
// `missing`: members that did not answer in time; rows may be missing.
struct JobList {
  std::vector<JobStatus> jobs;
  std::vector<std::string> missing;
};

// Every change of a job until it is finished, and of its tasks when asked. First a snapshot.
struct WatchJob {
  JobId job;
  bool tasks = false;        // Task events too; else only the job's.
  bool with_output = false;  // Ended tasks carry their tails.
};
// Both kinds of event reach a client; repeats are possible: drop by index (and attempt).
struct WatchEvent {
  std::vector<TaskEvent> tasks;
  std::optional<JobStatus> job;
};

struct ShowTasks {
  JobId job;
  std::uint32_t from = 0;
  std::uint32_t limit = 1024;
  std::uint32_t states = ~0U;
  bool local = false;
};
struct CancelRequest {
  JobId job;
  std::optional<std::uint32_t> index;
};
// A stream of one task's latest attempt (attempt 0) or of the named one. With `follow` the answer
// goes on until the attempt ends, and over to the next attempt.
struct ReadLog {
  TaskId task;
  std::uint32_t attempt = 0;
  task::Stream stream = task::Stream::out;
  std::uint64_t offset = 0;
  bool follow = false;
};
struct LogData {
  AttemptId attempt;
  NodeId node;
  std::uint64_t offset = 0;
  std::string bytes;
  std::string note;  // For people: a new attempt began, the node is away and this is the tail...
  bool complete = true;  // False: the node that has the rest did not answer.
};

// Durations in microseconds.
struct Quantiles {
  std::uint64_t count = 0;
  std::uint64_t p50 = 0;
  std::uint64_t p99 = 0;
};
struct NodeStats {
  std::uint64_t tasks_run = 0;     // Attempts ended here.
  std::uint64_t tasks_stolen = 0;  // Attempts run here that another node's shards held.
  std::uint64_t tasks_given = 0;   // Grants sent to other nodes.
  std::uint64_t records = 0;       // Records held, all shards.
  std::uint64_t commits = 0;       // Record versions committed as owner.
  std::uint64_t shards_home = 0;
  std::uint64_t shards_owned = 0;
  std::uint64_t resident_bytes = 0;  // Of the node process.
  std::uint64_t dropped_inputs = 0;  // Malformed or unauthorised messages dropped.
  Quantiles sync;                    // Durable batches: fdatasync as the node saw it.
  std::uint64_t uptime_ms = 0;
  std::uint32_t cpu_millis = 0;
  std::uint32_t cpu_millis_free = 0;
  std::uint64_t memory_bytes = 0;
  std::uint64_t memory_bytes_free = 0;
  std::uint32_t running = 0;
  std::uint32_t ready = 0;
};
struct MemberRow {
  NodeId node;
  MemberState state = MemberState::alive;
  MemberInfo info;
  std::optional<NodeStats> stats;  // Absent when it did not answer in time.
  bool self = false;
  std::string version;
};
struct ListMembers {
  bool with_stats = true;
};
struct MemberList {
  ClusterId cluster;
  bool serving = false;  // Founded, and this node serves.
  std::uint32_t shard_count = 0;
  std::string waiting_for;  // When not serving: what for, for people.
  std::vector<MemberRow> members;
};
struct GetRing {
  std::optional<JobId> job;  // The shard of this job's record only.
};
struct RingRow {
  ShardId shard{};
  std::vector<NodeId> home;
  NodeId owner;  // None known: zero.
  std::uint64_t round = 0;
};
struct Ring {
  std::uint32_t shard_count = 0;
  std::vector<RingRow> rows;
};

// An operator's command to one node; zero: the gateway itself. Answered by Done, Error or
// ShardCopy.
struct CommandNode {
  NodeId node;
  NodeCommandBody body;
};

using ClientRequestBody =
    std::variant<CreateJob, CreateTasks, CloseJob, CancelRequest, GetJob, ShowTasks, ListJobs,
                 WatchJob, ReadLog, ListMembers, GetRing, CommandNode>;
struct ClientRequest {
  std::uint64_t id = 0;  // Unique in this connection.
  ClientRequestBody body;
};
// The client lost interest in a streaming answer (WatchJob, ReadLog).
struct ClientForget {
  std::uint64_t id = 0;
};
using ClientReplyBody = std::variant<Done, Error, JobReply, TasksReply, JobList, WatchEvent,
                                     LogData, MemberList, Ring, ShardCopy>;
struct ClientReply {
  std::uint64_t id = 0;
  bool last = true;  // Streaming answers end with last = true.
  ClientReplyBody body;
};

// Scatter-gather between nodes: a listing asks every alive member.
struct NodeQuery {
  std::uint64_t id = 0;
  std::variant<ListJobs, ListMembers> body;  // ListMembers asks for the receiver's own NodeStats.
};
struct NodeAnswer {
  std::uint64_t id = 0;
  std::vector<JobStatus> jobs;
  std::optional<NodeStats> stats;
  std::string version;
};

}  // namespace shoal::wire
