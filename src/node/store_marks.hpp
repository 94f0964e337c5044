// How far other nodes' stores have come, as they said themselves (rule F2), kept on disk: for each
// node the newest start that was heard of, and the last one that settled with this node, which is
// the last one that may have voted here, each with its nonce and sequence; and the highest sequence
// heard of in any way.
//
// Both must fit into the history of a store that claims to be that node's; a start that does not
// settle takes nothing of the memory away. A mark is written at most once each kMarksInterval, so a
// crash of this node may cost what it heard last. Limits: kMarksMax nodes; further ones are not
// remembered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string_view>
#include <vector>

#include "base/address.hpp"
#include "base/time.hpp"
#include "shoal/id.hpp"
#include "wire/control_messages.hpp"
#include "wire/persist.hpp"

namespace shoal::node {

inline constexpr Duration kMarksInterval = std::chrono::seconds(1);
inline constexpr std::size_t kMarksMax = 16'384;
inline constexpr std::string_view kMetaMark = "mark.";  // And the node's id.

class StoreMarks {
 public:
  // False: `name` begins with kMetaMark and this is no mark.
  bool restore(std::string_view name, std::string_view value);

  // What a node said of its store. Words of an earlier start, and of another process with the same
  // boot epoch, change nothing: which of the two is the node cannot be told here.
  void on_query(Now now, NodeId node, const wire::StoreQuery& query, const Address& from);
  // The same, from members' news and from probes.
  void on_start(Now now, NodeId node, std::uint64_t boot_epoch, std::uint64_t boot_nonce);
  void on_sequence(Now now, NodeId node, std::uint64_t sequence);
  void forget(NodeId node);

  wire::StoreAnswer of(NodeId node) const;  // All zero when nothing is known.
  // Where the process of that nonce was heard last; not kept on disk.
  Address address_of(NodeId node, std::uint64_t boot_nonce) const;
  std::vector<NodeId> nodes() const;

  // What has changed, when it is time to write it.
  std::vector<wire::Write> take_writes(Now now);
  TimePoint wake_at() const { return changed_.empty() ? kNever : next_write_; }

 private:
  struct Memory {
    wire::StoreMark newest;
    wire::StoreMark settled;
    std::uint64_t sequence = 0;
    Address newest_at;
    Address settled_at;
  };
  Memory* make(NodeId node);
  void settle(Memory& memory, bool settled);
  void touch(Now now, NodeId node);

  std::map<NodeId, Memory> marks_;
  std::set<NodeId> changed_;  // Those forgotten as well.
  TimePoint next_write_;
};

}  // namespace shoal::node
