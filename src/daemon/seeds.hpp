// Finds the addresses behind the names of the seeds, again and again until nobody wants them.
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
        is_own;  // An address of this node itself is none of a seed.
    std::function<void(std::span<const Address>)> on_found;
    std::function<bool()> wanted;
  };
  Seeds(asio::io_context& context, std::vector<HostPort> names, Events events);

  // At least once: a member whose peers have all moved finds them again by its seeds.
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
