// The node's side of execution: hands launches to the supervisors and their ends to the node.
//
// A launch goes to the supervisor with the fewest running attempts. Everything said to one
// supervisor within one turn of the loop is one write. Every launch is answered by exactly one
// ProcessEnded, always from the loop and never from within launch().
//
// When a supervisor dies, the kernel kills the first processes of its attempts; the rest of their
// trees is found by the marks in their environment and killed; then each is reported as
// node_stopped, and a new supervisor is started (at most one a second for each that does not last).
//
// Limits: the executor holds as many attempts as it is given; their number is the node's to limit.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "exec/output_files.hpp"
#include "exec/supervisor.hpp"
#include "shoal/id.hpp"
#include "shoal/result.hpp"
#include "task/process.hpp"

namespace asio {
class io_context;
}

namespace shoal::exec {

struct ExecutorConfig {
  NodeId node;
  std::string data_folder;
  std::string supervisor_program = "/proc/self/exe";  // Started as `PROGRAM supervisor --fd N`.
};

class Executor {
 public:
  using OnEnded = std::function<void(task::ProcessEnded)>;

  // `io_context` outlives the executor, which is used from its loop alone.
  Executor(asio::io_context& io_context, ExecutorConfig config, OnEnded on_ended);
  ~Executor();  // As stop().
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // Takes over the supervisors and makes the folders. Call it once, first.
  Result<void> adopt(std::vector<SupervisorHandle> supervisors);

  // REQUIRES: this attempt was not launched here before.
  void launch(const task::Launch& launch);
  void kill(const task::Kill& kill);
  task::OutputPiece read_output(const task::OutputRead& request) const;

  // Ends everything at once: supervisors kill their attempts and exit. Waits for that, at most 5 s.
  // Nothing is reported after it.
  void stop();

  std::size_t running() const;      // Attempts launched and not yet reported.
  std::size_t supervisors() const;  // Those that are alive.
  OutputFiles& output_files();

 private:
  class State;
  std::shared_ptr<State> state_;
};

}  // namespace shoal::exec
