// Misfortune, drawn from the seed: what breaks, when, and for how long. After heal() everything is
// whole again; a run is judged for liveness only from then on.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "shoal/result.hpp"
#include "sim/simulator.hpp"

namespace shoal::sim {

struct FaultOptions {
  bool network = false;  // Loss, duplicates, reordering, cuts, splits, slow links, swizzle-clog.
  bool crashes = false;  // kill -9, SIGTERM, all at once; each followed by a restart.
  bool pauses = false;   // Suspended hosts and slow nodes.
  bool disks = false;    // Slow syncs, and crashes that lose unsynced writes.
  Duration gap_max = std::chrono::seconds(4);      // From the beginning of one to that of the next.
  Duration length_max = std::chrono::seconds(12);  // Of one fault.
  std::uint32_t loss_permille_max = 300;
  std::uint32_t slow_factor = 10;
  bool any() const { return network || crashes || pauses || disks; }
};

// none, net, crash, disk, all, or several of them with commas.
Result<FaultOptions> parse_faults(std::string_view text);

class Faults {
 public:
  Faults(Simulator& world, const FaultOptions& options, std::uint64_t seed);

  void begin();
  void heal();
  std::uint64_t count() const { return count_; }
  // How often each kind came, for people.
  const std::map<std::string, std::uint64_t>& kinds() const { return kinds_; }

 private:
  using Fault = void (Faults::*)(Duration length);
  struct Kind {
    const char* name;
    Fault begin;
  };
  void schedule_next();
  void later(Duration delay, std::function<void()> action);  // Not after heal().
  NodeIndex any_node();
  void restart_later(NodeIndex index, Duration delay);

  void bad_datagrams(Duration length);
  void one_way_cut(Duration length);
  void isolated_node(Duration length);
  void split(Duration length);
  void slow_link(Duration length);
  void swizzle_clog(Duration length);
  void crash(Duration length);
  void quick_crash(Duration length);
  void crash_all(Duration length);
  void stop(Duration length);
  void suspend(Duration length);
  void slow_node(Duration length);
  void slow_disk(Duration length);

  Simulator& world_;
  FaultOptions options_;
  Random random_;
  std::vector<Kind> possible_;
  NetworkOptions network_;  // As it was before.
  bool running_ = false;
  std::uint64_t count_ = 0;
  std::map<std::string, std::uint64_t> kinds_;
};

}  // namespace shoal::sim
