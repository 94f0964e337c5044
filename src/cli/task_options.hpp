// The options that say how a task runs, shared by run, submit and map.
#pragma once

#include <string>
#include <vector>

#include "shoal/client.hpp"
#include "shoal/result.hpp"

namespace CLI {
class App;
}

namespace shoal::cli {

struct TaskOptions {
  std::string cpus = "1";
  std::string memory;
  std::vector<std::string> environment;  // K=V, or K: this program's value.
  std::string working_folder;
  bool here = false;
  std::string stdin_file;
  std::string name;
  std::string timeout;
  std::uint32_t retries = 0;
  bool at_most_once = false;
  std::int32_t priority = 0;
  std::string keep = "week";
  std::string shell_text;
  std::string resume;  // ID:NONCE
};

void add_task_options(CLI::App& command, TaskOptions& options);

// `words` is the command line of the task; with -c they become $1, $2... of the shell text.
Result<Submission> submission_of(const TaskOptions& options, std::vector<std::string> words);

// True when a word holds one of the placeholders that the executing side replaces.
bool has_placeholder(const std::vector<std::string>& words);

// Elements `0-99`, `0-99:2` or `7`, as their numbers.
Result<std::vector<std::string>> array_elements(std::string_view text);

// "ID:NONCE", what an interrupted submission says to go on with.
std::string resume_text(const Submitted& submitted);

}  // namespace shoal::cli
