// The simulated disk of one node: what is durable, what waits for the next sync, and what a crash
// leaves.
//
// Group commit never waits: one sync at a time takes whatever queued during the last one. A batch
// is durable whole or not at all, and never before an earlier one. A crash keeps the durable, and
// of the rest any prefix of the batches: data may have reached the platter before the sync said so,
// and what is torn is dropped by its checksum. A damaged record does not match its own any more,
// until it is written again.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "base/time.hpp"
#include "node/node.hpp"

namespace shoal::sim {

struct DiskOptions {
  Duration sync_base = std::chrono::microseconds(300);
  Duration sync_tail = std::chrono::microseconds(200);  // Adds 1.5 times this in the mean.
  std::uint32_t slow_factor = 1;
  Duration stall{};  // What each sync takes beyond that.
  // A mutation, for the checkers' own tests: syncs succeed and keep nothing.
  bool forgetful = false;
};

// What an output makes wait for its writes.
struct Deferred {
  std::vector<node::Envelope> promises;
  std::vector<task::Launch> launches;
  std::vector<node::ClientAnswer> replies;
  std::vector<node::StoreRead> store_reads;
  bool stopped = false;
  bool empty() const {
    return promises.empty() && launches.empty() && replies.empty() && store_reads.empty() &&
           !stopped;
  }
  // Whether the attempt's launch was among these; it is not any more.
  bool take_back(const AttemptId& attempt);
  bool extend(const task::Extend& extend);
};

class Disk {
 public:
  explicit Disk(const DiskOptions& options) : options_(options) {}

  DiskOptions& options() { return options_; }
  // Sees what becomes durable.
  void set_tap(std::function<void(std::span<const wire::Write>)> tap) { tap_ = std::move(tap); }

  // Queues a batch and what waits for it. Returns `deferred` when there is nothing to wait for.
  std::optional<Deferred> add(std::vector<wire::Write> writes, Deferred deferred);

  // Takes back a launch that waits: false when there is none.
  bool take_back(const AttemptId& attempt);
  bool extend(const task::Extend& extend);  // The lease of a launch that waits, likewise.

  // Starts a sync when batches wait and none is under way; call end_sync() after that time.
  std::optional<Duration> begin_sync(Random& random);
  std::vector<Deferred> end_sync();

  void crash(Random& random);
  void restore(node::Node& node) const;

  // The newest durable value: what waits for a sync is not in the store yet. Absent when damaged.
  std::optional<wire::Record> read(ShardId shard, const wire::RecordKey& key) const;

  // Faults.
  using Place = std::pair<ShardId, wire::RecordKey>;
  struct Image {
    std::map<std::string, std::string> meta;
    std::map<ShardId, wire::ShardState> shards;
    std::map<Place, wire::Record> records;
    std::set<Place> damaged;
  };
  const Image& image() const { return durable_; }
  // Another store is found at the next start. What waits is lost.
  void load(Image image);
  // The first record at or after this place, in a circle; absent when there is none.
  std::optional<Place> record_after(const Place& place) const;
  void damage(const Place& place) { durable_.damaged.insert(place); }

  std::size_t record_count() const { return durable_.records.size(); }
  std::uint64_t syncs() const { return syncs_; }
  bool syncing() const { return !syncing_.empty(); }

 private:
  struct Batch {
    std::vector<wire::Write> writes;
    Deferred deferred;
  };
  void apply(std::vector<wire::Write> writes);

  DiskOptions options_;
  Image durable_;
  std::vector<Batch> syncing_;
  std::vector<Batch> waiting_;
  std::uint64_t syncs_ = 0;
  std::function<void(std::span<const wire::Write>)> tap_;
};

}  // namespace shoal::sim
