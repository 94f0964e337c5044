// What tasks need and nodes have. Every fit test and every sum of the scheduler goes through here.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>

#include "shoal/job.hpp"

namespace shoal::scheduling {

struct Resources {
  std::uint64_t cpu_millis = 0;
  std::uint64_t memory_bytes = 0;
  auto operator<=>(const Resources&) const = default;

  Resources& operator+=(const Resources& other) {
    cpu_millis += other.cpu_millis;
    memory_bytes += other.memory_bytes;
    return *this;
  }
  // Never below zero: what is left of a budget.
  Resources& operator-=(const Resources& other) {
    cpu_millis -= std::min(cpu_millis, other.cpu_millis);
    memory_bytes -= std::min(memory_bytes, other.memory_bytes);
    return *this;
  }
  bool nothing() const { return cpu_millis == 0 && memory_bytes == 0; }
};

inline Resources operator+(Resources a, const Resources& b) { return a += b; }
inline Resources operator-(Resources a, const Resources& b) { return a -= b; }

inline bool fits(const Resources& need, const Resources& room) {
  return need.cpu_millis <= room.cpu_millis && need.memory_bytes <= room.memory_bytes;
}

inline Resources need_of(const TaskSpec& spec) { return {spec.cpu_millis, spec.memory_bytes}; }

}  // namespace shoal::scheduling
