// The folder of a `shoal dev` cluster, read only: which nodes there are and which run.
//
// cluster.json is replaced as a whole by whoever changes the cluster, so reading it needs no lock;
// `shoal dev ps` would wait for the lock that a node's slow start holds.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tools/chaos/process.hpp"

namespace shoal::chaos {

struct DevNode {
  std::string name;
  std::string address;
  ProcessId process;  // Empty when it does not run.
};

Result<std::vector<DevNode>> read_dev_folder(const std::filesystem::path& folder);
std::filesystem::path default_dev_folder();  // Where `shoal dev` without --dir keeps its cluster.
std::filesystem::path state_folder();        // Where shoal's programs keep what outlives them.

}  // namespace shoal::chaos
