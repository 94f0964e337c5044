#include "daemon/effect_order.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include "store/commit_writer.hpp"

namespace shoal::daemon {
namespace {

// An output with one effect of each kind, told apart by `number`.
node::Output output(std::uint64_t number, bool with_writes) {
  node::Output made;
  made.messages.push_back({.to = {1, 1}, .address = {}, .message = wire::PingNack{number}});
  made.promises.push_back({.to = {1, 1}, .address = {}, .message = wire::PingNack{100 + number}});
  made.replies.push_back({.session = node::SessionId{number}, .reply = {.id = number}});
  made.launches.push_back({.attempt = {.task = {JobId{number}, 0}, .number = 1}, .spec = {}});
  if (with_writes) made.writes.push_back(wire::PutMeta{"fact", std::to_string(number)});
  return made;
}

std::vector<std::uint64_t> sequences(const Effects& effects) {
  std::vector<std::uint64_t> found;
  for (const node::Envelope& envelope : effects.messages) {
    found.push_back(std::get<wire::PingNack>(envelope.message).sequence);
  }
  return found;
}

using Numbers = std::vector<std::uint64_t>;

}  // namespace

TEST_CASE("daemon: without writes everything leaves at once") {
  EffectOrder order;
  const Effects now = order.on_output(output(1, false));
  CHECK(sequences(now) == Numbers{1, 101});
  CHECK(now.answers.size() == 1);
  CHECK(now.launches.size() == 1);
  CHECK(order.settled());
}

TEST_CASE("daemon: promises, launches and replies wait for their own writes") {
  EffectOrder order;
  const Effects now = order.on_output(output(1, true));
  CHECK(sequences(now) == Numbers{1});
  CHECK(now.answers.empty());
  CHECK(now.launches.empty());
  CHECK(now.writes.size() == 1);
  CHECK_FALSE(order.settled());
  const Effects later = order.on_durable(now.sequence);
  CHECK(sequences(later) == Numbers{101});
  CHECK(later.answers.size() == 1);
  CHECK(later.launches.size() == 1);
  CHECK(order.settled());
}

TEST_CASE("daemon: promises of an output without writes wait for those of earlier ones") {
  EffectOrder order;
  const std::uint64_t first = order.on_output(output(1, true)).sequence;
  CHECK(sequences(order.on_output(output(2, false))) == Numbers{2});
  const std::uint64_t third = order.on_output(output(3, true)).sequence;
  CHECK(sequences(order.on_output(output(4, false))) == Numbers{4});
  CHECK(sequences(order.on_durable(first)) == Numbers{101, 102});
  CHECK(sequences(order.on_durable(third)) == Numbers{103, 104});
  CHECK(order.settled());
}

TEST_CASE("daemon: a kill takes back a launch that waits, and reports its end") {
  EffectOrder order;
  order.on_output(output(1, true));
  const std::uint64_t second = order.on_output(output(2, true)).sequence;
  node::Output kills;
  for (const std::uint64_t job : {1U, 3U, 4U}) {
    kills.kills.push_back(
        {.attempt = {.task = {JobId{job}, 0}, .number = 1}, .reason = EndReason::timed_out});
  }
  kills.launches.push_back({.attempt = {.task = {JobId{4}, 0}, .number = 1}, .spec = {}});
  const Effects now = order.on_output(std::move(kills));
  REQUIRE(now.kills.size() == 1);  // What runs already is the executor's to end.
  CHECK(now.kills.front().attempt.task.job == JobId{3});
  REQUIRE(now.ended.size() == 2);
  CHECK(now.ended[0].attempt.task.job == JobId{1});
  CHECK(now.ended[0].result.reason == EndReason::timed_out);
  CHECK(now.ended[1].attempt.task.job == JobId{4});
  const Effects later = order.on_durable(second);
  REQUIRE(later.launches.size() == 1);
  CHECK(later.launches.front().attempt.task.job == JobId{2});
  CHECK(later.ended.empty());
}

TEST_CASE("daemon: a kill meets the launch of its own output when nothing waits") {
  EffectOrder order;
  node::Output both = output(1, false);
  both.kills.push_back({.attempt = both.launches.front().attempt});
  const Effects now = order.on_output(std::move(both));
  CHECK(now.launches.empty());
  CHECK(now.kills.empty());
  CHECK(now.ended.size() == 1);
}

TEST_CASE("daemon: an extension changes a launch that waits, else it leaves at once") {
  EffectOrder order;
  const TimePoint early{std::chrono::seconds(5)};
  const TimePoint late{std::chrono::seconds(9)};
  node::Output first = output(1, true);
  first.launches.front().lease_end = early;
  const std::uint64_t sequence = order.on_output(std::move(first)).sequence;
  node::Output second = output(2, false);
  second.launches.front().lease_end = late;
  for (const std::uint64_t job : {1U, 2U, 3U}) {
    second.extensions.push_back(
        {.attempt = {.task = {JobId{job}, 0}, .number = 1}, .lease_end = job == 2 ? early : late});
  }
  const Effects now = order.on_output(std::move(second));
  REQUIRE(now.extensions.size() == 1);  // What runs already is the executor's to extend.
  CHECK(now.extensions.front().attempt.task.job == JobId{3});
  const Effects later = order.on_durable(sequence);
  REQUIRE(later.launches.size() == 2);
  CHECK(later.launches[0].lease_end == late);
  CHECK(later.launches[1].lease_end == late);  // Leases only grow.
  CHECK(later.extensions.empty());
}

TEST_CASE("daemon: what is settled is told at once, whatever waits for the disk") {
  EffectOrder order;
  node::Output settling = output(1, true);
  settling.settled.push_back({.task = {JobId{8}, 0}, .number = 2});
  const Effects now = order.on_output(std::move(settling));
  REQUIRE(now.settled.size() == 1);
  CHECK(now.settled.front().task.job == JobId{8});
}

TEST_CASE("daemon: reads of the store wait for the writes before them") {
  EffectOrder order;
  node::Output first = output(1, true);
  first.store_reads.push_back({.request = 1});
  const Effects now = order.on_output(std::move(first));
  CHECK(now.store_reads.empty());
  node::Output second;
  second.store_reads.push_back({.request = 2});
  CHECK(order.on_output(std::move(second)).store_reads.empty());
  CHECK_FALSE(order.settled());
  const Effects later = order.on_durable(now.sequence);
  REQUIRE(later.store_reads.size() == 2);
  CHECK(later.store_reads[0].request == 1);
  node::Output third;
  third.store_reads.push_back({.request = 3});
  CHECK(order.on_output(std::move(third)).store_reads.size() == 1);
}

TEST_CASE("daemon: one sync may release several outputs, in order") {
  EffectOrder order;
  order.on_output(output(1, true));
  order.on_output(output(2, true));
  const std::uint64_t last = order.on_output(output(3, true)).sequence;
  CHECK(sequences(order.on_durable(last)) == Numbers{101, 102, 103});
}

TEST_CASE("daemon: with a slow disk no promise leaves before its sync has ended") {
  constexpr std::uint64_t kOutputs = 20;
  std::mutex mutex;
  std::vector<std::string> trace;  // Facts on the disk and promises heard, as they happened.
  std::counting_semaphore<> news(0);
  std::uint64_t durable = 0;
  store::CommitWriter writer(
      [&](std::span<const std::vector<wire::Write>> batches) -> Result<void> {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        const std::lock_guard lock(mutex);
        for (const auto& batch : batches) {
          trace.push_back("disk " + std::get<wire::PutMeta>(batch.front()).value);
        }
        return {};
      },
      {.on_durable =
           [&](std::uint64_t sequence, Duration) {
             const std::lock_guard lock(mutex);
             durable = sequence;
             news.release();
           },
       .on_failed = [](const Error&) { FAIL("the disk is good"); }});
  EffectOrder order;
  const auto hear = [&](const Effects& effects) {
    const std::lock_guard lock(mutex);
    for (const std::uint64_t sequence : sequences(effects)) {
      if (sequence > 100) trace.push_back("heard " + std::to_string(sequence - 100));
    }
  };
  const auto take_news = [&] {
    std::uint64_t upto = 0;
    {
      const std::lock_guard lock(mutex);
      upto = durable;
    }
    hear(order.on_durable(upto));
  };
  for (std::uint64_t number = 1; number <= kOutputs; ++number) {
    Effects effects = order.on_output(output(number, true));
    writer.add(effects.sequence, std::move(effects.writes));
    hear(effects);
    if (news.try_acquire()) take_news();
  }
  while (!order.settled()) {
    news.acquire();
    take_news();
  }
  CHECK(trace.size() == 2 * kOutputs);
  for (std::uint64_t number = 1; number <= kOutputs; ++number) {
    const auto disk = std::ranges::find(trace, "disk " + std::to_string(number));
    const auto heard = std::ranges::find(trace, "heard " + std::to_string(number));
    REQUIRE(heard != trace.end());
    CHECK(disk < heard);
  }
}

}  // namespace shoal::daemon
