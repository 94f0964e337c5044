// A scenario: a cluster, work for it, what goes wrong and when, and what is expected of it all.
//
// Written in TOML (scenarios/*.toml are examples of all of it). A run goes through these phases, on
// one time axis that begins with the load:
//
//   0 .. warmup            load alone: what `before` means in the figures
//   warmup .. duration     faults; at the end everything is healed
//   .. + settle, at least  the rest of the load; then the checks
//
// Times of faults (`at`) count from 0. Everything random in a scenario is drawn from its seed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tools/chaos/fault.hpp"
#include "tools/chaos/text.hpp"

namespace shoal::chaos {

struct ClusterSpec {
  std::uint32_t nodes = 5;
  std::string backend = "local";
  std::uint64_t disk_bytes = 0;  // A disk of that size for each node, where the back end can.
};

struct LoadSpec {
  std::uint32_t tasks = 2000;   // In all.
  std::uint32_t array = 50;     // Tasks of one job.
  double single = 5;            // Of a hundred tasks: jobs of their own.
  double at_most_once = 10;     // Of a hundred jobs.
  std::uint32_t clients = 4;    // Connections, their gateways spread over the nodes.
  std::uint32_t in_flight = 4;  // Submissions of one client at once.
  Time sleep_least{5'000};      // Each task's length is drawn between these.
  Time sleep_most{20'000};
  double longer = 0;  // Of a hundred tasks: so long instead.
  Time longer_least{6'000'000};
  Time longer_most{12'000'000};
  Ms beat{100};                    // A task that runs longer leaves a mark so often.
  std::uint32_t cpu_millis = 100;  // What a task asks for.
  bool even = true;                // Spread over `duration`; else as fast as acknowledged.
};

struct FaultSpec {
  Fault fault;
  Ms at{0};
  std::optional<Ms> every;             // Again and again...
  std::optional<std::uint32_t> times;  // ... so often in all...
  std::optional<Ms> until;             // ... at most until then; absent: until `duration`.
  // One target after the other, that much apart, instead of all at once.
  std::optional<Ms> rolling;
};

// Faults drawn from a weighted list.
struct RandomSpec {
  struct Choice {
    std::uint32_t weight = 1;
    Fault fault;
    std::optional<Span> lasting;
  };
  Span every;                 // From one to the next.
  Span lasting;               // Unless the choice says otherwise.
  std::uint32_t at_once = 1;  // Of these, at most, at a time.
  std::vector<Choice> choices;
};

// Bounds, each an `at most`. Which there are, and in what unit: expectation_rules().
enum class BoundType : std::uint8_t { count, number, duration, percent };
struct ExpectationRule {
  std::string_view name;
  BoundType type = BoundType::count;
  std::string_view help;
};
const std::vector<ExpectationRule>& expectation_rules();

struct Scenario {
  std::string name;
  std::string about;
  std::optional<std::uint64_t> seed;
  ClusterSpec cluster;
  LoadSpec load;
  Ms duration{60'000};
  Ms warmup{5'000};
  Ms settle{10'000};
  Ms patience{90'000};  // Without any progress for so long the load is given up.
  std::vector<FaultSpec> faults;
  std::optional<RandomSpec> random;
  std::map<std::string, double> expect;  // Durations in milliseconds.

  std::vector<FaultKind> kinds() const;  // Each once, in the order of the catalogue.
};

// `sets` are KEY=VALUE that replace what the text says; a key goes down by dots, into lists by
// number: load.tasks=1000, fault.0.for=5s. `source` names the text in errors, which give line and
// column; one error holds all that is wrong, a line each.
Result<Scenario> parse_scenario(std::string_view toml, const std::string& source,
                                const std::vector<std::string>& sets = {});

// Another length: the number of tasks keeps its pace.
void stretch(Scenario& scenario, Ms duration);

// Shipped scenarios lie in a folder beside the program or in the source tree.
std::vector<std::string> shipped_scenarios();
// A path, or the name of a shipped one.
Result<std::string> find_scenario(const std::string& path_or_name);
Result<std::string> read_text(const std::filesystem::path& path);

// As TOML again. `sets` are not needed any more: what they changed is in it.
std::string toml_of(const Scenario& scenario);

}  // namespace shoal::chaos
