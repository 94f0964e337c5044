// Two runs side by side: before and after, ours and another's.
#pragma once

#include <filesystem>
#include <string>

#include "tools/chaos/verdicts.hpp"

namespace shoal::chaos {

struct Compared {
  std::string name;  // For people: scenario, seed and folder.
  Evidence evidence;
  Report report;
};

// A row for each verdict that either has: both values, and how the second figure relates to the
// first where both are numbers.
std::string comparison_table(const Compared& first, const Compared& second);
// The table and both timelines on one axis; one file.
std::string comparison_html(const Compared& first, const Compared& second);

// `compare DIR DIR`: prints the table and writes the page to `html`. Whether the runs passed does
// not matter for the exit status.
int compare(const std::filesystem::path& first, const std::filesystem::path& second,
            const std::filesystem::path& html);

}  // namespace shoal::chaos
