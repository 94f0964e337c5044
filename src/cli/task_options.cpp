#include "cli/task_options.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "base/format.hpp"
#include "base/units.hpp"

namespace shoal::cli {
namespace {

constexpr std::array<std::string_view, 6> kPlaceholders{"{}", "{.}", "{/}", "{//}", "{/.}", "{#}"};

Error named(std::string_view option, const Error& error) {
  return {error.code, format("{}: {}", option, error.message)};
}

Result<std::vector<EnvironmentVariable>> environment_of(const std::vector<std::string>& texts) {
  std::vector<EnvironmentVariable> variables;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    const std::string name = text.substr(0, equals);
    if (name.empty()) {
      return fail(ErrorCode::bad_input, format("--env \"{}\": write NAME=VALUE or NAME", text));
    }
    if (equals != std::string::npos) {
      variables.push_back({name, text.substr(equals + 1)});
    } else if (const char* value = std::getenv(name.c_str())) {
      variables.push_back({name, value});
    } else {
      return fail(ErrorCode::bad_input,
                  format("--env {}: no such variable is set here; write {}=VALUE", name, name));
    }
  }
  return variables;
}

// Tasks run on any node, so a relative path is taken from here, not from there.
std::string absolute(const std::string& path) {
  std::error_code error;
  const auto whole = std::filesystem::absolute(path, error);
  return error ? path : whole.lexically_normal().string();
}

Result<Retention> retention_of(const std::string& text) {
  static const std::map<std::string, Retention> kClasses{{"hour", Retention::hour},
                                                         {"week", Retention::week},
                                                         {"month", Retention::month},
                                                         {"quarter", Retention::quarter}};
  const auto found = kClasses.find(text);
  if (found != kClasses.end()) return found->second;
  return fail(ErrorCode::bad_input,
              format("--keep \"{}\": give hour, week, month or quarter", text));
}

Result<std::pair<JobId, Nonce>> parse_resume(std::string_view text) {
  const std::size_t colon = text.find(':');
  const auto wrong = fail(ErrorCode::bad_input,
                          format("--continue \"{}\": give ID:NONCE as the interrupted submission "
                                 "printed it",
                                 text));
  if (colon == std::string_view::npos || text.size() - colon - 1 != 32) return wrong;
  const auto id = parse_job_id(text.substr(0, colon));
  if (!id) return wrong;
  Nonce nonce;
  const char* digits = text.data() + colon + 1;
  const auto high = std::from_chars(digits, digits + 16, nonce.high, 16);
  const auto low = std::from_chars(digits + 16, digits + 32, nonce.low, 16);
  if (high.ptr != digits + 16 || low.ptr != digits + 32) return wrong;
  return std::pair(*id, nonce);
}

Result<void> fill(TaskSpec& spec, const TaskOptions& options) {
  const auto cpus = parse_cpus(options.cpus);
  if (!cpus) return std::unexpected(named("--cpus", cpus.error()));
  spec.cpu_millis = *cpus;
  if (!options.memory.empty()) {
    const auto memory = parse_size(options.memory);
    if (!memory) return std::unexpected(named("--mem", memory.error()));
    spec.memory_bytes = *memory;
  }
  if (!options.timeout.empty()) {
    const auto timeout = parse_duration(options.timeout);
    if (!timeout) return std::unexpected(named("--timeout", timeout.error()));
    spec.timeout = *timeout;
  }
  auto environment = environment_of(options.environment);
  if (!environment) return std::unexpected(environment.error());
  spec.environment = std::move(*environment);
  if (options.here) spec.working_folder = absolute(".");
  if (!options.working_folder.empty()) spec.working_folder = absolute(options.working_folder);
  if (!options.stdin_file.empty()) spec.stdin_file = absolute(options.stdin_file);
  spec.retries = options.retries;
  spec.at_most_once = options.at_most_once;
  spec.priority = options.priority;
  return {};
}

}  // namespace

void add_task_options(CLI::App& command, TaskOptions& options) {
  command.add_option("--cpus", options.cpus, "Cpus the task needs, such as 0.5 or 2")
      ->default_str("1");
  command.add_option("--mem", options.memory, "Memory the task needs, such as 512MiB");
  command.add_option("--env", options.environment, "Sets a variable: K=V, or K to pass it on")
      ->allow_extra_args(false);
  auto* folder = command.add_option("--cwd", options.working_folder,
                                    "Working folder on the node; without it a scratch folder");
  command.add_flag("--here", options.here, "Working folder: the path of this one")
      ->excludes(folder);
  command.add_option("--stdin", options.stdin_file, "File to read from, on the executing node");
  command.add_option("--name", options.name, "A name for people");
  command.add_option("--timeout", options.timeout, "Ends the task after this time, such as 5m");
  command.add_option("--retries", options.retries, "Failures that are tried again");
  command.add_flag("--at-most-once", options.at_most_once,
                   "Never start a task twice: one whose node is lost ends as lost");
  command.add_option("--priority", options.priority, "Higher ones first; may be negative");
  command.add_option("--keep", options.keep, "How long records stay: hour, week, month, quarter")
      ->default_str("week");
  command.add_option("-c", options.shell_text, "Text for /bin/sh -c; further words are $1, $2...");
  command.add_option("--continue", options.resume, "Goes on with an interrupted submission");
}

Result<Submission> submission_of(const TaskOptions& options, std::vector<std::string> words) {
  Submission submission{.name = options.name};
  const Result<void> filled = fill(submission.spec, options);
  if (!filled) return std::unexpected(filled.error());
  const auto retention = retention_of(options.keep);
  if (!retention) return std::unexpected(retention.error());
  submission.retention = *retention;
  if (!options.resume.empty()) {
    const auto identity = parse_resume(options.resume);
    if (!identity) return std::unexpected(identity.error());
    submission.id = identity->first;
    submission.nonce = identity->second;
  }
  if (!options.shell_text.empty()) {
    if (has_placeholder({options.shell_text})) {
      return fail(ErrorCode::bad_input,
                  "-c: values are never pasted into shell text; write \"$1\" there and {} behind "
                  "the text, as in -c 'gzip \"$1\"' -- {}");
    }
    std::vector<std::string> shell{"/bin/sh", "-c", options.shell_text, "sh"};
    shell.insert(shell.end(), words.begin(), words.end());
    words = std::move(shell);
  }
  if (words.empty() || words.front().empty()) {
    return fail(ErrorCode::bad_input,
                "no command was given; write it behind --, as in -- sha256sum /etc/hostname");
  }
  submission.spec.argv = std::move(words);
  if (submission.name.empty()) {
    const bool shell = !options.shell_text.empty();
    submission.name =
        shell ? "sh" : std::filesystem::path(submission.spec.argv.front()).filename().string();
  }
  return submission;
}

bool has_placeholder(const std::vector<std::string>& words) {
  return std::ranges::any_of(words, [](const std::string& word) {
    return std::ranges::any_of(
        kPlaceholders, [&](std::string_view one) { return word.find(one) != std::string::npos; });
  });
}

Result<std::vector<std::string>> array_elements(std::string_view text) {
  const auto wrong = fail(ErrorCode::bad_input,
                          format("--array \"{}\": write FIRST-LAST or FIRST-LAST:STEP, such as "
                                 "0-99:2",
                                 text));
  const char* at = text.data();
  const char* end = at + text.size();
  std::uint64_t first = 0;
  std::uint64_t step = 1;
  auto parsed = std::from_chars(at, end, first);
  if (parsed.ec != std::errc{}) return wrong;
  std::uint64_t last = first;
  if (parsed.ptr != end && *parsed.ptr == '-') parsed = std::from_chars(parsed.ptr + 1, end, last);
  if (parsed.ec != std::errc{}) return wrong;
  if (parsed.ptr != end && *parsed.ptr == ':') parsed = std::from_chars(parsed.ptr + 1, end, step);
  if (parsed.ec != std::errc{} || parsed.ptr != end || step == 0 || last < first) return wrong;
  if ((last - first) / step >= kJobTasksMax) {
    return fail(ErrorCode::bad_input,
                format("--array \"{}\": at most {} elements make one job", text, kJobTasksMax));
  }
  std::vector<std::string> elements;
  for (std::uint64_t left = (last - first) / step + 1, value = first; left > 0; --left) {
    elements.push_back(std::to_string(value));
    value += step;
  }
  return elements;
}

std::string resume_text(const Submitted& submitted) {
  return format("{}:{:016x}{:016x}", to_string(submitted.id), submitted.nonce.high,
                submitted.nonce.low);
}

}  // namespace shoal::cli
