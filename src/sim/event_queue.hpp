// The simulator's calendar: what happens next, in virtual time.
//
// Events of one moment leave in the order in which they entered, so a run is a function of its
// inputs alone.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "base/time.hpp"

namespace shoal::sim {

template <class Body>
class EventQueue {
 public:
  void push(TimePoint at, Body body) {
    std::uint32_t slot = 0;
    if (free_.empty()) {
      slot = static_cast<std::uint32_t>(bodies_.size());
      bodies_.push_back(std::move(body));
    } else {
      slot = free_.back();
      free_.pop_back();
      bodies_[slot] = std::move(body);
    }
    heap_.push_back({at, sequence_++, slot});
    std::ranges::push_heap(heap_, later);
  }

  bool empty() const { return heap_.empty(); }
  std::size_t size() const { return heap_.size(); }
  TimePoint next_at() const { return heap_.empty() ? kNever : heap_.front().at; }

  // REQUIRES: not empty.
  Body pop() {
    SHOAL_ASSERT(!heap_.empty());
    std::ranges::pop_heap(heap_, later);
    const std::uint32_t slot = heap_.back().slot;
    heap_.pop_back();
    free_.push_back(slot);
    return std::exchange(bodies_[slot], Body{});
  }

 private:
  // Small, so that the heap moves little; bodies stay where they are.
  struct Entry {
    TimePoint at;
    std::uint64_t sequence = 0;
    std::uint32_t slot = 0;
  };
  static bool later(const Entry& a, const Entry& b) {
    return a.at != b.at ? a.at > b.at : a.sequence > b.sequence;
  }

  std::vector<Entry> heap_;
  std::vector<Body> bodies_;
  std::vector<std::uint32_t> free_;  // Slots of `bodies_` without an event.
  std::uint64_t sequence_ = 0;
};

}  // namespace shoal::sim
