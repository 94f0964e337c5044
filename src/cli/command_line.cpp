#include "cli/command_line.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <array>

#include "base/format.hpp"
#include "cli/suggest.hpp"

namespace shoal::cli {
namespace {

constexpr std::array<std::string_view, 3> kWithCommand{"run", "submit", "map"};

const CLI::Option* find_option(const CLI::App& app, const CLI::App* command,
                               const std::string& name) {
  const CLI::Option* option = command == nullptr ? nullptr : command->get_option_no_throw(name);
  return option == nullptr ? app.get_option_no_throw(name) : option;
}

bool takes_value(const CLI::Option* option) {
  return option != nullptr && option->get_items_expected_max() > 0;
}

// True when the word behind `word` is its value: `--name value`, `-n value`, `-kn value`.
bool value_follows(const CLI::App& app, const CLI::App* command, const std::string& word) {
  if (word.starts_with("--")) {
    return word.find('=') == std::string::npos && takes_value(find_option(app, command, word));
  }
  for (std::size_t i = 1; i < word.size(); ++i) {
    const std::string name{'-', word[i]};
    if (takes_value(find_option(app, command, name))) return i + 1 == word.size();
  }
  return false;
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!command->get_group().empty()) names.push_back(command->get_name());
  }
  return names;
}

void append(std::vector<std::string>& names, const std::vector<std::string>& more) {
  names.insert(names.end(), more.begin(), more.end());
}

}  // namespace

CommandLine split_command_line(const CLI::App& app, std::vector<std::string> words) {
  CommandLine line;
  const CLI::App* command = nullptr;
  std::size_t at = 0;
  while (at < words.size()) {
    const std::string& word = words[at];
    if (word.size() > 1 && word.front() == '-' && word != "--") {
      at += value_follows(app, command, word) ? 2 : 1;
      continue;
    }
    if (command != nullptr || word == "--") break;
    if (std::ranges::find(kWithCommand, word) == kWithCommand.end()) return {std::move(words), {}};
    const auto named = [&word](const CLI::App* one) { return one->get_name() == word; };
    const auto found = app.get_subcommands(named);
    if (found.empty()) return {std::move(words), {}};
    command = found.front();
    ++at;
  }
  at = std::min(at, words.size());
  if (command == nullptr) return {std::move(words), {}};
  const auto middle = words.begin() + static_cast<std::ptrdiff_t>(at);
  line.options.assign(words.begin(), middle);
  line.command.assign(middle, words.end());
  if (!line.command.empty() && line.command.front() == "--") {
    line.command.erase(line.command.begin());
  }
  return line;
}

std::string suggestion(const CLI::App& app, const std::string& word) {
  std::vector<std::string> known;
  if (word.starts_with('-')) {
    known = option_names(app);
    for (const CLI::App* command : app.get_subcommands()) {
      append(known, option_names(*command));
      for (const CLI::App* inner : command->get_subcommands()) append(known, option_names(*inner));
    }
  } else if (app.get_subcommands().empty()) {
    known = command_names(app);
  } else if (app.get_subcommands().front()->get_subcommands().empty()) {
    known = command_names(*app.get_subcommands().front());
  }
  const std::string name = word.substr(0, word.find('='));
  const std::string found = nearest(name, known);
  return found.empty() ? std::string() : format(". Did you mean {}?", found);
}

}  // namespace shoal::cli
