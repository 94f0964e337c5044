// "Did you mean": the known word nearest to a mistyped one.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace shoal::cli {

// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other.
std::size_t edit_distance(std::string_view a, std::string_view b);

// Empty when none is near enough: a third of the word, at least one, at most three edits.
std::string nearest(std::string_view word, std::span<const std::string> known);

}  // namespace shoal::cli
