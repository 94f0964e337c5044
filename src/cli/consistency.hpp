// `--consistency strong|local`, of the commands that show jobs and tasks; and what is said of an
// answer that is not confirmed, or lacks something.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/json.hpp"
#include "cli/program.hpp"

namespace CLI {
class App;
}

namespace shoal::cli {

void add_consistency(CLI::App& command, Consistency& consistency);
std::string_view to_string(Consistency consistency);
// A note when the answer is local.
void note_consistency(Program& program, Consistency consistency);

// "0-31, 64": the tasks that shards without an answer hold.
std::string text_of(const std::vector<TaskRange>& ranges);
// A line on how many shards did not answer and which tasks may be missing.
std::string gap_text(const std::vector<ShardGap>& gaps);
Json json_of(const std::vector<ShardGap>& gaps);

}  // namespace shoal::cli
