// The layout of a node's data folder and of its RocksDB keys and values.
//
//   node.id          the node's identity: 32 hexadecimal digits and a line feed
//   lock             held with flock(2) while a node runs; holds its process id, for people
//   db/              RocksDB
//   ballast          room kept for hard times (daemon/disk.hpp)
//   old-identity-N/  node.id and db/ of a node that this one replaced (store/folder.hpp)
//
// Keys; numbers are big-endian, so that a scan meets each shard's records in key order:
//
//   'i'                                       the node's identity, as in node.id
//   'm' name                                  a node-wide fact (wire::PutMeta)
//   'r' shard (4) key high (8) key low (8)    a record; detached records lie between the others
//   's' shard (4)                             a shard's state (wire::PutShard)
//
// Values; numbers are little-endian:
//
//   'i', 'm', 's'   0 checksum (8)   8 value
//   'r'             0 checksum (8)   8 ballot's round (8)   16 ballot's node (high 8, low 8)
//                   32 version (8)   40 value
//
// The checksum is XXH3 over the bytes that follow it, seeded with the XXH3 of the key, so that a
// value under another record's key does not pass. Over a record it is chained: the header's hash
// seeds the value's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "shoal/id.hpp"
#include "wire/shard_messages.hpp"

namespace shoal::store {

inline constexpr std::string_view kIdentityKey = "i";
inline constexpr char kMetaPrefix = 'm';
inline constexpr char kRecordPrefix = 'r';
inline constexpr char kShardPrefix = 's';
inline constexpr std::size_t kChecksumBytes = 8;
inline constexpr std::size_t kRecordHeaderBytes = 40;  // With the checksum.

std::string meta_key(std::string_view name);
std::string shard_key(ShardId shard);
std::string record_key(ShardId shard, const wire::RecordKey& key);

struct RecordPlace {
  ShardId shard{};
  wire::RecordKey key;
};
// Absent when the bytes are not such a key.
std::optional<ShardId> parse_shard_key(std::string_view key);
std::optional<RecordPlace> parse_record_key(std::string_view key);

// The checksum that stands before a meta value or a shard's state.
std::string plain_checksum(std::string_view key, std::string_view value);
// What stands before a record's value: checksum and version.
std::string record_header(std::string_view key, const wire::RecordVersion& version,
                          std::string_view value);

// The value without its checksum; absent when they do not match.
std::optional<std::string_view> check_plain(std::string_view key, std::string_view stored);

struct RecordView {
  wire::RecordVersion version;
  std::string_view value;
  bool intact = false;  // The checksum matches; else version and value are what the disk says.
};
// Absent when the bytes are too short to hold a header.
std::optional<RecordView> parse_record(std::string_view key, std::string_view stored);

}  // namespace shoal::store
