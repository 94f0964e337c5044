// What a run showed: promises that held or did not, and figures.
//
// Safety first; these have bounds of their own (0), which a scenario may only widen for failed,
// given_up and overlaps:
//   lost           every acknowledged task has an outcome, and each node shows it at the end
//   outcomes       no task was ever shown two different outcomes
//   phantoms       a task that is said to have succeeded left the mark of that attempt's end
//   fencing        no attempt's number was given to two processes
//   at_most_once   such a task was started once at most
//   overlaps       no attempt was at work while a later one had begun. After a whole host was
//                  paused for longer than the lease, an attempt that was still at work for at most
//                  1 s after the thaw counts apart (design, section 9: a stated residue)
//   failed         the commands cannot fail, and no node's death counts as a task's failure
//   crashes        no node ended unless it was told to
//   serving        in the end each shard takes submissions
//   views          after all is healed, each node sees all others alive (ring_agrees_within)
// Figures are verdicts only where the scenario's [expect] bounds them.
#pragma once

#include <string>
#include <vector>

#include "tools/chaos/evidence.hpp"

namespace shoal::chaos {

enum class Judgement : std::uint8_t { pass, fail, figure };
std::string_view to_string(Judgement judgement);

struct Verdict {
  std::string name;
  Judgement judgement = Judgement::figure;
  std::string value;  // For people.
  Json figure;        // For programs; null when there is none.
  std::string limit;  // Empty for figures.
  std::string about;
  std::vector<std::string> details;  // What does not belong there; the first ones.
};

struct Report {
  std::vector<Verdict> verdicts;
  bool good() const;
};

inline constexpr std::size_t kDetailsMax = 20;

Report judge(const Evidence& evidence);

// Parts of judge(), each pure. `limits` is run.json's "expect".
Verdict judge_lost(const Evidence& evidence);
Verdict judge_outcomes(const Evidence& evidence);
Verdict judge_phantoms(const Evidence& evidence);
Verdict judge_fencing(const Evidence& evidence);
Verdict judge_at_most_once(const Evidence& evidence);
Verdict judge_failed(const Evidence& evidence);
Verdict judge_given_up(const Evidence& evidence);
std::vector<Verdict> judge_overlaps(const Evidence& evidence);  // Overlaps, and those excused.
Verdict judge_duplicates(const Evidence& evidence);
Verdict judge_crashes(const Evidence& evidence);
Verdict judge_serving(const Evidence& evidence);
Verdict judge_views(const Evidence& evidence);
Verdict judge_detection(const Evidence& evidence);
Verdict judge_rejoin(const Evidence& evidence);
Verdict judge_recovery(const Evidence& evidence);
std::vector<Verdict> judge_throughput(const Evidence& evidence);
Verdict judge_finish(const Evidence& evidence);
Verdict judge_start_latency(const Evidence& evidence);

std::optional<double> bound_of(const Evidence& evidence, const char* name);
// Judged against the scenario's bound, if it has one; durations are in milliseconds.
void bound_duration(Verdict& verdict, const Evidence& evidence, const char* name,
                    std::optional<Time> worst);

// The value that `share` (0 to 1) of the values do not exceed; absent when there are none.
std::optional<Time> percentile(std::vector<Time> values, double share);

// Fit for XML and HTML, attributes too.
std::string xml_text(std::string_view words);

// "PASS  lost  0  (limit 0)" and so on, aligned, with the details of what failed.
std::string table_of(const Report& report);
Json summary_of(const Evidence& evidence, const Report& report);
std::string junit_of(const Evidence& evidence, const Report& report);

}  // namespace shoal::chaos
