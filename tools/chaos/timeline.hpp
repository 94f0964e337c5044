// A run as a picture, on one time axis: a lane for each node, coloured by how most of the others
// saw it; every fault as a shade across all lanes and a bar in those that it hit; shards that got
// an owner (takeovers) and tasks of others' shards (steals) marked; below it tasks started and
// ended a second, and how long a task waited for its start.
#pragma once

#include <string>

#include "tools/chaos/evidence.hpp"

namespace shoal::chaos {

// An <svg> element that stands alone and fits into HTML. Its axis ends with the run, or at `until`
// if that is later: two runs with one axis can be laid below each other.
std::string timeline_svg(const Evidence& evidence, Time until = Time(0));
// Where a run's axis ends.
Time last_of(const Evidence& evidence);

// How most others saw `node` at `t`: "alive", "suspect", "dead", "left"; empty when none said.
std::string seen_as(const Evidence& evidence, const std::string& node, Time t);

// report.html: verdicts, the picture, faults, what went wrong, how to do it again. One file.
struct Report;
extern const char* const kReportStyle;
std::string report_html(const Evidence& evidence, const Report& report);

}  // namespace shoal::chaos
