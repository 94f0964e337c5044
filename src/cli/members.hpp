// The members of a cluster by what people call them, and what may be expected of each.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cli/json.hpp"
#include "shoal/cluster.hpp"
#include "shoal/result.hpp"

namespace shoal::cli {

// Copies of a shard where there are that many members; with fewer there is one.
inline constexpr std::size_t kCopiesWanted = 3;

bool present(const MemberView& member);  // Alive or suspect.
// What a person calls its state: "draining" and "leaving" for live members that do so.
std::string_view state_of(const MemberView& member);

// More than half of `nodes` are fit. An empty list has no majority.
template <class Fit>
bool majority(const std::vector<NodeId>& nodes, Fit&& fit) {
  std::size_t count = 0;
  for (const NodeId node : nodes) count += fit(node) ? 1 : 0;
  return 2 * count > nodes.size();
}

class Roster {
 public:
  explicit Roster(ClusterView view);

  enum class Wanted : std::uint8_t { any, present, gone };
  // A member by its name, its id, or the start of either that fits no other. Where several members
  // have one name (a node came back under a new identity), the one that is `wanted` is meant. The
  // error names the candidates.
  Result<MemberView> find(std::string_view text, Wanted wanted = Wanted::any) const;

  const MemberView* member(NodeId node) const;  // None: not a member (any more).
  bool present(NodeId node) const;
  std::string_view state(NodeId node) const;  // "unknown" for those who are no members.
  std::string name(NodeId node) const;        // Or the start of its id; fit for a terminal.
  // The same, told apart from others of that name by the start of its id.
  std::string full_name(NodeId node) const;
  std::string names(const std::vector<NodeId>& nodes) const;  // "n1, n2"

  const ClusterView& view() const { return view_; }
  const MemberView* self() const;  // The one that answered.
  // Copies that each shard should have.
  std::size_t copies() const;

 private:
  ClusterView view_;
  std::map<NodeId, std::size_t> index_;
};

}  // namespace shoal::cli
