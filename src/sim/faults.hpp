// Misfortune, drawn from the seed: what breaks, when, and for how long.
//
// Each run takes a random part of the catalogue with random weights and lengths (swarm testing:
// Groce et al., ISSTA 2012), since faults of one kind hide what those of another would show. After
// heal() everything is whole again, or with heal_core() a core of nodes that can make a majority
// of every home, while the rest stays broken for good (TigerBeetle's VOPR). A run is judged for
// liveness only from then on.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/probes.hpp"
#include "sim/fault_atlas.hpp"
#include "sim/fault_catalogue.hpp"
#include "sim/simulator.hpp"

namespace shoal::sim {

class Faults {
 public:
  Faults(Simulator& world, const FaultOptions& options, std::uint64_t seed);
  ~Faults();
  Faults(const Faults&) = delete;
  Faults& operator=(const Faults&) = delete;

  void begin();
  void heal();  // Once; later calls, of either, do nothing. FaultOptions::core_percent applies.
  // Then core() can do everything. The others are Simulator::abandoned(), and are down, paused,
  // suspended or cut off, for good.
  void heal_core();
  // Nodes that must be well from now on. REQUIRES: healed.
  const std::vector<NodeIndex>& core() const { return core_; }

  std::uint64_t count() const { return count_; }
  // How often each kind came, for people.
  const std::map<std::string, std::uint64_t>& kinds() const { return counts_; }
  // Which kinds this run draws from.
  std::vector<std::string_view> drawn() const;

  // --- For the kinds
  Simulator& world() { return world_; }
  Random& random() { return random_; }
  const FaultOptions& options() const { return options_; }
  void later(Duration delay, std::function<void()> action);  // Not after heal().
  NodeIndex any_node();                                      // That is not abandoned.
  // Absent: none is up, or a few attempts met only others.
  std::optional<NodeIndex> any_up();
  std::optional<NodeIndex> any_running();  // Up and not paused.
  // Also after heal(): a node that is told to stop goes down when it is ready to. One that refuses
  // its store comes back with an empty one, if the shards can bear it.
  void restart_later(NodeIndex index, Duration delay);
  void trouble(std::vector<Link> links, const Trouble& trouble, Duration length);
  // Both ways between those of the first and those of the second.
  static std::vector<Link> between(const std::vector<NodeIndex>& first,
                                   const std::vector<NodeIndex>& second);
  std::vector<NodeIndex> others(const std::vector<NodeIndex>& nodes) const;
  std::vector<NodeIndex> some_nodes(std::size_t count);  // Distinct, in random order.
  std::optional<NodeIndex> join_another();               // Absent: enough have joined. Not started.
  void expect_leave(NodeIndex index);  // It was told to: it is not missed when it goes.
  bool leaving(NodeIndex index) const { return leaving_.contains(index); }
  // From now on, also after heal(): when it ends for its store (F2), its operator gives it an empty
  // one as soon as the shards can bear it, and starts it.
  void tend(NodeIndex index);
  std::size_t staying_count() const;  // Nodes that are not abandoned, and not leaving.
  probes::Sites& sites() { return sites_; }

 private:
  struct Drawn {
    const FaultKind* kind = nullptr;
    std::uint64_t weight = 0;
  };
  void draw();
  void schedule_next();
  void begin_one();
  void begin_planned(const PlannedFault& planned, Duration delay);
  void heal_node(NodeIndex index);
  void stop_all();
  bool has_left(NodeIndex index);
  void break_for_good(NodeIndex index);
  void restart(NodeIndex index);

  Simulator& world_;
  FaultOptions options_;
  Random random_;
  probes::Sites sites_;
  Random planned_random_;  // What is planned draws here when it begins.
  std::set<NodeIndex> tended_;
  std::vector<Drawn> drawn_;
  std::uint64_t weights_ = 0;
  std::size_t nodes_before_ = 0;
  std::map<NodeIndex, std::int32_t> rates_before_;
  bool running_ = false;
  bool healed_ = false;
  std::set<NodeIndex> leaving_;
  std::vector<NodeIndex> core_;
  std::uint64_t count_ = 0;
  std::map<std::string, std::uint64_t> counts_;
};

}  // namespace shoal::sim
