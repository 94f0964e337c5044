#include "daemon/seeds.hpp"

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <chrono>
#include <string>
#include <utility>

#include "base/log.hpp"
#include "daemon/host.hpp"
#include "net/endpoint.hpp"

namespace shoal::daemon {
namespace {

constexpr Duration kPause = std::chrono::seconds(30);
constexpr Duration kFailedPause = std::chrono::seconds(2);

}  // namespace

Seeds::Seeds(asio::io_context& context, std::vector<HostPort> names, Events events)
    : context_(context),
      names_(std::move(names)),
      events_(std::move(events)),
      timer_(context),
      random_(random_seed()) {}

void Seeds::start() {
  if (!names_.empty()) asio::co_spawn(context_, run(), asio::detached);
}

asio::awaitable<std::vector<Address>> Seeds::resolve(HostPort seed) {
  asio::ip::tcp::resolver resolver(context_);
  const std::string port = std::to_string(seed.port);
  std::error_code error;
  const auto found = co_await resolver.async_resolve(
      seed.host, port, asio::redirect_error(asio::use_awaitable, error));
  std::vector<Address> addresses;
  if (error) {
    if (!events_.joined()) {
      log::warn("daemon", "the seed {} cannot be resolved: {}; trying again", seed.host,
                error.message());
    }
    co_return addresses;
  }
  for (const auto& entry : found) {
    const Address address = net::to_address(entry.endpoint().address(), entry.endpoint().port());
    if (!events_.is_own(address)) addresses.push_back(address);
  }
  co_return addresses;
}

asio::awaitable<void> Seeds::run() {
  while (true) {
    std::vector<Address> addresses;
    for (const HostPort& seed : names_) {
      const std::vector<Address> found = co_await resolve(seed);
      addresses.insert(addresses.end(), found.begin(), found.end());
    }
    Duration pause = kPause;
    if (events_.joined()) {
      pause += random_.below(kPause);
    } else if (addresses.empty()) {
      pause = kFailedPause;
    }
    if (!addresses.empty()) events_.on_found(addresses);
    timer_.expires_after(pause);
    std::error_code ignored;
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

}  // namespace shoal::daemon
