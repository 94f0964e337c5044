// Faults that nodes play on themselves, as files that they read.
#include "tools/chaos/played.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>

#include "tools/chaos/schedule.hpp"

namespace shoal::chaos {
namespace {

Fault clock_fault(std::map<std::string, Value> parameters) {
  return {.kind = FaultKind::clock, .parameters = std::move(parameters)};
}

// The command that breaks n1 and the one that mends it.
std::string commands_of(const Fault& fault) {
  const auto plan = plan_played(fault, "/f", "n1");
  if (!plan) return "error: " + plan.error().message;
  return joined(texts_of(plan->inject)) + " / " + joined(texts_of(plan->heal));
}

bool has(const std::string& whole, std::string_view piece) {
  INFO(whole);
  const bool found = whole.find(piece) != std::string::npos;
  CHECK(found);
  return found;
}

}  // namespace

TEST_CASE("played: a fault is a file of the node, and its end is the file's removal") {
  has(commands_of(clock_fault({})), "wall_ms 90000 every_ms 0 > /f/n1.clock.new");
  has(commands_of(clock_fault({})), "/ rm -f /f/n1.clock");
  const Fault back = clock_fault({{"skew", std::string("-2m")}, {"jump", std::string("500ms")}});
  has(commands_of(back), "wall_ms -120000 every_ms 500 ");
  has(commands_of(clock_fault({{"which", std::string("boot")}, {"drift", -3.0}})), "percent -3 ");
  has(commands_of({.kind = FaultKind::disk_slow}), "sync_ms 200 > /f/n1.disk.new");
  has(commands_of({.kind = FaultKind::disk_read_only}), "read_only 1 > /f/n1.disk.new");
}

TEST_CASE("played: what cannot be is refused with the reason") {
  CHECK_FALSE(cannot_play(clock_fault({}), "/f"));
  const auto untested = cannot_play(clock_fault({}), "");
  REQUIRE(untested);
  has(*untested, "not started for tests");
  const auto fast =
      cannot_play(clock_fault({{"which", std::string("boot")}, {"drift", 9.0}}), "/f");
  REQUIRE(fast);
  has(*fast, "from -5 to 5");
  const auto word = cannot_play(clock_fault({{"skew", std::string("soon")}}), "/f");
  REQUIRE(word);
  has(*word, "skew: ");
}

TEST_CASE("played: a cluster of its own is started for tests only where a scenario asks for it") {
  ::unsetenv(kTestFaults);
  const auto plain = open_backend({.faults = {FaultKind::kill}, .imaginary = true});
  REQUIRE(plain);
  CHECK(std::getenv(kTestFaults) == nullptr);
  const auto tested = open_backend({.faults = {FaultKind::clock}, .imaginary = true});
  REQUIRE(tested);
  REQUIRE((*tested)->nodes());
  const char* folder = std::getenv(kTestFaults);
  REQUIRE(folder != nullptr);
  has(folder, "/shoal-chaos-");
  const auto plan = plan_of(**tested, {.fault = clock_fault({}), .nodes = {"n2"}});
  REQUIRE(plan);
  has(joined(texts_of(plan->inject)), text(folder, "/n2.clock"));
  ::unsetenv(kTestFaults);
}

}  // namespace shoal::chaos
