// Confirm rounds (rule O4; the read index of Raft: Ongaro, 2014, section 6.4): is this node's
// ballot still the promised one at a quorum of each shard's home? Guards whatever decides
// something, and lease renewals. A round has one message for each neighbour, however many shards
// and questions it serves.
//
// A question is served only by a round begun after it arrived. Limits: kRoundsMax rounds under way;
// questions beyond that share the next one.
// Sans I/O: the caller sends what begin() and on_time() name, and brings the answers.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "shard/output.hpp"

namespace shoal::shard {

class ConfirmRounds {
 public:
  // What a round asks of one shard: the owner's ballot and the config whose quorum counts.
  struct Owned {
    wire::Ballot ballot;
    wire::ShardConfig config;
  };
  // Absent: this node does not own the shard.
  using Lookup = std::function<std::optional<Owned>(ShardId)>;

  ConfirmRounds(NodeId self, const ShardsConfig& settings) : self_(self), settings_(settings) {}

  // The ticket comes back in ConfirmDone.
  std::uint64_t ask(std::vector<ShardId> shards);

  // Starts a round for what was asked since the last one; its messages go to `messages`, what is
  // decided already to `done`.
  void begin(TimePoint now, const Lookup& lookup, std::vector<Outgoing>& messages,
             std::vector<ConfirmDone>& done);
  void on_confirmed(NodeId from, const wire::Confirmed& message, std::vector<ConfirmDone>& done);
  // The ballot of a shard is lost: no round confirms it any more.
  void on_lost(ShardId shard, std::vector<ConfirmDone>& done);
  void on_time(TimePoint now, std::vector<Outgoing>& messages, std::vector<ConfirmDone>& done);

  std::size_t count() const { return rounds_.size(); }
  bool idle() const { return rounds_.empty() && asked_.empty(); }

 private:
  enum class Verdict : std::uint8_t { open, confirmed, failed };
  struct Asked {
    Owned owned;
    std::vector<NodeId> confirmers;
    Verdict verdict = Verdict::open;
  };
  struct Ticket {
    std::uint64_t number = 0;
    std::vector<ShardId> shards;
  };
  struct Round {
    TimePoint began{};
    TimePoint again_at{};
    std::map<ShardId, Asked> shards;
    std::vector<Ticket> tickets;
  };

  void send(std::uint64_t number, const Round& round, std::vector<Outgoing>& messages) const;
  void judge(Asked& asked) const;
  // Hands out tickets whose shards are all decided; true when none is left.
  static bool settle(Round& round, std::vector<ConfirmDone>& done);

  NodeId self_;
  const ShardsConfig& settings_;
  std::uint64_t ticket_last_ = 0;
  std::uint64_t round_last_ = 0;
  std::vector<Ticket> asked_;
  std::map<std::uint64_t, Round> rounds_;
};

}  // namespace shoal::shard
