// Where the cluster runs, and how it is hurt there.
//
// A back end knows the nodes and turns a fault into a plan: the steps that make it and the steps
// that mend it. It breaks nothing itself: whoever asked (injector.hpp) puts the mending steps into
// the journal first and then does the plan, prints it (--dry-run), and records it. There is one
// question for each family of faults; a back end that cannot do a fault says why.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shoal/id.hpp"
#include "tools/chaos/fault.hpp"
#include "tools/chaos/step.hpp"

namespace shoal::chaos {

enum class NodeState : std::uint8_t { up, paused, down };
std::string_view to_string(NodeState state);

struct BackendNode {
  std::string name;
  std::string address;  // For clients of this machine.
  ProcessId process;    // Empty when it is down, or of another machine.
  NodeState state = NodeState::down;
  std::filesystem::path data_folder;  // Empty when it cannot be seen from here.
  std::filesystem::path log;
};

struct Plan {
  Steps inject;
  Steps heal;
};

struct BackendOptions {
  std::string against = "local";              // KIND or KIND:WHERE.
  std::string shoal;                          // The program.
  std::filesystem::path folder = "/var/tmp";  // Where a cluster of its own keeps its data.
  std::uint32_t nodes = 3;                    // Of a cluster of its own.
  std::uint64_t disk_bytes = 0;   // Each node's disk is so small; 0: no disk of its own.
  std::vector<FaultKind> faults;  // What will be asked for: nodes may have to be started for it.
  bool imaginary = false;         // --dry-run: nothing is started, process ids are unknown.
};

class Backend {
 public:
  Backend() = default;
  virtual ~Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  virtual std::string name() const = 0;  // KIND or KIND:WHERE, as --against has it.

  // A cluster of its own: how it is started and, when all is over, removed. Empty when the cluster
  // is somebody else's.
  virtual Plan birth() const = 0;
  // After birth: this process goes where it can speak to the nodes.
  virtual Result<void> enter() { return {}; }
  // In order; known before birth too.
  virtual std::vector<std::string> names() const = 0;
  // After birth, and again whenever the nodes' states matter.
  virtual Result<std::vector<BackendNode>> nodes() = 0;
  // Harmless for a node that runs.
  virtual Steps start(const BackendNode& node) const = 0;

  // Why this fault cannot be made here; absent when it can.
  virtual std::optional<std::string> cannot(const Fault& fault) const = 0;

  // REQUIRES: nodes() was called, cannot() is absent.
  virtual Result<Plan> process(const Injection& injection) = 0;
  virtual Result<Plan> disk(const Injection& injection) = 0;
  virtual Result<Plan> load(const Injection& injection) = 0;
  virtual Result<Plan> members(const Injection& injection) = 0;
  // Of the links that links.hpp makes of it.
  virtual Result<Plan> network(const Injection& injection) = 0;
  // Faults that nodes play on themselves (played.hpp); a back end need not know them.
  virtual Result<Plan> played(const Injection& injection);

  // Tasks append their marks to this file as they see it, through this program as they see it.
  // Both are for a run whose files lie in `run_folder`.
  virtual std::string marks_file(const std::filesystem::path& run_folder) const;
  virtual std::string mark_program(const std::filesystem::path& run_folder) const;
  // After the run, while the nodes are there: marks and logs that do not lie where this machine
  // reads them come into the run's folder.
  virtual Result<void> gather(const std::filesystem::path&) { return {}; }
};

// The question of the fault's family.
Result<Plan> plan_of(Backend& backend, const Injection& injection);

// ErrorCode::bad_input for a KIND that there is not.
Result<std::unique_ptr<Backend>> open_backend(const BackendOptions& options);

}  // namespace shoal::chaos
