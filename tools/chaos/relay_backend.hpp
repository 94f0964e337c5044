// A wired cluster whose network is a relay: no root, and every fault of the network.
//
// Each node has two addresses of the loopback that are this run's alone: its own and its front
// (relay.hpp).
#pragma once

#include "tools/chaos/relay.hpp"
#include "tools/chaos/wired_backend.hpp"

namespace shoal::chaos {

class RelayBackend : public WiredBackend {
 public:
  static Result<std::unique_ptr<Backend>> open(const BackendOptions& options);
  explicit RelayBackend(const BackendOptions& options);

  std::string name() const override { return "relay"; }
  Result<Plan> network(const Injection& injection) override;

 protected:
  Place place(std::uint32_t number) const override;
  Plan network_birth() const override;
  std::optional<std::string> cannot_network(const Fault& fault) const override;

 private:
  RunProgram tell_step(std::vector<std::string> words) const;

  std::string subnet_;  // "127.9.9."
};

}  // namespace shoal::chaos
