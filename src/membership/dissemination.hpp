// What is still to be told: SWIM's dissemination component (Das et al., DSN 2002, sections 4.1
// and 4.4).
//
// Each subject has at most one pending item, and an item is only a reminder: what is sent is what
// the table says at that moment, so that nothing that was refuted meanwhile is ever spread. Order:
// alive before suspect before dead and left, newest first within each. The oldest-first queue of
// the paper makes members act on what was refuted long ago.
//
// Limits: `items_max` subjects; at the bound the least urgent item is dropped when another is
// inserted. What is dropped, or was sent the full number of times without reaching someone, is
// found by push-pull.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <tuple>
#include <vector>

#include "shoal/id.hpp"
#include "wire/membership_messages.hpp"

namespace shoal::membership {

// Upper bounds of encoded sizes: what a message takes besides its news, and one record. A test
// holds the real encoding against them.
inline constexpr std::size_t kMessageBytes = 150;
inline constexpr std::size_t kRecordBytes = 72;
inline constexpr std::size_t kInfoBytes = 80;  // Besides the name and the zone.
inline constexpr std::size_t kNewsBytesMax = wire::kDatagramBytesMax - kMessageBytes;

std::size_t record_bytes(const wire::MemberRecord& record);

class Dissemination {
 public:
  using News = std::vector<wire::MemberRecord>;
  // What is known of the subject; `turn` counts the copies of this item.
  using RecordOf = std::function<wire::MemberRecord(NodeId subject, std::uint32_t turn)>;

  explicit Dissemination(std::size_t items_max) : items_max_(items_max) {}

  // Replaces what was pending about the subject. REQUIRES: transmissions > 0.
  void add(NodeId subject, wire::MemberState state, std::uint32_t transmissions);
  void drop(NodeId subject);

  bool empty() const { return urgency_.empty(); }
  std::size_t size() const { return urgency_.size(); }

  // The most urgent news, in at most `packets_max` packets of at most `bytes_max` each; no item
  // twice. Everything returned counts as sent once.
  std::vector<News> take(std::size_t packets_max, std::size_t bytes_max, const RecordOf& record_of);

 private:
  // Class (0 = alive), then newest first.
  struct Urgency {
    std::uint8_t rank = 0;
    std::uint64_t age_order = 0;  // Falls from item to item, so that a smaller one is newer.
    auto operator<=>(const Urgency&) const = default;
  };
  struct Item {
    NodeId subject;
    std::uint32_t transmissions_left = 0;
    std::uint32_t turn = 0;
  };

  std::size_t items_max_;
  std::uint64_t next_age_order_ = ~std::uint64_t{0};
  std::map<Urgency, Item> items_;
  std::map<NodeId, Urgency> urgency_;  // One for each item.
};

}  // namespace shoal::membership
