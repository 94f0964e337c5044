// Takes the processor or the memory of a node's host: what the hidden command `burn` does. It ends
// by itself after its time.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "tools/chaos/text.hpp"

namespace shoal::chaos {

struct Burn {
  std::string what;          // cpu or mem
  std::uint64_t amount = 1;  // Threads or bytes.
  pid_t like = 0;            // Shares this process's cores and, where it may, its control groups.
  Ms time{10'000};
};

int burn(const Burn& burn);

}  // namespace shoal::chaos
