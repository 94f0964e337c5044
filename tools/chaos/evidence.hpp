// All that a run left behind, put together for the verdicts: what clients were told (history), what
// tasks did (marks), what was broken (faults), what nodes saw of each other (events).
//
// `run` and `check` read the same files by the same code, so a verdict can be had again, by another
// version of this program too.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "shoal/job.hpp"
#include "tools/chaos/json.hpp"
#include "tools/chaos/text.hpp"

namespace shoal::chaos {

struct Outcome {
  TaskState state = TaskState::ready;
  std::uint32_t attempt = 0;
  std::int64_t ended_ms = 0;
  std::string reason = {};  // Of one that ended badly.
  bool operator==(const Outcome&) const = default;
};

// One execution, as its marks tell.
struct Attempt {
  std::uint32_t number = 0;
  std::string node;
  std::int64_t pid = 0;
  Time start{0};
  Time last{0};        // Its latest mark: it was still at work then.
  bool ended = false;  // By itself.
};

struct TaskFacts {
  std::vector<Outcome> outcomes;   // Different ones, in the order they were first shown.
  std::vector<Attempt> attempts;   // By start.
  std::uint32_t shown_at_end = 0;  // Nodes that showed an outcome in the final reads.
};

struct FinalRead {
  std::uint32_t found = 0;
  std::string error;
};

struct JobFacts {
  std::uint32_t tasks = 0;
  bool at_most_once = false;
  bool canary = false;  // Its task leaves no marks.
  bool acknowledged = false;
  std::optional<Time> begun;               // When it was first handed in.
  std::uint32_t unknown = 0;               // Submissions whose answer was lost.
  std::vector<TaskFacts> facts;            // By index.
  std::map<std::string, FinalRead> reads;  // By node.
};

struct FaultFacts {
  std::uint32_t id = 0;
  std::string what;
  std::string text;
  std::vector<std::string> nodes;
  Json parameters = Json::object();
  bool injected = false;
  bool failed = false;   // Some of it could not be done.
  bool skipped = false;  // Nothing was done.
  Time begun{0};
  Time until{0};  // As planned.
  std::optional<Time> heal_begun;
  std::optional<Time> heal_ended;
  std::string error;
};

// What one node saw from `t` on; absent: it did not answer.
struct ViewFacts {
  Time t{0};
  std::optional<std::map<std::string, std::string>> sees;
};

struct RecoveryFacts {
  std::uint32_t fault = 0;  // 0: at the end, after all was healed.
  std::uint32_t shards = 0;
  std::uint32_t open = 0;
  std::optional<Time> last;
};

// Shards whose owner is another one from `t` on.
struct MoveFacts {
  Time t{0};
  std::string to;
  std::uint32_t shards = 0;
};

// Tasks of other nodes' shards that a node has run until `t`.
struct StealFacts {
  Time t{0};
  std::string node;
  std::uint64_t stolen = 0;
};

struct CrashFacts {
  Time t{0};
  std::string node;
};

struct Evidence {
  Json run = Json::object();  // run.json
  std::vector<std::string> nodes;
  std::map<std::string, std::string> names;  // Node id -> name.
  std::map<std::string, JobFacts> jobs;
  std::vector<FaultFacts> faults;
  std::map<std::string, std::vector<ViewFacts>> views;  // By observer, by time.
  std::vector<RecoveryFacts> recoveries;
  std::vector<CrashFacts> crashes;
  std::vector<MoveFacts> moves;
  std::vector<StealFacts> steals;                   // By time.
  std::map<std::string, Time> phases;               // "faults_end", "healed", "load_end", "end".
  std::map<std::string, std::uint32_t> log_errors;  // By node.
  std::uint64_t bad_lines = 0;                      // Of any file, that could not be read.
  bool interrupted = false;

  Time phase(const char* name, Time otherwise) const;
};

// One line of the file it is named after. What does not parse is counted.
void take_history(Evidence& evidence, const std::string& line);
void take_fault(Evidence& evidence, const std::string& line);
void take_event(Evidence& evidence, const std::string& line);
void take_metrics(Evidence& evidence, const std::string& line);
// `origin_ns` stands in run.json.
void take_mark(Evidence& evidence, const std::string& line, std::int64_t origin_ns);
// After all lines: attempts by start, nodes by name.
void put_in_order(Evidence& evidence);

Result<Evidence> load_evidence(const std::filesystem::path& folder);

}  // namespace shoal::chaos
