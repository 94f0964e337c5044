// A client's loop and the cluster that is not there.
#pragma once

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fake_node.hpp"
#include "shoal/client.hpp"

namespace shoal::client {

struct Fixture {
  asio::io_context context{1};
  World world;

  // Turns the loop until `call` has its result.
  template <class T>
  Result<T> run(asio::awaitable<Result<T>> call) {
    std::optional<Result<T>> result;
    asio::co_spawn(context, std::move(call), [&](std::exception_ptr error, Result<T> value) {
      REQUIRE(!error);
      result = std::move(value);
    });
    context.restart();
    while (!result && context.run_one() > 0) {
    }
    REQUIRE(result);
    return std::move(*result);
  }
};

inline ClientOptions quick(std::vector<std::string> addresses) {
  return {.addresses = std::move(addresses),
          .connect_timeout = std::chrono::milliseconds(500),
          .timeout = std::chrono::milliseconds(3000)};
}

}  // namespace shoal::client
