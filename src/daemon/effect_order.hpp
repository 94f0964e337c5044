// The order in which a node's effects may leave (node/output.hpp): what no crash can undo at once,
// the rest when the writes of its own and of all earlier outputs are durable. Reads of the store
// wait as well: what they ask for may be among those writes.
//
// A kill never overtakes its own launch: one that meets it while it waits takes it back, and the
// attempt has ended without a process. Nor does an extension: it changes the launch that waits.
//
// Sans I/O: the driver passes each Output in the order it was taken, persists the writes that come
// back under their number, and says how far the disk has come; it carries out what is returned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "node/output.hpp"

namespace shoal::daemon {

// What may be done now, in any order; lists keep the order of the node's.
struct Effects {
  std::vector<node::Envelope> messages;
  std::vector<node::ClientAnswer> answers;
  std::vector<task::Kill> kills;
  std::vector<task::Extend> extensions;
  std::vector<AttemptId> settled;
  std::vector<task::Launch> launches;
  std::vector<task::ProcessEnded> ended;  // Inputs for the node; their times are the driver's.
  std::vector<node::StoreRead> store_reads;
  std::vector<task::OutputRead> output_reads;
  std::vector<wire::Write> writes;  // To be persisted as `sequence`; empty when there is none.
  std::uint64_t sequence = 0;

  // Where the supervisors' clock is not the node's.
  void shift_leases(const std::function<TimePoint(TimePoint)>& shifted);
};

std::uint64_t bytes_of(const std::vector<wire::Write>& writes);

class EffectOrder {
 public:
  Effects on_output(node::Output output);

  // Every batch of writes up to `sequence` is on the disk.
  Effects on_durable(std::uint64_t sequence);

  // Nothing waits for the disk.
  bool settled() const { return durable_ == last_ && held_.empty(); }

 private:
  struct Held {
    std::uint64_t sequence = 0;
    std::vector<node::Envelope> promises;
    std::vector<task::Launch> launches;
    std::vector<node::ClientAnswer> replies;
    std::vector<node::StoreRead> store_reads;
  };
  void hold(node::Output& output);
  // The attempt's launch that waits, or that `output` brings; null when there is none.
  task::Launch* waiting(const AttemptId& attempt, node::Output& output);
  // Whether the attempt's launch waited, here or in `output`: it will not leave.
  bool take_back(const AttemptId& attempt, node::Output& output);

  std::deque<Held> held_;  // By rising sequence.
  std::uint64_t last_ = 0;
  std::uint64_t durable_ = 0;
};

}  // namespace shoal::daemon
