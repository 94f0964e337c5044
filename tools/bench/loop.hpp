// Runs coroutines one after the other on one thread; Ctrl-C ends the one that runs and all later
// ones, so that the cluster's destructor has its turn.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <chrono>
#include <csignal>
#include <exception>
#include <optional>

#include "shoal/result.hpp"

namespace shoal::bench {

class Loop {
 public:
  Loop() : signals_(context_, SIGINT, SIGTERM) {
    signals_.async_wait([this](asio::error_code error, int) {
      if (error) return;
      interrupted_ = true;
      context_.stop();
    });
  }

  asio::io_context& context() { return context_; }

  template <class T>
  Result<T> run(asio::awaitable<Result<T>> work) {
    std::optional<Result<T>> result;
    context_.restart();
    if (!interrupted_) {
      asio::co_spawn(context_, std::move(work),
                     [this, &result](std::exception_ptr error, Result<T> value) {
                       if (error) value = fail(ErrorCode::internal, "a library failed");
                       result = std::move(value);
                       context_.stop();
                     });
      context_.run();
    }
    if (!result) return fail(ErrorCode::timeout, "interrupted");
    return std::move(*result);
  }

  asio::awaitable<void> sleep(std::chrono::milliseconds time) {
    asio::steady_timer timer(context_, time);
    co_await timer.async_wait(asio::use_awaitable);
  }

 private:
  asio::io_context context_;
  asio::signal_set signals_;
  bool interrupted_ = false;
};

}  // namespace shoal::bench
