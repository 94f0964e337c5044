// Looks at the records of a node's database, and damages one, for the end-to-end tests. The node
// must not run.
//
//   store_tool list DATABASE                    a line for each record: SHARD HIGH LOW VERSION
//                                               good|bad BALLOT-ROUND, numbers in decimal
//   store_tool damage DATABASE SHARD HIGH LOW   flips one bit of that record's value
//   store_tool damage-state DATABASE SHARD      flips one bit of what is kept of that shard
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "damage.hpp"
#include "store/keys.hpp"
#include "store/store.hpp"

namespace shoal::store {
namespace {

int list(const std::string& database) {
  const auto store = Store::open(database);
  if (!store) {
    std::fprintf(stderr, "%s\n", store.error().message.c_str());
    return 1;
  }
  const auto recovered = (*store)->recover(
      {.meta = [](std::string_view, std::string_view) { return true; },
       .shard = [](ShardId, const wire::ShardState&) {},
       .record =
           [](ShardId shard, const wire::Record& record, bool intact) {
             std::printf("%u %llu %llu %llu %s %llu\n", static_cast<std::uint32_t>(shard),
                         static_cast<unsigned long long>(record.key.high),
                         static_cast<unsigned long long>(record.key.low),
                         static_cast<unsigned long long>(record.version.version),
                         intact ? "good" : "bad",
                         static_cast<unsigned long long>(record.version.ballot.round));
           }});
  if (recovered) return 0;
  std::fprintf(stderr, "%s\n", recovered.error().message.c_str());
  return 1;
}

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

int run(const std::vector<std::string>& words) {
  if (words.size() == 3 && words[1] == "list") return list(words[2]);
  const bool record = words.size() == 6 && words[1] == "damage";
  const bool state = words.size() == 4 && words[1] == "damage-state";
  if (!record && !state) {
    std::fprintf(stderr,
                 "usage: list DATABASE | damage DATABASE SHARD HIGH LOW | "
                 "damage-state DATABASE SHARD\n");
    return 2;
  }
  const ShardId shard{static_cast<std::uint32_t>(number(words[3]))};
  damage(words[2],
         record ? record_key(shard, {number(words[4]), number(words[5])}) : shard_key(shard));
  return 0;
}

}  // namespace
}  // namespace shoal::store

int main(int count, char** words) { return shoal::store::run({words, words + count}); }
