#include "tools/chaos/compare.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <optional>

#include "tools/chaos/run.hpp"
#include "tools/chaos/timeline.hpp"

namespace shoal::chaos {
namespace {

namespace fs = std::filesystem;

struct Row {
  std::string name;
  const Verdict* first = nullptr;  // Null: that run has none.
  const Verdict* second = nullptr;
};

const Verdict* find(const Report& report, const std::string& name) {
  const auto found = std::ranges::find(report.verdicts, name, &Verdict::name);
  return found == report.verdicts.end() ? nullptr : &*found;
}

std::vector<Row> rows_of(const Compared& first, const Compared& second) {
  std::vector<Row> rows;
  for (const Verdict& each : first.report.verdicts) {
    rows.push_back({each.name, &each, find(second.report, each.name)});
  }
  for (const Verdict& each : second.report.verdicts) {
    if (find(first.report, each.name) == nullptr) rows.push_back({each.name, nullptr, &each});
  }
  return rows;
}

std::string judgement_text(const Verdict* verdict) {
  return verdict == nullptr ? std::string() : std::string(to_string(verdict->judgement));
}

std::string value_text(const Verdict* verdict) {
  return verdict == nullptr ? "none" : verdict->value;
}

// Of several figures the one that tells most: a 99th percentile, a rate under faults.
std::optional<double> figure_of(const Verdict* verdict) {
  if (verdict == nullptr) return std::nullopt;
  for (const char* key : {"p99_ms", "under"}) {
    if (!verdict->figure.is_object() || !verdict->figure.contains(key)) continue;
    return field(verdict->figure, key, 0.0);
  }
  if (!verdict->figure.is_number()) return std::nullopt;
  return verdict->figure.get<double>();
}

// "x1.25": the second figure is so many times the first.
std::string ratio_text(const Row& row) {
  const auto from = figure_of(row.first);
  const auto to = figure_of(row.second);
  if (!from || !to) return "";
  if (*from == *to) return "=";
  return *from == 0 ? "" : text("x", number_text(*to / *from, 2));
}

using Cells = std::vector<std::string>;

std::vector<Cells> cells_of(const Compared& first, const Compared& second) {
  std::vector<Cells> all{{"", "", "A", "", "B", "B to A"}};
  for (const Row& row : rows_of(first, second)) {
    all.push_back({row.name, judgement_text(row.first), value_text(row.first),
                   judgement_text(row.second), value_text(row.second), ratio_text(row)});
  }
  return all;
}

std::string html_row(const Cells& cells, const char* tag) {
  std::string row = "<tr>";
  for (const std::string& each : cells) {
    const char* style = each == "PASS"   ? " class=\"pass\""
                        : each == "FAIL" ? " class=\"fail\""
                                         : "";
    row += text("<", tag, style, ">", xml_text(each), "</", tag, ">");
  }
  return row + "</tr>\n";
}

Result<Compared> load(const fs::path& folder) {
  auto evidence = load_evidence(folder);
  if (!evidence) return std::unexpected(evidence.error());
  Compared run{.name =
                   text(field(evidence->run, "scenario", std::string("run")), ", seed ",
                        dumped(field(evidence->run, "seed", Json())), ", in ", folder.string())};
  run.report = judge(*evidence);
  run.evidence = *std::move(evidence);
  return run;
}

// What makes figures of two runs hard to compare; empty when they were alike.
std::vector<std::string> differences(const Compared& first, const Compared& second) {
  std::vector<std::string> found;
  for (const char* key :
       {"scenario", "backend", "tasks", "duration_ms", "version", "environment"}) {
    const Json a = field(first.evidence.run, key, Json());
    const Json b = field(second.evidence.run, key, Json());
    if (a != b) found.push_back(text(key, ": ", dumped(a), " and ", dumped(b)));
  }
  const std::size_t a = first.evidence.nodes.size();
  const std::size_t b = second.evidence.nodes.size();
  if (a != b) found.push_back(text("nodes: ", a, " and ", b));
  return found;
}

}  // namespace

std::string comparison_table(const Compared& first, const Compared& second) {
  const std::vector<Cells> all = cells_of(first, second);
  std::vector<std::size_t> widths(all.front().size());
  for (const Cells& row : all) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string table = text("A: ", first.name, "\nB: ", second.name, "\n");
  for (const std::string& each : differences(first, second))
    table += "they differ in " + each + "\n";
  for (const Cells& row : all) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      line.append(widths[i] - row[i].size() + 2, ' ');
    }
    table += text(line.substr(0, line.find_last_not_of(' ') + 1), "\n");
  }
  return table;
}

std::string comparison_html(const Compared& first, const Compared& second) {
  std::string rows;
  for (const Cells& row : cells_of(first, second)) {
    rows += html_row(row, rows.empty() ? "th" : "td");
  }
  std::string unlike;
  for (const std::string& each : differences(first, second)) {
    unlike += text("<li>", xml_text(each), "</li>\n");
  }
  if (!unlike.empty()) unlike = text("<p>They differ in</p>\n<ul>\n", unlike, "</ul>\n");
  const Time until = std::max(last_of(first.evidence), last_of(second.evidence));
  return text("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>two runs",
              "</title>\n", kReportStyle,
              "</head><body>\n<h1>Two runs</h1>\n<p>A: ", xml_text(first.name),
              "<br>B: ", xml_text(second.name), "</p>\n", unlike, "<table>\n", rows,
              "</table>\n<h2>A: ", xml_text(first.name), "</h2>\n",
              timeline_svg(first.evidence, until), "<h2>B: ", xml_text(second.name), "</h2>\n",
              timeline_svg(second.evidence, until), "</body></html>\n");
}

int compare(const fs::path& first, const fs::path& second, const fs::path& html) {
  const auto a = load(first);
  if (!a) {
    failed(a.error());
    return kExitUsage;
  }
  const auto b = load(second);
  if (!b) {
    failed(b.error());
    return kExitUsage;
  }
  std::fputs(comparison_table(*a, *b).c_str(), stdout);
  std::ofstream file(html, std::ios::trunc);
  file << comparison_html(*a, *b);
  file.close();
  if (!file) {
    return failed(
        {ErrorCode::io, text(html.string(), " cannot be written; name another with --html")});
  }
  std::printf("both timelines: %s\n", html.c_str());
  return kExitGood;
}

}  // namespace shoal::chaos
