// What the client uses of Asio, in one place: errors are values, no operation throws.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/experimental/as_tuple.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

namespace shoal::client {

using asio::awaitable;
using asio::ip::tcp;
using SteadyTime = std::chrono::steady_clock::time_point;

// `co_await operation(..., kTuple)` gives (error_code, result...).
inline constexpr auto kTuple = asio::experimental::as_tuple(asio::use_awaitable);

}  // namespace shoal::client
