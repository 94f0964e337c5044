#include "tools/chaos/prepare.hpp"

#include <filesystem>
#include <random>

#include "tools/chaos/process.hpp"

namespace shoal::chaos {
namespace {

namespace fs = std::filesystem;

std::uint64_t fresh_seed() {
  std::random_device source;
  return source() % 1'000'000;  // People copy it.
}

std::string indented(const std::vector<std::string>& lines) {
  std::string whole;
  for (const std::string& line : lines) whole += text("            ", line, "\n");
  return whole;
}

}  // namespace

Result<Prepared> prepare(const RunOptions& options) {
  const auto path = find_scenario(options.scenario);
  if (!path) return std::unexpected(path.error());
  const auto toml = read_text(*path);
  if (!toml) return std::unexpected(toml.error());
  auto scenario = parse_scenario(*toml, *path, options.sets);
  if (!scenario) return std::unexpected(scenario.error());
  if (options.duration) {
    if (*options.duration <= scenario->warmup) {
      return fail(ErrorCode::bad_input,
                  text("--duration ", duration_text(*options.duration),
                       " is not longer than the warm-up of ", duration_text(scenario->warmup)));
    }
    stretch(*scenario, *options.duration);
  }
  Prepared prepared{.scenario = *std::move(scenario)};
  prepared.seed = options.seed.value_or(prepared.scenario.seed.value_or(fresh_seed()));
  const ClusterSpec& cluster = prepared.scenario.cluster;
  auto backend =
      open_backend({.against = options.against.empty() ? cluster.backend : options.against,
                    .shoal = options.shoal,
                    .folder = options.folder,
                    .nodes = cluster.nodes,
                    .disk_bytes = cluster.disk_bytes,
                    .faults = prepared.scenario.kinds(),
                    .imaginary = options.dry_run});
  if (!backend) return std::unexpected(backend.error());
  prepared.backend = *std::move(backend);
  const Backend& asked = *prepared.backend;
  const fs::path marker = asked.mark_program({});
  if (marker.parent_path() == this_program().parent_path() && !fs::exists(marker)) {
    return fail(ErrorCode::bad_input,
                text("the program that every task of a run executes is not there: ",
                     marker.string(), ". Build it, or put it beside shoal-chaos"));
  }
  auto schedule = plan_schedule(prepared.scenario, prepared.seed, asked.names(),
                                [&asked](const Fault& fault) { return asked.cannot(fault); });
  if (!schedule) {
    return fail(schedule.error().code,
                text(*path, ": with the back end ", asked.name(), ":\n", schedule.error().message));
  }
  prepared.schedule = *std::move(schedule);
  return prepared;
}

Result<std::string> rehearsal(Prepared& prepared) {
  const Scenario& scenario = prepared.scenario;
  Backend& backend = *prepared.backend;
  std::string whole = text("scenario ", scenario.name, ", seed ", prepared.seed, ", back end ",
                           backend.name(), ", nodes ", joined(backend.names()), "\n");
  const Plan birth = backend.birth();
  if (!birth.inject.empty()) {
    whole += "first, a cluster of its own:\n" + indented(texts_of(birth.inject));
  }
  const auto nodes = backend.nodes();
  if (!nodes) return std::unexpected(nodes.error());
  whole += text("load: ", scenario.load.tasks, " tasks in arrays of ", scenario.load.array,
                " through ", scenario.load.clients, " clients\n");
  for (const std::string& note : prepared.schedule.notes) whole += text("note: ", note, "\n");
  for (const Planned& planned : prepared.schedule.faults) {
    whole += text_of(planned) + "\n";
    if (planned.lookup) continue;
    const auto plan = plan_of(backend, planned.injection);
    if (!plan) {
      whole += text("            (", plan.error().message, ")\n");
      continue;
    }
    whole += indented(texts_of(plan->inject));
    whole += text("          and at ", duration_text(planned.until), " to heal it:\n",
                  indented(texts_of(plan->heal)));
  }
  if (!birth.heal.empty()) whole += "in the end:\n" + indented(texts_of(birth.heal));
  return whole;
}

}  // namespace shoal::chaos
