// The messages of the shard protocol, and the founding's. Every message is a list of items; items
// of different shards are independent: each succeeds or is refused alone (rule B1).
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "shoal/id.hpp"

namespace shoal::wire {

// Orders the owners of one shard; a higher one fences all lower ones. (0, none) is below every
// owner's.
struct Ballot {
  std::uint64_t round = 0;
  NodeId node;
  auto operator<=>(const Ballot&) const = default;
};

struct ConfigId {
  Ballot ballot;
  std::uint64_t seq = 0;
  auto operator<=>(const ConfigId&) const = default;
};

struct ShardConfig {
  ConfigId id;
  std::vector<NodeId> home;  // In rank order.
  std::vector<NodeId> next;  // Not empty while joint.
  std::vector<NodeId> learners;
  bool operator==(const ShardConfig&) const = default;
};

// Opaque to the shard protocol; task/record_key.hpp says what stands in it.
struct RecordKey {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  auto operator<=>(const RecordKey&) const = default;
};

struct RecordVersion {
  Ballot ballot;
  std::uint64_t version = 0;  // 0: absent.
  auto operator<=>(const RecordVersion&) const = default;
};

struct Record {
  RecordKey key;
  RecordVersion version;
  std::string value;
  bool operator==(const Record&) const = default;
};

struct PrepareItem {
  ShardId shard{};
  Ballot ballot;
  ShardConfig config;  // The candidate's.
};
struct Prepare {
  std::vector<PrepareItem> items;
};

struct DigestEntry {
  RecordKey key;
  RecordVersion version;
  bool bad = false;  // This home's copy does not match its checksum: it abstains for this id.
};
// A digest may come in pages: a promise is complete when all pages [0, page_count) have come.
struct PromiseItem {
  ShardId shard{};
  Ballot ballot;
  ShardConfig config;
  std::uint64_t floor = 0;
  std::uint32_t page = 0;
  std::uint32_t page_count = 1;
  std::vector<DigestEntry> digest;
};
struct Promise {
  std::vector<PromiseItem> items;
};

struct RefuseItem {
  ShardId shard{};
  Ballot asked;
  Ballot promised;
  ShardConfig config;
};
struct Refuse {
  std::vector<RefuseItem> items;
};

struct FetchItem {
  ShardId shard{};
  Ballot ballot;
  std::vector<RecordKey> keys;
};
struct Fetch {
  std::vector<FetchItem> items;
};
struct FetchedItem {
  ShardId shard{};
  Ballot ballot;
  std::vector<Record> records;
};
struct Fetched {
  std::vector<FetchedItem> items;
};

// `config` is left out once the receiver has acknowledged `config_id`; a receiver that does not
// hold it stores nothing and answers with its own. `number` names this item between one owner
// (ballot) and one home: an Ack with that number speaks of exactly these records.
struct WriteItem {
  ShardId shard{};
  Ballot ballot;
  ConfigId config_id;
  std::optional<ShardConfig> config;
  std::uint64_t floor = 0;
  std::uint64_t number = 0;
  std::vector<Record> records;
};
struct WriteRecords {
  std::vector<WriteItem> items;
};

// What the home holds instead of what was sent: a greater version, or nothing any more.
struct AckException {
  RecordKey key;
  RecordVersion version;
  bool gone = false;
};
// Every record of write `number` that is not in `exceptions` is on this home's disk exactly as
// sent.
struct AckItem {
  ShardId shard{};
  Ballot ballot;
  ConfigId config_id;                 // The home's own.
  std::optional<ShardConfig> config;  // Set when the write named a config this home does not hold:
                                      // then nothing was stored.
  std::uint64_t floor = 0;
  std::uint64_t number = 0;
  std::vector<AckException> exceptions;
};
struct Ack {
  std::vector<AckItem> items;
};

struct ConfirmItem {
  ShardId shard{};
  Ballot ballot;
};
struct Confirm {
  std::uint64_t round = 0;
  std::vector<ConfirmItem> items;
};
// The shards for which the asked ballot is still the promised one. Higher promises come as Refuse.
struct Confirmed {
  std::uint64_t round = 0;
  std::vector<ConfirmItem> items;
};

// H5: a home that left may drop its records, if its config is exactly this one.
struct RetireItem {
  ShardId shard{};
  ConfigId config;
};
struct Retire {
  std::vector<RetireItem> items;
};

// Shard table: what every node knows of every shard's home and owner, spread by digest push-pull.
struct TableEntry {
  ShardId shard{};
  ShardConfig config;  // The newest finished one known.
  Ballot owner;        // The highest ballot known to have owned it.
};
struct TableDigest {
  std::uint32_t shard_count = 0;      // 0: the sender knows no table yet.
  std::vector<std::uint64_t> groups;  // A hash for each 64 shards.
};
struct TableEntries {
  std::uint32_t shard_count = 0;
  std::vector<TableEntry> entries;
  std::vector<std::uint32_t>
      wanted_groups;  // Groups of which the sender wants the receiver's entries.
};

// Founding with --expect N (rule F1).
struct FoundingMember {
  NodeId node;
  Address address;
  std::uint32_t weight_eighths = 8;
  std::string zone;
  bool operator==(const FoundingMember&) const = default;
};
struct FoundingOffer {       // Founder -> blank node: give me your word for exactly this set.
  std::uint64_t number = 0;  // Rises with each offer of this founder; durable before it is sent.
  ClusterId cluster;
  std::uint32_t shard_count = 0;
  std::vector<FoundingMember> members;
};
struct FoundingWord {  // Blank node -> founder; durable before it is sent.
  std::uint64_t number = 0;
  ClusterId cluster;
  bool given = false;  // False: my word is with `held_by`, or the set is not the one I see.
  NodeId held_by;
};
struct FoundingWithdraw {  // Founder -> word giver: durable at the founder, you are free again.
  std::uint64_t number = 0;
  ClusterId cluster;
};
struct FoundingRecord {  // Founder -> all N, once it holds all words; repeated until acknowledged.
  std::uint64_t number = 0;
  ClusterId cluster;
  std::uint32_t shard_count = 0;
  std::vector<FoundingMember> members;
  bool complete = false;  // All N hold it: serve.
};
struct FoundingHeld {  // The record is on my disk.
  ClusterId cluster;
};

}  // namespace shoal::wire
