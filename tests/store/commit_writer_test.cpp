#include "store/commit_writer.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <semaphore>
#include <string>
#include <vector>

namespace shoal::store {
namespace {

std::vector<wire::Write> fact(std::string name) { return {wire::PutMeta{std::move(name), ""}}; }

}  // namespace

TEST_CASE("store: what queues during a sync becomes durable with the next one, in order") {
  std::counting_semaphore<> may_sync(0);
  std::binary_semaphore first_began(0);
  std::vector<std::size_t> group_sizes;
  std::vector<std::string> names;
  std::vector<std::uint64_t> durable;
  {
    CommitWriter writer(
        [&](std::span<const std::vector<wire::Write>> batches) -> Result<void> {
          if (group_sizes.empty()) first_began.release();
          may_sync.acquire();
          group_sizes.push_back(batches.size());
          for (const auto& batch : batches) {
            names.push_back(std::get<wire::PutMeta>(batch.front()).name);
          }
          return {};
        },
        {.on_durable = [&](std::uint64_t sequence, Duration) { durable.push_back(sequence); },
         .on_failed = [](const Error&) { FAIL("the disk is good"); }});
    writer.add(1, fact("a"));
    first_began.acquire();
    writer.add(2, fact("b"));
    writer.add(5, fact("c"));
    may_sync.release(2);
  }
  CHECK(group_sizes == std::vector<std::size_t>{1, 2});
  CHECK(names == std::vector<std::string>{"a", "b", "c"});
  CHECK(durable == std::vector<std::uint64_t>{1, 5});
}

TEST_CASE("store: after a failed sync nothing is tried again") {
  std::atomic<int> tries = 0;
  std::promise<std::string> failed;
  CommitWriter writer(
      [&](std::span<const std::vector<wire::Write>>) -> Result<void> {
        ++tries;
        return fail(ErrorCode::io, "no space");
      },
      {.on_durable = [](std::uint64_t, Duration) { FAIL("nothing is durable"); },
       .on_failed = [&](const Error& error) { failed.set_value(error.message); }});
  writer.add(1, fact("a"));
  CHECK(failed.get_future().get() == "no space");
  writer.add(2, fact("b"));
  CHECK(tries == 1);
}

TEST_CASE("store: reads are answered in order") {
  std::vector<std::string> answers;
  std::promise<void> done;
  ReadThread reader;
  reader.add([] { return std::optional(wire::Record{.key = {}, .version = {}, .value = "one"}); },
             [&](auto record) { answers.push_back(record->value); });
  reader.add([] { return std::nullopt; },
             [&](auto record) {
               CHECK_FALSE(record);
               done.set_value();
             });
  done.get_future().get();
  CHECK(answers == std::vector<std::string>{"one"});
}

}  // namespace shoal::store
