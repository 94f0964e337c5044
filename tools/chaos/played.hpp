// Faults that nodes play on themselves: wrong clocks, slow and read-only disks.
//
// A shoal node that finds SHOAL_TEST_FAULTS in its environment as it starts looks again and again
// at NAME.clock and NAME.disk in the folder that it names (src/daemon/test_faults.hpp). So a fault
// is a file there, and mending it is the file's removal. Two such faults of one kind on one node
// replace each other.
#pragma once

#include <optional>
#include <string>

#include "tools/chaos/backend.hpp"

namespace shoal::chaos {

inline constexpr const char* kTestFaults = "SHOAL_TEST_FAULTS";

// Nodes that this process starts from now on, through whatever program, look there.
void start_for_tests(const std::filesystem::path& folder);
// Where that process looks; empty: nowhere.
std::string test_faults_of(const ProcessId& process);

// Why not; `folder` is empty where nodes were not started for tests.
std::optional<std::string> cannot_play(const Fault& fault, const std::string& folder);
Result<Plan> plan_played(const Fault& fault, const std::string& folder, const std::string& node);

}  // namespace shoal::chaos
