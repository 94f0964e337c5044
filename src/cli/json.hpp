// The JSON that scripts read: versioned ("schema"), and only ever added to within a version. Ids
// are strings, times RFC 3339 in UTC, durations milliseconds.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "shoal/cluster.hpp"
#include "shoal/job.hpp"
#include "shoal/result.hpp"

namespace shoal::cli {

using Json = nlohmann::ordered_json;
using NodeNames = std::map<NodeId, std::string>;

Json json_of(const JobStatus& job);                            // shoal.job/1
Json json_of(const TaskStatus& task, const NodeNames& names);  // Without a schema: always inside.
Json json_of(const TaskSpec& spec);                            // Likewise.
Json json_of(const JobListing& listing);                       // shoal.jobs/1
Json json_of(const ClusterView& view);                         // shoal.nodes/1
Json json_of(const Error& error, int exit_code);               // shoal.error/1

// A node's name, or the start of its id.
std::string name_of(const NodeNames& names, NodeId node);
NodeNames names_of(const ClusterView& view);

// Bytes that are not UTF-8 are replaced: JSON has no other way.
std::string text_of(const Json& json, int indent = -1);

}  // namespace shoal::cli
