// What the option parser cannot do by itself: where a task's command line begins, and what a
// mistyped word was meant to be.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace shoal::cli {

struct CommandLine {
  std::vector<std::string> options;  // For the parser; without the program's name.
  std::vector<std::string> command;  // The task's own words.
};

// The commands run, submit and map end in a command line: it begins behind `--`, or with the first
// word that is neither an option nor an option's value, and is nobody else's from there on.
CommandLine split_command_line(const CLI::App& app, std::vector<std::string> words);

// ". Did you mean ...?" for a word the parser did not know, or nothing.
std::string suggestion(const CLI::App& app, const std::string& word);

}  // namespace shoal::cli
