// What clients see of a cluster: its members, its ring, its jobs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "shoal/id.hpp"
#include "shoal/job.hpp"

namespace shoal {

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
};

struct JobListing {
  std::vector<JobStatus> jobs;       // Newest first.
  std::vector<std::string> missing;  // Members that did not answer: rows may be missing.
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
  std::string state;  // alive, suspect, dead, left
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

struct ShardView {
  std::uint32_t shard = 0;
  std::vector<NodeId> home;
  NodeId owner;
  std::uint64_t round = 0;
};

struct RingView {
  std::uint32_t shard_count = 0;
  std::vector<ShardView> shards;
};

}  // namespace shoal
