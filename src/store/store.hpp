// A node's durable state: a small ordered map in RocksDB, behind four calls.
//
// 1. What write() returned from is on the disk (fdatasync of the log), whole: a crash leaves all of
//    a call's writes or none.
// 2. A corrupt value is not an absent one: each has its own checksum, and recovery says which
//    records do not match theirs (Protocol-Aware Recovery: Alagappan et al., FAST 2018).
// 3. Corruption of the store itself, or of a shard's state or a node-wide fact, is an error: what
//    was promised is then unknown, so the node must not speak under this identity again.
//
// A torn end of the log is what a crash leaves and is dropped: nobody was told of it. write(),
// read() and sync are safe from several threads; writes are meant to come from one.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shoal/id.hpp"
#include "shoal/result.hpp"
#include "wire/persist.hpp"

namespace shoal::store {

// Hears everything the store holds, in key order. Detached records come with an empty value.
struct RecoveryVisitor {
  std::function<bool(std::string_view name, std::string_view value)> meta;  // False: unreadable.
  std::function<void(ShardId shard, wire::ShardState state)> shard;
  std::function<void(ShardId shard, wire::Record record, bool intact)> record;
};

class Store {
 public:
  struct Database;
  explicit Store(std::unique_ptr<Database> database);  // Made by open().
  // Opens or creates the database below `path`, a child of the data folder, whose lock is the
  // caller's affair.
  static Result<std::unique_ptr<Store>> open(const std::filesystem::path& path);
  // Whether there is a database to open.
  static bool exists(const std::filesystem::path& path);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // All batches, in order, as one atomic write and one sync. After an error the state of the disk
  // is unknown and the process must end: a failed fsync is never retried (Rebello et al., ATC
  // 2020).
  Result<void> write(std::span<const std::vector<wire::Write>> batches);

  // Absent: there is no such record, or it does not match its checksum.
  std::optional<wire::Record> read(ShardId shard, const wire::RecordKey& key) const;

  // The node whose promises these are. Absent: nobody's yet.
  Result<std::optional<NodeId>> identity() const;
  Result<void> set_identity(NodeId id);  // Durable when it returns.
  bool blank() const;                    // Nothing was ever promised: an identity at most.

  // The error says what is damaged, and the remedy.
  Result<void> recover(const RecoveryVisitor& visitor) const;

 private:
  std::unique_ptr<Database> database_;
};

}  // namespace shoal::store
