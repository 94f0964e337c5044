#include "shard/record_map.hpp"

#include <iterator>
#include <utility>

namespace shoal::shard {

std::size_t RecordMap::leaf_of(const wire::RecordKey& key) const {
  const auto after = std::upper_bound(
      leaves_.begin(), leaves_.end(), key,
      [](const wire::RecordKey& k, const auto& leaf) { return k < leaf.front().key; });
  return after == leaves_.begin() ? 0 : static_cast<std::size_t>(after - leaves_.begin()) - 1;
}

const StoredRecord* RecordMap::find(const wire::RecordKey& key) const {
  if (leaves_.empty()) return nullptr;
  const auto& leaf = leaves_[leaf_of(key)];
  const auto at = std::ranges::lower_bound(leaf, key, {}, &StoredRecord::key);
  return at != leaf.end() && at->key == key ? &*at : nullptr;
}

StoredRecord& RecordMap::insert(const wire::RecordKey& key) {
  std::size_t index = 0;
  if (leaves_.empty()) {
    leaves_.emplace_back();
  } else {
    index = leaf_of(key);
  }
  auto at = std::ranges::lower_bound(leaves_[index], key, {}, &StoredRecord::key);
  if (at != leaves_[index].end() && at->key == key) return *at;
  ++size_;
  if (leaves_[index].size() == kLeafRecords) {
    const auto place = static_cast<std::size_t>(at - leaves_[index].begin());
    // An append at the very end starts a new leaf and leaves the full one full.
    const bool append = index + 1 == leaves_.size() && place == kLeafRecords;
    const std::size_t cut = append ? kLeafRecords : kLeafRecords / 2;
    std::vector<StoredRecord> right(
        std::make_move_iterator(leaves_[index].begin() + static_cast<std::ptrdiff_t>(cut)),
        std::make_move_iterator(leaves_[index].end()));
    leaves_[index].resize(cut);
    leaves_.insert(leaves_.begin() + static_cast<std::ptrdiff_t>(index) + 1, std::move(right));
    if (place > cut || append) ++index;
    at = std::ranges::lower_bound(leaves_[index], key, {}, &StoredRecord::key);
  }
  StoredRecord record;
  record.key = key;
  return *leaves_[index].insert(at, std::move(record));
}

}  // namespace shoal::shard
