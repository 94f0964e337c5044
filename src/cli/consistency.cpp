#include "cli/consistency.hpp"

#include <algorithm>
#include <map>

#include "base/format.hpp"

namespace shoal::cli {
namespace {

constexpr std::size_t kRangesShown = 12;

}  // namespace

void add_consistency(CLI::App& command, Consistency& consistency) {
  const std::map<std::string, Consistency> words{{"strong", Consistency::strong},
                                                 {"local", Consistency::local}};
  command
      .add_option_function<std::string>(
          "--consistency",
          [&consistency, words](const std::string& word) { consistency = words.at(word); },
          "strong (default): confirmed by the homes; local: as the owners remember it, not "
          "confirmed")
      ->check(CLI::IsMember({"strong", "local"}));
}

std::string_view to_string(Consistency consistency) {
  return consistency == Consistency::local ? "local" : "strong";
}

void note_consistency(Program& program, Consistency consistency) {
  if (consistency != Consistency::local) return;
  program.note(
      "note: committed values as the owners remember them, not confirmed; may be outdated");
}

std::string text_of(const std::vector<TaskRange>& ranges) {
  std::string text;
  for (std::size_t i = 0; i < ranges.size() && i < kRangesShown; ++i) {
    text += text.empty() ? "" : ", ";
    text += ranges[i].first == ranges[i].last ? format("{}", ranges[i].first)
                                              : format("{}-{}", ranges[i].first, ranges[i].last);
  }
  if (ranges.size() > kRangesShown) {
    text += format(" and {} more ranges", ranges.size() - kRangesShown);
  }
  return text;
}

std::string gap_text(const std::vector<ShardGap>& gaps) {
  std::vector<TaskRange> ranges;
  std::string shards;
  for (std::size_t i = 0; i < gaps.size(); ++i) {
    ranges.insert(ranges.end(), gaps[i].tasks.begin(), gaps[i].tasks.end());
    if (i < kRangesShown) {
      shards += format("{}{}", i == 0 ? "" : ", ", static_cast<std::uint32_t>(gaps[i].shard));
    }
  }
  if (gaps.size() > kRangesShown) shards += ", ...";
  std::ranges::sort(ranges, {}, &TaskRange::first);
  return format("note: {} {} did not answer ({}); tasks {} may be missing. See: shoal shard ls",
                gaps.size(), gaps.size() == 1 ? "shard" : "shards", shards, text_of(ranges));
}

Json json_of(const std::vector<ShardGap>& gaps) {
  Json missing = Json::array();
  for (const ShardGap& gap : gaps) {
    Json tasks = Json::array();
    for (const TaskRange& range : gap.tasks) tasks.push_back({range.first, range.last});
    missing.push_back({{"shard", static_cast<std::uint32_t>(gap.shard)}, {"tasks", tasks}});
  }
  return missing;
}

}  // namespace shoal::cli
