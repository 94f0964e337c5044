// Verdicts as a table for people, as JSON and as JUnit for programs.
#include <algorithm>

#include "tools/chaos/verdicts.hpp"

namespace shoal::chaos {
namespace {

std::string padded(std::string_view words, std::size_t width) {
  std::string whole(words);
  if (whole.size() < width) whole.resize(width, ' ');
  return whole;
}

}  // namespace

std::string xml_text(std::string_view words) {
  std::string whole;
  for (const char c : words) {
    switch (c) {
      case '&':
        whole += "&amp;";
        break;
      case '<':
        whole += "&lt;";
        break;
      case '>':
        whole += "&gt;";
        break;
      case '"':
        whole += "&quot;";
        break;
      default:
        // Control characters have no place in XML 1.0.
        whole += static_cast<unsigned char>(c) >= 0x20 || c == '\n' ? c : ' ';
    }
  }
  return whole;
}

namespace {

Json json_of(const Verdict& verdict) {
  constexpr std::string_view kWords[] = {"pass", "fail", "figure"};
  Json json{{"name", verdict.name},
            {"result", kWords[static_cast<std::size_t>(verdict.judgement)]},
            {"value", verdict.value},
            {"figure", verdict.figure},
            {"limit", verdict.limit.empty() ? Json(nullptr) : Json(verdict.limit)},
            {"about", verdict.about}};
  json["details"] = verdict.details;
  return json;
}

}  // namespace

Report judge(const Evidence& evidence) {
  Report report;
  const auto add = [&report](std::vector<Verdict> more) {
    for (Verdict& each : more) report.verdicts.push_back(std::move(each));
  };
  add({judge_lost(evidence), judge_outcomes(evidence), judge_phantoms(evidence),
       judge_fencing(evidence), judge_at_most_once(evidence)});
  add(judge_overlaps(evidence));
  add({judge_failed(evidence), judge_crashes(evidence), judge_serving(evidence),
       judge_views(evidence), judge_given_up(evidence), judge_duplicates(evidence),
       judge_detection(evidence), judge_recovery(evidence), judge_rejoin(evidence)});
  add(judge_throughput(evidence));
  add({judge_start_latency(evidence), judge_finish(evidence)});
  const auto skipped = std::ranges::count_if(
      evidence.faults, [](const FaultFacts& each) { return each.skipped || each.failed; });
  Verdict faults{.name = "faults",
                 .value = text(evidence.faults.size() - static_cast<std::size_t>(skipped),
                               " made, ", skipped, " not"),
                 .figure = evidence.faults.size(),
                 .about = "what was broken"};
  for (const FaultFacts& each : evidence.faults) {
    if (each.skipped || each.failed) faults.details.push_back(text(each.text, ": ", each.error));
  }
  // A scenario that broke nothing it meant to break shows nothing.
  const bool none = !evidence.faults.empty() && std::cmp_equal(skipped, evidence.faults.size());
  if (none) faults.judgement = Judgement::fail;
  add({std::move(faults)});
  if (!evidence.log_errors.empty()) {
    Verdict errors{.name = "log_errors", .about = "lines of level error in the nodes' logs"};
    std::vector<std::string> words;
    for (const auto& [node, count] : evidence.log_errors) words.push_back(text(node, " ", count));
    errors.value = joined(words);
    add({std::move(errors)});
  }
  return report;
}

std::string table_of(const Report& report) {
  std::size_t width = 0;
  for (const Verdict& each : report.verdicts) width = std::max(width, each.name.size());
  std::string table;
  for (const Verdict& each : report.verdicts) {
    table += text(padded(to_string(each.judgement), 5), padded(each.name, width + 2), each.value,
                  each.limit.empty() ? "" : text("   (limit ", each.limit, ")"), "\n");
    if (each.judgement != Judgement::fail) continue;
    table += text("        ", each.about, "\n");
    for (const std::string& detail : each.details) table += text("        ", detail, "\n");
  }
  return table;
}

Json summary_of(const Evidence& evidence, const Report& report) {
  Json verdicts = Json::array();
  for (const Verdict& each : report.verdicts) verdicts.push_back(json_of(each));
  Json phases = Json::object();
  for (const auto& [name, t] : evidence.phases) phases[name] = t.count();
  Json faults = Json::array();
  for (const FaultFacts& each : evidence.faults) {
    faults.push_back({{"fault", each.id},
                      {"text", each.text},
                      {"begun", each.begun.count()},
                      {"healed", each.heal_ended ? Json(each.heal_ended->count()) : Json(nullptr)},
                      {"error", each.error}});
  }
  return {{"schema", "shoal.chaos/1"},
          {"result", report.good() ? "pass" : "fail"},
          {"interrupted", evidence.interrupted},
          {"scenario", field(evidence.run, "scenario", std::string())},
          {"seed", field(evidence.run, "seed", Json())},
          {"backend", field(evidence.run, "backend", std::string())},
          {"command", field(evidence.run, "command", Json())},
          {"version", field(evidence.run, "version", std::string())},
          {"verdicts", verdicts},
          {"phases", phases},
          {"faults", faults}};
}

std::string junit_of(const Evidence& evidence, const Report& report) {
  std::size_t tests = 0;
  std::size_t failures = 0;
  std::string cases;
  const std::string name = "shoal-chaos." + field(evidence.run, "scenario", std::string("run"));
  for (const Verdict& each : report.verdicts) {
    if (each.judgement == Judgement::figure) continue;
    ++tests;
    cases +=
        text("  <testcase classname=\"", xml_text(name), "\" name=\"", xml_text(each.name), "\"");
    if (each.judgement == Judgement::pass) {
      cases += "/>\n";
      continue;
    }
    ++failures;
    cases += text(">\n    <failure message=\"", xml_text(text(each.value, ", limit ", each.limit)),
                  "\">", xml_text(text(each.about, "\n", joined(each.details, "\n"))),
                  "</failure>\n  </testcase>\n");
  }
  return text("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"", xml_text(name),
              "\" tests=\"", tests, "\" failures=\"", failures, "\">\n", cases, "</testsuite>\n");
}

}  // namespace shoal::chaos
