#include "cli/members.hpp"

#include <algorithm>
#include <functional>

#include "base/format.hpp"
#include "cli/render.hpp"
#include "cli/suggest.hpp"

namespace shoal::cli {
namespace {

using Candidates = std::vector<const MemberView*>;

Candidates matching(const ClusterView& view, const std::function<bool(const MemberView&)>& fits) {
  Candidates found;
  for (const MemberView& member : view.members) {
    if (fits(member)) found.push_back(&member);
  }
  return found;
}

// Whole names before whole ids before starts of either.
Candidates candidates(const ClusterView& view, std::string_view text) {
  if (text.empty()) return {};
  Candidates found = matching(view, [&](const MemberView& one) { return one.name == text; });
  if (!found.empty()) return found;
  if (const auto id = parse_node_id(text)) {
    return matching(view, [&](const MemberView& one) { return one.node == *id; });
  }
  found = matching(view, [&](const MemberView& one) { return one.name.starts_with(text); });
  if (!found.empty()) return found;
  return matching(view,
                  [&](const MemberView& one) { return to_string(one.node).starts_with(text); });
}

std::string with_id(const MemberView& member) {
  return format("{} ({}, {})", printable(member.name), short_text(member.node), state_of(member));
}

}  // namespace

bool present(const MemberView& member) {
  return member.state == "alive" || member.state == "suspect";
}

std::string_view state_of(const MemberView& member) {
  if (member.state != "alive") return member.state;
  if (member.leaving) return "leaving";
  return member.draining ? "draining" : "alive";
}

Roster::Roster(ClusterView view) : view_(std::move(view)) {
  for (std::size_t i = 0; i < view_.members.size(); ++i) index_[view_.members[i].node] = i;
}

Result<MemberView> Roster::find(std::string_view text, Wanted wanted) const {
  const Candidates all = candidates(view_, text);
  Candidates fit = all;
  if (wanted != Wanted::any) {
    std::erase_if(fit, [&](const MemberView* one) {
      return cli::present(*one) != (wanted == Wanted::present);
    });
  }
  const Candidates& chosen = fit.empty() ? all : fit;
  if (chosen.size() == 1) return *chosen.front();
  if (chosen.size() > 1) {
    std::string names;
    for (const MemberView* one : chosen) names += (names.empty() ? "" : ", ") + with_id(*one);
    return fail(ErrorCode::conflict,
                format("\"{}\" fits several members: {}. Give more of the name, or the start of "
                       "the id",
                       printable(text), names));
  }
  std::vector<std::string> known;
  for (const MemberView& member : view_.members) known.push_back(member.name);
  const std::string near = nearest(text, known);
  return fail(ErrorCode::not_found,
              format("there is no member \"{}\"{}; `shoal nodes` lists them", printable(text),
                     near.empty() ? "" : format(". Did you mean {}?", printable(near))));
}

const MemberView* Roster::member(NodeId node) const {
  const auto found = index_.find(node);
  return found == index_.end() ? nullptr : &view_.members[found->second];
}

bool Roster::present(NodeId node) const {
  const MemberView* known = member(node);
  return known != nullptr && cli::present(*known);
}

std::string_view Roster::state(NodeId node) const {
  const MemberView* known = member(node);
  return known == nullptr ? "unknown" : state_of(*known);
}

std::string Roster::name(NodeId node) const {
  const MemberView* known = member(node);
  return known == nullptr || known->name.empty() ? short_text(node) : printable(known->name);
}

std::string Roster::full_name(NodeId node) const {
  const MemberView* known = member(node);
  if (known == nullptr || known->name.empty()) return short_text(node);
  const auto same = [&](const MemberView& one) { return one.name == known->name; };
  if (std::ranges::count_if(view_.members, same) == 1) return printable(known->name);
  return format("{} ({})", printable(known->name), short_text(node));
}

std::string Roster::names(const std::vector<NodeId>& nodes) const {
  std::string text;
  for (const NodeId node : nodes) text += (text.empty() ? "" : ", ") + full_name(node);
  return text;
}

const MemberView* Roster::self() const {
  const auto found = std::ranges::find(view_.members, true, &MemberView::self);
  return found == view_.members.end() ? nullptr : &*found;
}

std::size_t Roster::copies() const {
  const auto counts = [](const MemberView& one) { return one.state != "left" && !one.leaving; };
  const auto members = static_cast<std::size_t>(std::ranges::count_if(view_.members, counts));
  return members >= kCopiesWanted ? kCopiesWanted : 1;
}

}  // namespace shoal::cli
