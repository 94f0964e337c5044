// What a commit means to the job layer, packed into the token that the shard layer hands back: the
// kind of change, the task states it goes between, and the operation that waits for it.
#pragma once

#include <cstdint>

#include "shoal/job.hpp"

namespace shoal::node {

enum class Change : std::uint8_t {
  none = 0,
  create = 1,   // A task came into being. Operation: the creation that waits.
  recover = 2,  // Found unsettled by a takeover, and written again.
  claim = 3,    // Bound to an executing node. Operation: the grant, or 0 for the owner itself.
  outcome = 4,  // An attempt ended.
  release = 5,  // Given back, or its lease ran out.
  cancel = 6,   // Operation: the cancelling that waits, or 0.
  job = 7,      // A record that is not a task's. Operation as for create.
  lease = 8,    // A claim's lease became longer. Operation: the renewal that waits, or 0.
};

// No state before: the task is new to the counts.
inline constexpr TaskState kNoState{7};

struct Token {
  Change change = Change::none;
  TaskState from = kNoState;
  TaskState to = kNoState;
  std::uint64_t operation = 0;  // 54 bits.
};

constexpr std::uint64_t pack(const Token& token) {
  return static_cast<std::uint64_t>(token.change) << 60 |
         static_cast<std::uint64_t>(token.from) << 57 | static_cast<std::uint64_t>(token.to) << 54 |
         token.operation;
}

constexpr Token unpack(std::uint64_t bits) {
  return {static_cast<Change>(bits >> 60), static_cast<TaskState>(bits >> 57 & 7),
          static_cast<TaskState>(bits >> 54 & 7), bits & ((std::uint64_t{1} << 54) - 1)};
}

}  // namespace shoal::node
