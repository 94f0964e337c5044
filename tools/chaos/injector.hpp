// Makes faults when they are due and heals them when their time is over.
//
// Each fault: its targets are looked up if need be, the back end plans it, the mending steps go to
// the journal, and only then is anything broken. Steps may block, so they are done by other
// threads; all else is on the loop.
#pragma once

#include <asio/thread_pool.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tools/chaos/backend.hpp"
#include "tools/chaos/crew.hpp"
#include "tools/chaos/journal.hpp"
#include "tools/chaos/recording.hpp"
#include "tools/chaos/schedule.hpp"

namespace shoal::chaos {

// The nodes that a target comes to at this moment.
using LookUp = std::function<asio::awaitable<Result<std::vector<std::string>>>(Target)>;

class Injector {
 public:
  struct Hooks {
    LookUp look_up;
    std::function<void(const Injection&)> injected;  // Just made.
    std::function<void(const Injection&)> healed;
    std::function<void(const std::string&)> tell;  // A line for people.
  };

  Injector(Crew& crew, Backend& backend, Journal& journal, Recording& recording, Hooks hooks);
  ~Injector();

  // The whole life of a fault; when the crew stops it is healed at once.
  void start(Planned planned);
  // Whether a fault that may end nodes holds this one, or did so less than `grace` ago.
  bool holds(const std::string& node, Ms grace) const;
  std::uint32_t injected() const { return injected_; }

  // Steps on another thread.
  asio::awaitable<Result<void>> perform_all(Steps steps);

 private:
  asio::awaitable<void> live(Planned planned);
  asio::awaitable<void> heal(Injection injection, std::uint32_t entry);
  Json record_of(const Injection& injection, const char* state) const;
  void hold(const Injection& injection);
  void let_go(const Injection& injection);
  void skip(const Injection& injection, const std::string& why);

  Crew& crew_;
  Backend& backend_;
  Journal& journal_;
  Recording& recording_;
  Hooks hooks_;
  asio::thread_pool pool_;
  std::map<std::string, int> held_;
  std::map<std::string, std::chrono::steady_clock::time_point> freed_;
  std::uint32_t injected_ = 0;
};

// Does steps in their order; the error is that of the first one that fails, and ends it.
Result<void> perform_steps(const Steps& steps);

}  // namespace shoal::chaos
