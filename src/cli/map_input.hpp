// The inputs of `shoal map`: which values there are, and how a command looks with one of them.
#pragma once

#include <cstdint>
#include <istream>
#include <string>
#include <string_view>
#include <vector>

#include "shoal/result.hpp"

namespace shoal::cli {

// A command line cut at its `:::`.
struct MapWords {
  std::vector<std::string> command;
  std::vector<std::vector<std::string>> lists;  // One for each `:::`.
};
MapWords split_words(const std::vector<std::string>& words);

// One value for each line, or for each piece that ends in a zero byte. A last piece without an end
// counts; an empty one does not.
std::vector<std::string> read_values(std::istream& input, bool zero);

// Every combination of one value of each list, the last list changing fastest; the values of a
// combination are joined by one space. The error says which limit was passed.
Result<std::vector<std::string>> combine(const std::vector<std::vector<std::string>>& lists);

// The command as the executing side makes it of `{}` `{.}` `{/}` `{//}` `{/.}` `{#}`.
std::vector<std::string> with_argument(const std::vector<std::string>& command,
                                       std::string_view argument, std::uint32_t index);

// `{1}`, `{2}`...: GNU parallel has them, this program does not. Empty when there is none.
std::string numbered_placeholder(const std::vector<std::string>& command);

}  // namespace shoal::cli
