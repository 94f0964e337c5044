// Plans for containers, without any: what would be done.
#include "tools/chaos/compose_backend.hpp"

#include <doctest/doctest.h>

#include <algorithm>

namespace shoal::chaos {
namespace {

std::unique_ptr<Backend> imagined(std::uint32_t nodes) {
  auto backend = open_backend({.against = "compose", .nodes = nodes, .imaginary = true});
  REQUIRE(backend);
  REQUIRE((*backend)->nodes());
  return *std::move(backend);
}

Injection of(FaultKind kind, std::vector<std::string> nodes,
             std::map<std::string, Value> parameters = {}) {
  return {.id = 4, .fault = {.kind = kind, .parameters = std::move(parameters)}, .nodes = nodes};
}

// The commands, without what is drawn anew for each cluster.
std::vector<std::string> lines(const Steps& steps) {
  std::vector<std::string> all = texts_of(steps);
  for (std::string& line : all) {
    for (std::size_t at = 0; (at = line.find(kOwnFolder, at)) != std::string::npos;) {
      const std::size_t end = line.find_first_of("-/ ", at + std::string(kOwnFolder).size());
      line.replace(at, end == std::string::npos ? end : end - at, "P");
    }
  }
  return all;
}

Plan planned(Backend& backend, const Injection& injection) {
  CHECK_FALSE(backend.cannot(injection.fault));
  const auto plan = plan_of(backend, injection);
  REQUIRE(plan);
  return *plan;
}

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("compose: a node that is killed or stopped is a container that ends and is started") {
  const auto backend = imagined(3);
  const Plan kill = planned(*backend, of(FaultKind::kill, {"n2"}));
  CHECK(lines(kill.inject) == Lines{"docker kill P-n2"});
  CHECK(lines(kill.heal) == Lines{"docker start P-n2"});
  const Plan stop = planned(*backend, of(FaultKind::stop, {"n1", "n3"}));
  CHECK(lines(stop.inject) == Lines{"docker stop -t 30 P-n1", "docker stop -t 30 P-n3"});
}

TEST_CASE("compose: a pause is of the node alone, or of its container") {
  const auto backend = imagined(3);
  const Plan node = planned(*backend, of(FaultKind::pause, {"n1"}));
  CHECK(lines(node.inject) == Lines{"docker kill --signal STOP P-n1"});
  CHECK(lines(node.heal) == Lines{"docker kill --signal CONT P-n1"});
  const Plan host = planned(*backend, of(FaultKind::pause, {"n1"}, {{"scope", "host"}}));
  CHECK(lines(host.inject) == Lines{"docker pause P-n1"});
  CHECK(lines(host.heal) == Lines{"docker unpause P-n1"});
}

TEST_CASE("compose: what mends may find nothing to mend, but a node must start") {
  const auto backend = imagined(3);
  const Plan pause = planned(*backend, of(FaultKind::pause, {"n1"}));
  CHECK(std::get<RunProgram>(pause.heal.front()).good.empty());
  const Plan kill = planned(*backend, of(FaultKind::kill, {"n1"}));
  CHECK(std::get<RunProgram>(kill.heal.front()).good == std::vector{0});
}

TEST_CASE("compose: an upgrade puts another program into the same container") {
  const auto backend = imagined(2);
  const Plan plan = planned(*backend, of(FaultKind::upgrade, {"n1"}, {{"program", "/x/shoal"}}));
  CHECK(lines(plan.inject) == Lines{"docker stop -t 30 P-n1",
                                    "docker cp /x/shoal P-n1:/usr/local/bin/shoal",
                                    "docker start P-n1"});
}

TEST_CASE("compose: a partition is a table of the links that it cuts, and goes with it") {
  const auto backend = imagined(3);
  const Plan plan = planned(*backend, of(FaultKind::partition, {"n1"}));
  REQUIRE(plan.inject.size() == 1);
  const std::string cut = std::get<RunProgram>(plan.inject.front()).words.back();
  CHECK(cut.find("type filter hook forward") != std::string::npos);
  // n1 and two others, both ways.
  CHECK(std::ranges::count(cut, ';') == 1 + 4 + 1);
  CHECK(cut.find(".101 ip daddr 10.213.") != std::string::npos);
  CHECK(cut.find("numgen") == std::string::npos);
  const std::string name = cut.substr(6, cut.find(" {") - 6);
  CHECK(std::get<RunProgram>(plan.heal.front()).words == Lines{"nft", "delete table " + name});
  CHECK(std::get<RunProgram>(plan.heal.front()).good.empty());

  const Plan loss = planned(*backend, of(FaultKind::net_loss, {"n1"}, {{"pct", 12.5}}));
  const std::string drop = std::get<RunProgram>(loss.inject.front()).words.back();
  CHECK(drop.find("numgen random mod 10000 < 1250 drop") != std::string::npos);
}

TEST_CASE("compose: what containers do not allow is refused with the reason") {
  const auto backend = imagined(3);
  const auto disk = backend->cannot({.kind = FaultKind::disk_full});
  REQUIRE(disk);
  CHECK(disk->find("share the disk") != std::string::npos);
  CHECK(backend->cannot({.kind = FaultKind::net_delay}));
}

TEST_CASE("compose: an own cluster is the file's service, with names and addresses that stay") {
  const auto backend = imagined(2);
  const auto& compose = dynamic_cast<const ComposeBackend&>(*backend);
  const std::string text = compose.compose_text();
  for (const char* part : {"  n1:\n", "  n2:\n", "service: node\n", "hostname: n2\n",
                           "restart: \"no\"\n", ".102\n", "- node\n", ".0/24\n"}) {
    CHECK_MESSAGE(text.find(part) != std::string::npos, part);
  }
  const Plan birth = backend->birth();
  const Lines heal = lines(birth.heal);
  CHECK(heal.front() == "docker rm -fv P-n1 P-n2");
  CHECK(backend->names() == Lines{"n1", "n2"});
}

TEST_CASE("docker: containers are read as they are inspected") {
  const auto found = containers_of(R"([{"Name": "/p_node_1", "Config": {"Hostname": "ab12",
      "Image": "shoal", "Cmd": ["node", "--listen"]}, "State": {"Running": false, "Pid": 0},
      "NetworkSettings": {"Networks": {"p_default": {"IPAddress": "172.18.0.2"}}}},
      {"Name": "/db", "Config": {"Hostname": "cd34", "Cmd": null}}, {"odd": 1}])");
  REQUIRE(found.size() == 2);
  CHECK(found[0].name == "p_node_1");
  CHECK(found[0].host_name == "ab12");
  CHECK(found[0].address == "172.18.0.2:7461");
  CHECK(found[0].network == "p_default");
  CHECK(found[0].state == NodeState::down);
  CHECK(found[0].node);
  CHECK_FALSE(found[1].node);
  CHECK(containers_of("no JSON").empty());
}

}  // namespace shoal::chaos
