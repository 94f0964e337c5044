#include "cli/map_input.hpp"

#include <algorithm>
#include <array>

#include "base/format.hpp"
#include "shoal/job.hpp"

namespace shoal::cli {
namespace {

std::string_view base_name(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string_view folder_name(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return slash == 0 ? path.substr(0, 1) : path.substr(0, slash);
}

std::string_view without_extension(std::string_view path) {
  const std::size_t point = path.rfind('.');
  const std::size_t slash = path.rfind('/');
  if (point == std::string_view::npos) return path;
  if (slash != std::string_view::npos && point < slash) return path;
  return path.substr(0, point);
}

// The value of the mark that `text` begins with, and its length; 0 when it is none.
struct Replacement {
  std::size_t size = 0;
  std::string value;
};

Replacement replacement_of(std::string_view text, std::string_view argument, std::uint32_t index) {
  if (text.starts_with("{}")) return {2, std::string(argument)};
  if (text.starts_with("{.}")) return {3, std::string(without_extension(argument))};
  if (text.starts_with("{/}")) return {3, std::string(base_name(argument))};
  if (text.starts_with("{#}")) return {3, std::to_string(std::uint64_t{index} + 1)};
  if (text.starts_with("{//}")) return {4, std::string(folder_name(argument))};
  if (text.starts_with("{/.}")) return {4, std::string(without_extension(base_name(argument)))};
  return {};
}

}  // namespace

MapWords split_words(const std::vector<std::string>& words) {
  MapWords split;
  for (const std::string& word : words) {
    if (word == ":::") {
      split.lists.emplace_back();
    } else if (split.lists.empty()) {
      split.command.push_back(word);
    } else {
      split.lists.back().push_back(word);
    }
  }
  return split;
}

std::vector<std::string> read_values(std::istream& input, bool zero) {
  std::vector<std::string> values;
  std::string value;
  while (std::getline(input, value, zero ? '\0' : '\n')) values.push_back(std::move(value));
  return values;
}

Result<std::vector<std::string>> combine(const std::vector<std::vector<std::string>>& lists) {
  std::vector<std::string> combined;
  bool first = true;
  for (const std::vector<std::string>& list : lists) {
    if (first) {
      combined = list;
      first = false;
      continue;
    }
    if (!list.empty() && combined.size() > kJobTasksMax / list.size()) {
      return fail(ErrorCode::bad_input,
                  format("the ::: lists make more than {} combinations, the most one job may have",
                         kJobTasksMax));
    }
    std::vector<std::string> longer;
    longer.reserve(combined.size() * list.size());
    for (const std::string& head : combined) {
      for (const std::string& value : list) longer.push_back(head + " " + value);
    }
    combined = std::move(longer);
  }
  return combined;
}

std::vector<std::string> with_argument(const std::vector<std::string>& command,
                                       std::string_view argument, std::uint32_t index) {
  std::vector<std::string> whole;
  for (const std::string& word : command) {
    std::string made;
    std::size_t at = 0;
    while (at < word.size()) {
      const auto replacement = replacement_of(std::string_view(word).substr(at), argument, index);
      if (replacement.size == 0) {
        made += word[at++];
      } else {
        made += replacement.value;
        at += replacement.size;
      }
    }
    whole.push_back(std::move(made));
  }
  return whole;
}

std::string numbered_placeholder(const std::vector<std::string>& command) {
  for (const std::string& word : command) {
    for (std::size_t open = word.find('{'); open != std::string::npos;
         open = word.find('{', open + 1)) {
      std::size_t end = open + 1;
      while (end < word.size() && word[end] >= '0' && word[end] <= '9') ++end;
      if (end > open + 1 && end < word.size() && word[end] == '}') {
        return word.substr(open, end - open + 1);
      }
    }
  }
  return {};
}

}  // namespace shoal::cli
