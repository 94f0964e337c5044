// Runs another program to its end and keeps what it printed.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "shoal/result.hpp"

namespace shoal::bench {

struct Finished {
  int exit_status = 0;  // 128 + N after signal N.
  std::string output;
  std::string error_output;
  double seconds = 0;
};

// `input` becomes the program's standard input. After `limit` the program is killed and the result
// is an error; so it is when it cannot be started, but not when it exits with another status than
// 0.
Result<Finished> run_program(const std::vector<std::string>& arguments,
                             const std::string& input = {},
                             std::chrono::seconds limit = std::chrono::seconds(120));

}  // namespace shoal::bench
