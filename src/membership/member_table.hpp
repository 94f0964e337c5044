// What this node believes of every member, itself included.
//
// News is ordered by (incarnation, alive < suspect < dead < left), and the greatest is kept: tables
// that have seen the same news in any order are the same (SWIM, section 4.2, as a join
// semilattice).
//
// Invariants: 1. a member's info is the one it announced with the incarnation held; news without
// info applies to that incarnation only. 2. bucket b of the digest is the exclusive or of the
// hashes of the members that fall into b, whatever the order they came in. Limits: the caller
// bounds the number of members.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <unordered_map>
#include <vector>

#include "base/time.hpp"
#include "membership/config.hpp"
#include "shoal/id.hpp"
#include "wire/membership_messages.hpp"

namespace shoal::membership {

struct Member {
  NodeId node;
  wire::MemberState state = wire::MemberState::alive;
  wire::Incarnation incarnation;
  NodeId accuser;  // Of a suspect, dead or left member; itself when it said so.
  wire::MemberInfo info;
  TimePoint changed_at{};  // When it came into this state; for dead and left, as far as is known.
  wire::Load load;
  TimePoint load_at{};  // TimePoint{} while no load was ever heard.

  bool gone() const { return state >= wire::MemberState::dead; }
  bool stopped() const { return state == wire::MemberState::dead && accuser == node; }
};
static_assert(sizeof(Member) <= 248, "a simulation of 1,000 nodes holds a million of them");

// True if `a` is newer than what `b` says of the same member.
bool newer(const wire::MemberRecord& a, const Member& b);

class MemberTable {
 public:
  using Digest = std::array<std::uint64_t, kDigestBuckets>;
  enum class Merge : std::uint8_t { added, changed, same, stale };

  MemberTable() = default;
  MemberTable(const MemberTable&) = delete;  // The index points into the table.
  MemberTable& operator=(const MemberTable&) = delete;
  MemberTable(MemberTable&&) = default;
  MemberTable& operator=(MemberTable&&) = default;

  const Member* find(NodeId node) const;
  const std::map<NodeId, Member>& members() const { return members_; }

  // Members that are alive or suspect, and those that are alive.
  std::size_t present_count() const { return present_count_; }
  std::size_t alive_count() const { return alive_count_; }

  // Takes the record if it is newer. `same`: equal in incarnation and state. `stale`: older, or not
  // applicable for want of info (invariant 1).
  Merge merge(TimePoint now, const wire::MemberRecord& record);

  void note_load(TimePoint now, NodeId node, const wire::Load& load);
  void erase(NodeId node);

  static std::uint32_t bucket_of(NodeId node);
  const Digest& digest() const { return digest_; }

  wire::MemberRecord record_of(TimePoint now, const Member& member, bool with_info) const;
  // With info, of the buckets whose bit is set, by id.
  std::vector<wire::MemberRecord> records(TimePoint now, std::uint64_t bucket_mask) const;

 private:
  void count(const Member& member, bool add);

  struct Hash {
    std::size_t operator()(NodeId node) const;
  };

  std::map<NodeId, Member> members_;
  std::unordered_map<NodeId, Member*, Hash> index_;  // Of members_, to find one; never walked.
  Digest digest_{};
  std::size_t present_count_ = 0;
  std::size_t alive_count_ = 0;
};

}  // namespace shoal::membership
