// I14: a node's incarnation never falls, nobody but the node itself raises it, and it is not heard
// of before its boot epoch is on disk.
#pragma once

#include <cstdint>
#include <map>
#include <set>

#include "sim/checkers.hpp"
#include "wire/message.hpp"

namespace shoal::sim {

class IncarnationChecker {
 public:
  explicit IncarnationChecker(Violations& violations) : violations_(violations) {}

  void sent(TimePoint now, NodeId from, const wire::Message& message);
  // As the node holds itself just now.
  void observe(TimePoint now, NodeId node, const wire::Incarnation& incarnation);
  void durable(NodeId node, const wire::PutMeta& put);
  // Its disk was wiped or rolled back: what it says from now on proves nothing.
  void excuse(NodeId node) { excused_.insert(node); }

 private:
  void said(TimePoint now, NodeId from, const wire::MemberRecord& record);

  Violations& violations_;
  std::map<NodeId, wire::Incarnation> said_by_itself_;  // The highest.
  std::map<NodeId, wire::Incarnation> seen_;
  std::map<NodeId, std::uint64_t> boot_durable_;
  std::set<NodeId> excused_;
};

}  // namespace shoal::sim
