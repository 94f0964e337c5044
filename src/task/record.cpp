#include "task/record.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/format.hpp"

namespace shoal::task {
namespace {

// Linux passes no single argument or variable longer than this (MAX_ARG_STRLEN, with its NUL).
constexpr std::size_t kWordBytesMax = 128 * 1024 - 1;
constexpr std::uint32_t kCpuMillisMax = 1'000'000;
constexpr std::uint64_t kMemoryBytesMax = std::uint64_t{1} << 50;
constexpr std::uint32_t kRetriesMax = 1000;
constexpr std::chrono::milliseconds kTimeMax = std::chrono::hours(24 * 365 * 10);

// What a list entry costs beside its bytes when it is stored or sent.
constexpr std::size_t kEntryBytes = 16;

bool has_nul(std::string_view text) { return text.contains('\0'); }

std::optional<std::string> check_argv(const TaskSpec& spec) {
  if (spec.kind == TaskKind::process && (spec.argv.empty() || spec.argv.front().empty())) {
    return "The task has no command: give the program to run as its first argument.";
  }
  for (std::size_t i = 0; i < spec.argv.size(); ++i) {
    if (has_nul(spec.argv[i])) {
      return format(
          "Argument {} of the command has a NUL byte, which no program can be given: remove it, or "
          "pass the data through a file.",
          i);
    }
    if (spec.argv[i].size() > kWordBytesMax) {
      return format(
          "Argument {} of the command has {} bytes, and Linux passes at most {}: put the data into "
          "a file and name the file.",
          i, spec.argv[i].size(), kWordBytesMax);
    }
  }
  return std::nullopt;
}

std::optional<std::string> check_environment(const TaskSpec& spec) {
  for (const auto& [name, value] : spec.environment) {
    if (name.empty()) {
      return "An environment variable has no name: write it as NAME=VALUE.";
    }
    if (name.contains('=') || has_nul(name)) {
      return format(
          "The environment variable name \"{}\" has a '=' or a NUL byte in it: use letters, digits "
          "and underscores.",
          std::string_view(name).substr(0, name.find('\0')));
    }
    if (has_nul(value)) {
      return format(
          "The environment variable {} has a NUL byte in its value, which no program can be given: "
          "remove it, or pass the data through a file.",
          name);
    }
    if (name.size() + 1 + value.size() > kWordBytesMax) {
      return format(
          "The environment variable {} has {} bytes with its name, and Linux passes at most {}: "
          "put "
          "the data into a file and name the file.",
          std::string_view(name).substr(0, 64), name.size() + 1 + value.size(), kWordBytesMax);
    }
  }
  return std::nullopt;
}

std::optional<std::string> check_files(const TaskSpec& spec) {
  if (has_nul(spec.working_folder)) {
    return "The working folder's path has a NUL byte in it: give a path as `ls` shows it.";
  }
  if (!spec.working_folder.empty() && !spec.working_folder.starts_with('/')) {
    return format(
        "The working folder \"{}\" is a relative path, and nodes do not know relative to what: "
        "give it from / on, or leave it out for a scratch folder.",
        spec.working_folder);
  }
  if (has_nul(spec.stdin_file)) {
    return "The stdin file's path has a NUL byte in it: give a path as `ls` shows it.";
  }
  return std::nullopt;
}

std::optional<std::string> check_limits(const TaskSpec& spec) {
  using std::chrono::milliseconds;
  if (spec.cpu_millis > kCpuMillisMax) {
    return format("The task asks for {} cpus, and the limit is {}: ask for fewer.",
                  spec.cpu_millis / 1000, kCpuMillisMax / 1000);
  }
  if (spec.memory_bytes > kMemoryBytesMax) {
    return format("The task asks for {} GiB of memory, and the limit is {} GiB: ask for less.",
                  spec.memory_bytes >> 30, kMemoryBytesMax >> 30);
  }
  if (spec.timeout < milliseconds(0) || spec.timeout > kTimeMax) {
    return format(
        "The timeout of {} ms is not between 0 and ten years: give a time such as 90s, or 0 for "
        "none.",
        spec.timeout.count());
  }
  if (spec.sleep < milliseconds(0) || spec.sleep > kTimeMax) {
    return format(
        "The sleep of {} ms is not between 0 and ten years: give a time such as 250ms or 90s.",
        spec.sleep.count());
  }
  if (spec.at_most_once && spec.retries > 0) {
    return format(
        "The task is to run at most once and asks for {} retries, which would start it again: ask "
        "for one or the other.",
        spec.retries);
  }
  if (spec.retries > kRetriesMax) {
    return format("The task asks for {} retries, and the limit is {}: ask for fewer.", spec.retries,
                  kRetriesMax);
  }
  return std::nullopt;
}

// GNU parallel's parts of a path. `{.}` takes the last extension away, even all of `.profile`.
std::string_view without_extension(std::string_view path) {
  const std::size_t dot = path.find_last_of("./");
  if (dot == path.npos || path[dot] == '/' || dot + 1 == path.size()) return path;
  return path.substr(0, dot);
}

std::string_view base_name(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == path.npos ? path : path.substr(slash + 1);
}

// As dirname(1): slashes at the end do not count, `.` when there is no folder.
std::string_view folder_name(std::string_view path) {
  const auto without_slashes = [](std::string_view text) {
    return text.substr(0, text.find_last_not_of('/') + 1);
  };
  const bool absolute = path.starts_with('/');
  path = without_slashes(path);
  const std::size_t slash = path.rfind('/');
  if (slash == path.npos) return absolute ? "/" : ".";
  path = without_slashes(path.substr(0, slash));
  return path.empty() ? "/" : path;
}

struct Substitution {
  std::string_view mark;
  std::string value;
};

// One pass from the left: what a value brings in is never looked at again.
std::string substitute(std::string_view word, const std::array<Substitution, 6>& substitutions) {
  std::string result;
  while (!word.empty()) {
    const std::size_t brace = std::min(word.find('{'), word.size());
    result += word.substr(0, brace);
    word.remove_prefix(brace);
    const auto match = std::ranges::find_if(
        substitutions, [&](const Substitution& s) { return word.starts_with(s.mark); });
    if (match != substitutions.end()) {
      result += match->value;
      word.remove_prefix(match->mark.size());
    } else if (!word.empty()) {
      result += word.front();
      word.remove_prefix(1);
    }
  }
  return result;
}

}  // namespace

std::size_t spec_bytes(const TaskSpec& spec) {
  std::size_t bytes = spec.working_folder.size() + spec.stdin_file.size();
  for (const std::string& word : spec.argv) bytes += word.size() + kEntryBytes;
  for (const auto& [name, value] : spec.environment) {
    bytes += name.size() + value.size() + 2 * kEntryBytes;
  }
  return bytes;
}

std::optional<std::string> validate(const TaskSpec& spec) {
  if (const std::size_t bytes = spec_bytes(spec); bytes > kSpecBytesMax) {
    return format(
        "The task's description takes {} bytes (each argument and variable counts {} extra), and "
        "the limit is {}: put long data into a file and name the file.",
        bytes, kEntryBytes, kSpecBytesMax);
  }
  if (auto wrong = check_argv(spec)) return wrong;
  if (auto wrong = check_environment(spec)) return wrong;
  if (auto wrong = check_files(spec)) return wrong;
  return check_limits(spec);
}

TaskSpec element_spec(const TaskSpec& spec, std::uint32_t index, const std::string& argument) {
  TaskSpec result = spec;
  if (!spec.substitute) return result;
  result.substitute = false;
  const std::array<Substitution, 6> substitutions{{
      {"{}", argument},
      {"{.}", std::string(without_extension(argument))},
      {"{/}", std::string(base_name(argument))},
      {"{//}", std::string(folder_name(argument))},
      {"{/.}", std::string(without_extension(base_name(argument)))},
      {"{#}", std::to_string(std::uint64_t{index} + 1)},
  }};
  for (std::string& word : result.argv) word = substitute(word, substitutions);
  return result;
}

}  // namespace shoal::task
