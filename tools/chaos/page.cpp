// report.html: all of a run on one page that needs nothing else.
#include <algorithm>

#include "tools/chaos/timeline.hpp"
#include "tools/chaos/verdicts.hpp"

namespace shoal::chaos {

const char* const kReportStyle = R"(<style>
body { font: 14px/1.45 system-ui, "DejaVu Sans", sans-serif; color: #222; margin: 2em auto;
  max-width: 1200px; padding: 0 1em }
h1 { font-size: 1.5em; margin-bottom: .2em } h2 { font-size: 1.15em; margin-top: 2em }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .25em .6em; border-bottom: 1px solid #ddd }
th { border-bottom: 2px solid #999 }
.pass { color: #1e8449; font-weight: 600 } .fail { color: #c0392b; font-weight: 600 }
.figure { color: #888 } .about { color: #666 }
pre, code { font: 12px/1.4 ui-monospace, "DejaVu Sans Mono", monospace }
pre { background: #f5f6f7; padding: .8em; overflow-x: auto; white-space: pre-wrap }
svg { width: 100%; height: auto; border: 1px solid #ddd }
</style>
)";

namespace {

constexpr std::size_t kTasksShown = 200;

std::string cell(const std::string& content, const char* style = "") {
  const std::string attribute = *style == 0 ? std::string() : text(" class=\"", style, "\"");
  return text("<td", attribute, ">", xml_text(content), "</td>");
}

std::string verdicts_table(const Report& report) {
  std::string html =
      "<h2>Verdicts</h2>\n<table><tr><th></th><th>what</th><th>value</th><th>limit</th>"
      "<th></th></tr>\n";
  for (const Verdict& each : report.verdicts) {
    const char* style = each.judgement == Judgement::pass   ? "pass"
                        : each.judgement == Judgement::fail ? "fail"
                                                            : "figure";
    std::string about = text("<td class=\"about\">", xml_text(each.about));
    if (!each.details.empty()) {
      about += text("<details><summary>", each.details.size(), " lines</summary><pre>",
                    xml_text(joined(each.details, "\n")), "</pre></details>");
    }
    html += text("<tr>", cell(std::string(to_string(each.judgement)), style), cell(each.name),
                 cell(each.value), cell(each.limit), about, "</td></tr>\n");
  }
  return html + "</table>\n";
}

std::string faults_table(const Evidence& evidence) {
  std::string html =
      "<h2>What was broken</h2>\n<table><tr><th>#</th><th>from</th><th>healed</th><th>fault</th>"
      "<th>nodes</th><th></th></tr>\n";
  for (const FaultFacts& each : evidence.faults) {
    html += text("<tr>", cell(std::to_string(each.id)), cell(duration_text(each.begun)),
                 cell(each.heal_ended ? duration_text(*each.heal_ended) : "-"), cell(each.text),
                 cell(joined(each.nodes)), cell(each.error), "</tr>\n");
  }
  return html + "</table>\n<p>The exact commands are in <code>faults.jsonl</code>.</p>\n";
}

std::string marks_of(const TaskFacts& task) {
  std::string html;
  for (const Attempt& attempt : task.attempts) {
    const std::string log = text("nodes/", attempt.node, ".log");
    html += text(html.empty() ? "" : "<br>", attempt.number, " on <a href=\"", xml_text(log), "\">",
                 xml_text(attempt.node), "</a>, ", duration_text(attempt.start),
                 attempt.ended ? " to " : ", last seen ", duration_text(attempt.last));
  }
  return html.empty() ? "never started" : html;
}

std::string outcomes_of(const TaskFacts& task) {
  std::vector<std::string> shown;
  for (const Outcome& each : task.outcomes) {
    shown.push_back(text(std::string(to_string(each.state)), " (attempt ", each.attempt, ")"));
  }
  return shown.empty() ? "none" : joined(shown, ", then ");
}

std::string tasks_table(const Evidence& evidence) {
  std::string rows;
  std::size_t count = 0;
  for (const auto& [id, job] : evidence.jobs) {
    if (job.canary || !job.acknowledged) continue;
    for (std::size_t i = 0; i < job.facts.size(); ++i) {
      const TaskFacts& task = job.facts[i];
      const bool once = task.attempts.size() == 1 && task.outcomes.size() == 1;
      if (once || ++count > kTasksShown) continue;
      rows += text("<tr>", cell(text(id, "[", i, "]", job.at_most_once ? " at_most_once" : "")),
                   cell(outcomes_of(task)), "<td>", marks_of(task), "</td></tr>\n");
    }
  }
  std::string html = text("<h2>Tasks not run exactly once: ", count, "</h2>\n");
  if (count == 0) return html;
  if (count > kTasksShown) html += text("<p>The first ", kTasksShown, " of them.</p>\n");
  return text(html, "<table><tr><th>task</th><th>outcome</th><th>attempts, by their marks</th>",
              "</tr>\n", rows, "</table>\n");
}

std::string again_text(const Evidence& evidence) {
  std::vector<std::string> words;
  bool seeded = false;
  for (const Json& each : field(evidence.run, "command", Json::array())) {
    if (!each.is_string()) continue;
    words.push_back(each.get<std::string>());
    seeded = seeded || words.back().starts_with("--seed");
  }
  if (!seeded) {
    words.insert(words.end(), {"--seed", dumped(field(evidence.run, "seed", Json()))});
  }
  return shell_line(words);
}

std::string surroundings(const Evidence& evidence) {
  std::string logs;
  for (const std::string& node : evidence.nodes) {
    const std::string log = text("nodes/", node, ".log");
    logs += text(" <a href=\"", xml_text(log), "\">", xml_text(node), "</a>");
  }
  return text(
      "<h2>How to do it again</h2>\n<pre>", xml_text(again_text(evidence)),
      "</pre>\n<p>Or, with everything drawn written out: <code>shoal-chaos replay DIR</code>",
      " reads <code>replay.toml</code>.</p>\n<h2>Surroundings</h2>\n<p>shoal ",
      xml_text(field(evidence.run, "version", std::string())), ", back end ",
      xml_text(field(evidence.run, "backend", std::string())), ", ", evidence.nodes.size(),
      " nodes, logs:", logs, "</p>\n<pre>",
      xml_text(dumped(field(evidence.run, "environment", Json()), 2)), "</pre>\n");
}

}  // namespace

std::string report_html(const Evidence& evidence, const Report& report) {
  const std::string name = field(evidence.run, "scenario", std::string("run"));
  const std::string seed = dumped(field(evidence.run, "seed", Json()));
  const std::string result =
      report.good() ? "<span class=\"pass\">PASS</span>" : "<span class=\"fail\">FAIL</span>";
  return text("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>",
              xml_text(name), ", seed ", seed, "</title>\n", kReportStyle, "</head><body>\n<h1>",
              result, " ", xml_text(name), ", seed ", seed, "</h1>\n<p class=\"about\">",
              xml_text(field(evidence.run, "about", std::string())),
              evidence.interrupted ? " (interrupted)" : "", "</p>\n", verdicts_table(report),
              "<h2>What happened</h2>\n", timeline_svg(evidence), faults_table(evidence),
              tasks_table(evidence), surroundings(evidence), "</body></html>\n");
}

}  // namespace shoal::chaos
