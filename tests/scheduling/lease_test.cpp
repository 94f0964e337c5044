#include "scheduling/lease.hpp"

#include <doctest/doctest.h>

#include "scheduling/transfer.hpp"

namespace shoal::scheduling {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kBoot = 7;

wire::Renew renewal(std::uint64_t last, std::vector<std::uint64_t> open = {}) {
  return {.open_transfers = std::move(open),
          .last_transfer = transfer_id(kBoot, last),
          .boot_epoch = kBoot};
}

}  // namespace

TEST_CASE("lease: grows to a tenth of the age, in steps that are worth a write") {
  CHECK(grown_lease(5s, 49s, 30s) == 5s);
  CHECK(grown_lease(5s, 54s, 30s) == 5s);
  CHECK(grown_lease(5s, 55s, 30s) == 5500ms);
  CHECK(grown_lease(5s, 200s, 30s) == 20s);
  CHECK(grown_lease(29s, 300s, 30s) == 30s);  // The last step may be a small one.
  CHECK(grown_lease(30s, 900s, 30s) == 30s);
  CHECK(grown_lease(30s, 900s, 10s) == 30s);  // Never shorter than what was promised.
  int writes = 0;
  Duration lease = 5s;
  for (Duration age = 0s; age < 400s; age += 1s) {
    const Duration next = grown_lease(lease, age, 30s);
    writes += next > lease ? 1 : 0;
    lease = next;
  }
  CHECK(lease == 30s);
  CHECK(writes <= 20);
}

TEST_CASE("lease: what a record shows of an attempt's age makes it grow on from there") {
  CHECK(age_shown(5s, 5s) == 0s);
  CHECK(age_shown(8s, 5s) == 80s);
  CHECK(grown_lease(8s, age_shown(8s, 5s), 30s) == 8s);
  CHECK(grown_lease(8s, age_shown(8s, 5s) + 8s, 30s) == 8800ms);
}

TEST_CASE("lease: the supervisor always knows enough for a node that is back within 3 s") {
  const TimePoint now{1h};
  CHECK(extension_due(now, now + 3500ms, now + 4500ms));
  CHECK_FALSE(extension_due(now, now + 4500ms, now + 4500ms));
  CHECK_FALSE(extension_due(now, now + 26s, now + 27s));
  CHECK(extension_due(now, now + 19s, now + 27s));
  CHECK_FALSE(extension_due(now, now + 19s, now + 18s));
}

TEST_CASE("transfer: closed when it is of an earlier process, or named as neither open nor newer") {
  CHECK(closed(transfer_id(kBoot - 1, 900), renewal(0)));
  CHECK(closed(transfer_id(kBoot - 1, 0), renewal(0)));
  CHECK_FALSE(closed(transfer_id(kBoot + 1, 1), renewal(900)));
  CHECK(closed(transfer_id(kBoot, 4), renewal(4)));
  CHECK_FALSE(closed(transfer_id(kBoot, 5), renewal(4)));
  CHECK_FALSE(closed(transfer_id(kBoot, 4), renewal(6, {transfer_id(kBoot, 4)})));
  CHECK_FALSE(closed(transfer_id(kBoot, 0), renewal(6)));  // The node's claim for itself.
  CHECK_FALSE(closed(0, renewal(6)));                      // Unknown.
}

}  // namespace shoal::scheduling
