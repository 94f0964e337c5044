// A node of the home passes outcomes on whose executing node cannot reach the owner (hole 27).
//
// It repeats them to the best known owner until that acknowledges them, and tells the home of a
// silent one. The executing node repeats too, through one home node after the other, so what is
// kept here is soft: forgotten when it was not heard again for kRelayMemory, and not taken beyond
// kRelayBytesMax.
// Sans I/O: call on_time() no later than wake_at(), and flush() after each input.
#pragma once

#include <cstddef>
#include <map>

#include "node/context.hpp"

namespace shoal::node {

inline constexpr Duration kRelayMemory = std::chrono::seconds(5);
inline constexpr Duration kRelayRepeat = std::chrono::milliseconds(500);
inline constexpr Duration kRelayPatience = std::chrono::seconds(1);
inline constexpr std::size_t kRelayBytesMax = 8 * 1024 * 1024;

class OutcomeRelay {
 public:
  explicit OutcomeRelay(Context& context) : context_(context) {}

  // From the executing node itself, for a shard that this node does not own.
  void take(Now now, wire::OutcomeItem item);
  // What was acknowledged here is acknowledged to the executing node.
  void on_ack(const wire::OutcomeAck& ack);

  void on_time(Now now);
  void flush();
  TimePoint wake_at() const;

  std::size_t size() const { return kept_.size(); }

 private:
  struct Kept {
    wire::OutcomeItem item;
    std::size_t bytes = 0;
    TimePoint taken;
    TimePoint heard;  // From its executing node.
    TimePoint send_at;
  };
  using Entries = std::map<AttemptId, Kept>;
  Entries::iterator forget(Entries::iterator entry);

  Context& context_;
  Entries kept_;
  std::size_t bytes_ = 0;
  TimePoint next_;
  std::map<NodeId, std::vector<wire::OutcomeItem>> due_;  // To leave at flush().
};

}  // namespace shoal::node
