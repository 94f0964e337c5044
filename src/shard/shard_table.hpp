// The shard table: what a node knows of every shard's home and owner, spread by digest push-pull
// (anti-entropy: Demers et al., "Epidemic algorithms for replicated database maintenance", PODC
// 1987, section 1.3). It only says whom to ask; ballots and configs decide who may write.
//
// Merging is commutative, associative and idempotent: the newest finished config wins by its id,
// the highest owner's ballot wins. Unfinished configs (joint, or with learners) are never taken in
// (G4). Limits: the count of shards is fixed at the founding; entries beyond it are dropped.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "wire/shard_messages.hpp"

namespace shoal::shard {

inline constexpr std::uint32_t kTableGroup = 64;  // Shards under one hash of the digest.

class ShardTable {
 public:
  // 0: the count is not known yet; the first digest or entries from a member tell it.
  explicit ShardTable(std::uint32_t shard_count = 0) { resize(shard_count); }

  std::uint32_t shard_count() const { return static_cast<std::uint32_t>(entries_.size()); }
  // Null while nothing is known of the shard.
  const wire::TableEntry* find(ShardId shard) const;

  // True when the table changed.
  bool merge(const wire::TableEntry& entry);

  wire::TableDigest digest() const;
  // The answer to a peer's digest: our entries of the groups that differ, and those groups wanted.
  // Absent when the tables are alike or cannot be compared.
  std::optional<wire::TableEntries> on_digest(const wire::TableDigest& digest);
  // Takes the entries in and gives the wanted groups; absent when none was wanted.
  std::optional<wire::TableEntries> on_entries(const wire::TableEntries& entries);

 private:
  void resize(std::uint32_t shard_count);
  void append_group(std::uint32_t group, std::vector<wire::TableEntry>& out) const;
  std::uint64_t group_hash(std::uint32_t group) const;
  std::uint32_t group_count() const { return (shard_count() + kTableGroup - 1) / kTableGroup; }

  std::vector<wire::TableEntry> entries_;  // By shard; an empty home: nothing known.
};

}  // namespace shoal::shard
