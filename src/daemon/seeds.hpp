// Finds the addresses behind the names of the seeds, again and again for as long as the node runs:
// all others may have moved meanwhile, and then nothing but their names leads to them.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include "base/address.hpp"

namespace shoal::daemon {

class Seeds {
 public:
  struct Events {
    std::function<bool(const Address&)>
        is_own;                                 // An address of this node itself is none of a seed.
    std::function<bool()> is_member;            // This node belongs to a cluster,
    std::function<bool(const Address&)> knows;  // and a live member of it is reached there.
    // All at first and while the node belongs nowhere; then those that it does not know.
    std::function<void(std::span<const Address>)> on_found;
  };
  Seeds(asio::io_context& context, std::vector<HostPort> names, Events events);

  void start();

 private:
  asio::awaitable<void> run();
  asio::awaitable<std::vector<Address>> resolve(HostPort seed);

  asio::io_context& context_;
  const std::vector<HostPort> names_;
  Events events_;
  asio::steady_timer timer_;
};

}  // namespace shoal::daemon
