// The values of a shard's records: what is kept of a job and of a task. wire/persist.hpp encodes
// them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "shoal/job.hpp"

namespace shoal::task {

// One task's state. Every change makes the next version of its record.
struct TaskRecord {
  TaskState state = TaskState::ready;
  std::uint32_t attempt = 0;   // Of the latest claim; strictly increasing: the fencing token.
  std::uint32_t failures = 0;  // Attempts that ended badly; `retries` of the spec limits them.
  std::uint32_t deaths = 0;    // Attempts lost in a row because their node went silent.
  NodeId node;                 // Where the latest attempt is, or was.
  // L of a claimed task. Of a ready one: its last attempt may still run for so long, as nobody has
  // heard from its node; 0 once that node has said that it is over.
  std::uint32_t lease_ms = 0;
  // Of a claimed task: the pull that it answers, as its node numbers them: (boot epoch, counter).
  // Counter 0: the node owned the shard itself.
  std::uint64_t transfer = 0;
  bool recovered = false;  // Its shard was recovered by an operator: history may be missing.
  WallTime not_before;     // A retry's back-off; zero when it may run at once.
  std::string argument;    // The element's own input, for the template's placeholders.
  std::optional<AttemptResult> result;  // Of the latest ended attempt.
  bool operator==(const TaskRecord&) const = default;
};

struct JobRecord {
  Nonce nonce;
  std::string name;
  JobState state = JobState::open;
  std::uint32_t count = 0;
  bool cancelled = false;
  WallTime created;
  WallTime ended;  // When finished.
  TaskSpec spec;
  TaskCounts counts;                 // Final; valid when finished.
  std::optional<TaskRecord> single;  // A job of one task is one record.
  bool operator==(const JobRecord&) const = default;
};

// A job's template in a shard that does not hold the job's record.
struct SpecRecord {
  Nonce nonce;  // Zero in a shard that heard of the job's cancelling before of its elements.
  bool cancelled = false;  // The job is: elements created from here on are born cancelled.
  TaskSpec spec;
  bool operator==(const SpecRecord&) const = default;
};

// What a description takes when it is stored or sent, an upper bound but for ~150 bytes of fixed
// fields; kSpecBytesMax limits it.
std::size_t spec_bytes(const TaskSpec& spec);

// Absent when the description is in order; else what is wrong, for people.
std::optional<std::string> validate(const TaskSpec& spec);

// The spec of one element: placeholders in argv replaced (see TaskSpec). Number = index + 1 for
// `{#}`. The result's `substitute` is unset: nothing in it is replaced again.
TaskSpec element_spec(const TaskSpec& spec, std::uint32_t index, const std::string& argument);

}  // namespace shoal::task
