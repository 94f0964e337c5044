// What a node writes to its store, and the encoding of record values (Cap'n Proto, unpacked, one
// segment).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "shoal/result.hpp"
#include "task/record.hpp"
#include "wire/shard_messages.hpp"

namespace shoal::wire {

// A home's durable state of one shard, apart from its records. `floor`: records whose expiry time
// (seconds since 1970, from the id) is at or below it are gone (E1); 0: none is.
struct ShardState {
  Ballot promised;
  ShardConfig config;
  std::uint64_t floor = 0;
  bool operator==(const ShardState&) const = default;
};

struct PutShard {
  ShardId shard{};
  ShardState state;
};
struct PutRecord {
  ShardId shard{};
  Record record;
};
// Removes records: these (E1), or with `all` every one of the shard (H5).
struct DropRecords {
  ShardId shard{};
  std::vector<RecordKey> keys;
  bool all = false;
};
// Node-wide facts by name: cluster, founding, boot epoch, remembered members, marks of their
// stores. An empty value removes the fact.
struct PutMeta {
  std::string name;
  std::string value;
};

// One batch of an Output is written atomically and in order, then synced.
using Write = std::variant<PutShard, PutRecord, PutMeta, DropRecords>;

std::string encode(const ShardState& state);
std::string encode(const task::TaskRecord& record);
std::string encode(const task::JobRecord& record);
std::string encode(const task::SpecRecord& record);

// Bytes that do not parse give ErrorCode::bad_input: a peer's or a disk's mistake, never an abort.
Result<ShardState> decode_shard_state(std::string_view bytes);
Result<task::TaskRecord> decode_task(std::string_view bytes);
Result<task::JobRecord> decode_job(std::string_view bytes);
Result<task::SpecRecord> decode_spec(std::string_view bytes);

}  // namespace shoal::wire
