#include "membership/dissemination.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"

namespace shoal::membership {

std::size_t record_bytes(const wire::MemberRecord& record) {
  if (!record.info) return kRecordBytes;
  return kRecordBytes + kInfoBytes + record.info->name.size() + record.info->zone.size();
}

void Dissemination::add(NodeId subject, wire::MemberState state, std::uint32_t transmissions) {
  SHOAL_ASSERT(transmissions > 0);
  drop(subject);
  const auto rank = std::min<std::uint8_t>(static_cast<std::uint8_t>(state), 2);
  const Urgency urgency{.rank = rank, .age_order = next_age_order_--};
  items_.emplace(urgency, Item{.subject = subject, .transmissions_left = transmissions, .turn = 0});
  urgency_.emplace(subject, urgency);
  if (items_.size() > items_max_) drop(std::prev(items_.end())->second.subject);
}

void Dissemination::drop(NodeId subject) {
  const auto found = urgency_.find(subject);
  if (found == urgency_.end()) return;
  items_.erase(found->second);
  urgency_.erase(found);
}

std::vector<Dissemination::News> Dissemination::take(std::size_t packets_max, std::size_t bytes_max,
                                                     const RecordOf& record_of) {
  std::vector<News> packets;
  std::size_t bytes_left = 0;
  for (auto next = items_.begin(); next != items_.end();) {
    Item& item = next->second;
    wire::MemberRecord record = record_of(item.subject, item.turn);
    const std::size_t bytes = record_bytes(record);
    if (bytes > bytes_left) {
      if (packets.size() == packets_max || bytes > bytes_max) break;
      packets.emplace_back();
      bytes_left = bytes_max;
    }
    bytes_left -= bytes;
    packets.back().push_back(std::move(record));
    ++item.turn;
    if (--item.transmissions_left == 0) {
      urgency_.erase(item.subject);
      next = items_.erase(next);
    } else {
      ++next;
    }
  }
  return packets;
}

}  // namespace shoal::membership
