// One number for a whole run: a hash chained over every event. Two runs of one seed have the same;
// the first difference between two programs shows as another number.
#pragma once

#include <cstdint>

#include "base/time.hpp"
#include "wire/message.hpp"

namespace shoal::sim {

enum class TraceKind : std::uint8_t {
  message = 1,
  peer_closed,
  wake,
  synced,
  process_started,
  process_ended,
  client_request,
  client_reply,
  started,
  crashed,
  paused,
  resumed,
  stopped,
  host_crashed,
  recovered,
  replaced,
  damaged,
};

class Trace {
 public:
  void add(TimePoint at, std::uint32_t node, TraceKind kind, std::uint64_t content = 0);
  std::uint64_t hash() const { return hash_; }
  std::uint64_t events() const { return events_; }

 private:
  std::uint64_t hash_ = 0;
  std::uint64_t events_ = 0;
};

// The kind of a message and its cheap fields: numbers and list lengths. Encoding each one would be
// most of a run's time.
std::uint64_t content_hash(const wire::Message& message);
std::uint64_t content_hash(const wire::ClientReply& reply);
std::uint64_t content_hash(const AttemptId& attempt);

}  // namespace shoal::sim
