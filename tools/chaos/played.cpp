#include "tools/chaos/played.hpp"

#include <cmath>
#include <cstdlib>

namespace shoal::chaos {
namespace {

// What is promised needs clocks that run at about the same rate (design, section 1).
constexpr double kDriftMax = 5;

Result<Ms> parse_signed(const std::string& words) {
  const bool behind = words.starts_with('-');
  const auto time = parse_duration(behind ? words.substr(1) : words);
  if (!time) return std::unexpected(time.error());
  return behind ? -*time : *time;
}

Result<std::string> clock_words(const Fault& fault) {
  if (fault.word("which") == "boot") {
    const double drift = fault.number("drift");
    if (std::abs(drift) > kDriftMax || drift != std::floor(drift)) {
      return fail(
          ErrorCode::bad_input,
          text("drift is a whole number of percent from -", number_text(kDriftMax, 0), " to ",
               number_text(kDriftMax, 0), ": of clocks that differ by more nothing is promised"));
    }
    return text("percent ", static_cast<int>(drift));
  }
  const auto skew = parse_signed(fault.word("skew"));
  if (!skew) return fail(ErrorCode::bad_input, "skew: " + skew.error().message);
  const auto jump = parse_duration(fault.word("jump"));
  if (!jump) return fail(ErrorCode::bad_input, "jump: " + jump.error().message);
  return text("wall_ms ", skew->count(), " every_ms ", jump->count());
}

// What the node's file says.
Result<std::string> words_of(const Fault& fault) {
  if (fault.kind == FaultKind::clock) return clock_words(fault);
  if (fault.kind == FaultKind::disk_read_only) return "read_only 1";
  const auto sync = parse_duration(fault.word("sync"));
  if (!sync) return fail(ErrorCode::bad_input, "sync: " + sync.error().message);
  return text("sync_ms ", sync->count());
}

}  // namespace

void start_for_tests(const std::filesystem::path& folder) {
  ::setenv(kTestFaults, folder.c_str(), 1);
}

std::string test_faults_of(const ProcessId& process) {
  if (!process) return {};
  const std::string name = text(kTestFaults, "=");
  for (const std::string& each : split(environment(process.pid), '\0')) {
    if (each.starts_with(name)) return each.substr(name.size());
  }
  return {};
}

std::optional<std::string> cannot_play(const Fault& fault, const std::string& folder) {
  if (folder.empty()) {
    return text("its nodes were not started for tests. Start them with ", kTestFaults,
                "=DIR in their environment, or let `run` start a cluster of its own");
  }
  const auto words = words_of(fault);
  if (words) return std::nullopt;
  return words.error().message;
}

Result<Plan> plan_played(const Fault& fault, const std::string& folder, const std::string& node) {
  const auto words = words_of(fault);
  if (!words) return std::unexpected(words.error());
  const std::string file =
      text(folder, "/", node, fault.kind == FaultKind::clock ? ".clock" : ".disk");
  const std::string fresh = shell_word(file + ".new");
  // Renamed into place: the node reads all of it or nothing.
  const std::string command =
      text("echo ", *words, " > ", fresh, " && mv ", fresh, " ", shell_word(file));
  return Plan{.inject = {RunProgram{.words = {"sh", "-c", command}}},
              .heal = {Remove{.path = file}}};
}

}  // namespace shoal::chaos
