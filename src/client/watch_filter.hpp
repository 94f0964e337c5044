// What of a watch's events is news. Events may come twice and, after a change of the gateway, from
// an older view: a task's (attempt, state) never goes back for the watcher, and nothing follows
// its end.
#pragma once

#include <cstdint>
#include <vector>

#include "shoal/job.hpp"

namespace shoal::client {

class WatchFilter {
 public:
  // True once for each step of each task. Indices from kJobTasksMax on are nobody's.
  bool accept(const TaskStatus& status);

  std::uint32_t ended() const { return ended_; }
  bool has_ended(std::uint32_t index) const;

 private:
  struct Seen {
    std::uint32_t attempt = 0;
    std::uint8_t rank = 0;  // 0: nothing yet; then ready, claimed, ended.
  };
  std::vector<Seen> seen_;  // By index; grows to the highest one heard of.
  std::uint32_t ended_ = 0;
};

}  // namespace shoal::client
