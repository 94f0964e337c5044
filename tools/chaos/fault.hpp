// What can be done to a cluster: the catalogue of faults, and a fault as a value.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tools/chaos/target.hpp"
#include "tools/chaos/text.hpp"

namespace shoal::chaos {

enum class FaultKind : std::uint8_t {
  kill,
  stop,
  pause,
  restart,
  upgrade,
  disk_full,
  cpu,
  mem,
  join,
  partition,
  net_loss,
  net_delay,
  net_duplicate,
  net_reorder,
  net_corrupt,
  net_rate,
  net_slice,
  net_half_open,
  disk_slow,
  disk_read_only,
  clock,
};

// A back end answers for whole families.
// What is `played` nodes do to themselves: see played.hpp.
enum class Family : std::uint8_t { process, disk, load, members, network, played };

// A target is one that is not looked up.
enum class ParameterType : std::uint8_t { percent, number, size, word, target };

// Sizes in bytes.
using Value = std::variant<double, std::uint64_t, std::string>;

struct ParameterRule {
  std::string_view name;
  ParameterType type = ParameterType::word;
  std::string_view otherwise;  // As it would be written; empty: it must be given.
  std::string_view help;
  std::vector<std::string> words = {};  // What a word may be; empty: anything.
};

struct FaultRule {
  FaultKind kind = FaultKind::kill;
  std::string_view name;
  Family family = Family::process;
  std::string_view help;
  std::vector<ParameterRule> parameters = {};
  bool targeted = true;
};

std::span<const FaultRule> catalogue();
const FaultRule& rule_of(FaultKind kind);
const FaultRule* find_rule(std::string_view name);
std::vector<std::string> fault_names();
std::string_view to_string(Family family);

// The value as `type` has it; the error is one sentence.
Result<Value> parse_value(const ParameterRule& rule, std::string_view words);
std::string text_of(const Value& value);

struct Fault {
  FaultKind kind = FaultKind::kill;
  Target target;                                 // When its rule is `targeted`.
  std::map<std::string, Value> parameters = {};  // Those that were given.
  std::optional<Ms> duration = {};               // Absent: until everything is healed.

  // The one that was given, or what the rule says otherwise. REQUIRES: of that type.
  double number(std::string_view name) const;
  std::uint64_t size(std::string_view name) const;
  std::string word(std::string_view name) const;

 private:
  Value value(std::string_view name) const;
};

// A restart or an upgrade: unless it is given a duration, it is over as soon as it is made.
bool at_once(FaultKind kind);

// Absent when the fault is whole: what must be given is there.
std::optional<std::string> what_is_missing(const Fault& fault);

// A fault whose targets are settled: what a back end is asked to do.
struct Injection {
  std::uint32_t id = 0;  // Within the run, from 1.
  Fault fault;
  std::vector<std::string> nodes;
};

// "kill n2 (scope host) for 5s"
std::string text_of(const Injection& injection);
std::string parameters_text(const Fault& fault);

}  // namespace shoal::chaos
