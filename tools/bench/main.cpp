// shoal-bench: throughput, latency, memory and recovery of a cluster, as a program outside sees
// them.
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <functional>

#include "shoal/version.hpp"
#include "tools/bench/figures.hpp"

namespace shoal::bench {
namespace {

using Measure = Result<Sections> (*)(Loop&, const Options&);

struct Figure {
  const char* name;
  const char* text;
  Measure measure;
};

constexpr Figure kFigures[] = {
    {"noop", "No-op tasks end to end: tasks/s, and latency one at a time (1 and 3 nodes)",
     measure_noop},
    {"process", "/bin/true tasks/s beside xargs -P2 -n1 (3 nodes)", measure_process},
    {"memory", "Resident bytes per queued task and copy, at 100,000 and 1,000,000 (3 nodes)",
     measure_memory},
    {"recover", "Seconds to restart a killed node that holds 1,000,000 records (3 nodes)",
     measure_recover},
};

std::string program_beside() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "shoal" : (self.parent_path() / "shoal").string();
}

// The fields of the last configuration stand at the top as well: the one that a figure's goal is
// about.
void print_json(const std::string& figure, const Sections& sections) {
  Json json{{"schema", "shoal.bench/1"},
            {"figure", figure},
            {"version", kVersion},
            {"cores", ::sysconf(_SC_NPROCESSORS_ONLN)}};
  json.update(sections.back().json);
  json["configurations"] = Json::array();
  for (const Section& section : sections) json["configurations"].push_back(section.json);
  std::printf("%s\n", json.dump().c_str());
}

void print_lines(const Sections& sections) {
  for (const Section& section : sections) {
    std::printf("%s\n", section.title.c_str());
    std::size_t width = 0;
    for (const auto& [what, value] : section.lines) width = std::max(width, what.size());
    for (const auto& [what, value] : section.lines) {
      std::printf("  %-*s  %s\n", static_cast<int>(width), what.c_str(), value.c_str());
    }
  }
}

void add_options(CLI::App& app, Options& options, bool& json) {
  app.fallthrough();
  app.add_option("--nodes", options.nodes, "Nodes of the cluster it starts")
      ->check(CLI::Range(1, 64));
  app.add_option("--addr", options.addresses, "A running cluster, HOST:PORT with commas")
      ->excludes("--nodes");
  app.add_option("--tasks", options.tasks, "Tasks of each run")->check(CLI::PositiveNumber);
  app.add_option("--runs", options.runs, "Runs to take the median of")->check(CLI::Range(1, 1000));
  app.add_option("--connections", options.connections, "Clients at once, each with a job in flight")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--latency-tasks", options.latency_tasks, "Tasks handed in one at a time")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--shoal", options.shoal, "The shoal program (default: the one beside this)");
  app.add_option("--dir", options.folder, "Where its cluster keeps its data: a folder on a disk")
      ->capture_default_str();
  app.add_flag("--json", json, "One JSON object on standard output");
  app.require_subcommand(1);
}

int run(const Figure& figure, const Options& options, bool json) {
  Loop loop;
  const auto sections = figure.measure(loop, options);
  if (!sections) {
    std::fprintf(stderr, "shoal-bench: %s: %s\n", figure.name, sections.error().message.c_str());
    return 1;
  }
  if (json) {
    print_json(figure.name, *sections);
  } else {
    print_lines(*sections);
  }
  return 0;
}

}  // namespace

Result<Cluster> cluster_for(const Options& options, std::uint32_t nodes) {
  if (!options.addresses.empty()) return Cluster::at(options.addresses);
  tell("starting " + std::to_string(nodes) + (nodes == 1 ? " node" : " nodes"));
  return Cluster::start(options.shoal, options.folder, nodes);
}

void tell(const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); }

}  // namespace shoal::bench

int main(int argc, char** argv) {
  using shoal::bench::kFigures;
  shoal::bench::Options options{.shoal = shoal::bench::program_beside(), .folder = "/var/tmp"};
  bool json = false;
  CLI::App app("Measures a shoal cluster; each figure is the median of several runs.");
  shoal::bench::add_options(app, options, json);
  for (const auto& figure : kFigures) app.add_subcommand(figure.name, figure.text);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  for (const auto& figure : kFigures) {
    if (app.got_subcommand(figure.name)) return shoal::bench::run(figure, options, json);
  }
  return 2;
}
