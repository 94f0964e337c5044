#include "tools/chaos/run.hpp"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "shoal/version.hpp"
#include "tools/chaos/heal.hpp"
#include "tools/chaos/prepare.hpp"
#include "tools/chaos/stage.hpp"
#include "tools/chaos/timeline.hpp"
#include "tools/chaos/verdicts.hpp"

namespace shoal::chaos {
namespace {

namespace fs = std::filesystem;

constexpr Ms kWholeLimit{60'000};
constexpr Ms kLease{5'000};  // The shortest (design, section 8).

void tell_healed(const std::vector<Healed>& healed) {
  for (const Healed& each : healed) {
    tell(text("left over from a run that crashed, ", each.error ? "not healed: " : "healed: ",
              each.what, each.error ? ": " + each.error->message : std::string()));
  }
}

Json environment_of() {
  utsname kernel{};
  ::uname(&kernel);
  const std::int64_t pages = ::sysconf(_SC_PHYS_PAGES);
  return {{"cores", ::sysconf(_SC_NPROCESSORS_ONLN)},
          {"memory_bytes", pages * ::sysconf(_SC_PAGESIZE)},
          {"kernel", kernel.release},
          {"root", ::geteuid() == 0}};
}

Json run_json(const Prepared& prepared, const Recording& recording,
              const std::vector<BackendNode>& nodes, const std::vector<std::string>& command) {
  const Scenario& scenario = prepared.scenario;
  Json list = Json::array();
  for (const BackendNode& node : nodes) {
    list.push_back({{"name", node.name}, {"address", node.address}});
  }
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  const auto origin = recording.origin().time_since_epoch();
  return {{"schema", "shoal.chaos.run/1"},
          {"version", kVersion},
          {"scenario", scenario.name},
          {"about", scenario.about},
          {"seed", prepared.seed},
          {"backend", prepared.backend->name()},
          {"nodes", list},
          {"tasks", scenario.load.tasks},
          {"warmup_ms", scenario.warmup.count()},
          {"duration_ms", scenario.duration.count()},
          {"settle_ms", scenario.settle.count()},
          {"lease_ms", kLease.count()},
          {"expect", scenario.expect},
          {"notes", prepared.schedule.notes},
          {"origin_ns", std::chrono::nanoseconds(origin).count()},
          {"origin_wall_ms", std::chrono::duration_cast<Ms>(wall).count()},
          {"environment", environment_of()},
          {"command", command}};
}

// Acknowledgements from the clients, starts and ends from the marks, side by side.
std::string rates_csv(const Recording& recording, const Evidence& evidence) {
  struct Bucket {
    std::uint32_t starts = 0;
    std::uint32_t ends = 0;
    std::vector<Time> latencies;
  };
  std::map<std::int64_t, Bucket> buckets;
  const auto bucket_of = [](Time t) { return t / Time(kRateBucket); };
  for (const auto& [id, job] : evidence.jobs) {
    for (const TaskFacts& task : job.facts) {
      for (const Attempt& attempt : task.attempts) {
        Bucket& start = buckets[bucket_of(attempt.start)];
        ++start.starts;
        if (job.begun && attempt.number == task.attempts.front().number) {
          start.latencies.push_back(attempt.start - *job.begun);
        }
        if (attempt.ended) ++buckets[bucket_of(attempt.last)].ends;
      }
    }
  }
  const std::vector<std::uint32_t>& acks = recording.acknowledgements();
  std::int64_t last = static_cast<std::int64_t>(acks.size());
  if (!buckets.empty()) last = std::max(last, buckets.rbegin()->first + 1);
  std::string csv = "t,acknowledged,starts,ends,start_p50_us,start_p99_us\n";
  for (std::int64_t i = 0; i < last; ++i) {
    const Bucket bucket = buckets.contains(i) ? buckets[i] : Bucket();
    const auto at = static_cast<std::size_t>(i);
    csv += text(i * Time(kRateBucket).count(), ",", at < acks.size() ? acks[at] : 0, ",",
                bucket.starts, ",", bucket.ends, ",",
                percentile(bucket.latencies, 0.5).value_or(Time(0)).count(), ",",
                percentile(bucket.latencies, 0.99).value_or(Time(0)).count(), "\n");
  }
  return csv;
}

// The judgement of a folder: written beside it and printed.
int conclude(const fs::path& folder, const Evidence& evidence, const std::string& junit) {
  const Report report = judge(evidence);
  const std::string table = table_of(report);
  std::ofstream(folder / "report.txt", std::ios::trunc) << table;
  std::ofstream(folder / "summary.json", std::ios::trunc)
      << dumped(summary_of(evidence, report), 2) << '\n';
  std::ofstream(folder / "timeline.svg", std::ios::trunc) << timeline_svg(evidence);
  std::ofstream(folder / "report.html", std::ios::trunc) << report_html(evidence, report);
  if (!junit.empty()) {
    std::ofstream file(junit, std::ios::trunc);
    file << junit_of(evidence, report);
    file.close();
    if (!file) tell(text("--junit: ", junit, " cannot be written"));
  }
  std::fputs(table.c_str(), stdout);
  std::printf("%s  %s, seed %s, in %s\n", report.good() ? "PASS" : "FAIL",
              field(evidence.run, "scenario", std::string()).c_str(),
              dumped(field(evidence.run, "seed", Json())).c_str(), folder.c_str());
  return report.good() ? kExitGood : kExitFailed;
}

void copy_logs(const std::vector<BackendNode>& nodes, const fs::path& folder) {
  for (const BackendNode& node : nodes) {
    std::error_code ignored;
    fs::copy_file(node.log, folder / "nodes" / (node.name + ".log"),
                  fs::copy_options::overwrite_existing, ignored);
  }
}

// One after the other: what one run is made of.
class Production {
 public:
  Production(Prepared prepared, const RunOptions& options, Journal journal)
      : prepared_(std::move(prepared)), options_(options), journal_(std::move(journal)) {}

  int run() {
    const int status = perform_all();
    // Also when the cluster did not come up: nothing of it stays.
    bool whole = true;
    for (const Healed& each : heal_journal(journal_.path(), Which::all)) {
      if (!each.error) continue;
      whole = false;
      tell(text("not healed: ", each.what, ": ", each.error->message));
    }
    if (whole) {
      if (const auto closed = journal_.close(); !closed) return failed(closed.error());
    } else {
      tell("`shoal-chaos heal` tries again");
    }
    return whole || status != kExitGood ? status : kExitFailed;
  }

 private:
  Result<void> bear() {
    const Plan birth = prepared_.backend->birth();
    if (birth.inject.empty()) return {};
    tell(text("starting a cluster of ", prepared_.scenario.cluster.nodes, " nodes"));
    const auto entry = journal_.open_entry("a cluster of its own", birth.heal, std::nullopt);
    if (!entry) return std::unexpected(entry.error());
    if (auto done = perform_steps(birth.inject); !done) return done;
    return prepared_.backend->enter();
  }

  int perform_all() {
    if (const auto born = bear(); !born) {
      failed(born.error());
      return kExitUnreachable;
    }
    const auto nodes = prepared_.backend->nodes();
    if (!nodes) {
      failed(nodes.error());
      return kExitUnreachable;
    }
    if (const auto there = wait_until_whole(*nodes, kWholeLimit); !there) {
      failed(there.error());
      return kExitUnreachable;
    }
    const fs::path folder =
        options_.out.empty()
            ? fs::path("chaos-out") / run_folder_name(prepared_.scenario.name, prepared_.seed)
            : fs::absolute(options_.out);
    auto recording = Recording::create(folder);
    if (!recording) return failed(recording.error());
    if (const auto noted = note(*recording, *nodes); !noted) return failed(noted.error());
    bool finished = false;
    {
      Stage stage(prepared_, journal_, *recording, *nodes);
      finished = stage.play();
    }
    recording->flush();
    copy_logs(*nodes, recording->folder());
    if (const auto gathered = prepared_.backend->gather(recording->folder()); !gathered) {
      return failed(gathered.error());
    }
    const auto evidence = load_evidence(recording->folder());
    if (!evidence) return failed(evidence.error());
    const auto saved = recording->save("rates.csv", rates_csv(*recording, *evidence));
    if (!saved) return failed(saved.error());
    if (!finished) return kExitInterrupted;
    return conclude(recording->folder(), *evidence, options_.junit);
  }

  Result<void> note(const Recording& recording, const std::vector<BackendNode>& nodes) const {
    const Json run = run_json(prepared_, recording, nodes, options_.command);
    Scenario as_run = prepared_.scenario;
    as_run.seed = prepared_.seed;
    const Scenario replay = fixed(prepared_.scenario, prepared_.schedule, prepared_.seed);
    for (const auto& [file, content] : {std::pair{"run.json", dumped(run, 2) + "\n"},
                                        {"scenario.toml", toml_of(as_run)},
                                        {"replay.toml", toml_of(replay)}}) {
      if (auto saved = recording.save(file, content); !saved) return saved;
    }
    return {};
  }

  Prepared prepared_;
  const RunOptions& options_;
  Journal journal_;
};

}  // namespace

void tell(const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); }

int failed(const Error& error) {
  tell("shoal-chaos: " + error.message);
  switch (error.code) {
    case ErrorCode::bad_input:
      return kExitUsage;
    case ErrorCode::not_found:
    case ErrorCode::unavailable:
      return kExitUnreachable;
    default:
      return kExitFailed;
  }
}

int run(const RunOptions& options) {
  if (!options.dry_run) tell_healed(heal_everything(Whose::crashed));
  auto prepared = prepare(options);
  if (!prepared) return failed(prepared.error());
  if (options.dry_run) {
    const auto whole = rehearsal(*prepared);
    if (!whole) return failed(whole.error());
    std::fputs(whole->c_str(), stdout);
    return kExitGood;
  }
  tell(text("seed ", prepared->seed));
  for (const std::string& note : prepared->schedule.notes) tell("note: " + note);
  for (const Planned& planned : prepared->schedule.faults) tell(text_of(planned));
  auto journal = Journal::create(journal_folder(), "run " + prepared->scenario.name,
                                 prepared->backend->name());
  if (!journal) return failed(journal.error());
  if (const auto watch = start_dead_man(journal->path()); !watch) return failed(watch.error());
  Production production(*std::move(prepared), options, *std::move(journal));
  return production.run();
}

int check(const fs::path& folder, const std::string& junit) {
  const auto evidence = load_evidence(folder);
  if (!evidence) {
    failed(evidence.error());
    return kExitUsage;
  }
  return conclude(folder, *evidence, junit);
}

}  // namespace shoal::chaos
