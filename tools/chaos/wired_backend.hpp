// Nodes as processes of this machine with a network between them that can be hurt: always a cluster
// of its own, gone afterwards. What it adds to the local back end is how a node is started.
//
// How the network is made is left to a derived class: each node has a place in it.
#pragma once

#include "tools/chaos/links.hpp"
#include "tools/chaos/local_backend.hpp"

namespace shoal::chaos {

class WiredBackend : public LocalBackend {
 public:
  explicit WiredBackend(const BackendOptions& options);

  Plan birth() const override;
  std::optional<std::string> cannot(const Fault& fault) const override;

 protected:
  // Where a node is and how a program starts there. Places above the cluster's size are for nodes
  // that join for a while.
  struct Place {
    std::string address;               // For the others and for clients.
    std::vector<std::string> before;   // What the command begins with.
    std::vector<std::string> options;  // Where it listens.
  };
  virtual Place place(std::uint32_t number) const = 0;
  // The cluster's nodes are the first of them.
  static constexpr std::uint32_t kPlaces = 99;
  // Before the nodes start, and after they have ended.
  virtual Plan network_birth() const = 0;
  virtual std::optional<std::string> cannot_network(const Fault& fault) const = 0;

  Result<std::vector<DevNode>> listed() const override;
  Step start_step(const BackendNode& node, const std::string& program) const override;
  Result<Joiner> joiner(const Injection& injection, const std::string& name) override;

  // Of nodes beyond the cluster, in turn.
  std::uint32_t next_place();
  const std::string& token() const { return token_; }
  std::uint32_t number_of(const std::string& node) const;  // n3: 3

 private:
  BackendNode node_of(std::uint32_t number) const;

  std::string token_;
  std::uint32_t joined_ = 0;
};

}  // namespace shoal::chaos
