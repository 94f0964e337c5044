// What breaking and mending come down to: steps, each one act on the machine.
//
// A step is a value. It is written to the journal before it is done, read back by another process
// after a crash, printed by --dry-run and recorded as the system command it amounts to. So whatever
// mends a fault must be said in steps before the fault is made: nothing that only the memory of a
// running tool knows can be part of it.
//
// A mending step is harmless when it is done twice, or when there is nothing to mend.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <variant>
#include <vector>

#include "tools/chaos/json.hpp"
#include "tools/chaos/process.hpp"
#include "tools/chaos/text.hpp"

namespace shoal::chaos {

// To one process. It is no error that the process has ended.
struct SendSignal {
  ProcessId process;
  int signal = 0;
  std::string who;  // For people.
  bool operator==(const SendSignal&) const = default;
};

// To all descendants that `root` has at that moment, not to `root`.
struct SignalTree {
  ProcessId root;
  int signal = 0;
  std::string who;
  bool operator==(const SignalTree&) const = default;
};

// Waits until the process has ended; after `limit` it is killed.
struct AwaitEnd {
  ProcessId process;
  Ms limit{0};
  std::string who;
  bool operator==(const AwaitEnd&) const = default;
};

struct Wait {
  Ms time{0};
  bool operator==(const Wait&) const = default;
};

struct RunProgram {
  std::vector<std::string> words;
  std::vector<int> good{0};  // Exit statuses that are no error; empty: all of them.
  Ms limit{30'000};
  bool operator==(const RunProgram&) const = default;
};

// Starts a program that goes on by itself, output to `log`. It is named by `mark`, which stands in
// its command line: EndMarked ends it, also when the tool died before it knew the process id.
struct StartProgram {
  std::vector<std::string> words;
  std::string log;
  bool operator==(const StartProgram&) const = default;
};

// SIGKILL to every process with `mark` in its command line or environment; with a grace SIGTERM
// first.
// REQUIRES: a mark no stranger has: kMarkBytesMin bytes or more, with random ones among them.
struct EndMarked {
  std::string mark;
  Ms grace{0};
  bool operator==(const EndMarked&) const = default;
};
inline constexpr std::size_t kMarkBytesMin = 16;

// Starts a node of a `shoal dev` folder, unless it runs, and returns as soon as it has a process.
struct StartNode {
  std::string shoal;
  std::string folder;
  std::string name;
  bool operator==(const StartNode&) const = default;
};

// Starts a program that goes on by itself, unless the one that `record` names lives, and records it
// there: see recorded_process().
struct StartRecorded {
  std::vector<std::string> words;
  std::string log;
  std::string record;
  bool operator==(const StartRecorded&) const = default;
};
// Empty when none is on record, or it has ended.
ProcessId recorded_process(const std::filesystem::path& record);

// A file, or an empty folder; with `all` a folder with all that is in it, if this tool made it
// (its name says so: see kOwnFolder).
struct Remove {
  std::string path;
  bool all = false;
  bool operator==(const Remove&) const = default;
};
inline constexpr const char* kOwnFolder = "shoal-chaos-";

// Takes the free space of the file system that `path` lies on, all but `leave` bytes.
struct FillDisk {
  std::string path;
  std::uint64_t leave = 0;
  bool operator==(const FillDisk&) const = default;
};

using Step = std::variant<SendSignal, SignalTree, AwaitEnd, Wait, RunProgram, StartProgram,
                          EndMarked, StartNode, StartRecorded, Remove, FillDisk>;
using Steps = std::vector<Step>;

// The system command it amounts to.
std::string text_of(const Step& step);
std::vector<std::string> texts_of(const Steps& steps);

Json json_of(const Step& step);
Json json_of(const Steps& steps);
Result<Step> step_of(const Json& json);
Result<Steps> steps_of(const Json& json);

Result<void> perform(const Step& step);

std::string signal_name(int number);  // "KILL"

}  // namespace shoal::chaos
