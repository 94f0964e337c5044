// `shoal-chaos run`: a scenario from its file to its verdicts.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tools/chaos/text.hpp"

namespace shoal::chaos {

// Exit statuses, of every command.
inline constexpr int kExitGood = 0;
inline constexpr int kExitFailed = 1;       // Some verdict is FAIL; something could not be done.
inline constexpr int kExitUsage = 2;        // Bad scenario, bad usage.
inline constexpr int kExitUnreachable = 4;  // No cluster.
inline constexpr int kExitInterrupted = 130;

struct RunOptions {
  std::string scenario;  // A path, or the name of a shipped one.
  std::optional<std::uint64_t> seed;
  std::string against;  // Empty: what the scenario says.
  std::optional<Ms> duration;
  std::string out;  // Empty: chaos-out/STAMP-NAME-sSEED
  bool dry_run = false;
  std::vector<std::string> sets;
  std::string junit;
  std::string shoal;
  std::filesystem::path folder = "/var/tmp";
  std::vector<std::string> command;  // As it was given, for the record.
};

int run(const RunOptions& options);

// `check DIR`: the verdicts of a run that is over, from what it recorded.
int check(const std::filesystem::path& folder, const std::string& junit);

// A line for people, to standard error.
void tell(const std::string& line);
int failed(const Error& error);

}  // namespace shoal::chaos
