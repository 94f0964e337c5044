// How a cluster begins, and how a blank node finds the one it belongs to (rule F1).
//
// Alone (no seeds, --expect 1) a blank node founds a cluster at once. With --expect N, blank nodes
// wait until N of them see each other; the smallest id offers the exact set; each gives its durable
// word to at most one founder at a time; with all N words the founding record goes to disk at all N
// before anybody serves. A blank node without a word out that meets a founded cluster joins it.
//
// 1. A word is given anew only to the same founder (a higher number), or after that founder has
//    durably withdrawn the offer. It is sent again until then: a founder that let the offer go, by
//    a restart too, answers with the withdrawal.
// 2. A founder that has written the record never withdraws it.
// 3. The record names homes, not owners.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "node/context.hpp"

namespace shoal::node {

class Founding {
 public:
  explicit Founding(Context& context) : context_(context) {}

  bool restore(std::string_view name, std::string_view value);  // False: unreadable.
  void start(Now now);

  void on_offer(Now now, NodeId from, const wire::FoundingOffer& offer);
  void on_word(Now now, NodeId from, const wire::FoundingWord& word);
  void on_withdraw(NodeId from, const wire::FoundingWithdraw& withdraw);
  void on_record(Now now, NodeId from, const wire::FoundingRecord& record);
  void on_held(NodeId from, const wire::FoundingHeld& held);

  // A member of a founded cluster spoke to this node.
  void on_founded_peer(NodeId peer, ClusterId cluster);
  // The shard table of the cluster to be joined is known.
  void on_table(Now now);

  void on_time(Now now);
  TimePoint wake_at() const { return serving() ? kNever : next_step_; }

  ClusterId cluster() const { return cluster_; }
  bool serving() const { return serving_; }
  // True once after serving began: the shards of the record are to be taken over.
  bool take_just_founded() { return std::exchange(just_founded_, false); }
  std::string waiting_for() const { return waiting_for_; }
  std::uint32_t shard_count() const { return shard_count_; }
  NodeId joining() const { return joining_; }

 private:
  struct Word {
    NodeId founder;
    std::uint64_t number = 0;
    ClusterId cluster;
  };

  void found_alone();
  void consider(Now now);
  void offer(Now now, std::vector<wire::FoundingMember> members);
  void withdraw(Now now);
  void hold(const wire::FoundingRecord& record);
  void lay_out(const wire::FoundingRecord& record);
  void finish();
  void persist(std::string name, const wire::Message& message);
  void promise(NodeId to, wire::Message message);
  std::vector<wire::FoundingMember> founders() const;
  void say_waiting(Now now, std::string text);

  Context& context_;
  ClusterId cluster_;
  std::uint32_t shard_count_ = 0;
  bool serving_ = false;
  bool just_founded_ = false;
  std::optional<wire::FoundingRecord> record_;  // Durable here; not served before it is complete.
  NodeId record_founder_;

  std::optional<Word> word_;                  // Given, durable.
  std::uint64_t offers_ = 0;                  // Number of the latest offer; durable.
  std::optional<wire::FoundingOffer> offer_;  // Open, as founder.
  std::set<NodeId> words_;
  std::set<NodeId> holders_;
  TimePoint offered_at_;
  NodeId joining_;  // A member of the founded cluster that this node asks for its table.
  ClusterId joining_cluster_;

  std::string waiting_for_;
  TimePoint waiting_since_;
  TimePoint said_at_;
  TimePoint next_step_;
};

}  // namespace shoal::node
