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
  bool no_learners = false;             // G2: joint at once; the newcomers may never hear of it.
  bool no_joint = false;                // G2, G3: from the old home to the new one in one step.
  bool joint_counts_old_only = false;   // While joint the new home's majority is not needed.
  bool joint_counts_new_only = false;   // Nor is the old one's.
  bool joint_commits_old_only = false;  // O3: the old home commits until the final config is held.
  bool final_unsettled = false;         // G3: final before everything is on a joint quorum.
  bool count_old_acks = false;          // O2, G1: Acks from before a node left are counted.
  bool stub_forgets = false;            // H5: a leaver forgets promise and config too.
  bool retire_any = false;              // H5: obeyed whatever config it names.
  bool ignore_newer_config = false;     // C3: newer configs in answers are not heeded.
  bool no_config_check = false;         // H1: a candidate with an older config is promised too.
  bool no_floor_check = false;          // E2: any floor is taken.
  bool drop_by_own_clock = false;       // E1: homes drop records by their own clocks.
  bool gone_before_quorum = false;      // E3: "gone" is said before a quorum has the floor.
  // What no code here does; tests do it to the shards they drive.
  bool same_identity = false;  // F2: a node whose disk is gone comes back under its old id.
  bool homes_repair = false;   // H7: records are copied from home to home.
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
  // G2 asks for a majority of the target; other learners are waited for so long, since a home with
  // blank members survives less than its number says.
  Duration learn_max = std::chrono::seconds(60);
  // Catch-up of a home that was away: items of at most kCatchUpBytes under way to one node, over
  // all shards. 16 keep a returning node below about 1 MiB of such writes in its queues.
  std::uint32_t catch_up_window = 16;
  Mutations mutations;
};

inline constexpr std::uint32_t kShardsMax = 65'536;  // Of a cluster.
inline constexpr std::size_t kMembersMax =
    32;  // Of a config, learners and those that left included.
inline constexpr std::size_t kMessageBytesMax = 256 * 1024;  // Of one message's items, estimated.
inline constexpr std::size_t kMessageRecordsMax = 2048;
inline constexpr std::size_t kDigestPageEntries = 4096;
inline constexpr std::size_t kCatchUpBytes = 64 * 1024;
inline constexpr std::size_t kFetchKeys = 256;      // Asked of one holder at once.
inline constexpr std::size_t kOutstandingMax = 64;  // Unanswered writes of a shard to a home.
inline constexpr std::size_t kRoundsMax = 8;        // Confirm rounds under way.
inline constexpr std::size_t kBadListed = 256;      // Bad copies named in one Ack.
inline constexpr std::uint64_t kSkewSeconds = 300;  // E2: floors further ahead are refused.
// G3: the owner flushes nothing for so long at most while what is under way reaches a joint quorum.
inline constexpr Duration kPauseMax = std::chrono::milliseconds(500);
inline constexpr Duration kPauseGap = std::chrono::seconds(2);  // Between two such pauses.
inline constexpr Duration kReadPatience = std::chrono::seconds(5);
inline constexpr std::uint32_t kRetiresMax = 3;  // Sent to each node that left.
inline constexpr Duration kLeaverMax =
    std::chrono::seconds(60);  // Then it is not sent to any more.
// An owner that left waits so long at most until the others that left are retired.
inline constexpr Duration kSeeOffMax = std::chrono::seconds(2);

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

// A candidate was refused: by a higher ballot, and tries again after its back-off unless told to
// yield; or by a newer config that it is not in, and gave up. Whoever made that ballot may own the
// shard.
struct RefusedEvent {
  ShardId shard{};
  wire::Ballot promised;
  bool gave_up = false;
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
