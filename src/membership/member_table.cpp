#include "membership/member_table.hpp"

#include <algorithm>
#include <utility>

#include "base/random.hpp"

namespace shoal::membership {
namespace {

using wire::MemberState;

std::uint64_t hash_of(const Member& member) {
  std::uint64_t hash = mix64(member.node.high);
  hash = mix64(hash ^ member.node.low);
  hash = mix64(hash ^ member.incarnation.boot_epoch);
  hash = mix64(hash ^ member.incarnation.counter);
  return mix64(hash ^ static_cast<std::uint64_t>(member.state));
}

}  // namespace

bool newer(const wire::MemberRecord& a, const Member& b) {
  return std::pair(a.incarnation, a.state) > std::pair(b.incarnation, b.state);
}

const Member* MemberTable::find(NodeId node) const {
  const auto found = index_.find(node);
  return found == index_.end() ? nullptr : found->second;
}

MemberTable::Merge MemberTable::merge(TimePoint now, const wire::MemberRecord& record) {
  const auto since = now - std::chrono::seconds(record.gone_seconds);
  const auto found = index_.find(record.node);
  if (found == index_.end()) {
    if (!record.info) return Merge::stale;
    const Member member{.node = record.node,
                        .state = record.state,
                        .incarnation = record.incarnation,
                        .accuser = record.accuser,
                        .info = *record.info,
                        .changed_at = since,
                        .load = {},
                        .load_at = {}};
    Member& added = members_.emplace(record.node, member).first->second;
    index_.emplace(record.node, &added);
    count(added, true);
    return Merge::added;
  }
  Member& member = *found->second;
  if (!newer(record, member)) {
    const bool same = record.incarnation == member.incarnation && record.state == member.state;
    return same ? Merge::same : Merge::stale;
  }
  if (record.incarnation != member.incarnation && !record.info) return Merge::stale;

  count(member, false);
  member.state = record.state;
  member.incarnation = record.incarnation;
  member.accuser = record.accuser;
  member.changed_at = since;
  if (record.info) member.info = *record.info;
  count(member, true);
  return Merge::changed;
}

void MemberTable::note_load(TimePoint now, NodeId node, const wire::Load& load) {
  const auto found = index_.find(node);
  if (found == index_.end()) return;
  found->second->load = load;
  found->second->load_at = now;
}

void MemberTable::erase(NodeId node) {
  const auto found = members_.find(node);
  if (found == members_.end()) return;
  count(found->second, false);
  index_.erase(node);
  members_.erase(found);
}

std::size_t MemberTable::Hash::operator()(NodeId node) const {
  return static_cast<std::size_t>(mix64(node.high ^ mix64(node.low)));
}

std::uint32_t MemberTable::bucket_of(NodeId node) {
  return static_cast<std::uint32_t>(mix64(node.high ^ mix64(node.low)) % kDigestBuckets);
}

wire::MemberRecord MemberTable::record_of(TimePoint now, const Member& member,
                                          bool with_info) const {
  wire::MemberRecord record{.node = member.node,
                            .state = member.state,
                            .incarnation = member.incarnation,
                            .accuser = member.accuser,
                            .info = std::nullopt,
                            .gone_seconds = 0};
  if (with_info || member.state == MemberState::alive) record.info = member.info;
  if (member.gone()) {
    const auto age = std::chrono::duration_cast<std::chrono::seconds>(now - member.changed_at);
    record.gone_seconds =
        static_cast<std::uint32_t>(std::clamp<std::int64_t>(age.count(), 0, std::int64_t{1} << 31));
  }
  return record;
}

std::vector<wire::MemberRecord> MemberTable::records(TimePoint now,
                                                     std::uint64_t bucket_mask) const {
  std::vector<wire::MemberRecord> records;
  for (const auto& [node, member] : members_) {
    if ((bucket_mask >> bucket_of(node) & 1) != 0) records.push_back(record_of(now, member, true));
  }
  return records;
}

void MemberTable::count(const Member& member, bool add) {
  digest_.at(bucket_of(member.node)) ^= hash_of(member);
  const auto step = [add](std::size_t& counter) { add ? ++counter : --counter; };
  if (!member.gone()) step(present_count_);
  if (member.state == MemberState::alive) step(alive_count_);
}

}  // namespace shoal::membership
