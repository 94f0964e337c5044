// Coroutines that belong together on one loop: started, told to stop, and waited for.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <set>
#include <utility>

#include "tools/chaos/text.hpp"

namespace shoal::chaos {

class Crew {
 public:
  using SteadyTime = std::chrono::steady_clock::time_point;

  explicit Crew(asio::io_context& context) : context_(context), gone_(context, SteadyTime::max()) {}
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  asio::io_context& context() { return context_; }
  bool stopping() const { return stopping_; }
  std::size_t size() const { return size_; }

  // What `work` refers to outlives join().
  void spawn(asio::awaitable<void> work) {
    ++size_;
    asio::co_spawn(context_, std::move(work), [this](std::exception_ptr error) {
      if (error) fail_with(error);
      if (--size_ == 0) gone_.cancel();
    });
  }

  // Wakes all who sleep; they see stopping().
  void stop() {
    stopping_ = true;
    for (asio::steady_timer* timer : sleeping_) timer->cancel();
  }

  asio::awaitable<void> join() {
    while (size_ > 0) {
      asio::error_code ignored;
      co_await gone_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
  }

  asio::awaitable<void> sleep_until(SteadyTime end) {
    if (stopping_) co_return;
    asio::steady_timer timer(context_, end);
    sleeping_.insert(&timer);
    asio::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    sleeping_.erase(&timer);
  }

  asio::awaitable<void> sleep(Ms time) {
    return sleep_until(std::chrono::steady_clock::now() + time);
  }

 private:
  // The dead man mends what is broken.
  [[noreturn]] static void fail_with(const std::exception_ptr& error) {
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& known) {
      std::fprintf(stderr, "shoal-chaos: a library failed in a coroutine: %s\n", known.what());
    }
    std::abort();
  }

  asio::io_context& context_;
  asio::steady_timer gone_;  // Cancelled by the last one.
  std::set<asio::steady_timer*> sleeping_;
  std::size_t size_ = 0;
  bool stopping_ = false;
};

}  // namespace shoal::chaos
