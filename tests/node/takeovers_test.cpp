#include "node/takeovers.hpp"

#include <doctest/doctest.h>

#include "owner_world.hpp"

namespace shoal::node {
namespace {

using namespace std::chrono_literals;

TEST_CASE("takeovers: a candidate whose config is out of date holds nobody up for long") {
  OwnerWorld one;
  sim::Disk::Image image = one.disk.image();
  // The homes that it knows of are gone; the shard has others since.
  image.shards[ShardId{0}] = {
      .promised = {5, OwnerWorld::id(8)},
      .config = {.id = {{5, OwnerWorld::id(8)}, 0},
                 .home = {OwnerWorld::id(8), OwnerWorld::id(1), OwnerWorld::id(9)},
                 .next = {},
                 .learners = {}}};
  one.disk.load(std::move(image));
  one.restart();
  one.pass(3s);
  const auto state = [&] {
    one.from(2, wire::OwnerQuery{.shards = {ShardId{0}}});
    const auto answer = one.last<wire::OwnerAnswer>(2);
    REQUIRE(answer);
    return answer->items.at(0).state;
  };
  CHECK(state() == wire::Ownership::candidate);
  one.pass(6s);
  CHECK(state() == wire::Ownership::none);
}

}  // namespace
}  // namespace shoal::node
