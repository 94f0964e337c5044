#include "task/record_key.hpp"

#include <doctest/doctest.h>

#include <set>

namespace shoal::task {

TEST_CASE("record_key: a name survives its 128 bits") {
  const RecordName name{JobId{0x0123456789abcdef}, RecordKind::output, 0xabcdef, 0xffffffff};
  CHECK(record_name(key_bits(name)) == name);
  CHECK(detached(key_bits(name)));
  CHECK(!detached(key_bits({JobId{1}, RecordKind::element, 0, 7})));
}

TEST_CASE("record_key: a run of elements shares a shard, and run 0 is with the job") {
  const JobId job{77};
  CHECK(shard_of(TaskId{job, 0}, 1024) == shard_of(job, 1024));
  CHECK(shard_of(TaskId{job, 31}, 1024) == shard_of(job, 1024));
  CHECK(shard_of(TaskId{job, 64}, 1024) == shard_of(TaskId{job, 95}, 1024));
}

TEST_CASE("record_key: runs spread over all shards") {
  std::set<ShardId> seen;
  for (std::uint32_t run = 0; run < 1000; ++run) {
    seen.insert(shard_of(TaskId{JobId{5}, run * kRunLength}, 16));
  }
  CHECK(seen.size() == 16);
}

}  // namespace shoal::task
