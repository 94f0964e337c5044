// The folder of a run: all that happened, as it happened, for the verdicts, for pictures, and for
// whoever wants to know later. Each line is written by one append, so a crash leaves whole lines.
//
//   run.json        what was run: scenario, seed, nodes (names, ids, addresses), back end, command,
//                   machine; `origin_ns`: the run's time 0 on the machine's steady clock
//   scenario.toml   as it was run; replay.toml: the same with everything drawn written out
//   faults.jsonl    one line when a fault is made, one when it is healed, with the system commands:
//                   {"t","fault","state":"injected"|"healed"|"skipped"|"failed","what","nodes",
//                    "parameters","until","commands","took_us","error"}
//   events.jsonl    {"t","event",...}; the events are named where they are made: a phase of the run
//                   (run.cpp), what members see (samples.cpp), recoveries (canaries.cpp)
//   history.jsonl   operations and what clients saw (history.hpp)
//   marks           what tasks left behind (mark.cpp)
//   metrics.csv     every half second a row for each node: its own figures
//   rates.csv       every 100 ms: acknowledgements, starts, ends, start latency
//   nodes/          the nodes' logs
//   summary.json    the verdicts (verdicts.hpp); report.txt, report.html: the same for people
//   timeline.svg    the picture of report.html (timeline.hpp)
//
// Times `t` are microseconds since time 0, which is when the load begins.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "shoal/cluster.hpp"
#include "tools/chaos/json.hpp"
#include "tools/chaos/text.hpp"

namespace shoal::chaos {

inline constexpr Ms kRateBucket{100};

// An append-only text file; a whole line at a time reaches the system at flush().
class LineFile {
 public:
  LineFile() = default;
  static Result<LineFile> create(const std::filesystem::path& path);
  void write(std::string_view line);
  void flush();

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Close> file_;
};

class Recording {
 public:
  // Time 0 is the moment of this call. The folder is made if it is not there.
  static Result<Recording> create(const std::filesystem::path& folder);

  const std::filesystem::path& folder() const { return folder_; }
  std::chrono::steady_clock::time_point origin() const { return origin_; }
  Time now() const;

  void event(const char* name, Json fields);
  void fault(Json line);
  void history(Json line);
  // One node's own figures.
  void metrics(const std::string& node, const NodeFigures& figures);
  void acknowledged(std::uint32_t tasks);

  // Acknowledgements of each kRateBucket since time 0.
  const std::vector<std::uint32_t>& acknowledgements() const { return acknowledgements_; }

  void flush();
  Result<void> save(const char* file, const std::string& content) const;

 private:
  Json timed(Json fields) const;

  std::filesystem::path folder_;
  std::chrono::steady_clock::time_point origin_;
  LineFile events_;
  LineFile faults_;
  LineFile history_;
  LineFile metrics_;
  std::vector<std::uint32_t> acknowledgements_;
};

// "2026-11-22T0800-kill-one-s42"
std::string run_folder_name(const std::string& scenario, std::uint64_t seed);

}  // namespace shoal::chaos
