// Which records a shard holds and how they are named: 128 bits, ordered by job, then kind, then
// index.
//
//   high            low, from the highest bit
//   job id (64)     kind (8)  sub (24)  index (32)
#pragma once

#include <cstdint>
#include <optional>

#include "shoal/id.hpp"
#include "task/process.hpp"

namespace shoal::task {

enum class RecordKind : std::uint8_t {
  job = 1,   // One for each job, in shard_of(job); holds the task itself when the job has one task.
  spec = 2,  // The template, once in every other shard that holds elements of the job.
  element = 3,  // One array element.
  output = 4,   // The tail of one stream of one attempt. Its value stays on disk only.
};

struct RecordName {
  JobId job;
  RecordKind kind = RecordKind::job;
  std::uint32_t sub = 0;  // 24 bits. For `output`: attempt * 2 + stream.
  std::uint32_t index = 0;
  bool operator==(const RecordName&) const = default;
};

// The same 128 bits as wire::RecordKey, which floor 2 cannot name.
struct KeyBits {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
};

constexpr KeyBits key_bits(const RecordName& name) {
  return {name.job.value, static_cast<std::uint64_t>(name.kind) << 56 |
                              static_cast<std::uint64_t>(name.sub & 0xffffff) << 32 | name.index};
}

constexpr RecordName record_name(KeyBits bits) {
  return {JobId{bits.high}, static_cast<RecordKind>(bits.low >> 56),
          static_cast<std::uint32_t>(bits.low >> 32 & 0xffffff),
          static_cast<std::uint32_t>(bits.low)};
}

// When the time of a job's records is over (E1), in seconds since 1970: mint time and retention
// class, both from the id.
std::uint64_t expiry_of(JobId job);
// The same of a record; absent: it never expires.
std::optional<std::uint64_t> expiry_of(KeyBits bits);

// Records whose value is never kept in memory: it is read from disk when asked for.
constexpr bool detached(KeyBits bits) {
  return bits.low >> 56 == static_cast<std::uint64_t>(RecordKind::output);
}

inline constexpr std::uint32_t kRunLength = 32;  // Elements [32k, 32k + 32) share a shard.

// The shard of a job's record, and of its elements [0, 32). REQUIRES: shard_count > 0.
ShardId shard_of(JobId job, std::uint32_t shard_count);
// The shard of element `index`.
ShardId shard_of(TaskId task, std::uint32_t shard_count);

}  // namespace shoal::task
