#include "store/store.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "damage.hpp"
#include "scratch.hpp"
#include "store/keys.hpp"
#include "task/record_key.hpp"

namespace shoal::store {
namespace {

namespace fs = std::filesystem;

constexpr NodeId kNode{7, 9};

wire::PutRecord put_record(std::uint32_t shard, wire::RecordKey key, std::uint64_t version,
                           std::string value) {
  return {.shard = ShardId{shard},
          .record = {.key = key,
                     .version = {.ballot = {.round = 3, .node = kNode}, .version = version},
                     .value = std::move(value)}};
}

wire::PutShard put_shard(std::uint32_t shard, std::uint64_t round) {
  wire::ShardState state;
  state.promised = {.round = round, .node = kNode};
  state.config.home = {kNode, NodeId{1, 2}};
  state.floor = 11;
  return {.shard = ShardId{shard}, .state = state};
}

wire::RecordKey output_key(std::uint64_t job) {
  const task::KeyBits bits =
      task::key_bits({.job = JobId{job}, .kind = task::RecordKind::output, .sub = 2, .index = 0});
  return {bits.high, bits.low};
}

Result<void> write(Store& store, std::vector<wire::Write> writes) {
  const std::vector<std::vector<wire::Write>> batches{std::move(writes)};
  return store.write(batches);
}

struct Recovered {
  std::map<std::string, std::string> metas;
  std::map<ShardId, wire::ShardState> shards;
  std::map<std::pair<ShardId, wire::RecordKey>, std::pair<wire::Record, bool>> records;
  Result<void> result;
};

Recovered recover(const Store& store) {
  Recovered found;
  found.result = store.recover(
      {.meta = [&](std::string_view name,
                   std::string_view value) { return found.metas.emplace(name, value).second; },
       .shard = [&](ShardId shard, wire::ShardState state) { found.shards[shard] = state; },
       .record =
           [&](ShardId shard, wire::Record record, bool intact) {
             const auto place = std::pair(shard, record.key);
             found.records[place] = {std::move(record), intact};
           }});
  return found;
}

}  // namespace

TEST_CASE("store: what was written is there after the store is opened again") {
  const Scratch scratch;
  const wire::PutShard shard = put_shard(5, 17);
  const wire::PutRecord record = put_record(5, {1, 2}, 4, "value");
  {
    auto store = Store::open(scratch.path() / "db");
    REQUIRE(store);
    REQUIRE(write(**store, {wire::PutMeta{"cluster", std::string("a\0b", 3)}, shard, record}));
    REQUIRE(write(**store, {put_record(5, {1, 3}, 1, ""), put_record(1024, {1, 2}, 1, "x")}));
  }
  auto store = Store::open(scratch.path() / "db");
  REQUIRE(store);
  const Recovered found = recover(**store);
  REQUIRE(found.result);
  CHECK(found.metas.at("cluster") == std::string("a\0b", 3));
  CHECK(found.shards.at(ShardId{5}) == shard.state);
  CHECK(found.records.size() == 3);
  const auto& [restored, intact] = found.records.at({ShardId{5}, {1, 2}});
  CHECK(intact);
  CHECK(restored == record.record);
  CHECK((*store)->read(ShardId{5}, {1, 2}).value().value == "value");
  CHECK((*store)->read(ShardId{5}, {1, 3}).value().value == "");
  CHECK_FALSE((*store)->read(ShardId{6}, {1, 2}));
}

TEST_CASE("store: the later write of one call wins, and so does the later call") {
  const Scratch scratch;
  auto store = Store::open(scratch.path() / "db");
  REQUIRE(store);
  REQUIRE(write(**store, {put_record(1, {1, 1}, 1, "a"), put_record(1, {1, 1}, 2, "b")}));
  CHECK((*store)->read(ShardId{1}, {1, 1}).value().value == "b");
  const std::vector<std::vector<wire::Write>> batches{{put_record(1, {1, 1}, 3, "c")},
                                                      {put_record(1, {1, 1}, 4, "d")}};
  REQUIRE((*store)->write(batches));
  CHECK((*store)->read(ShardId{1}, {1, 1}).value().value == "d");
  CHECK(recover(**store).records.size() == 1);
}

TEST_CASE("store: a record that fails its checksum is recovered as not intact") {
  const Scratch scratch;
  {
    auto store = Store::open(scratch.path() / "db");
    REQUIRE(store);
    REQUIRE(write(**store, {put_record(2, {8, 1}, 1, "good"), put_record(2, {8, 2}, 1, "bad"),
                            put_record(2, output_key(8), 1, "tail")}));
  }
  damage(scratch.path() / "db", record_key(ShardId{2}, {8, 2}));
  damage(scratch.path() / "db", record_key(ShardId{2}, output_key(8)));
  auto store = Store::open(scratch.path() / "db");
  REQUIRE(store);
  const Recovered found = recover(**store);
  REQUIRE(found.result);
  CHECK(found.records.at({ShardId{2}, {8, 1}}).second);
  CHECK_FALSE(found.records.at({ShardId{2}, {8, 2}}).second);
  CHECK_FALSE(found.records.at({ShardId{2}, output_key(8)}).second);
  CHECK_FALSE((*store)->read(ShardId{2}, {8, 2}));
}

TEST_CASE("store: a value under another record's key fails its checksum") {
  const std::string key = record_key(ShardId{1}, {1, 1});
  const std::string stored = record_header(key, {.ballot = {}, .version = 1}, "value") + "value";
  CHECK(parse_record(key, stored)->intact);
  CHECK_FALSE(parse_record(record_key(ShardId{1}, {1, 2}), stored)->intact);
  CHECK_FALSE(parse_record(key, "short"));
}

TEST_CASE("store: detached records are recovered without their value, which can be read") {
  const Scratch scratch;
  auto store = Store::open(scratch.path() / "db");
  REQUIRE(store);
  REQUIRE(write(**store, {put_record(3, output_key(4), 1, "the tail")}));
  const auto [record, intact] = recover(**store).records.at({ShardId{3}, output_key(4)});
  CHECK(intact);
  CHECK(record.value.empty());
  CHECK(record.version.version == 1);
  CHECK((*store)->read(ShardId{3}, output_key(4)).value().value == "the tail");
}

TEST_CASE("store: a damaged shard state or fact is refused") {
  for (const std::string& key : {shard_key(ShardId{4}), meta_key("epoch")}) {
    const Scratch scratch;
    {
      auto store = Store::open(scratch.path() / "db");
      REQUIRE(store);
      REQUIRE(write(**store, {put_shard(4, 1), wire::PutMeta{"epoch", "12"}}));
    }
    damage(scratch.path() / "db", key);
    auto store = Store::open(scratch.path() / "db");
    REQUIRE(store);
    const Recovered found = recover(**store);
    REQUIRE_FALSE(found.result);
    CHECK(found.result.error().code == ErrorCode::refused);
    CHECK(found.result.error().message.find("--new-identity") != std::string::npos);
    CHECK(found.result.error().message.find(scratch.path().string()) != std::string::npos);
  }
}

TEST_CASE("store: a shard state or fact that is intact and cannot be read is refused") {
  const Scratch scratch;
  auto store = Store::open(scratch.path() / "db");
  REQUIRE(store);
  REQUIRE(write(**store, {wire::PutMeta{"epoch", "12"}}));
  const auto refused = (*store)->recover(
      {.meta = [](std::string_view, std::string_view value) { return value == "13"; },
       .shard = {},
       .record = {}});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::refused);
  CHECK(refused.error().message.find("'epoch' cannot be read") != std::string::npos);
  CHECK(refused.error().message.find("--new-identity") != std::string::npos);

  const std::string key = shard_key(ShardId{4});
  store->reset();
  put_raw(scratch.path() / "db", key, plain_checksum(key, "no state") + "no state");
  store = Store::open(scratch.path() / "db");
  REQUIRE(store);
  CHECK(recover(**store).result.error().code == ErrorCode::refused);
}

TEST_CASE("store: a fact without a value is gone") {
  const Scratch scratch;
  auto store = Store::open(scratch.path() / "db");
  REQUIRE(store);
  REQUIRE(write(**store, {wire::PutMeta{"a", "1"}, wire::PutMeta{"b", "2"}}));
  REQUIRE(write(**store, {wire::PutMeta{"a", ""}, wire::PutMeta{"never", ""}}));
  const Recovered found = recover(**store);
  REQUIRE(found.result);
  CHECK(found.metas == std::map<std::string, std::string>{{"b", "2"}});
}

TEST_CASE("store: files that the database lost are noticed when it is opened") {
  for (const char* name : {"CURRENT", "MANIFEST"}) {
    const Scratch scratch;
    {
      auto store = Store::open(scratch.path() / "db");
      REQUIRE(store);
      REQUIRE(write(**store, {put_shard(4, 1)}));
    }
    for (const auto& file : fs::directory_iterator(scratch.path() / "db")) {
      if (file.path().filename().string().starts_with(name)) {
        std::ofstream(file.path(), std::ios::binary | std::ios::trunc) << "nonsense";
      }
    }
    const auto store = Store::open(scratch.path() / "db");
    REQUIRE_FALSE(store);
    CHECK(store.error().message.find("--new-identity") != std::string::npos);
  }
}

TEST_CASE("store: a torn end of the log is dropped and what came before it is kept") {
  const Scratch scratch;
  {
    auto store = Store::open(scratch.path() / "db");
    REQUIRE(store);
    REQUIRE(write(**store, {put_record(1, {1, 1}, 1, std::string(1000, 'a'))}));
    REQUIRE(write(**store, {put_record(1, {1, 2}, 1, std::string(1000, 'b'))}));
  }
  fs::path log;
  for (const auto& file : fs::directory_iterator(scratch.path() / "db")) {
    if (file.path().extension() == ".log") log = file.path();
  }
  REQUIRE(!log.empty());
  fs::resize_file(log, fs::file_size(log) - 500);
  auto store = Store::open(scratch.path() / "db");
  REQUIRE(store);
  const Recovered found = recover(**store);
  REQUIRE(found.result);
  CHECK(found.records.size() == 1);
  CHECK(found.records.contains({ShardId{1}, {1, 1}}));
}

}  // namespace shoal::store
