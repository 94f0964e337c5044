#include "wire/persist.hpp"

#include <doctest/doctest.h>

#include "random_message.hpp"

namespace shoal::wire {
namespace {

template <class T, class Decode>
void check_round_trips(std::uint64_t seed, const Decode& decode) {
  Random random(seed);
  for (int round = 0; round < 300; ++round) {
    T value;
    fill(random, value);
    const std::string bytes = encode(value);
    const auto decoded = decode(bytes);
    REQUIRE_MESSAGE(decoded.has_value(), decoded.error().message);
    REQUIRE(same(*decoded, value));
    REQUIRE(encode(*decoded) == bytes);  // One value has one encoding: copies compare by bytes.
    for (std::size_t cut = 0; cut < bytes.size(); cut += 4) {
      REQUIRE(!decode(std::string_view(bytes).substr(0, cut)).has_value());
    }
    std::string bad = bytes;
    char& byte = bad[random.below(bad.size())];
    byte = static_cast<char>(byte ^ 1 << random.below(8));
    (void)decode(bad);
  }
}

}  // namespace

TEST_CASE("persist: every value comes back as it was kept, and not when it is cut short") {
  check_round_trips<ShardState>(1, decode_shard_state);
  check_round_trips<task::TaskRecord>(2, decode_task);
  check_round_trips<task::JobRecord>(3, decode_job);
  check_round_trips<task::SpecRecord>(4, decode_spec);
}

TEST_CASE("persist: an array element takes at most 100 bytes, 200 with its outcome") {
  task::TaskRecord record{.argument = "inputs/0001.dat"};
  const std::size_t ready = encode(record).size();
  record.result = AttemptResult{};
  const std::size_t ended = encode(record).size();
  record.argument.clear();
  record.result.reset();
  MESSAGE("ready: " << ready << " B, ended: " << ended
                    << " B, ready without argument: " << encode(record).size() << " B");
  CHECK(ready <= 100);
  CHECK(ended <= 200);
}

TEST_CASE("persist: numbers that name nothing are refused") {
  CHECK(!decode_task(encode(task::TaskRecord{.state = static_cast<TaskState>(7)})));
  CHECK(!decode_job(encode(task::JobRecord{.state = static_cast<JobState>(3)})));
}

}  // namespace shoal::wire
