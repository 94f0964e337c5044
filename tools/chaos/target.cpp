#include "tools/chaos/target.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <regex>
#include <utility>

namespace shoal::chaos {
namespace {

constexpr std::uint32_t kRangeMax = 1000;

struct Word {
  std::string_view word;
  TargetKind kind;
};
constexpr std::array kWords{
    Word{"all", TargetKind::all},         Word{"any", TargetKind::any},
    Word{"half", TargetKind::half},       Word{"minority", TargetKind::minority},
    Word{"third", TargetKind::third},     Word{"majority", TargetKind::majority},
    Word{"busiest", TargetKind::busiest}, Word{"idlest", TargetKind::idlest},
};

bool name_like(std::string_view word) {
  return !word.empty() && word.size() <= 64 && std::ranges::all_of(word, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
  });
}

std::optional<std::uint32_t> whole_number(std::string_view digits) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

Error bad(std::string_view words, std::string_view why) {
  return {ErrorCode::bad_input, text("'", words, "' names no target: ", why)};
}

// "n[1-3]" as n1, n2, n3; a plain name as itself.
Result<std::vector<std::string>> expanded(std::string_view word) {
  const std::size_t open = word.find('[');
  if (open == std::string_view::npos) {
    if (name_like(word)) return std::vector{std::string(word)};
    return std::unexpected(bad(word, "a node's name has letters, digits, '-', '_' and '.'"));
  }
  const std::size_t dash = word.find('-', open);
  const bool closed = word.ends_with(']') && dash != std::string_view::npos;
  const auto first = closed ? whole_number(word.substr(open + 1, dash - open - 1)) : std::nullopt;
  const auto last =
      closed ? whole_number(word.substr(dash + 1, word.size() - dash - 2)) : std::nullopt;
  const std::string_view stem = word.substr(0, open);
  if (!first || !last || *last < *first || *last - *first >= kRangeMax ||
      (!stem.empty() && !name_like(stem))) {
    return std::unexpected(bad(word, "write a range as n[1-3], its least number first"));
  }
  std::vector<std::string> names;
  for (std::uint32_t i = *first; i <= *last; ++i) names.push_back(text(stem, i));
  return names;
}

Result<Target> parse_names(std::string_view words) {
  Target target{.kind = TargetKind::names, .words = std::string(words)};
  for (const std::string& word : split(words, ',')) {
    auto names = expanded(word);
    if (!names) return std::unexpected(names.error());
    for (std::string& name : *names) {
      if (std::ranges::find(target.names, name) == target.names.end()) {
        target.names.push_back(std::move(name));
      }
    }
  }
  return target;
}

// "owner(k7q2m)": the argument; absent when it is not of that form.
std::optional<std::string> call_of(std::string_view words, std::string_view function) {
  if (!words.starts_with(text(function, "(")) || !words.ends_with(')')) return std::nullopt;
  words.remove_prefix(function.size() + 1);
  words.remove_suffix(1);
  return std::string(trimmed(words));
}

std::optional<std::regex> pattern_of(const std::string& words) {
  try {
    return std::regex(words, std::regex::ECMAScript);
  } catch (const std::regex_error&) {
    return std::nullopt;
  }
}

Result<std::vector<std::string>> choose_by_name(const Target& target, const Choice& choice) {
  std::vector<std::string> chosen;
  for (const std::string& name : target.names) {
    if (std::ranges::find(choice.nodes, name) == choice.nodes.end()) {
      return fail(ErrorCode::bad_input,
                  text("there is no node '", name, "'.", suggestion(name, choice.nodes)));
    }
    chosen.push_back(name);
  }
  return chosen;
}

Result<std::vector<std::string>> choose_by_pattern(const Target& target, const Choice& choice) {
  const auto pattern = pattern_of(target.argument);
  std::vector<std::string> chosen;
  for (const std::string& name : choice.nodes) {
    if (pattern && std::regex_search(name, *pattern)) chosen.push_back(name);
  }
  if (!chosen.empty()) return chosen;
  return fail(ErrorCode::bad_input,
              text("'", target.words, "' fits none of the nodes ", joined(choice.nodes)));
}

std::vector<std::string> draw(std::size_t count, const Choice& choice, Random& random) {
  std::vector<std::string> order = choice.nodes;
  random.shuffle(order);
  order = put_last(order, choice.held);
  if (order.size() > count) order.resize(count);
  return order;
}

std::vector<std::string> in_node_order(const std::vector<std::string>& chosen,
                                       const Choice& choice) {
  std::vector<std::string> sorted;
  for (const std::string& name : choice.nodes) {
    if (std::ranges::find(chosen, name) != chosen.end()) sorted.push_back(name);
  }
  return sorted;
}

}  // namespace

Result<Target> parse_target(std::string_view words) {
  words = trimmed(words);
  if (words.empty()) return std::unexpected(bad(words, "it is empty"));
  Target target{.words = std::string(words)};
  const std::size_t colon = words.find(':');
  const std::string_view head = words.substr(0, colon);
  const auto known = std::ranges::find(kWords, head, &Word::word);
  if (head == "re" && colon != std::string_view::npos) {
    target.kind = TargetKind::pattern;
    target.argument = words.substr(colon + 1);
    if (target.argument.empty() || !pattern_of(target.argument)) {
      return std::unexpected(bad(words, "what follows re: is no regular expression"));
    }
    return target;
  }
  if (known != kWords.end()) {
    target.kind = known->kind;
    if (colon == std::string_view::npos) return target;
    const auto count = whole_number(words.substr(colon + 1));
    if (target.kind != TargetKind::any || !count || *count == 0) {
      return std::unexpected(bad(words, "only any takes a number, such as any:2"));
    }
    target.count = *count;
    return target;
  }
  for (const auto& [function, kind] :
       {std::pair{"owner", TargetKind::owner}, std::pair{"replica", TargetKind::replica}}) {
    auto argument = call_of(words, function);
    if (!argument) continue;
    if (argument->empty()) return std::unexpected(bad(words, "name a job, or say load"));
    target.kind = kind;
    target.argument = std::move(*argument);
    return target;
  }
  return parse_names(words);
}

bool looked_up(const Target& target) {
  return target.kind >= TargetKind::owner && target.kind <= TargetKind::idlest;
}

std::size_t size_of(TargetKind kind, std::size_t nodes) {
  const std::size_t minority = nodes > 2 ? (nodes - 1) / 2 : 1;
  switch (kind) {
    case TargetKind::half:
      return std::max<std::size_t>(1, nodes / 2);
    case TargetKind::minority:
      return minority;
    case TargetKind::third:
      return std::min((nodes + 2) / 3, minority);
    case TargetKind::majority:
      return nodes / 2 + 1;
    default:
      return nodes;
  }
}

Result<std::vector<std::string>> choose(const Target& target, const Choice& choice,
                                        Random& random) {
  if (choice.nodes.empty()) return fail(ErrorCode::not_found, "the cluster has no nodes");
  std::vector<std::string> chosen;
  switch (target.kind) {
    case TargetKind::names:
      return choose_by_name(target, choice);
    case TargetKind::pattern:
      return choose_by_pattern(target, choice);
    case TargetKind::all:
      return choice.nodes;
    case TargetKind::any:
      chosen = draw(target.count, choice, random);
      break;
    default:
      chosen = draw(size_of(target.kind, choice.nodes.size()), choice, random);
      break;
  }
  return in_node_order(chosen, choice);
}

}  // namespace shoal::chaos
