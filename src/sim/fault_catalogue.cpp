#include "sim/fault_catalogue.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/format.hpp"
#include "sim/faults.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::array<std::pair<std::string_view, FaultFamily>, 9> kFamilies{{
    {"net", FaultFamily::network},
    {"network", FaultFamily::network},
    {"process", FaultFamily::process},
    {"crash", FaultFamily::process},
    {"disk", FaultFamily::disk},
    {"clock", FaultFamily::clock},
    {"membership", FaultFamily::membership},
    {"member", FaultFamily::membership},
    {"sites", FaultFamily::sites},
}};

// Places in the production code that are made to fail now and then.
bool sites(Faults& faults, Duration length) {
  faults.sites().arm_some(25);
  faults.later(length, [&faults] { faults.sites().disarm(); });
  return true;
}

constexpr FaultKind kSites{"sites", "places in the code that may fail do", FaultFamily::sites, 4,
                           &sites};

std::optional<FaultFamily> family_of(std::string_view word) {
  const auto found =
      std::ranges::find(kFamilies, word, &std::pair<std::string_view, FaultFamily>::first);
  if (found == kFamilies.end()) return std::nullopt;
  return found->second;
}

}  // namespace

bool available(Feature feature) {
  switch (feature) {
    case Feature::none:
    case Feature::finds_tasks:
    case Feature::home_changes:
    case Feature::commands:
    case Feature::identity_guard:
      return true;
    case Feature::low_disk:
      return false;
  }
  return false;
}

std::vector<const FaultKind*> all_faults() {
  std::vector<const FaultKind*> all;
  for (const auto& family :
       {network_faults(), process_faults(), disk_faults(), clock_faults(), membership_faults(),
        operator_faults(), std::span<const FaultKind>(&kSites, 1)}) {
    for (const FaultKind& kind : family) all.push_back(&kind);
  }
  return all;
}

Result<FaultOptions> parse_faults(std::string_view text) {
  const std::vector<const FaultKind*> all = all_faults();
  FaultOptions options;
  const auto take = [&](const FaultKind* kind) {
    if (std::ranges::find(options.kinds, kind) == options.kinds.end())
      options.kinds.push_back(kind);
  };
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string_view word = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    if (word == "none") continue;
    if (word == "rare") {
      // Each may come once; a drawn run has few of them, and jobs that expire as well.
      options.planned.clear();
      for (const FaultKind* kind : all) {
        if (kind->planned_one_in > 0) options.planned.push_back({.kind = kind});
      }
      continue;
    }
    const auto family = family_of(word);
    if (family || word == "all") {
      for (const FaultKind* kind : all) {
        const bool wanted = word == "all" || kind->family == *family;
        if (wanted && kind->weight > 0 && available(kind->needs)) take(kind);
      }
      continue;
    }
    const auto named = std::ranges::find(all, word, &FaultKind::name);
    if (named == all.end()) {
      std::string names;
      for (const FaultKind* kind : all) names += format("\n  {:<24} {}", kind->name, kind->words);
      return fail(
          ErrorCode::bad_input,
          format("there are no faults called `{}`: use none, all, net, process, disk, "
                 "clock, membership, sites, rare, or several with commas, or single ones:{}",
                 word, names));
    }
    if (!available((*named)->needs)) {
      return fail(
          ErrorCode::bad_input,
          format("`{}` needs nodes that can deal with it, and these cannot: leave it out", word));
    }
    take(*named);
    options.named.push_back(*named);
  }
  return options;
}

}  // namespace shoal::sim
