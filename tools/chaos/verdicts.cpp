// Promises: what must hold in every run.
#include "tools/chaos/verdicts.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <set>

namespace shoal::chaos {
namespace {

constexpr Time kAfterThawMax{1'000'000};  // What a suspended host may still do (design, section 9).
constexpr Ms kLease{5'000};               // The shortest there is.
constexpr Ms kViewsLimit{30'000};

using Visit = std::function<void(const std::string& id, const JobFacts&, std::uint64_t index,
                                 const TaskFacts&)>;

void each_task(const Evidence& evidence, const Visit& visit) {
  for (const auto& [id, job] : evidence.jobs) {
    for (std::size_t i = 0; i < job.facts.size(); ++i) visit(id, job, i, job.facts[i]);
  }
}

std::string task_text(const std::string& job, std::uint64_t index) {
  return text(job, "[", index, "]");
}

std::string attempt_text(const Attempt& attempt) {
  return text("attempt ", attempt.number, " on ", attempt.node, " from ",
              duration_text(attempt.start), attempt.ended ? " to " : ", last seen ",
              duration_text(attempt.last));
}

std::string attempts_text(const TaskFacts& task) {
  std::vector<std::string> all;
  for (const Attempt& attempt : task.attempts) all.push_back(attempt_text(attempt));
  return joined(all, "; ");
}

void note(Verdict& verdict, std::string detail) {
  if (verdict.details.size() < kDetailsMax) verdict.details.push_back(std::move(detail));
}

// A count that must not be above its bound.
void judge_count(Verdict& verdict, std::uint64_t count, double bound) {
  verdict.figure = count;
  if (verdict.value.empty()) verdict.value = std::to_string(count);
  verdict.limit = number_text(bound, 0);
  verdict.judgement = static_cast<double>(count) <= bound ? Judgement::pass : Judgement::fail;
}

// When `attempt`'s host was wholly paused for longer than a lease: the end of that.
std::optional<Time> thaw_of(const Evidence& evidence, const Attempt& attempt, Time later_start) {
  for (const FaultFacts& fault : evidence.faults) {
    const bool host =
        fault.what == "pause" && field(fault.parameters, "scope", std::string()) == "host";
    const bool there =
        std::ranges::find(fault.nodes, attempt.node) != fault.nodes.end() && fault.heal_ended;
    if (!host || !there || *fault.heal_ended - fault.begun < Time(kLease)) continue;
    const bool while_paused = attempt.start <= fault.heal_begun && later_start >= fault.begun;
    if (while_paused) return fault.heal_ended;
  }
  return std::nullopt;
}

}  // namespace

std::string_view to_string(Judgement judgement) {
  constexpr std::array<std::string_view, 3> kNames{"PASS", "FAIL", "-"};
  return kNames.at(static_cast<std::size_t>(judgement));
}

bool Report::good() const {
  return std::ranges::none_of(
      verdicts, [](const Verdict& each) { return each.judgement == Judgement::fail; });
}

std::optional<double> bound_of(const Evidence& evidence, const char* name) {
  const Json limits = field(evidence.run, "expect", Json::object());
  if (!limits.contains(name)) return std::nullopt;
  return field(limits, name, 0.0);
}

Verdict judge_lost(const Evidence& evidence) {
  Verdict verdict{.name = "lost",
                  .about = "every acknowledged task has an outcome, and each node shows it"};
  std::uint64_t acknowledged = 0;
  std::uint64_t lost = 0;
  each_task(evidence, [&](const std::string& id, const JobFacts& job, std::uint64_t index,
                          const TaskFacts& task) {
    if (!job.acknowledged || index >= job.tasks) return;
    ++acknowledged;
    // Canaries are many and are read through one node each.
    const std::size_t wanted = job.canary ? 1 : evidence.nodes.size();
    const bool shown = task.shown_at_end >= wanted;
    if (shown && !task.outcomes.empty()) return;
    ++lost;
    std::string detail =
        text(task_text(id, index),
             task.outcomes.empty() ? " has no outcome" : " is not shown by every node");
    for (const auto& [node, read] : job.reads) {
      if (!read.error.empty()) detail += text("; ", node, ": ", read.error);
    }
    note(verdict, detail + (task.attempts.empty() ? std::string("; it was never started")
                                                  : "; " + attempts_text(task)));
  });
  verdict.value = text(lost, " of ", acknowledged);
  judge_count(verdict, lost, bound_of(evidence, "lost").value_or(0));
  if (acknowledged == 0) {
    verdict.judgement = Judgement::fail;
    verdict.value = "nothing was acknowledged";
  }
  return verdict;
}

Verdict judge_outcomes(const Evidence& evidence) {
  Verdict verdict{.name = "outcomes", .about = "tasks that were shown two different outcomes"};
  std::uint64_t changed = 0;
  each_task(evidence, [&](const std::string& id, const JobFacts&, std::uint64_t index,
                          const TaskFacts& task) {
    if (task.outcomes.size() < 2) return;
    ++changed;
    std::vector<std::string> shown;
    for (const Outcome& each : task.outcomes) {
      shown.push_back(text(std::string(to_string(each.state)), " by attempt ", each.attempt));
    }
    note(verdict, text(task_text(id, index), " was shown as ", joined(shown, ", then "), "; ",
                       attempts_text(task)));
  });
  judge_count(verdict, changed, 0);
  return verdict;
}

Verdict judge_phantoms(const Evidence& evidence) {
  Verdict verdict{.name = "phantoms", .about = "successes whose attempt left no mark of its end"};
  std::uint64_t phantoms = 0;
  each_task(evidence, [&](const std::string& id, const JobFacts& job, std::uint64_t index,
                          const TaskFacts& task) {
    if (job.canary) return;
    for (const Outcome& outcome : task.outcomes) {
      if (outcome.state != TaskState::succeeded) continue;
      const bool real = std::ranges::any_of(task.attempts, [&outcome](const Attempt& attempt) {
        return attempt.number == outcome.attempt && attempt.ended;
      });
      if (real) continue;
      ++phantoms;
      note(verdict, text(task_text(id, index), " succeeded by attempt ", outcome.attempt,
                         "; marks: ", attempts_text(task)));
    }
  });
  judge_count(verdict, phantoms, 0);
  return verdict;
}

Verdict judge_fencing(const Evidence& evidence) {
  Verdict verdict{.name = "fencing", .about = "attempt numbers that two processes were given"};
  std::uint64_t twice = 0;
  each_task(evidence, [&](const std::string& id, const JobFacts&, std::uint64_t index,
                          const TaskFacts& task) {
    std::set<std::uint32_t> numbers;
    bool bad = false;
    for (const Attempt& attempt : task.attempts) bad |= !numbers.insert(attempt.number).second;
    if (!bad) return;
    ++twice;
    note(verdict, text(task_text(id, index), ": ", attempts_text(task)));
  });
  judge_count(verdict, twice, 0);
  return verdict;
}

Verdict judge_at_most_once(const Evidence& evidence) {
  Verdict verdict{.name = "at_most_once", .about = "tasks so marked that were started again"};
  std::uint64_t again = 0;
  std::uint64_t marked = 0;
  each_task(evidence, [&](const std::string& id, const JobFacts& job, std::uint64_t index,
                          const TaskFacts& task) {
    if (!job.at_most_once) return;
    ++marked;
    if (task.attempts.size() < 2) return;
    ++again;
    note(verdict, text(task_text(id, index), ": ", attempts_text(task)));
  });
  verdict.value = text(again, " of ", marked);
  judge_count(verdict, again, 0);
  return verdict;
}

Verdict judge_failed(const Evidence& evidence) {
  Verdict verdict{.name = "failed", .about = "tasks that ended badly; their commands cannot"};
  std::uint64_t failed = 0;
  each_task(evidence, [&](const std::string& id, const JobFacts&, std::uint64_t index,
                          const TaskFacts& task) {
    const bool bad = std::ranges::any_of(task.outcomes, [](const Outcome& outcome) {
      return outcome.state != TaskState::succeeded && outcome.state != TaskState::lost;
    });
    if (!bad) return;
    ++failed;
    note(verdict,
         text(task_text(id, index), " is ", std::string(to_string(task.outcomes.front().state)),
              " (", task.outcomes.front().reason, "); ", attempts_text(task)));
  });
  judge_count(verdict, failed, bound_of(evidence, "failed").value_or(0));
  return verdict;
}

Verdict judge_given_up(const Evidence& evidence) {
  Verdict verdict{.name = "given_up",
                  .about =
                      "tasks whose outcome is `lost`: three nodes died under them, or they "
                      "were at_most_once"};
  std::uint64_t others = 0;
  std::uint64_t once = 0;
  each_task(evidence, [&](const std::string& id, const JobFacts& job, std::uint64_t index,
                          const TaskFacts& task) {
    const bool lost = std::ranges::any_of(
        task.outcomes, [](const Outcome& each) { return each.state == TaskState::lost; });
    if (!lost) return;
    (job.at_most_once ? once : others) += 1;
    if (!job.at_most_once) note(verdict, text(task_text(id, index), ": ", attempts_text(task)));
  });
  verdict.value = text(others, ", and ", once, " at_most_once");
  verdict.figure = others;
  if (const auto bound = bound_of(evidence, "given_up")) judge_count(verdict, others, *bound);
  if (verdict.judgement != Judgement::fail) verdict.details.clear();
  return verdict;
}

std::vector<Verdict> judge_overlaps(const Evidence& evidence) {
  Verdict verdict{.name = "overlaps", .about = "tasks with two attempts at work at a time"};
  Verdict excused{.name = "overlaps_thawed",
                  .about = "the same, within 1 s after a whole host was resumed"};
  std::uint64_t bad = 0;
  std::uint64_t thawed = 0;
  Time longest{0};
  each_task(evidence, [&](const std::string& id, const JobFacts&, std::uint64_t index,
                          const TaskFacts& task) {
    bool overlap = false;
    bool residue = false;
    for (std::size_t i = 0; i < task.attempts.size(); ++i) {
      for (std::size_t j = i + 1; j < task.attempts.size(); ++j) {
        const Attempt& older = task.attempts[i];
        const Attempt& later = task.attempts[j];
        if (later.start > older.last) continue;
        const auto thaw = thaw_of(evidence, older, later.start);
        if (thaw && older.last <= *thaw + kAfterThawMax) {
          residue = true;
          longest = std::max(longest, older.last - *thaw);
        } else {
          overlap = true;
        }
      }
    }
    bad += overlap ? 1 : 0;
    thawed += residue ? 1 : 0;
    if (overlap) note(verdict, text(task_text(id, index), ": ", attempts_text(task)));
  });
  judge_count(verdict, bad, bound_of(evidence, "overlaps").value_or(0));
  excused.figure = thawed;
  excused.value =
      thawed == 0 ? "0" : text(thawed, ", at most ", duration_text(longest), " after the thaw");
  return {verdict, excused};
}

Verdict judge_crashes(const Evidence& evidence) {
  Verdict verdict{.name = "crashes", .about = "nodes that ended although nobody told them to"};
  for (const CrashFacts& crash : evidence.crashes) {
    note(verdict,
         text(crash.node, " at ", duration_text(crash.t), "; see nodes/", crash.node, ".log"));
  }
  judge_count(verdict, evidence.crashes.size(), 0);
  return verdict;
}

Verdict judge_serving(const Evidence& evidence) {
  Verdict verdict{.name = "serving", .about = "shards that take no submission in the end"};
  std::optional<RecoveryFacts> last;
  for (const RecoveryFacts& each : evidence.recoveries) {
    if (each.fault == 0) last = each;
  }
  if (!last) {
    verdict.judgement = Judgement::fail;
    verdict.value = "it was not looked at";
    return verdict;
  }
  verdict.value = text(last->open, " of ", last->shards);
  judge_count(verdict, last->open, 0);
  return verdict;
}

Verdict judge_views(const Evidence& evidence) {
  Verdict verdict{.name = "views", .about = "after all is healed each node sees all others alive"};
  const double limit =
      bound_of(evidence, "ring_agrees_within").value_or(static_cast<double>(kViewsLimit.count()));
  verdict.limit = duration_text(Ms(static_cast<std::int64_t>(limit)));
  const Time healed = evidence.phase("healed", Time(0));
  Time agreed = healed;
  bool all = !evidence.nodes.empty();
  for (const std::string& observer : evidence.nodes) {
    std::string wrong = "was never asked";
    const auto views = evidence.views.find(observer);
    for (const ViewFacts& view :
         views == evidence.views.end() ? std::vector<ViewFacts>() : views->second) {
      const bool was_wrong = !wrong.empty();
      wrong = view.sees ? "" : "does not answer";
      for (const std::string& other : evidence.nodes) {
        if (!view.sees) break;
        const auto state = view.sees->find(other);
        if (state != view.sees->end() && state->second == "alive") continue;
        wrong = text("sees ", other, " ", state == view.sees->end() ? "not" : state->second);
      }
      if (was_wrong && wrong.empty()) agreed = std::max(agreed, view.t);
    }
    if (wrong.empty()) continue;
    all = false;
    note(verdict, text(observer, " ", wrong));
  }
  const Time took = agreed - healed;
  verdict.value = all ? duration_text(took) : "never";
  if (all) verdict.figure = took.count() / 1000;
  const bool good = all && static_cast<double>(took.count()) / 1000 <= limit;
  verdict.judgement = good ? Judgement::pass : Judgement::fail;
  return verdict;
}

}  // namespace shoal::chaos
