// Looks at a world all the time: feeds every checker from the simulator's hooks and from regular
// looks inside the nodes, and takes the log. An error-level line is a violation.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "sim/checkers.hpp"
#include "sim/simulator.hpp"

namespace shoal::sim {

struct MonitorOptions {
  Duration look_every = std::chrono::milliseconds(200);  // <= 500 ms, for the IdleChecker.
  Duration held_every = std::chrono::seconds(20);        // Costly: decodes every record.
  Duration quiet_min = std::chrono::seconds(10);         // After faults, before idleness is judged.
  log::Level log_shown = log::Level::off;                // To stderr, with virtual times.
};

class Monitor {
 public:
  // Takes the hooks of `world` and the log's sink until it is destroyed.
  Monitor(Simulator& world, const MonitorOptions& options);
  ~Monitor();
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

  // Looks every so often from now on.
  void begin();
  // While faults are about, nobody is blamed for idling.
  void set_faults(bool active);

  // Nodes that are up and not suspended.
  std::vector<Observation> observe() const;
  // Absent when all views agree.
  std::optional<std::string> disagreement() const;
  // Every acknowledged task is held, shown outcomes are those held, and with `all_ended` all have
  // one. REQUIRES: every node is up and each shard has its owner.
  void check_held(bool all_ended);
  // Every acknowledged task has an outcome, as the nodes tell.
  bool all_ended();

  OutcomeChecker& outcomes() { return outcomes_; }
  AttemptChecker& attempts() { return attempts_; }
  Violations& violations() { return violations_; }
  const Violations& violations() const { return violations_; }
  void add_violation(std::string text) { violations_.add(world_.now(), std::move(text)); }

 private:
  void look();
  void look_at_held();
  void take_log();

  Simulator& world_;
  MonitorOptions options_;
  Violations violations_;
  OutcomeChecker outcomes_{violations_};
  AttemptChecker attempts_{violations_};
  CapacityChecker capacity_{violations_};
  IdleChecker idle_{violations_};
  bool faults_active_ = false;
  TimePoint quiet_since_;
};

}  // namespace shoal::sim
