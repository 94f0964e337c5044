#include "shard/record_map.hpp"

#include <doctest/doctest.h>

#include <map>

#include "base/random.hpp"

namespace shoal::shard {

TEST_CASE("record map: holds the same records in the same order as a sorted map") {
  Random random(3);
  RecordMap records;
  std::map<wire::RecordKey, std::uint64_t> model;
  for (std::uint64_t i = 1; i <= 20'000; ++i) {
    const wire::RecordKey key{random.below(400), random.below(std::uint64_t{40})};
    records.insert(key).version = i;
    model[key] = i;
  }
  CHECK(records.size() == model.size());
  auto at = model.begin();
  records.for_each([&](const StoredRecord& record) {
    REQUIRE(at != model.end());
    REQUIRE(record.key == at->first);
    REQUIRE(record.version == at->second);
    ++at;
  });
  for (const auto& [key, version] : model) REQUIRE(records.find(key)->version == version);
  CHECK(records.find({1000, 0}) == nullptr);
}

TEST_CASE("record map: a range has its first and its last key, and nothing beyond") {
  RecordMap records;
  for (std::uint64_t i = 0; i < 1000; ++i) records.insert({i / 10, i % 10}).version = 1;
  std::size_t count = 0;
  records.for_range({20, 0}, {21, 9}, [&](const StoredRecord& record) {
    CHECK(record.key.high >= 20);
    CHECK(record.key.high <= 21);
    ++count;
  });
  CHECK(count == 20);
}

TEST_CASE("record map: records that come in key order fill their leaves") {
  // 64 bytes a record and no more than a few percent beside it; see the header.
  static_assert(sizeof(StoredRecord) == 64);
}

}  // namespace shoal::shard
