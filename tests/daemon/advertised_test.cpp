#include "daemon/advertised.hpp"

#include <doctest/doctest.h>

#include <array>

namespace shoal::daemon {
namespace {

const Address kAny = ipv4(0, 0, 0, 0, 7461);
const Address kLoopback = ipv4(127, 0, 0, 1, 7461);
const Address kOld = ipv4(172, 18, 0, 4, 7461);
const Address kNew = ipv4(172, 18, 0, 8, 7461);

}  // namespace

TEST_CASE("advertised: the first of the machine where there is nobody to join") {
  const Advertised alone({}, kAny, false, std::array{kOld, kLoopback});
  CHECK(alone.address() == kOld);
}

TEST_CASE("advertised: who joins is told by the first stream") {
  Advertised joins({}, kAny, true, std::array{kNew, kOld, kLoopback});
  CHECK_FALSE(joins.address());
  CHECK(joins.on_stream(kOld));
  CHECK(joins.address() == kOld);
  CHECK_FALSE(joins.on_stream(kNew));  // One of two networks is enough.
  CHECK(joins.address() == kOld);
}

TEST_CASE("advertised: a container that is given another address tells that") {
  Advertised node({}, kAny, false, std::array{kOld, kLoopback});
  CHECK_FALSE(node.on_machine(std::array{kNew, kOld, kLoopback}));  // It still has the old one.
  CHECK_FALSE(node.on_machine(std::array{kLoopback}));              // Its network is gone:
  CHECK(node.address() == kOld);                                    // nobody could be told.
  CHECK(node.on_machine(std::array{kNew, kLoopback}));
  CHECK(node.address() == kNew);
}

TEST_CASE("advertised: what was configured, or listened on, never changes") {
  Advertised configured(ipv4(10, 0, 0, 1, 0), kAny, true, std::array{kOld, kLoopback});
  CHECK(configured.address() == ipv4(10, 0, 0, 1, 7461));
  CHECK_FALSE(configured.on_machine(std::array{kNew, kLoopback}));
  Advertised bound({}, kOld, true, std::array{kOld, kLoopback});
  CHECK(bound.address() == kOld);
  CHECK_FALSE(bound.on_machine(std::array{kNew, kLoopback}));
  // Nodes of one machine that joined over the loopback stay there.
  Advertised local({}, kAny, true, std::array{kOld, kLoopback});
  CHECK(local.on_stream(kLoopback));
  CHECK_FALSE(local.on_machine(std::array{kNew, kLoopback}));
}

}  // namespace shoal::daemon
