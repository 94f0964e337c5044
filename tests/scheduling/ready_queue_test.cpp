#include "scheduling/ready_queue.hpp"

#include <doctest/doctest.h>

namespace shoal::scheduling {
namespace {

ReadyTask task(std::uint32_t index) { return {{JobId{1}, index}, ShardId{index % 2}}; }

constexpr Resources kPlenty{8000, 1 << 30};

}  // namespace

TEST_CASE("ready queue: higher priority first, then first come, first served") {
  ReadyQueue queue;
  queue.push(task(0), {1000, 0}, 0);
  queue.push(task(1), {2000, 0}, 0);  // Another need, another lane: arrival still decides.
  queue.push(task(2), {1000, 0}, 5);
  queue.push(task(3), {1000, 0}, 0);
  for (const std::uint32_t expected : {2U, 0U, 1U, 3U}) {
    CHECK(queue.pop_first(kPlenty)->task.task.index == expected);
  }
  CHECK(queue.empty());
}

TEST_CASE("ready queue: what does not fit is passed over and stays") {
  ReadyQueue queue;
  queue.push(task(0), {4000, 0}, 9);
  queue.push(task(1), {1000, 64}, 0);
  CHECK(queue.pop_first({3999, 0}) == std::nullopt);
  CHECK(queue.pop_first({3999, 64})->task.task.index == 1);
  CHECK(queue.any_fits({4000, 0}));
  CHECK_FALSE(queue.any_fits({3999, 1 << 20}));
  CHECK(queue.size() == 1);
}

TEST_CASE("ready queue: a thief is given what would run last") {
  ReadyQueue queue;
  queue.push(task(0), {1000, 0}, 1);
  queue.push(task(1), {1000, 0}, 0);
  queue.push(task(2), {2000, 0}, 0);
  CHECK(queue.pop_last(kPlenty)->task.task.index == 2);
  CHECK(queue.pop_last(kPlenty)->task.task.index == 1);
  CHECK(queue.pop_last(kPlenty)->task.task.index == 0);
}

TEST_CASE("ready queue: a lost shard takes its tasks along, and no others") {
  ReadyQueue queue;
  for (std::uint32_t i = 0; i < 6; ++i) queue.push(task(i), {1000, 0}, 0);
  queue.drop_shard(ShardId{1});
  CHECK(queue.size() == 3);
  while (const auto popped = queue.pop_first(kPlenty)) CHECK(popped->task.shard == ShardId{0});
}

}  // namespace shoal::scheduling
