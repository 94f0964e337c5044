#include "schedule.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>
#include <vector>

#include "../shard/small_world.hpp"
#include "base/random.hpp"

namespace shoal::shard::test {
namespace {

using std::chrono::milliseconds;

class Schedule {
 public:
  Schedule(std::uint64_t seed, const Mutations& mutations)
      : random_(seed),
        mutations_(mutations),
        shards_(static_cast<std::uint32_t>(1 + random_.below(2))),
        world_(kNodes, shards_, mutations, seed, random_.chance(1, 4) ? 1 : 3) {
    // Each schedule draws its own weights, in thousandths (swarm testing: Groce et al., 2012).
    loss_ = random_.chance(1, 2) ? 0 : 20 + random_.below(200);
    repeat_ = random_.chance(2, 5) ? 0 : 150;
    late_ = random_.chance(1, 3) ? 0 : 20 + random_.below(100);
    crash_ = random_.chance(2, 5) ? 0 : 2 + random_.below(20);
    takeover_ = 5 + random_.below(30);
    change_ = 50 + random_.below(150);
    sync_ = 100 + random_.below(400);
    tick_ = 30 + random_.below(100);
    read_ = random_.chance(1, 3) ? 0 : 80;
    // By the rule a majority of the target is enough at once.
    if (random_.chance(1, 2)) {
      world_.learn_max = Duration::zero();
      for (std::size_t node = 0; node < kNodes; ++node) world_.crash(node);
    }
    world_.traced = std::getenv("SHOAL_SCHEDULE_TRACE") != nullptr;
    move_ = random_.chance(2, 5) ? 0 : 5 + random_.below(50);
    wipe_ = random_.chance(7, 10) && !mutations.same_identity ? 0 : 3;
    const bool clocks =
        mutations.drop_by_own_clock || mutations.gone_before_quorum || mutations.no_floor_check;
    expire_ = clocks || random_.chance(3, 10) ? 50 : 0;
    repair_ = mutations.homes_repair ? 150 : 0;
    for (std::size_t node = 0; expire_ > 0 && node < kNodes; ++node) {
      world_.set_skew(node, static_cast<std::int64_t>(random_.below(300)) - 150);
    }
    if (mutations.no_floor_check) world_.set_skew(any_node(), 5000);  // Beyond all bounds.
  }

  ScheduleResult run(int steps) {
    for (int i = 0; i < steps && world_.failure().empty(); ++i) step();
    ScheduleResult result;
    if (world_.failure().empty()) result.converged = heal();
    result.failure = world_.failure();
    result.shown = world_.shown_count;
    result.takeovers = world_.owned_count;
    result.changes = changes_;
    return result;
  }

 private:
  bool roll(std::uint64_t thousandths) { return random_.chance(thousandths, 1000); }
  std::size_t any_node() { return static_cast<std::size_t>(random_.below(world_.size())); }
  ShardId any_shard() { return ShardId{static_cast<std::uint32_t>(random_.below(shards_))}; }
  std::size_t any_key() { return static_cast<std::size_t>(random_.below(kKeys)); }

  // A node that owns the shard (there may be several, some of them deposed), else any.
  std::size_t some_owner(ShardId shard) {
    const std::size_t first = any_node();
    for (std::size_t i = 0; i < world_.size(); ++i) {
      const std::size_t node = (first + i) % world_.size();
      if (world_.at(node).owns(shard)) return node;
    }
    return first;
  }

  void deliver_one() {
    if (world_.net.empty()) return;
    const auto at = static_cast<std::size_t>(random_.below(world_.net.size()));
    Packet packet = std::move(world_.net[at]);
    world_.net[at] = std::move(world_.net.back());
    world_.net.pop_back();
    if (roll(repeat_)) (random_.chance(1, 2) ? stash_ : world_.net).push_back(packet);
    if (roll(loss_)) return;
    if (roll(late_)) {
      stash_.push_back(std::move(packet));
      return;
    }
    world_.deliver(std::move(packet));
  }

  void release_one() {
    if (stash_.empty()) return;
    const auto at = static_cast<std::size_t>(random_.below(stash_.size()));
    world_.net.push_back(std::move(stash_[at]));
    stash_[at] = std::move(stash_.back());
    stash_.pop_back();
  }

  void step() {
    world_.advance(milliseconds(random_.below(20)));
    if (roll(10)) release_one();
    for (std::size_t i = world_.net.size() > 40 ? 4 : 1; i > 0; --i) {
      if (roll(700)) deliver_one();
    }
    if (roll(sync_)) world_.sync(any_node());
    const ShardId shard = any_shard();
    if (roll(change_)) world_.change(some_owner(shard), any_key(), shard);
    if (roll(takeover_)) world_.take_over(any_node(), shard);
    if (roll(tick_)) world_.tick(any_node());
    if (roll(read_)) {
      const std::size_t node = some_owner(shard);
      if (random_.chance(1, 3)) {
        world_.tell(node, any_key(), shard);
      } else if (world_.at(node).owns(shard)) {
        world_.ask(node, any_key(), shard);
      }
    }
    if (roll(move_)) move(shard);
    if (roll(expire_)) {
      const std::size_t node = some_owner(shard);
      if (world_.at(node).owns(shard)) world_.expire(node, shard);
    }
    if (roll(repair_)) world_.repair(any_node(), any_node(), any_key(), shard);
    if (roll(wipe_)) wipe(any_node());
    if (roll(crash_)) {
      const std::size_t node = any_node();
      if (random_.chance(1, 2)) world_.sync(node);
      world_.crash(node);
      if (random_.chance(1, 2)) world_.take_over(node, any_shard());
    }
  }

  // To three other nodes or to one, or to fewer others.
  void move(ShardId shard) {
    const std::size_t node = some_owner(shard);
    if (!world_.at(node).owns(shard)) return;
    std::vector<std::size_t> living;
    for (std::size_t i = 0; i < kNodes; ++i) {
      if (!world_.gone(i)) living.push_back(i);
    }
    random_.shuffle(std::span(living));
    living.resize(random_.chance(3, 10) ? 1 : 3);
    if (world_.change_home(node, living, shard)) ++changes_;
  }

  // At most one disk is lost, and every home keeps a majority that knows of the shard: a newcomer
  // that never heard of it is as good as lost too (hole 7).
  void wipe(std::size_t node) {
    if (wiped_) return;
    for (std::size_t i = 0; i < kNodes; ++i) {
      for (std::uint32_t s = 0; s < shards_; ++s) {
        const ShardId shard{s};
        const wire::ShardConfig* config = world_.at(i).config(shard);
        if (config == nullptr) continue;
        const bool enough = lives_without(node, shard, config->home) &&
                            (config->next.empty() || lives_without(node, shard, config->next));
        if (!enough || world_.moving_to(i, shard, node)) return;
      }
    }
    wiped_ = true;
    world_.wipe(node, mutations_.same_identity);
  }

  bool lives_without(std::size_t lost, ShardId shard, const std::vector<NodeId>& home) {
    const auto lives = [&](NodeId id) {
      const std::size_t node = node_index(id);
      return node != lost && !world_.gone(node) && world_.disk(node).shards.contains(shard);
    };
    return 2 * std::ranges::count_if(home, lives) > std::ssize(home);
  }

  // No more faults: within a bounded time each shard has one owner that holds all that was shown.
  bool heal() {
    stash_.clear();
    std::vector<bool> good(shards_, false);
    for (int round = 0; round < 4000 && world_.failure().empty(); ++round) {
      world_.advance(milliseconds(25));
      std::vector<Packet> packets = std::exchange(world_.net, {});
      random_.shuffle(std::span(packets));
      for (Packet& packet : packets) world_.deliver(std::move(packet));
      const ShardId any = any_shard();
      bool all = true;
      for (std::uint32_t s = 0; s < shards_; ++s) {
        const ShardId shard{s};
        bool live = false;
        for (std::size_t node = 0; node < world_.size(); ++node) {
          if (world_.gone(node)) continue;
          if (round > 5 && world_.holds_everything(node, shard)) good[s] = true;
          live = live || world_.at(node).owns(shard) || world_.at(node).candidate(shard);
        }
        if (!live && random_.chance(1, 5)) world_.take_over(any_node(), shard);
        all = all && good[s];
      }
      for (std::size_t node = 0; node < world_.size(); ++node) {
        world_.sync(node);
        // A question a second, so that a deposed owner hears of it.
        if (round % 40 == 0 && world_.at(node).owns(any)) world_.ask(node, 0, any);
        // As takeover triggers do where an owner is about that cannot finish.
        if (round % 400 == 399 && !world_.at(node).owns(any)) world_.take_over(node, any);
        if (world_.at(node).wake_at() <= world_.now) world_.tick(node);
      }
      if (all) return true;
    }
    return false;
  }

  static constexpr std::size_t kNodes = 5;

  Random random_;
  Mutations mutations_;
  std::uint32_t shards_;
  World world_;
  std::vector<Packet> stash_;  // To come very late.
  std::uint64_t loss_, repeat_, late_, crash_, takeover_, change_, sync_, tick_, read_;
  std::uint64_t move_, wipe_, expire_, repair_;
  std::uint64_t changes_ = 0;
  bool wiped_ = false;
};

}  // namespace

ScheduleResult run_schedule(std::uint64_t seed, const Mutations& mutations, int steps) {
  return Schedule(seed, mutations).run(steps);
}

}  // namespace shoal::shard::test
