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
  partition,
  net_delay,
  net_loss,
  net_dup,
  net_reorder,
  net_corrupt,
  net_rate,
  net_slice,
  net_half_open,
  disk_full,
  disk_slow,
  disk_readonly,
  disk_error,
  clock_skew,
  clock_drift,
  cpu,
  mem,
  join,
};

// A back end answers for whole families.
enum class Family : std::uint8_t { process, network, disk, clock, load, members };

enum class ParameterType : std::uint8_t { duration, offset, percent, number, size, word, flag };

// Durations and offsets in milliseconds; sizes in bytes.
using Value = std::variant<bool, double, Ms, std::uint64_t, std::string>;

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
  Target target;               // When its rule is `targeted`.
  std::optional<Target> to;    // Network: the other ends of the links; absent: all other nodes.
  std::vector<Target> groups;  // Partition.
  std::map<std::string, Value> parameters = {};  // Those that were given.
  std::optional<Ms> duration = {};               // Absent: until everything is healed.

  // The one that was given, or what the rule says otherwise. REQUIRES: of that type.
  bool flag(std::string_view name) const;
  double number(std::string_view name) const;
  Ms time(std::string_view name) const;
  std::uint64_t size(std::string_view name) const;
  std::string word(std::string_view name) const;

 private:
  Value value(std::string_view name) const;
};

// Absent when the fault is whole: required parameters are there, a partition has groups or a shape.
std::optional<std::string> what_is_missing(const Fault& fault);

// A fault whose targets are settled: what a back end is asked to do.
struct Injection {
  std::uint32_t id = 0;  // Within the run, from 1.
  Fault fault;
  std::vector<std::string> nodes;  // For the shapes bridge and ring all nodes, in a drawn order.
  // Of a partition. For another network fault with `to`: one group, the links' other ends.
  std::vector<std::vector<std::string>> groups;
};

// "kill n2 (scope host) for 5s"
std::string text_of(const Injection& injection);
std::string parameters_text(const Fault& fault);

// A direction between two nodes. What a network fault does, it does to these.
struct Link {
  std::string from;
  std::string to;
  auto operator<=>(const Link&) const = default;
};

// For a partition the directions that are cut, else those that are made worse. `nodes` are all of
// the cluster, in order. Sorted, each once.
std::vector<Link> links_of(const Injection& injection, const std::vector<std::string>& nodes);

}  // namespace shoal::chaos
