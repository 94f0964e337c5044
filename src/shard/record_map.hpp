// The records of one shard in memory, in key order: a two-level B+ tree (Bayer and McCreight, 1972)
// with leaves of at most kLeafRecords. Made for a million records a node: 64 bytes a record and its
// value's own allocation, no per-record pointers. Keys begin with the job's mint time, so most
// insertions append, and leaves filled that way are full.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "wire/shard_messages.hpp"

namespace shoal::shard {

struct StoredRecord {
  wire::RecordKey key;
  std::uint64_t version = 0;
  std::uint32_t ballot : 31 = 0;  // Index into the shard's ballots, see Replica.
  std::uint32_t bad : 1 = 0;      // The copy on disk does not match its checksum (C5: abstains).
  std::string value;              // Empty for detached records.
};

class RecordMap {
 public:
  // Null when absent. Valid until the next insert().
  const StoredRecord* find(const wire::RecordKey& key) const;
  StoredRecord* find(const wire::RecordKey& key) {
    return const_cast<StoredRecord*>(static_cast<const RecordMap*>(this)->find(key));
  }

  // The record with that key; a new one has version 0. Valid until the next insert().
  StoredRecord& insert(const wire::RecordKey& key);

  // Drops the records for which `gone(record)` is true, in key order; returns how many.
  template <class Gone>
  std::size_t erase_if(Gone&& gone) {
    std::size_t erased = 0;
    for (auto& leaf : leaves_) erased += std::erase_if(leaf, gone);
    std::erase_if(leaves_, [](const auto& leaf) { return leaf.empty(); });
    size_ -= erased;
    return erased;
  }
  void clear() {
    leaves_.clear();
    size_ = 0;
  }

  std::size_t size() const { return size_; }

  // In key order, first and last included. `visit` must not insert.
  template <class Visit>
  void for_range(const wire::RecordKey& first, const wire::RecordKey& last, Visit&& visit) const {
    for (std::size_t i = leaf_of(first); i < leaves_.size(); ++i) {
      const auto& leaf = leaves_[i];
      auto at = std::ranges::lower_bound(leaf, first, {}, &StoredRecord::key);
      for (; at != leaf.end(); ++at) {
        if (last < at->key) return;
        visit(*at);
      }
    }
  }
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const auto& leaf : leaves_) {
      for (const StoredRecord& record : leaf) visit(record);
    }
  }

 private:
  static constexpr std::size_t kLeafRecords = 64;

  // The leaf that holds `key`, or would.
  std::size_t leaf_of(const wire::RecordKey& key) const;

  std::vector<std::vector<StoredRecord>> leaves_;  // None is empty.
  std::size_t size_ = 0;
};

}  // namespace shoal::shard
