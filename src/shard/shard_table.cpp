#include "shard/shard_table.hpp"

#include <algorithm>
#include <string>

#include "base/hash.hpp"
#include "shard/output.hpp"

namespace shoal::shard {
namespace {

void append(std::string& bytes, std::uint64_t number) {
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(number >> (8 * i) & 0xff));
}

void append(std::string& bytes, const wire::Ballot& ballot) {
  append(bytes, ballot.round);
  append(bytes, ballot.node.high);
  append(bytes, ballot.node.low);
}

}  // namespace

void ShardTable::resize(std::uint32_t shard_count) {
  const std::uint32_t before = this->shard_count();
  if (shard_count <= before || shard_count > kShardsMax) return;
  entries_.resize(shard_count);
  for (std::uint32_t i = before; i < shard_count; ++i) entries_[i].shard = ShardId{i};
}

const wire::TableEntry* ShardTable::find(ShardId shard) const {
  const auto index = static_cast<std::uint32_t>(shard);
  return index < shard_count() && !entries_[index].config.home.empty() ? &entries_[index] : nullptr;
}

bool ShardTable::merge(const wire::TableEntry& entry) {
  const auto index = static_cast<std::uint32_t>(entry.shard);
  if (index >= shard_count()) return false;
  wire::TableEntry& mine = entries_[index];
  bool changed = false;
  const bool finished =
      !entry.config.home.empty() && entry.config.next.empty() && entry.config.learners.empty();
  if (finished && (mine.config.home.empty() || mine.config.id < entry.config.id)) {
    mine.config = entry.config;
    changed = true;
  }
  if (mine.owner < entry.owner) {
    mine.owner = entry.owner;
    changed = true;
  }
  return changed;
}

// The config's id stands for its content: it names one config only.
std::uint64_t ShardTable::group_hash(std::uint32_t group) const {
  std::string bytes;
  const std::uint32_t end = std::min(shard_count(), (group + 1) * kTableGroup);
  for (std::uint32_t i = group * kTableGroup; i < end; ++i) {
    const wire::TableEntry& entry = entries_[i];
    append(bytes, entry.config.home.empty() ? 0 : 1);
    append(bytes, entry.config.id.ballot);
    append(bytes, entry.config.id.seq);
    append(bytes, entry.owner);
  }
  return hash64(bytes, group);
}

wire::TableDigest ShardTable::digest() const {
  wire::TableDigest digest{.shard_count = shard_count(), .groups = {}};
  for (std::uint32_t i = 0; i < group_count(); ++i) digest.groups.push_back(group_hash(i));
  return digest;
}

void ShardTable::append_group(std::uint32_t group, std::vector<wire::TableEntry>& out) const {
  if (group >= group_count()) return;
  const std::uint32_t end = std::min(shard_count(), (group + 1) * kTableGroup);
  for (std::uint32_t i = group * kTableGroup; i < end; ++i) {
    if (!entries_[i].config.home.empty() || entries_[i].owner != wire::Ballot{}) {
      out.push_back(entries_[i]);
    }
  }
}

std::optional<wire::TableEntries> ShardTable::on_digest(const wire::TableDigest& digest) {
  if (shard_count() == 0) resize(digest.shard_count);
  if (shard_count() == 0) return std::nullopt;
  const bool blank = digest.shard_count == 0;
  const bool comparable =
      digest.shard_count == shard_count() && digest.groups.size() == group_count();
  if (!blank && !comparable) return std::nullopt;
  wire::TableEntries answer{.shard_count = shard_count(), .entries = {}, .wanted_groups = {}};
  for (std::uint32_t i = 0; i < group_count(); ++i) {
    if (!blank && digest.groups[i] == group_hash(i)) continue;
    append_group(i, answer.entries);
    if (!blank) answer.wanted_groups.push_back(i);
  }
  if (answer.entries.empty() && answer.wanted_groups.empty()) return std::nullopt;
  return answer;
}

std::optional<wire::TableEntries> ShardTable::on_entries(const wire::TableEntries& entries) {
  if (shard_count() == 0) resize(entries.shard_count);
  if (shard_count() == 0 || entries.shard_count != shard_count()) return std::nullopt;
  for (const wire::TableEntry& entry : entries.entries) merge(entry);
  wire::TableEntries answer{.shard_count = shard_count(), .entries = {}, .wanted_groups = {}};
  std::vector<std::uint32_t> groups = entries.wanted_groups;
  std::ranges::sort(groups);
  const auto repeated = std::ranges::unique(groups);
  groups.erase(repeated.begin(), repeated.end());
  for (const std::uint32_t group : groups) append_group(group, answer.entries);
  if (answer.entries.empty()) return std::nullopt;
  return answer;
}

}  // namespace shoal::shard
