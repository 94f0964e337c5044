// What disks and data folders do. What is spoilt stays a minority of every home (FaultAtlas).
#include <algorithm>
#include <array>
#include <span>
#include <sstream>

#include "node/store_marks.hpp"
#include "sim/faults.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

bool slow_disk(Faults& faults, Duration length) {
  const NodeIndex index = faults.any_node();
  DiskOptions& disk = faults.world().disk(index).options();
  disk.slow_factor = static_cast<std::uint32_t>(10 + faults.random().below(1000));
  faults.later(length, [&faults, index] { faults.world().disk(index).options().slow_factor = 1; });
  return true;
}

// As disks about to fail do.
bool slow_sync(Faults& faults, Duration length) {
  const NodeIndex index = faults.any_node();
  faults.world().disk(index).options().stall = 1s + faults.random().below(Duration(29s));
  faults.later(length, [&faults, index] { faults.world().disk(index).options().stall = {}; });
  return true;
}

bool lost_writes(Faults& faults, Duration length) {
  const auto index = faults.any_running();
  if (!index) return false;
  faults.world().crash_at_sync(*index, SyncMoment::before_durable, [&faults, index, length] {
    faults.world().crash_host(*index);
    faults.restart_later(*index, length);
  });
  return true;
}

bool bit_flips(Faults& faults, Duration length) {
  Simulator& world = faults.world();
  const NodeIndex index = faults.any_node();
  Random& random = faults.random();
  std::uint32_t flipped = 0;
  for (std::uint64_t i = 1 + random.below(8); i > 0; --i) {
    const auto shards = static_cast<std::uint32_t>(world.config(index).shard_count);
    const ShardId shard{static_cast<std::uint32_t>(random.below(shards))};
    const auto place = world.disk(index).record_after({shard, {random.next(), 0}});
    if (!place || !FaultAtlas(world).may_damage(index, place->first)) continue;
    world.damage(index, *place);
    ++flipped;
  }
  if (flipped == 0) return false;
  // A node that runs notices only what it reads; one that starts, all.
  if (world.up(index) && random.chance(3, 4)) {
    faults.later(length / 4, [&faults, index] {
      faults.world().crash(index);
      faults.restart_later(index, 10ms);
    });
  }
  return true;
}

// The process ends: what the kernel has done with the pages is not known.
bool sync_error(Faults& faults, Duration length) {
  const auto index = faults.any_running();
  if (!index) return false;
  faults.world().crash_at_sync(*index, SyncMoment::before_durable, [&faults, index, length] {
    faults.restart_later(*index, length / 4);
  });
  return true;
}

bool disk_low(Faults& faults, Duration length) {
  const NodeIndex index = faults.any_node();
  faults.world().set_disk_low(index, true);
  faults.later(length, [&faults, index] { faults.world().set_disk_low(index, false); });
  return true;
}

// The reserve was not enough: a write fails and the process ends, until there is room again.
bool disk_full(Faults& faults, Duration length) {
  const NodeIndex index = faults.any_node();
  faults.world().set_disk_low(index, true);
  faults.later(length / 2, [&faults, index, length] {
    faults.world().crash_at_sync(index, SyncMoment::before_durable, [&faults, index, length] {
      faults.restart_later(index, length / 2 + 10ms);
    });
  });
  faults.later(length, [&faults, index] { faults.world().set_disk_low(index, false); });
  return true;
}

// Also a key without its store, and a store without its key: the node is a new one (F2).
bool wiped(Faults& faults, Duration length) {
  Simulator& world = faults.world();
  const auto index = faults.any_up();
  if (!index || !world.node(*index).serving() || !FaultAtlas(world).may_lose(*index)) return false;
  world.crash_host(*index);
  world.replace_store(*index);
  faults.restart_later(*index, length / 2);
  return true;
}

std::uint64_t number_at(const std::string& text, std::size_t word) {
  std::istringstream words(text);
  std::uint64_t number = 0;
  for (std::size_t i = 0; i <= word; ++i) words >> number;
  return number;
}

std::uint64_t meta_number(const Disk::Image& image, const std::string& name, std::size_t word = 0) {
  const auto found = image.meta.find(name);
  return found == image.meta.end() ? 0 : number_at(found->second, word);
}

// Each of the others remembers more of the node than this old copy of its store holds: a rollback
// by less than a second is not noticed (node/identity_guard.hpp), and is no fault to try.
bool remembered(const Simulator& world, NodeIndex index, const Disk::Image& image) {
  const std::string mark = std::string(node::kMetaMark) + to_string(world.id(index));
  const std::uint64_t boot = meta_number(image, "boot");
  const std::uint64_t sequence = meta_number(image, "sequence");
  for (NodeIndex other = 0; other < world.node_count(); ++other) {
    if (other == index || world.abandoned(other)) continue;
    const Disk::Image& memory = world.disk(other).image();
    // A mark: the newest start, the last one that settled, each with nonce and sequence; the
    // highest sequence.
    const bool later_start =
        std::max(meta_number(memory, mark), meta_number(memory, mark, 3)) > boot;
    if (!later_start && meta_number(memory, mark, 6) <= sequence) return false;
  }
  return true;
}

void roll_back(Faults& faults, NodeIndex index, const Disk::Image& image, NodeId id) {
  Simulator& world = faults.world();
  if (world.id(index) != id) return;
  const Disk::Image& present = world.disk(index).image();
  const bool same = image.shards == present.shards && image.records == present.records;
  if (same || !remembered(world, index, image) || !FaultAtlas(world).may_lose(index)) {
    return faults.later(500ms,
                        [&faults, index, image, id] { roll_back(faults, index, image, id); });
  }
  world.crash_host(index);
  world.load_store(index, image);
  faults.restart_later(index, 100ms);
  faults.tend(index);
}

bool rolled_back(Faults& faults, Duration length) {
  Simulator& world = faults.world();
  const auto index = faults.any_running();
  if (!index || !world.node(*index).serving()) return false;
  faults.later(length, [&faults, index, image = world.disk(*index).image(), id = world.id(*index)] {
    roll_back(faults, *index, image, id);
  });
  return true;
}

// The image of a host that is down is started a second time, before or after the original.
bool cloned(Faults& faults, Duration length) {
  Simulator& world = faults.world();
  const auto index = faults.any_running();
  if (!index || !world.node(*index).serving() || !FaultAtlas(world).may_lose(*index)) return false;
  world.crash_host(*index);  // With its supervisors: what runs there would be unknown to the copy.
  const NodeIndex copy = world.clone(*index);
  world.abandon(copy);
  const bool copy_first = faults.random().chance(1, 2);
  const Duration apart = faults.random().below(Duration(2s));
  faults.restart_later(*index, copy_first ? apart : 0ms);
  world.after(copy_first ? 0ms : apart, [&world, copy] { world.start(copy); });
  // Both may end for it. The copy stays away, and its original becomes a new node.
  world.after(apart + length, [&world, copy] { world.crash_host(copy); });
  faults.tend(*index);
  return true;
}

using enum FaultFamily;

constexpr std::array kKinds = std::to_array<FaultKind>({
    {"slow-disk", "syncs take 10 to 1,000 times as long", disk, 4, &slow_disk},
    {"slow-sync", "each sync takes 1 to 30 s", disk, 3, &slow_sync},
    {"lost-writes", "power loss between write and sync", disk, 4, &lost_writes},
    {"bit-flips", "records that do not match their checksums", disk, 4, &bit_flips},
    {"sync-error", "a sync fails and ends the process", disk, 3, &sync_error},
    {"disk-low", "less than the reserve is free", disk, 3, &disk_low, Feature::low_disk},
    {"disk-full", "a write fails and ends the process", disk, 2, &disk_full, Feature::low_disk},
    {"wiped", "an empty data folder: a new identity", disk, 2, &wiped},
    {"rolled-back", "an older copy of the data folder", disk, 0, &rolled_back,
     Feature::identity_guard, 20},
    {"cloned", "two live nodes with one key", disk, 0, &cloned, Feature::identity_guard, 30},
});

}  // namespace

std::span<const FaultKind> disk_faults() { return kKinds; }

}  // namespace shoal::sim
