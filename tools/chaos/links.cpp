#include "tools/chaos/links.hpp"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

namespace shoal::chaos {
namespace {

using Names = std::vector<std::string>;

constexpr std::uint64_t kDraws = 1'000'000;
constexpr std::size_t kRingMin = 4;  // In a smaller ring each node sees all.

bool contains(const Names& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

Names without(const Names& names, const Names& others) {
  Names rest;
  std::ranges::copy_if(names, std::back_inserter(rest),
                       [&others](const std::string& name) { return !contains(others, name); });
  return rest;
}

// From each of `senders` to each of `receivers`.
void cross(std::set<Link>& links, const Names& senders, const Names& receivers) {
  for (const std::string& from : senders) {
    for (const std::string& to : receivers) {
      if (from != to) links.insert({from, to});
    }
  }
}

void cross_both(std::set<Link>& links, const Names& some, const Names& others) {
  cross(links, some, others);
  cross(links, others, some);
}

// Only the bridges see both halves of the others.
std::set<Link> bridge(const Names& bridges, const Names& nodes, Random& random) {
  Names others = without(nodes, bridges);
  random.shuffle(others);
  const auto half = others.begin() + static_cast<std::ptrdiff_t>(others.size() / 2);
  std::set<Link> links;
  cross_both(links, Names(others.begin(), half), Names(half, others.end()));
  return links;
}

// Each sees as many on either side as make a majority with itself.
std::set<Link> ring(Names order, Random& random) {
  random.shuffle(order);
  const std::size_t size = order.size();
  const std::size_t reach = (size / 2 + 1) / 2;
  std::set<Link> links;
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t apart = reach + 1; apart < size - reach; ++apart) {
      links.insert({order[i], order[(i + apart) % size]});
    }
  }
  return links;
}

Random random_of(const Fault& fault, std::string_view stream) {
  return {static_cast<std::uint64_t>(fault.number("draw")), stream};
}

Result<std::set<Link>> drawn_links(const Injection& injection, const Names& nodes,
                                   const std::string& shape) {
  const Fault& fault = injection.fault;
  Random random = random_of(fault, shape);
  if (fault.word("way") != "both" || fault.word("to") != "others") {
    return fail(ErrorCode::bad_input, text("a ", shape, " has no `to` and is cut both ways"));
  }
  if (shape == "bridge") return bridge(injection.nodes, nodes, random);
  if (injection.nodes.size() < kRingMin) {
    return fail(ErrorCode::bad_input,
                text("a ring needs ", kRingMin, " nodes: set its target to all"));
  }
  return ring(injection.nodes, random);
}

// A partition leaves the targets joined with each other, unless each is isolated. All else hurts
// whatever the targets send or are sent.
Result<Names> other_end(const Injection& injection, const Names& nodes, bool split) {
  const Fault& fault = injection.fault;
  const Names others = without(nodes, injection.nodes);
  const std::string words = fault.word("to");
  if (words == "others") return split ? others : nodes;
  const auto target = parse_target(words);
  if (!target) return std::unexpected(target.error());
  Random random = random_of(fault, "to");
  return choose(*target, {.nodes = nodes, .held = injection.nodes}, random);
}

}  // namespace

void settle_draw(Fault& fault, Random& random) {
  const FaultRule& rule = rule_of(fault.kind);
  if (std::ranges::find(rule.parameters, "draw", &ParameterRule::name) == rule.parameters.end()) {
    return;
  }
  const auto drawn = static_cast<double>(1 + random.below(kDraws));
  const std::string shape = fault.word("shape");
  if (shape == "bridge" || shape == "ring") fault.parameters.try_emplace("draw", drawn);
}

Result<std::vector<Link>> links_of(const Injection& injection, const Names& nodes) {
  const Fault& fault = injection.fault;
  const std::string shape = fault.word("shape");
  std::set<Link> links;
  if (shape == "bridge" || shape == "ring") {
    auto drawn = drawn_links(injection, nodes, shape);
    if (!drawn) return std::unexpected(drawn.error());
    links = *std::move(drawn);
  } else {
    const auto far = other_end(injection, nodes, shape == "split");
    if (!far) return std::unexpected(far.error());
    const std::string way = fault.word("way");
    if (way != "in") cross(links, injection.nodes, *far);
    if (way != "out") cross(links, *far, injection.nodes);
  }
  if (links.empty()) {
    return fail(ErrorCode::bad_input, text("'", text_of(injection), "' comes to no link"));
  }
  std::vector<Link> sorted(links.begin(), links.end());
  const auto rank = [&nodes](const std::string& name) {
    return std::ranges::find(nodes, name) - nodes.begin();
  };
  std::ranges::sort(
      sorted, {}, [&rank](const Link& link) { return std::pair(rank(link.from), rank(link.to)); });
  return sorted;
}

}  // namespace shoal::chaos
