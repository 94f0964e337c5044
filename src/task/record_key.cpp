#include "task/record_key.hpp"

#include "base/assert.hpp"
#include "base/random.hpp"

namespace shoal::task {
namespace {

ShardId shard_of_run(JobId job, std::uint32_t run, std::uint32_t shard_count) {
  SHOAL_ASSERT(shard_count > 0);
  return ShardId{static_cast<std::uint32_t>(mix64(mix64(job.value) ^ run) % shard_count)};
}

}  // namespace

ShardId shard_of(JobId job, std::uint32_t shard_count) { return shard_of_run(job, 0, shard_count); }

ShardId shard_of(TaskId task, std::uint32_t shard_count) {
  return shard_of_run(task.job, task.index / kRunLength, shard_count);
}

}  // namespace shoal::task
