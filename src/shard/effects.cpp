#include "shard/effects.hpp"

#include <iterator>
#include <utility>

namespace shoal::shard {
namespace {

struct Size {
  std::size_t bytes = 0;
  std::size_t records = 0;
};

std::size_t config_size(const wire::ShardConfig& config) {
  return 64 + 16 * (config.home.size() + config.next.size() + config.learners.size());
}

Size size_of(const wire::PrepareItem& item) { return {48 + config_size(item.config), 1}; }
Size size_of(const wire::PromiseItem& item) {
  return {80 + config_size(item.config) + item.digest.size() * 56, 1 + item.digest.size() / 2};
}
Size size_of(const wire::RefuseItem& item) { return {80 + config_size(item.config), 1}; }
Size size_of(const wire::FetchItem& item) { return {48 + item.keys.size() * 16, item.keys.size()}; }
Size records_size(const std::vector<wire::Record>& records) {
  Size size{0, records.size()};
  for (const wire::Record& record : records) size.bytes += wire_size(record);
  return size;
}
Size size_of(const wire::FetchedItem& item) {
  Size size = records_size(item.records);
  size.bytes += 48;
  return size;
}
Size size_of(const wire::WriteItem& item) {
  Size size = records_size(item.records);
  size.bytes += 112 + (item.config ? config_size(*item.config) : 0);
  return size;
}
Size size_of(const wire::AckItem& item) { return {120 + item.exceptions.size() * 64, 1}; }

// Packs items into messages of at most kMessageBytesMax and kMessageRecordsMax; a single item above
// that goes alone.
template <class M, class Item>
void pack(NodeId to, std::vector<Item>& items, std::vector<Outgoing>& out) {
  if (items.empty()) return;
  M message;
  Size sum;
  for (Item& item : items) {
    const Size size = size_of(item);
    if (!message.items.empty() && (sum.bytes + size.bytes > kMessageBytesMax ||
                                   sum.records + size.records > kMessageRecordsMax)) {
      out.push_back({to, std::exchange(message, {})});
      sum = {};
    }
    sum.bytes += size.bytes;
    sum.records += size.records;
    message.items.push_back(std::move(item));
  }
  out.push_back({to, std::move(message)});
  items.clear();
}

}  // namespace

void Outbox::drain(Output& output) {
  for (auto& [to, items] : items_) {
    pack<wire::Refuse>(to, items.refuses, output.messages);
    pack<wire::Prepare>(to, items.prepares, output.messages);
    pack<wire::WriteRecords>(to, items.writes, output.messages);
    pack<wire::Fetch>(to, items.fetches, output.messages);
    for (Message& message : items.ready) output.messages.push_back({to, std::move(message)});
    pack<wire::Promise>(to, items.promises, output.promises);
    pack<wire::Ack>(to, items.acks, output.promises);
    pack<wire::Fetched>(to, items.fetched, output.promises);
  }
  items_.clear();
}

}  // namespace shoal::shard
