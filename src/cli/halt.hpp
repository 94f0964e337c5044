// When `shoal map` gives up: `--halt never | now,fail=N | soon,fail=N%`.
#pragma once

#include <cstdint>
#include <string_view>

#include "shoal/result.hpp"

namespace shoal::cli {

struct HaltPolicy {
  std::uint32_t failures = 0;  // 0: not by count.
  std::uint32_t percent = 0;   // Of all tasks of the job; 0: not by share.
  bool now = false;            // Running tasks are killed; else they end, and no more begin.

  // `total` is the number of all inputs. A share is reached by at least one failure.
  bool reached(std::uint32_t failed, std::uint32_t total) const;
};

Result<HaltPolicy> parse_halt(std::string_view text);

}  // namespace shoal::cli
