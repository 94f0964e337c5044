#include "task/record_key.hpp"

#include "base/assert.hpp"
#include "base/random.hpp"

namespace shoal::task {
namespace {

std::chrono::seconds length_of(Retention retention) {
  switch (retention) {
    case Retention::hour:
      return std::chrono::hours(1);
    case Retention::week:
      return std::chrono::days(7);
    case Retention::month:
      return std::chrono::days(30);
    case Retention::quarter:
      return std::chrono::days(90);
  }
  return std::chrono::days(90);
}

ShardId shard_of_run(JobId job, std::uint32_t run, std::uint32_t shard_count) {
  SHOAL_ASSERT(shard_count > 0);
  return ShardId{static_cast<std::uint32_t>(mix64(mix64(job.value) ^ run) % shard_count)};
}

}  // namespace

ShardId shard_of(JobId job, std::uint32_t shard_count) { return shard_of_run(job, 0, shard_count); }

ShardId shard_of(TaskId task, std::uint32_t shard_count) {
  return shard_of_run(task.job, task.index / kRunLength, shard_count);
}

std::uint64_t expiry_of(JobId job) {
  const auto end = job.minted() + length_of(job.retention());
  return static_cast<std::uint64_t>(end.time_since_epoch().count());
}

// Every kind of record there is belongs to a job.
std::optional<std::uint64_t> expiry_of(KeyBits bits) { return expiry_of(record_name(bits).job); }

}  // namespace shoal::task
