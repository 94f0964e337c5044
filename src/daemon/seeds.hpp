// Finds the addresses behind the names of the seeds, again and again as long as the node runs:
// members may come back at other addresses.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include "base/address.hpp"
#include "base/random.hpp"

namespace shoal::daemon {

class Seeds {
 public:
  struct Events {
    std::function<bool(const Address&)>
        is_own;  // An address of this node itself is none of a seed.
    std::function<void(std::span<const Address>)> on_found;
    std::function<bool()> joined;  // Until then it is urgent.
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
  Random random_;
};

}  // namespace shoal::daemon
