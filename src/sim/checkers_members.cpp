#include "sim/checkers_members.hpp"

#include <algorithm>
#include <charconv>

#include "base/format.hpp"

namespace shoal::sim {
namespace {

std::string text_of(const wire::Incarnation& incarnation) {
  return format("{}.{}", incarnation.boot_epoch, incarnation.counter);
}

}  // namespace

void IncarnationChecker::sent(TimePoint now, NodeId from, const wire::Message& message) {
  std::visit(
      [&](const auto& each) {
        if constexpr (requires { each.news; }) {
          for (const wire::MemberRecord& record : each.news) said(now, from, record);
        } else if constexpr (std::is_same_v<std::decay_t<decltype(each)>, wire::MemberTable>) {
          for (const wire::MemberRecord& record : each.records) said(now, from, record);
        }
      },
      message);
}

void IncarnationChecker::said(TimePoint now, NodeId from, const wire::MemberRecord& record) {
  if (excused_.contains(record.node)) return;
  const auto known = said_by_itself_.find(record.node);
  if (record.node != from) {
    if (known != said_by_itself_.end() && record.incarnation <= known->second) return;
    violations_.add(now,
                    format("{} says that {} has incarnation {}, which it never took (I14)",
                           short_text(from), short_text(record.node), text_of(record.incarnation)));
    return;
  }
  const auto boot = boot_durable_.find(from);
  if (boot == boot_durable_.end() || boot->second < record.incarnation.boot_epoch) {
    violations_.add(now, format("{} speaks of itself with incarnation {} before its boot epoch is "
                                "durable (I14)",
                                short_text(from), text_of(record.incarnation)));
  }
  if (known == said_by_itself_.end()) {
    said_by_itself_.emplace(from, record.incarnation);
  } else {
    // What waited for the disk may leave after what did not.
    known->second = std::max(known->second, record.incarnation);
  }
}

void IncarnationChecker::observe(TimePoint now, NodeId node, const wire::Incarnation& incarnation) {
  wire::Incarnation& highest = seen_[node];
  if (incarnation < highest && !excused_.contains(node)) {
    violations_.add(now, format("{} falls from incarnation {} to {} (I14)", short_text(node),
                                text_of(highest), text_of(incarnation)));
  }
  highest = std::max(highest, incarnation);
}

void IncarnationChecker::durable(NodeId node, const wire::PutMeta& put) {
  if (put.name != "boot") return;
  std::uint64_t epoch = 0;
  std::from_chars(put.value.data(), put.value.data() + put.value.size(), epoch);
  boot_durable_[node] = std::max(boot_durable_[node], epoch);
}

}  // namespace shoal::sim
