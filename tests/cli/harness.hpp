// Runs whole commands inside the test: what they print goes to files.
#pragma once

#include <string>
#include <vector>

#include "cli/commands.hpp"

namespace shoal::cli {

using Words = std::vector<std::string>;

// A folder of the test's own, gone with it.
struct Folder {
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string read(const std::string& name) const;
  std::string path;
};

// The exit status; standard output and error are `stdout` and `stderr` in the folder.
int shoal(const Folder& folder, const std::string& address, Words words);

}  // namespace shoal::cli
