// Strong identifiers: ids of different kinds neither mix nor convert.
//
// A JobId is minted by the client that submits the job, so a retry names the same job. Its 63 bits
// are, from the highest: 30 bits of seconds since 2025-01-01, 2 bits of retention class, 31 random
// bits. It is shown in base32, low-order bits first, so that four or five characters are already
// unique.
#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace shoal {

// A node's identity: 16 random bytes made when its data folder is made. All zero means "no node".
struct NodeId {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  auto operator<=>(const NodeId&) const = default;
  explicit operator bool() const { return (high | low) != 0; }
};

// A cluster's identity: 16 random bytes made at its founding. All zero means "not founded yet".
struct ClusterId {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  auto operator<=>(const ClusterId&) const = default;
  explicit operator bool() const { return (high | low) != 0; }
};

// A shard's number, below the cluster's shard count.
enum class ShardId : std::uint32_t {};

// How long a job's records are kept.
enum class Retention : std::uint8_t { hour = 0, week = 1, month = 2, quarter = 3 };

struct JobId {
  std::uint64_t value = 0;
  auto operator<=>(const JobId&) const = default;
  explicit operator bool() const { return value != 0; }

  // REQUIRES: `minted` lies between 2025 and 2058; only the low 31 bits of `random` are used.
  static JobId mint(std::chrono::sys_seconds minted, Retention retention, std::uint64_t random);

  std::chrono::sys_seconds minted() const;
  Retention retention() const;
};

// One task of a job: `JOB.INDEX`.
struct TaskId {
  JobId job;
  std::uint32_t index = 0;
  auto operator<=>(const TaskId&) const = default;
};

// One execution of a task; numbered from 1. The number is the fencing token.
struct AttemptId {
  TaskId task;
  std::uint32_t number = 0;
  auto operator<=>(const AttemptId&) const = default;
};

// 13 characters of base32 (digits and lower-case letters without i, l, o, u), low-order bits first.
std::string to_string(JobId id);
std::string to_string(TaskId id);     // JOB.INDEX
std::string to_string(NodeId id);     // 32 hexadecimal digits
std::string to_string(ClusterId id);  // 32 hexadecimal digits
std::string short_text(NodeId id);    // the first 6 of them

// The first five characters, or more when `length` says so.
std::string short_text(JobId id, std::size_t length = 5);

// A prefix of a job's text, as the low bits it fixes. Absent when a character is not base32 or the
// text is longer than 13.
struct JobPrefix {
  std::uint64_t bits = 0;
  std::uint64_t mask = 0;
  bool matches(JobId id) const { return (id.value & mask) == bits; }
  bool whole() const { return mask == ~std::uint64_t{0} >> 1; }
};
std::optional<JobPrefix> parse_job_prefix(std::string_view text);
std::optional<JobId> parse_job_id(std::string_view text);  // A whole id only.
std::optional<NodeId> parse_node_id(std::string_view text);

}  // namespace shoal
