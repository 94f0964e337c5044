#include "tools/chaos/target.hpp"

#include <doctest/doctest.h>

#include <set>

namespace shoal::chaos {
namespace {

const std::vector<std::string> kNodes{"n1", "n2", "n3", "n4", "n5"};

std::vector<std::string> chosen(std::string_view words, std::uint64_t seed = 1,
                                std::vector<std::string> held = {}) {
  const auto target = parse_target(words);
  REQUIRE(target);
  Random random(seed, "test");
  const auto nodes = choose(*target, {.nodes = kNodes, .held = std::move(held)}, random);
  return nodes ? *nodes : std::vector<std::string>{"error: " + nodes.error().message};
}

TEST_CASE("target: names, ranges and patterns come to the nodes they name") {
  using Names = std::vector<std::string>;
  CHECK(chosen("n2") == Names{"n2"});
  CHECK(chosen("n1,n4") == Names{"n1", "n4"});
  CHECK(chosen("n[2-4]") == Names{"n2", "n3", "n4"});
  CHECK(chosen("n[1-2],n2,n5") == Names{"n1", "n2", "n5"});
  CHECK(chosen("re:^n[15]$") == Names{"n1", "n5"});
  CHECK(chosen("all") == kNodes);
}

TEST_CASE("target: drawn targets have their size and repeat with the seed") {
  CHECK(chosen("any").size() == 1);
  CHECK(chosen("any:2").size() == 2);
  CHECK(chosen("half").size() == 2);
  CHECK(chosen("minority").size() == 2);
  CHECK(chosen("third").size() == 2);
  CHECK(chosen("majority").size() == 3);
  CHECK(chosen("any:9") == kNodes);
  std::set<std::vector<std::string>> different;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CHECK(chosen("any:2", seed) == chosen("any:2", seed));
    different.insert(chosen("any:2", seed));
  }
  CHECK(different.size() > 3);
}

TEST_CASE("target: nodes that another fault holds are drawn last") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CHECK(chosen("any", seed, {"n1", "n2", "n3", "n5"}) == std::vector<std::string>{"n4"});
  }
}

TEST_CASE("target: what only the running cluster knows is looked up") {
  CHECK(looked_up(*parse_target("owner(load)")));
  CHECK(looked_up(*parse_target("replica(k7q2m)")));
  CHECK(looked_up(*parse_target("busiest")));
  CHECK_FALSE(looked_up(*parse_target("majority")));
  CHECK(parse_target("owner(load)")->argument == "load");
}

TEST_CASE("target: words that name nothing are refused with the reason") {
  for (const char* words :
       {"", "n[3-1]", "n[1-", "re:(", "any:0", "half:2", "owner()", "n 1", "n1,,n2"}) {
    CAPTURE(words);
    const auto target = parse_target(words);
    REQUIRE_FALSE(target);
    CHECK(target.error().message.find("names no target") != std::string::npos);
  }
  CHECK(chosen("n7").front().find("there is no node 'n7'") != std::string::npos);
}

}  // namespace
}  // namespace shoal::chaos
