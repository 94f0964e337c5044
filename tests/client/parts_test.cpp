#include <doctest/doctest.h>

#include <set>

#include "client/batch.hpp"
#include "client/mint.hpp"
#include "client/watch_filter.hpp"

namespace shoal::client {

TEST_CASE("batch: batches cover all elements once, within both limits, ending between runs") {
  std::vector<std::string> arguments(5000, "short");
  for (std::size_t i = 1000; i < 1100; ++i) arguments[i] = std::string(60'000, 'x');
  std::size_t from = 0;
  while (from < arguments.size()) {
    const std::size_t count = batch_size(arguments, from);
    REQUIRE(count > 0);
    CHECK(count <= kBatchElementsMax);
    std::size_t bytes = 0;
    for (std::size_t i = from; i < from + count; ++i) bytes += arguments[i].size();
    CHECK((bytes <= kBatchBytesMax || count == 1));
    from += count;
  }
  CHECK(from == arguments.size());
  CHECK(batch_size(arguments, 0) % kRunElements == 0);
}

TEST_CASE("watch: a task never goes back, and nothing follows its end") {
  WatchFilter filter;
  const auto told = [&](TaskState state, std::uint32_t attempt) {
    return filter.accept({.index = 40, .state = state, .attempt = attempt});
  };
  CHECK(told(TaskState::ready, 0));
  CHECK_FALSE(told(TaskState::ready, 0));
  CHECK(told(TaskState::claimed, 1));
  CHECK_FALSE(told(TaskState::ready, 0));  // From an older view.
  CHECK(told(TaskState::claimed, 2));
  CHECK_FALSE(told(TaskState::claimed, 1));
  CHECK_FALSE(filter.has_ended(40));
  CHECK(told(TaskState::failed, 2));
  CHECK_FALSE(told(TaskState::failed, 2));
  CHECK_FALSE(told(TaskState::claimed, 3));
  CHECK(filter.ended() == 1);
  CHECK_FALSE(filter.accept({.index = kJobTasksMax}));  // Nobody's.
}

TEST_CASE("mint: ids keep their class and do not repeat") {
  std::set<JobId> ids;
  for (int i = 0; i < 1000; ++i) ids.insert(mint_job(Retention::month));
  CHECK(ids.size() == 1000);
  CHECK(ids.begin()->retention() == Retention::month);
}

}  // namespace shoal::client
