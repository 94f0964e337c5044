// What clients see of a cluster: its members, its shards and who keeps them, its jobs.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "shoal/id.hpp"
#include "shoal/job.hpp"

namespace shoal {

// What an answer stands on. Strong: the owners had it confirmed by their homes after the question
// came. Local: committed values as the owners remember them; one that was replaced and does not
// know it yet may tell what is outdated.
enum class Consistency : std::uint8_t { strong = 0, local = 1 };

struct JobDetails {
  JobStatus status;
  NodeId owner;
  std::vector<NodeId> home;
  std::optional<TaskStatus> single;  // The task of a one-task job.
};

struct JobFilter {
  std::uint32_t limit = 50;
  std::uint32_t states = ~0U;  // Bit for each JobState.
  std::optional<JobPrefix> prefix;
  std::string name;
  // Strong: each row that is not finished is confirmed. Rows that nobody told of are missing.
  Consistency consistency = Consistency::strong;
};

struct JobListing {
  std::vector<JobStatus> jobs;       // Newest first.
  std::vector<std::string> missing;  // Members that did not answer: rows may be missing.
  std::vector<JobId> unconfirmed;    // Asked for strongly, and still as an owner remembers them.
};

// Tasks [first, last] of a job.
struct TaskRange {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
  bool operator==(const TaskRange&) const = default;
};

// A shard that nobody answered for, and the tasks that it holds: they may be missing.
struct ShardGap {
  ShardId shard{};
  std::vector<TaskRange> tasks;  // In order.
};

struct TaskListing {
  std::vector<TaskStatus> tasks;  // In index order.
  std::vector<ShardGap> missing;  // In shard order.
};

// Durations in microseconds.
struct SyncTimes {
  std::uint64_t count = 0;
  std::uint64_t p50 = 0;
  std::uint64_t p99 = 0;
};

struct NodeFigures {
  std::uint64_t tasks_run = 0;
  std::uint64_t tasks_stolen = 0;  // Of these: held by another node's shards.
  std::uint64_t tasks_given = 0;
  std::uint64_t records = 0;
  std::uint64_t commits = 0;
  std::uint64_t shards_home = 0;
  std::uint64_t shards_owned = 0;
  std::uint64_t resident_bytes = 0;
  std::uint64_t dropped_inputs = 0;
  SyncTimes sync;
  std::uint64_t uptime_ms = 0;
  std::uint32_t cpu_millis = 0;
  std::uint32_t cpu_millis_free = 0;
  std::uint64_t memory_bytes = 0;
  std::uint64_t memory_bytes_free = 0;
  std::uint32_t running = 0;
  std::uint32_t ready = 0;
};

struct MemberView {
  NodeId node;
  std::string name;
  std::string address;
  std::string state;      // alive, suspect, dead, left
  bool draining = false;  // It keeps what it has and starts nothing new.
  bool leaving = false;   // Its shards move away; then it leaves.
  std::string version;
  bool self = false;                   // The node that answered.
  std::optional<NodeFigures> figures;  // Absent: it did not answer in time.
};

struct ClusterView {
  ClusterId cluster;
  bool serving = false;
  std::uint32_t shard_count = 0;
  std::string waiting_for;  // When not serving: for people.
  std::vector<MemberView> members;
};

// Who keeps a shard, as the node that answered knows it.
struct ShardView {
  ShardId shard{};
  std::vector<NodeId> home;
  NodeId owner;  // Zero: none is known.
  std::uint64_t round = 0;
};

struct RingView {
  std::uint32_t shard_count = 0;
  std::vector<ShardView> shards;
};

// Orders the owners of one shard.
struct BallotView {
  std::uint64_t round = 0;
  NodeId node;
  auto operator<=>(const BallotView&) const = default;
};

enum class ShardRole : std::uint8_t { none = 0, candidate = 1, owner = 2 };

// One node's copy of a shard. Configs are ordered by (ballot, seq).
struct ShardCopy {
  bool known = false;  // False: the node holds nothing of this shard.
  ShardRole role = ShardRole::none;
  BallotView promised;
  BallotView ballot;
  std::uint64_t seq = 0;
  std::vector<NodeId> home;  // In rank order.
  std::vector<NodeId> next;  // Not empty while the home changes: joint.
  std::vector<NodeId> learners;
  std::chrono::sys_seconds floor{};  // What expired until then is gone. 1970: nothing yet.
  std::uint64_t records = 0;
  std::uint64_t bad = 0;  // Records that do not match their checksum.
  bool operator==(const ShardCopy&) const = default;
};

// The shard that holds a task of an array. A job's own record stands with its task 0.
// REQUIRES: shard_count > 0.
ShardId shard_of(TaskId task, std::uint32_t shard_count);

}  // namespace shoal
