// Where the parts of one node's shards leave what they want done until it is taken: batches by
// destination (B1), and the bookkeeping that all shards of a node share.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "shard/output.hpp"

namespace shoal::shard {

// Items for each destination, packed into few messages when drained.
class Outbox {
 public:
  void prepare(NodeId to, wire::PrepareItem item) { at(to).prepares.push_back(std::move(item)); }
  void promise(NodeId to, wire::PromiseItem item) { at(to).promises.push_back(std::move(item)); }
  void refuse(NodeId to, wire::RefuseItem item) { at(to).refuses.push_back(std::move(item)); }
  void fetch(NodeId to, wire::FetchItem item) { at(to).fetches.push_back(std::move(item)); }
  void fetched(NodeId to, wire::FetchedItem item) { at(to).fetched.push_back(std::move(item)); }
  void write(NodeId to, wire::WriteItem item) { at(to).writes.push_back(std::move(item)); }
  void ack(NodeId to, wire::AckItem item) { at(to).acks.push_back(std::move(item)); }
  void send(NodeId to, Message message) { at(to).ready.push_back(std::move(message)); }

  // Appends everything to `output` and is empty afterwards.
  void drain(Output& output);

 private:
  struct Items {
    std::vector<wire::PrepareItem> prepares;
    std::vector<wire::PromiseItem> promises;
    std::vector<wire::RefuseItem> refuses;
    std::vector<wire::FetchItem> fetches;
    std::vector<wire::FetchedItem> fetched;
    std::vector<wire::WriteItem> writes;
    std::vector<wire::AckItem> acks;
    std::vector<Message> ready;
  };
  Items& at(NodeId to) { return items_[to]; }

  std::map<NodeId, Items> items_;  // Ordered: destinations come out alike on every run.
};

// What an answer from the store is for.
struct ReadPurpose {
  enum class Kind : std::uint8_t {
    fetch,     // H3: the answer to a candidate's Fetch.
    takeover,  // C6: an unsettled value of our own that is written again.
    catch_up,  // O1: a home lacks it.
    rewrite,   // O2: a leftover was met, the record is written again.
    asked,     // Shards::read().
  };
  Kind kind{};
  ShardId shard{};
  wire::RecordKey key;
  wire::RecordVersion version;  // Only this one serves.
  wire::Ballot ballot;          // Of the candidate or owner the answer is for.
  NodeId node;                  // Whom it is for, if that is another node.
  std::uint64_t entered = 0;    // For catch_up: since when that node has been a member.
};

struct Effects {
  Output output;  // `messages` and `promises` are filled by the outbox at the end.
  Outbox outbox;
  std::map<std::uint64_t, ReadPurpose> reads;
  std::uint64_t read_last = 0;
  std::map<NodeId, std::uint32_t> catching_up;  // Catch-up items under way, by node.

  std::uint64_t read(const ReadPurpose& purpose) {
    const std::uint64_t id = begin_read(purpose);
    output.reads.push_back({.id = id, .shard = purpose.shard, .key = purpose.key});
    return id;
  }
  // It does not leave yet: the value is not here.
  std::uint64_t begin_read(const ReadPurpose& purpose) {
    reads.emplace(++read_last, purpose);
    return read_last;
  }
};

// Estimated bytes of a record in a message.
inline std::size_t wire_size(const wire::Record& record) { return 80 + record.value.size(); }

}  // namespace shoal::shard
