#include "tools/chaos/fault.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <utility>

namespace shoal::chaos {
namespace {

using enum ParameterType;

const ParameterRule kScope{"scope",
                           word,
                           "node",
                           "node: its process alone; host: its supervisors and tasks with it",
                           {"node", "host"}};
const ParameterRule kOneWay{"one_way", flag, "false", "only what leaves the targets suffers"};
const ParameterRule kPercent{"pct", percent, "", "how many of a hundred"};

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
       {{"program", word, "", "path of the other shoal"}}},
  };
}

std::vector<FaultRule> network_rules() {
  constexpr Family kNet = Family::network;
  return {
      {FaultKind::partition,
       "partition",
       kNet,
       "groups that do not hear each other",
       {{"shape",
         word,
         "groups",
         "groups: as given; halves, isolate: drawn; bridge: one node sees both halves; ring: each "
         "sees a majority of its own",
         {"groups", "halves", "isolate", "bridge", "ring"}},
        {"order", word, "drawn", "for bridge and ring: the nodes in their order, with commas"},
        {"one_way", flag, "false", "only what the groups say to later ones is lost"}},
       false},
      {FaultKind::net_delay,
       "net.delay",
       kNet,
       "everything arrives late",
       {{"delay", duration, "", "how late"}, {"jitter", duration, "0", "give or take"}, kOneWay}},
      {FaultKind::net_loss, "net.loss", kNet, "some is lost", {kPercent, kOneWay}},
      {FaultKind::net_dup, "net.dup", kNet, "some comes twice", {kPercent, kOneWay}},
      {FaultKind::net_reorder, "net.reorder", kNet, "some overtakes", {kPercent, kOneWay}},
      {FaultKind::net_corrupt, "net.corrupt", kNet, "some is damaged", {kPercent, kOneWay}},
      {FaultKind::net_rate,
       "net.rate",
       kNet,
       "a slow line",
       {{"rate", size, "", "bytes a second"}, kOneWay}},
      {FaultKind::net_slice,
       "net.slice",
       kNet,
       "streams come in small pieces",
       {{"bytes", size, "16", "in one piece"}, kOneWay}},
      {FaultKind::net_half_open,
       "net.half_open",
       kNet,
       "streams stay open and carry nothing",
       {kOneWay}},
  };
}

std::vector<FaultRule> machine_rules() {
  return {
      {FaultKind::disk_full,
       "disk.full",
       Family::disk,
       "the disk of its data folder is full",
       {{"fill", percent, "100%", "of the free space"}}},
      {FaultKind::disk_slow,
       "disk.slow",
       Family::disk,
       "each sync takes longer",
       {{"delay", duration, "200ms", "by how much"}}},
      {FaultKind::disk_readonly, "disk.readonly", Family::disk,
       "killed, and started on a disk it cannot write to"},
      {FaultKind::disk_error, "disk.error", Family::disk, "each sync fails with EIO"},
      {FaultKind::clock_skew,
       "clock.skew",
       Family::clock,
       "its wall clock jumps, and back when it ends",
       {{"skew", offset, "", "by how much, such as 90s or -1h"}}},
      {FaultKind::clock_drift,
       "clock.drift",
       Family::clock,
       "its wall clock runs fast or slow",
       {{"ppm", number, "", "microseconds a second, may be negative"}}},
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
        {"end", word, "leave", "how they go", {"leave", "stop", "kill"}}},
       false},
  };
}

// In the order of FaultKind.
const std::vector<FaultRule>& rules() {
  static const std::vector<FaultRule> kRules = [] {
    std::vector<FaultRule> all = process_rules();
    for (const auto& more : {network_rules(), machine_rules()}) {
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

template <class T>
Result<Value> valued(Result<T> parsed) {
  if (!parsed) return std::unexpected(parsed.error());
  return Value(*parsed);
}

Result<Value> parse_offset(std::string_view words) {
  const bool negative = words.starts_with('-');
  if (negative || words.starts_with('+')) words.remove_prefix(1);
  const auto time = parse_duration(words);
  if (!time) return std::unexpected(time.error());
  return Value(negative ? -*time : *time);
}

Result<Value> parse_signed(std::string_view words) {
  const bool negative = words.starts_with('-');
  const auto value = parse_number(negative ? words.substr(1) : words);
  if (!value) return std::unexpected(value.error());
  return Value(negative ? -*value : *value);
}

void connect(std::set<Link>& links, const std::string& from, const std::string& to, bool one_way) {
  if (from == to) return;
  links.insert({from, to});
  if (!one_way) links.insert({to, from});
}

// The first half, the bridge, the second half.
void cut_bridge(std::set<Link>& links, const std::vector<std::string>& nodes) {
  const std::size_t bridge = nodes.size() / 2;
  for (std::size_t i = 0; i < bridge; ++i) {
    for (std::size_t j = bridge + 1; j < nodes.size(); ++j)
      connect(links, nodes[i], nodes[j], false);
  }
}

// On a circle each node hears only the nearest ones, so that it counts a majority with itself.
void cut_ring(std::set<Link>& links, const std::vector<std::string>& nodes) {
  const std::size_t reach = (nodes.size() / 2 + 1) / 2;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    for (std::size_t j = i + 1; j < nodes.size(); ++j) {
      const std::size_t distance = std::min(j - i, nodes.size() - (j - i));
      if (distance > reach) connect(links, nodes[i], nodes[j], false);
    }
  }
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
  constexpr std::array<std::string_view, 6> kNames{"process", "network", "disk",
                                                   "clock",   "load",    "members"};
  return kNames.at(static_cast<std::size_t>(family));
}

Result<Value> parse_value(const ParameterRule& rule, std::string_view words) {
  switch (rule.type) {
    case duration:
      return valued(parse_duration(words));
    case offset:
      return parse_offset(words);
    case percent:
      return valued(parse_percent(words));
    case number:
      return parse_signed(words);
    case size:
      return valued(parse_size(words));
    case flag:
      if (words == "true" || words == "false") return Value(words == "true");
      return fail(ErrorCode::bad_input, text("'", words, "' is neither true nor false"));
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
  if (const auto* truth = std::get_if<bool>(&value)) return *truth ? "true" : "false";
  if (const auto* figure = std::get_if<double>(&value)) {
    return number_text(*figure, *figure == std::floor(*figure) ? 0 : 2);
  }
  if (const auto* time = std::get_if<Ms>(&value)) {
    return (time->count() < 0 ? "-" : "") + duration_text(std::chrono::abs(*time));
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

bool Fault::flag(std::string_view name) const {
  const Value is = value(name);
  const auto* truth = std::get_if<bool>(&is);
  return truth != nullptr && *truth;
}

double Fault::number(std::string_view name) const {
  const Value is = value(name);
  const auto* figure = std::get_if<double>(&is);
  return figure != nullptr ? *figure : 0;
}

Ms Fault::time(std::string_view name) const {
  const Value is = value(name);
  const auto* given = std::get_if<Ms>(&is);
  return given != nullptr ? *given : Ms(0);
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

std::optional<std::string> what_is_missing(const Fault& fault) {
  const FaultRule& rule = rule_of(fault.kind);
  for (const ParameterRule& each : rule.parameters) {
    if (!each.otherwise.empty() || fault.parameters.contains(std::string(each.name))) continue;
    return text("a fault '", rule.name, "' needs ", each.name, ": ", each.help);
  }
  if (fault.kind != FaultKind::partition || fault.word("shape") != "groups") return std::nullopt;
  if (fault.groups.size() >= 2) return std::nullopt;
  return "a partition needs two groups or more, such as groups = [\"minority\", \"rest\"], or a "
         "shape";
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
  const bool ends = fault.kind != FaultKind::partition;  // The other ends of links.
  for (std::size_t i = 0; i < injection.groups.size(); ++i) {
    whole += text(i > 0 ? " | " : ends ? " to " : " ", joined(injection.groups[i], ","));
  }
  const std::string parameters = parameters_text(fault);
  if (!parameters.empty()) whole += text(" (", parameters, ")");
  if (fault.duration) whole += " for " + duration_text(*fault.duration);
  return whole;
}

std::vector<Link> links_of(const Injection& injection, const std::vector<std::string>& nodes) {
  const Fault& fault = injection.fault;
  std::set<Link> links;
  if (fault.kind == FaultKind::partition) {
    const std::string shape = fault.word("shape");
    if (shape == "bridge") cut_bridge(links, injection.nodes);
    if (shape == "ring") cut_ring(links, injection.nodes);
    for (std::size_t i = 0; i < injection.groups.size(); ++i) {
      for (std::size_t j = i + 1; j < injection.groups.size(); ++j) {
        for (const std::string& from : injection.groups[i]) {
          for (const std::string& to : injection.groups[j]) {
            connect(links, from, to, fault.flag("one_way"));
          }
        }
      }
    }
    return {links.begin(), links.end()};
  }
  const std::vector<std::string>& ends = injection.groups.empty() ? nodes : injection.groups[0];
  for (const std::string& from : injection.nodes) {
    for (const std::string& to : ends) connect(links, from, to, fault.flag("one_way"));
  }
  return {links.begin(), links.end()};
}

}  // namespace shoal::chaos
