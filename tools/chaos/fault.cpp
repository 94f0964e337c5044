#include "tools/chaos/fault.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace shoal::chaos {
namespace {

using enum ParameterType;

const ParameterRule kScope{"scope",
                           word,
                           "node",
                           "node: its process alone; host: its supervisors and tasks with it",
                           {"node", "host"}};

std::vector<FaultRule> process_rules() {
  return {
      {FaultKind::kill, "kill", Family::process, "SIGKILL; started again when it ends", {kScope}},
      {FaultKind::stop, "stop", Family::process, "SIGTERM; started again when it ends"},
      {FaultKind::pause, "pause", Family::process, "SIGSTOP, then SIGCONT", {kScope}},
      {FaultKind::restart, "restart", Family::process, "SIGTERM, and started again at once"},
      {FaultKind::upgrade,
       "upgrade",
       Family::process,
       "stopped, and started again with another program",
       {{"program", word, "copy", "path of the other shoal; copy: the same one, copied"}}},
  };
}

std::vector<FaultRule> machine_rules() {
  return {
      {FaultKind::disk_full,
       "disk.full",
       Family::disk,
       "the disk of its data folder is full",
       {{"fill", percent, "100%", "of the free space"}}},
      {FaultKind::cpu,
       "cpu",
       Family::load,
       "busy threads beside it",
       {{"burn", number, "1", "how many"}}},
      {FaultKind::mem,
       "mem",
       Family::load,
       "memory taken beside it",
       {{"burn", size, "", "how much"}}},
      {FaultKind::join,
       "join",
       Family::members,
       "more nodes join, and leave when it ends",
       {{"count", number, "1", "how many"},
        {"end",
         word,
         "leave",
         "how they go; after stop and kill their data is gone for good",
         {"leave", "stop", "kill"}}},
       false},
  };
}

const ParameterRule kTo{"to", target, "others", "the other end; others: all that it does not hit"};
const ParameterRule kWay{"way",
                         word,
                         "both",
                         "out: what the targets send; in: what they are sent",
                         {"both", "out", "in"}};
const ParameterRule kShare{"pct", percent, "", "of the packets"};
const ParameterRule kJitter{"jitter", number, "0", "the delay varies by so many milliseconds"};

FaultRule network_rule(FaultKind kind, std::string_view name, std::string_view help,
                       std::vector<ParameterRule> parameters) {
  parameters.insert(parameters.end(), {kTo, kWay});
  return {kind, name, Family::network, help, std::move(parameters)};
}

std::vector<FaultRule> network_rules() {
  using enum FaultKind;
  const ParameterRule shape{"shape",
                            word,
                            "split",
                            "split: the targets from the others; isolate: each of them from all; "
                            "bridge: they alone join two halves; ring: each sees its neighbours, "
                            "a majority",
                            {"split", "isolate", "bridge", "ring"}};
  const ParameterRule draw{"draw", number, "0", "what a bridge or a ring is drawn from"};
  return {
      network_rule(partition, "partition", "nothing passes between nodes", {shape, draw}),
      network_rule(net_loss, "net.loss", "packets are lost", {kShare}),
      network_rule(net_delay, "net.delay", "packets arrive later",
                   {{"ms", number, "", "so many milliseconds later"}, kJitter}),
      network_rule(net_duplicate, "net.dup", "packets arrive twice", {kShare}),
      network_rule(net_reorder, "net.reorder", "packets overtake others",
                   {kShare, {"ms", number, "20", "those are so many milliseconds late"}}),
      network_rule(net_corrupt, "net.corrupt", "bits of packets are turned", {kShare}),
      network_rule(net_rate, "net.rate", "no more passes in a second",
                   {{"rate", size, "", "bytes in a second, such as 64KiB"}}),
      network_rule(net_slice, "net.slice", "streams arrive in small pieces",
                   {{"bytes", number, "1", "of a piece"},
                    {"ms", number, "1", "milliseconds from one piece to the next"}}),
      {net_half_open,
       "net.half_open",
       Family::network,
       "one end of each stream is gone, and the other hears nothing of it",
       {kTo,
        {"way",
         word,
         "out",
         "out: the targets' ends stay; in: those of the others",
         {"out", "in"}}}},
  };
}

// What nodes play on themselves.
std::vector<FaultRule> played_rules() {
  using enum FaultKind;
  return {
      {disk_slow,
       "disk.slow",
       Family::played,
       "each sync of its disk takes longer",
       {{"sync", word, "200ms", "so much longer"}}},
      {disk_read_only, "disk.read_only", Family::played,
       "its disk takes no write; the node ends, and is started again when the fault ends"},
      {clock,
       "clock",
       Family::played,
       "its clock is wrong",
       {{"which",
         word,
         "wall",
         "wall: it is off by `skew`; boot: the one that leases go by is fast by `drift`",
         {"wall", "boot"}},
        {"skew", word, "90s", "how far ahead, or behind: -90s"},
        {"jump", word, "0s", "it jumps there and back so often; 0s: it stays there"},
        {"drift", number, "4", "so many percent; negative: it is slow"}}},
  };
}

// In the order of FaultKind.
const std::vector<FaultRule>& rules() {
  static const std::vector<FaultRule> kRules = [] {
    std::vector<FaultRule> all = process_rules();
    for (const std::vector<FaultRule>& more : {machine_rules(), network_rules(), played_rules()}) {
      all.insert(all.end(), more.begin(), more.end());
    }
    return all;
  }();
  return kRules;
}

const ParameterRule* parameter_of(const FaultRule& rule, std::string_view name) {
  const auto found = std::ranges::find(rule.parameters, name, &ParameterRule::name);
  return found == rule.parameters.end() ? nullptr : &*found;
}

Result<std::string> parse_settled_target(std::string_view words) {
  const auto parsed = parse_target(words);
  if (!parsed) return std::unexpected(parsed.error());
  if (!looked_up(*parsed)) return std::string(words);
  return fail(ErrorCode::bad_input,
              text("'", words, "' cannot stand here: only a running cluster knows it"));
}

template <class T>
Result<Value> valued(Result<T> parsed) {
  if (!parsed) return std::unexpected(parsed.error());
  return Value(*parsed);
}

}  // namespace

std::span<const FaultRule> catalogue() { return rules(); }

const FaultRule& rule_of(FaultKind kind) { return rules().at(static_cast<std::size_t>(kind)); }

const FaultRule* find_rule(std::string_view name) {
  const auto found = std::ranges::find(rules(), name, &FaultRule::name);
  return found == rules().end() ? nullptr : &*found;
}

std::vector<std::string> fault_names() {
  std::vector<std::string> names;
  for (const FaultRule& rule : rules()) names.emplace_back(rule.name);
  return names;
}

std::string_view to_string(Family family) {
  constexpr std::array<std::string_view, 6> kNames{"process", "disk",    "load",
                                                   "members", "network", "played"};
  return kNames.at(static_cast<std::size_t>(family));
}

Result<Value> parse_value(const ParameterRule& rule, std::string_view words) {
  switch (rule.type) {
    case percent:
      return valued(parse_percent(words));
    case number:
      return valued(parse_number(words));
    case size:
      return valued(parse_size(words));
    case target:
      return valued(parse_settled_target(words));
    case word:
      break;
  }
  const std::string given(words);
  if (!rule.words.empty() && std::ranges::find(rule.words, given) == rule.words.end()) {
    return fail(ErrorCode::bad_input,
                text("there is no ", rule.name, " '", given, "'.", suggestion(given, rule.words)));
  }
  if (given.empty()) return fail(ErrorCode::bad_input, text(rule.name, " is empty"));
  return Value(given);
}

std::string text_of(const Value& value) {
  if (const auto* figure = std::get_if<double>(&value)) {
    return number_text(*figure, *figure == std::floor(*figure) ? 0 : 2);
  }
  if (const auto* bytes = std::get_if<std::uint64_t>(&value)) return text(*bytes);
  return std::get<std::string>(value);
}

Value Fault::value(std::string_view name) const {
  const auto given = parameters.find(std::string(name));
  if (given != parameters.end()) return given->second;
  const ParameterRule* rule = parameter_of(rule_of(kind), name);
  return rule == nullptr ? Value() : parse_value(*rule, rule->otherwise).value_or(Value());
}

double Fault::number(std::string_view name) const {
  const Value is = value(name);
  const auto* figure = std::get_if<double>(&is);
  return figure != nullptr ? *figure : 0;
}

std::uint64_t Fault::size(std::string_view name) const {
  const Value is = value(name);
  const auto* bytes = std::get_if<std::uint64_t>(&is);
  return bytes != nullptr ? *bytes : 0;
}

std::string Fault::word(std::string_view name) const {
  const Value is = value(name);
  const auto* given = std::get_if<std::string>(&is);
  return given != nullptr ? *given : std::string();
}

bool at_once(FaultKind kind) { return kind == FaultKind::restart || kind == FaultKind::upgrade; }

std::optional<std::string> what_is_missing(const Fault& fault) {
  const FaultRule& rule = rule_of(fault.kind);
  for (const ParameterRule& each : rule.parameters) {
    if (!each.otherwise.empty() || fault.parameters.contains(std::string(each.name))) continue;
    return text("a fault '", rule.name, "' needs ", each.name, ": ", each.help);
  }
  return std::nullopt;
}

std::string parameters_text(const Fault& fault) {
  std::string whole;
  for (const auto& [name, value] : fault.parameters) {
    whole += text(whole.empty() ? "" : ", ", name, " ", text_of(value));
  }
  return whole;
}

std::string text_of(const Injection& injection) {
  const Fault& fault = injection.fault;
  std::string whole(rule_of(fault.kind).name);
  if (!injection.nodes.empty()) whole += " " + joined(injection.nodes, ",");
  const std::string parameters = parameters_text(fault);
  if (!parameters.empty()) whole += text(" (", parameters, ")");
  if (fault.duration) whole += " for " + duration_text(*fault.duration);
  return whole;
}

}  // namespace shoal::chaos
