// What a node writes to its store, and the encoding of record values (Cap'n Proto, unpacked, one
// segment).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "shoal/result.hpp"
#include "task/record.hpp"
#include "wire/shard_messages.hpp"

namespace shoal::wire {

// A home's durable state of one shard, apart from its records.
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
// Node-wide facts by name: cluster, founding, boot epoch, remembered members.
struct PutMeta {
  std::string name;
  std::string value;
};

// One batch of an Output is written atomically and in order, then synced.
using Write = std::variant<PutShard, PutRecord, PutMeta>;

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
