// What each node says of the others, and of itself, looked at twice a second; more often for a
// while after something was broken, so that detection is measured finely.
//
// Events: {"event":"member","name","id","address"} when first heard of;
// {"event":"view","node","sees":{NAME: STATE}} whenever a node's view has changed;
// {"event":"silent","node"} when a node stops answering (its next answer is a view);
// {"event":"owners","from","to","shards"} when shards have changed their owner.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shoal/client.hpp"
#include "tools/chaos/crew.hpp"
#include "tools/chaos/recording.hpp"

namespace shoal::chaos {

struct NamedAddress {
  std::string name;
  std::string address;
};

class Samples {
 public:
  // The crew, the recording and this outlive the crew's join().
  Samples(Crew& crew, Recording& recording, std::vector<NamedAddress> nodes);

  void start();
  void attend(Ms time);  // Looks often for so long.

  // Each node answers, and sees each of them alive.
  bool agree() const;
  std::string disagreement() const;  // For people.

  std::string name_of(NodeId node) const;  // Empty when unknown.
  // By running and waiting tasks; empty when nothing is known.
  std::string busiest() const;
  std::string idlest() const;
  // Shard by shard; empty when not known yet.
  const std::vector<NodeId>& owners() const { return owners_; }
  std::vector<std::uint32_t> shards_owned_by(const std::vector<std::string>& nodes) const;

 private:
  using View = std::map<std::string, std::string>;  // Name -> state.

  asio::awaitable<void> look(NamedAddress node);
  asio::awaitable<void> measure();
  asio::awaitable<void> survey();
  void take_view(const std::string& node, const ClusterView& view);
  void take_silence(const std::string& node);
  void take_ring(const RingView& ring);
  Ms interval() const;

  Crew& crew_;
  Recording& recording_;
  std::vector<NamedAddress> nodes_;
  std::map<std::string, std::optional<View>> views_;  // Absent: silent.
  std::map<NodeId, std::string> names_;
  std::map<std::string, std::uint32_t> loads_;
  std::vector<NodeId> owners_;
  std::chrono::steady_clock::time_point attentive_until_{};
};

}  // namespace shoal::chaos
