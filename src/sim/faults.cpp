#include "sim/faults.hpp"

#include <algorithm>
#include <utility>

#include "base/format.hpp"

namespace shoal::sim {

using namespace std::chrono_literals;

Result<FaultOptions> parse_faults(std::string_view text) {
  FaultOptions options;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string_view word = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    if (word == "net" || word == "all") options.network = true;
    if (word == "crash" || word == "all") options.crashes = options.pauses = true;
    if (word == "disk" || word == "all") options.disks = true;
    if (word != "net" && word != "crash" && word != "disk" && word != "all" && word != "none") {
      return fail(ErrorCode::bad_input,
                  format("there are no faults called `{}`: use none, net, crash, disk or all, "
                         "or several with commas",
                         word));
    }
  }
  return options;
}

Faults::Faults(Simulator& world, const FaultOptions& options, std::uint64_t seed)
    : world_(world), options_(options), random_(seed), network_(world.network().options()) {
  if (options_.network) {
    possible_.insert(possible_.end(), {{"bad datagrams", &Faults::bad_datagrams},
                                       {"one-way cut", &Faults::one_way_cut},
                                       {"isolated node", &Faults::isolated_node},
                                       {"split", &Faults::split},
                                       {"slow link", &Faults::slow_link},
                                       {"swizzle-clog", &Faults::swizzle_clog}});
  }
  if (options_.crashes) {
    possible_.insert(possible_.end(), {{"crash", &Faults::crash},
                                       {"quick crash", &Faults::quick_crash},
                                       {"crash of all", &Faults::crash_all},
                                       {"stop", &Faults::stop}});
  }
  if (options_.pauses) {
    possible_.insert(possible_.end(),
                     {{"suspended host", &Faults::suspend}, {"slow node", &Faults::slow_node}});
  }
  if (options_.disks) {
    possible_.insert(possible_.end(),
                     {{"slow disk", &Faults::slow_disk}, {"quick crash", &Faults::quick_crash}});
  }
}

void Faults::begin() {
  if (possible_.empty() || std::exchange(running_, true)) return;
  schedule_next();
}

void Faults::schedule_next() {
  later(100ms + random_.below(options_.gap_max), [this] {
    const Kind& kind = possible_[random_.below(possible_.size())];
    ++count_;
    ++kinds_[kind.name];
    (this->*kind.begin)(50ms + random_.below(options_.length_max));
    schedule_next();
  });
}

void Faults::later(Duration delay, std::function<void()> action) {
  world_.after(delay, [this, action = std::move(action)] {
    if (running_) action();
  });
}

void Faults::heal() {
  running_ = false;
  world_.network().heal();
  world_.network().set_options(network_);
  for (NodeIndex index = 0; index < world_.node_count(); ++index) {
    world_.disk(index).options().slow_factor = 1;
    world_.slow_down(index, 1);
    world_.resume(index);
    if (!world_.up(index)) world_.start(index);
  }
}

NodeIndex Faults::any_node() { return static_cast<NodeIndex>(random_.below(world_.node_count())); }

// Also after heal(): a node that is told to stop goes down when it is ready to.
void Faults::restart_later(NodeIndex index, Duration delay) {
  world_.after(delay, [this, index, delay, boot = world_.boot(index)] {
    if (world_.boot(index) != boot) return;
    if (world_.up(index)) return restart_later(index, delay);
    world_.start(index);
  });
}

void Faults::bad_datagrams(Duration length) {
  NetworkOptions bad = network_;
  bad.loss_permille = static_cast<std::uint32_t>(random_.below(options_.loss_permille_max + 1ULL));
  bad.duplicate_permille = static_cast<std::uint32_t>(random_.below(300));
  bad.reorder_permille = static_cast<std::uint32_t>(random_.below(300));
  bad.late_per_million = static_cast<std::uint32_t>(random_.below(2000));
  bad.late_delay = 60s;
  world_.network().set_options(bad);
  later(length, [this] { world_.network().set_options(network_); });
}

void Faults::one_way_cut(Duration length) {
  const NodeIndex from = any_node();
  const NodeIndex to = any_node();
  if (from == to) return;
  world_.network().cut(from, to);
  later(length, [this, from, to] { world_.network().mend(from, to); });
}

void Faults::isolated_node(Duration length) {
  std::vector<std::uint32_t> groups(world_.node_count(), 0);
  groups[any_node()] = 1;
  world_.network().split(std::move(groups));
  later(length, [this] { world_.network().split({}); });
}

void Faults::split(Duration length) {
  std::vector<std::uint32_t> groups(world_.node_count());
  for (std::uint32_t& group : groups) group = static_cast<std::uint32_t>(random_.below(2));
  world_.network().split(std::move(groups));
  later(length, [this] { world_.network().split({}); });
}

void Faults::slow_link(Duration length) {
  const NodeIndex from = any_node();
  const NodeIndex to = any_node();
  world_.network().slow_link(from, to, static_cast<std::uint32_t>(2 + random_.below(500)));
  later(length, [this, from, to] { world_.network().slow_link(from, to, 1); });
}

// FoundationDB's: the links of a random subset go one by one and come back in another order.
void Faults::swizzle_clog(Duration length) {
  for (NodeIndex node = 0; node < world_.node_count(); ++node) {
    if (!random_.chance(1, 2)) continue;
    const Duration first = random_.below(length / 2);
    const Duration last = length / 2 + random_.below(length / 2);
    for (NodeIndex other = 0; other < world_.node_count(); ++other) {
      if (other == node) continue;
      later(first, [this, node, other] {
        world_.network().cut(node, other);
        world_.network().cut(other, node);
      });
      later(last, [this, node, other] {
        world_.network().mend(node, other);
        world_.network().mend(other, node);
      });
    }
  }
}

void Faults::crash(Duration length) {
  const NodeIndex index = any_node();
  if (!world_.up(index)) return;
  world_.crash(index);
  restart_later(index, length);
}

void Faults::quick_crash(Duration) {
  const NodeIndex index = any_node();
  if (!world_.up(index)) return;
  world_.crash(index);
  restart_later(index, 1ms + random_.below(Duration(300ms)));
}

void Faults::crash_all(Duration length) {
  for (NodeIndex index = 0; index < world_.node_count(); ++index) {
    if (!world_.up(index)) continue;
    world_.crash(index);
    restart_later(index, 1ms + random_.below(length));
  }
}

void Faults::stop(Duration length) {
  const NodeIndex index = any_node();
  if (!world_.up(index) || world_.paused(index)) return;
  world_.stop(index);
  restart_later(index, length);
}

void Faults::suspend(Duration length) {
  const NodeIndex index = any_node();
  world_.suspend(index);
  later(length, [this, index] { world_.resume(index); });
}

void Faults::slow_node(Duration length) {
  const NodeIndex index = any_node();
  world_.slow_down(index, options_.slow_factor);
  later(length, [this, index] { world_.slow_down(index, 1); });
}

void Faults::slow_disk(Duration length) {
  const NodeIndex index = any_node();
  // Up to seconds for one sync, as disks about to fail do.
  world_.disk(index).options().slow_factor = static_cast<std::uint32_t>(10 + random_.below(5000));
  later(length, [this, index] { world_.disk(index).options().slow_factor = 1; });
}

}  // namespace shoal::sim
