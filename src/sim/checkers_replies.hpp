// I5: nothing that reports something leaves before that is durable. What a home says must be on its
// own disk; what an owner shows, grants or acknowledges must be on the disks of a quorum (O3, O4).
#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>

#include "sim/books.hpp"
#include "sim/checkers.hpp"
#include "wire/message.hpp"

namespace shoal::sim {

class ReplyChecker {
 public:
  ReplyChecker(Violations& violations, const RecordBook& records, const ShardBook& shards)
      : violations_(violations), records_(records), shards_(shards) {}

  // Zero until it is known.
  void set_shard_count(std::uint32_t count) { shard_count_ = count; }

  // A message leaves.
  void sent(TimePoint now, NodeId from, NodeId to, const wire::Message& message);
  // A client is told that its task is kept.
  void acknowledged(TimePoint now, const TaskId& task);
  // A client is shown a task's state.
  void shown(TimePoint now, const TaskId& task, TaskState state, std::uint32_t attempt);

 private:
  struct Sent {  // A Write on its way: an Ack with its number speaks of these records.
    wire::Ballot ballot;
    std::uint64_t number = 0;
    std::vector<std::pair<wire::RecordKey, wire::RecordVersion>> records;
  };
  static constexpr std::size_t kSentMax = 192;  // Remembered for one home of one shard.

  void note(ShardId shard, NodeId home, const wire::WriteItem& item);
  void check(TimePoint now, NodeId from, const wire::PromiseItem& item);
  void check(TimePoint now, NodeId from, const wire::AckItem& item);
  void check(TimePoint now, NodeId from, const wire::FetchedItem& item);
  void check(TimePoint now, NodeId to, const wire::GrantItem& item);
  void check_past(TimePoint now, const AttemptId& attempt, const char* what);
  bool promised(TimePoint now, NodeId from, ShardId shard, const wire::Ballot& ballot,
                const wire::ConfigId* config, const char* what);
  void check_copy(TimePoint now, NodeId from, ShardId shard, const wire::RecordKey& key,
                  const wire::RecordVersion& version, const char* what);
  // Whether a quorum of disks holds, or held under a former config, a version of the task's record
  // that satisfies `enough`, or a later one than one that does.
  template <class Enough>
  bool task_on_quorum(const TaskId& task, Enough&& enough) const;

  Violations& violations_;
  const RecordBook& records_;
  const ShardBook& shards_;
  std::uint32_t shard_count_ = 0;
  struct Lane {
    ShardId shard{};
    NodeId home;
    bool operator==(const Lane&) const = default;
  };
  struct LaneHash {
    std::size_t operator()(const Lane& lane) const {
      return static_cast<std::size_t>(
          mix64(lane.home.low ^ static_cast<std::uint64_t>(lane.shard) << 32));
    }
  };
  std::unordered_map<Lane, std::deque<Sent>, LaneHash> sent_;
};

}  // namespace shoal::sim
