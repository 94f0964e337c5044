// What the shards of a node ask their driver for, and their settings.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/time.hpp"
#include "wire/persist.hpp"
#include "wire/shard_messages.hpp"

namespace shoal::shard {

// Rules that can be switched off, for tests of the checkers only: with any of them set the protocol
// is wrong, and a checker that does not notice is no checker.
struct Mutations {
  bool count_own_unsynced = false;     // 1.1: the owner counts itself before its disk answered.
  bool acks_unsynced = false;          // 1.1: a home's Ack waits for no disk.
  bool promises_unsynced = false;      // 1.1: a home's Promise waits for no disk.
  bool no_promise_check = false;       // H2: writes below the promise are taken.
  bool no_promise_raise = false;       // H2: a write does not raise the promise.
  bool no_record_order = false;        // H2: an older version overwrites a newer one.
  bool blank_promises = false;         // F2: a node without state promises.
  bool own_promise_left_out = false;   // C2: others are asked at once, and their promises suffice.
  bool one_promise_enough = false;     // C3: no quorum of promises.
  bool own_copy_only = false;          // C3: nothing is merged but what the candidate has.
  bool merge_by_version_only = false;  // C5: ballots are ignored.
  bool unsettled_as_settled = false;   // O3: what a minority holds is not written again.
  bool show_unsettled = false;         // O3: what is not settled yet is shown.
  bool show_uncommitted = false;       // O4: what is proposed is shown.
  bool reuse_version = false;          // O1: a second value under an unanswered version.
  bool resume_ballot_after_restart = false;  // O5: the ballot found on disk is used on.
  bool skip_confirm = false;                 // O4: a Confirm round succeeds without asking anybody.
  bool operator==(const Mutations&) const = default;
};

struct ShardsConfig {
  Duration retransmit_after = std::chrono::seconds(1);  // Lower: more repeats on a slow disk.
  Duration prepare_again = std::chrono::milliseconds(250);
  Duration fetch_timeout = std::chrono::milliseconds(500);
  Duration back_off_min =
      std::chrono::milliseconds(50);  // Doubles per refused attempt, full jitter.
  Duration back_off_max = std::chrono::seconds(2);
  Duration confirm_again = std::chrono::milliseconds(300);
  Duration confirm_timeout = std::chrono::seconds(1);
  // Catch-up of a home that was away: items of at most kCatchUpBytes under way to one node, over
  // all shards. 16 keep a returning node below about 1 MiB of such writes in its queues.
  std::uint32_t catch_up_window = 16;
  Mutations mutations;
};

inline constexpr std::uint32_t kShardsMax = 65'536;          // Of a cluster.
inline constexpr std::size_t kMessageBytesMax = 256 * 1024;  // Of one message's items, estimated.
inline constexpr std::size_t kMessageRecordsMax = 2048;
inline constexpr std::size_t kDigestPageEntries = 4096;
inline constexpr std::size_t kCatchUpBytes = 64 * 1024;
inline constexpr std::size_t kFetchKeys = 256;      // Asked of one holder at once.
inline constexpr std::size_t kOutstandingMax = 64;  // Unanswered writes of a shard to a home.
inline constexpr std::size_t kRoundsMax = 8;        // Confirm rounds under way.

using Message =
    std::variant<wire::Prepare, wire::Promise, wire::Refuse, wire::Fetch, wire::Fetched,
                 wire::WriteRecords, wire::Ack, wire::Confirm, wire::Confirmed, wire::Retire>;

struct Outgoing {
  NodeId to;
  Message message;
};

// A detached value to be read from the store, and the answer.
struct DetachedRead {
  std::uint64_t id = 0;
  ShardId shard{};
  wire::RecordKey key;
};
struct ValueRead {
  std::uint64_t id = 0;
  std::optional<wire::Record> record;  // Absent: not there, or its checksum does not match.
};

struct CommittedEvent {
  std::uint64_t token = 0;
  ShardId shard{};
  wire::RecordKey key;
};

struct ConfirmDone {
  std::uint64_t ticket = 0;
  std::vector<ShardId> confirmed;
  std::vector<ShardId> failed;  // Ballot lost, or no quorum in time.
};

// A candidate was refused by a higher ballot; it tries again after its back-off unless told to
// yield.
struct RefusedEvent {
  ShardId shard{};
  wire::Ballot promised;
};

// The answer to Shards::read(). Absent when the record is not (or no longer) there to be shown.
struct ValueEvent {
  std::uint64_t id = 0;
  std::optional<std::string> value;
};

// The owner left the home and stepped down; `to` is the first of the new home.
struct HandOver {
  ShardId shard{};
  NodeId to;
};

struct Output {
  std::vector<Outgoing> messages;   // Send at once; never to the node itself.
  std::vector<wire::Write> writes;  // Persist in this order, as one batch.
  // After all writes of this and earlier outputs are durable: Promise, Ack, Fetched. Those to the
  // node itself come back through on_message() at the same moment, and not before (1.1).
  std::vector<Outgoing> promises;
  std::vector<DetachedRead> reads;
  std::vector<CommittedEvent> committed;
  std::vector<ShardId> owned;  // C6 is done: rebuild the owner's work state from the records.
  std::vector<ShardId> lost;   // Stepped down (O5): pending clients hear "unknown, ask again".
  std::vector<RefusedEvent> refused;
  std::vector<ConfirmDone> confirmed;
  std::vector<ValueEvent> values;
  std::vector<ShardId> settled_configs;  // G4: the shard table may spread the config.
  std::vector<HandOver> handed_over;     // G4: this node owned them and left their home.
  std::vector<ShardId> retired;          // H5: the records were dropped.
  std::vector<ShardId> recovered;        // recover() is done; they are in `owned` too.
};

}  // namespace shoal::shard
