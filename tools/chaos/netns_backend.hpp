// A wired cluster whose nodes live in network namespaces of their own, joined by a bridge in one
// more. Needs root, iproute2 and nftables. Nothing outside these namespaces is touched: the tool
// itself goes into the bridge's.
//
// Packets are dropped where they arrive, by a table of each fault in the receiver's namespace. What
// delays or alters packets is the relay's business: nftables has no means for it, and netem is a
// module that not every kernel has.
#pragma once

#include "tools/chaos/wired_backend.hpp"

namespace shoal::chaos {

class NetnsBackend : public WiredBackend {
 public:
  static Result<std::unique_ptr<Backend>> open(const BackendOptions& options);
  explicit NetnsBackend(const BackendOptions& options) : WiredBackend(options) {}

  std::string name() const override { return "netns"; }
  Result<void> enter() override;
  Result<Plan> network(const Injection& injection) override;

 protected:
  Place place(std::uint32_t number) const override;
  Plan network_birth() const override;
  std::optional<std::string> cannot_network(const Fault& fault) const override;
  Result<Joiner> joiner(const Injection& injection, const std::string& name) override;
  std::vector<std::string> client_words() const override;

 private:
  std::string hub() const;
  std::string space(std::uint32_t number) const;
  Steps space_birth(std::uint32_t number) const;
};

// What nftables does to packets that match, for the faults that it can make.
std::string packet_verdict(const Fault& fault);

}  // namespace shoal::chaos
