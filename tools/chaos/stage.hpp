// A run while it is on: the load, the faults, whoever looks, on one loop, through all phases.
//
// Events: {"event":"phase","name"} at the beginning of the run and the end of each phase: "begin",
// "warmup_end", "faults_end", "healed", "load_end" (absent when something stayed open), "end";
// {"event":"crash","node"}: it ended although nothing was done to it; {"event":"started","node"}:
// so it was started again; {"event":"interrupted"}.
#pragma once

#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tools/chaos/canaries.hpp"
#include "tools/chaos/injector.hpp"
#include "tools/chaos/load.hpp"
#include "tools/chaos/prepare.hpp"
#include "tools/chaos/samples.hpp"

namespace shoal::chaos {

class Stage {
 public:
  // All of these outlive it.
  Stage(Prepared& prepared, Journal& journal, Recording& recording, std::vector<BackendNode> nodes);

  // Runs to the end; false when it was interrupted. Everything is healed then.
  bool play();

 private:
  asio::awaitable<void> script();
  asio::awaitable<void> until_faults_end();
  asio::awaitable<void> heal();
  asio::awaitable<void> until_load_ends();
  asio::awaitable<void> final_canaries();
  asio::awaitable<void> final_reads();
  asio::awaitable<void> read_through(NamedAddress node);
  asio::awaitable<void> read_canaries();
  asio::awaitable<void> guard_nodes();
  asio::awaitable<void> report_progress();
  void on_injected(const Injection& injection);
  void on_interrupt();
  void phase(const char* name);
  std::vector<NamedAddress> addresses() const;
  Injector::Hooks hooks();
  LoadOptions load_options() const;
  std::string progress_text() const;

  Prepared& prepared_;
  Recording& recording_;
  std::vector<BackendNode> nodes_;
  asio::io_context context_;
  asio::signal_set signals_;
  History history_;
  Crew script_;
  Crew load_crew_;
  Crew watch_crew_;
  Crew canary_crew_;
  Crew fault_crew_;
  Load load_;
  Samples samples_;
  Canaries canaries_;
  Injector injector_;
  std::set<std::string> down_;  // Nodes that ended by themselves, until they run again.
  bool interrupted_ = false;
};

// Until each node answers, serves and sees all others alive.
Result<void> wait_until_whole(const std::vector<BackendNode>& nodes, Ms limit);

}  // namespace shoal::chaos
