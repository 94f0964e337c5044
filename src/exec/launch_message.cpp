#include "exec/launch_message.hpp"

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "base/format.hpp"

namespace shoal::exec {
namespace {

// Cpus as a decimal number without needless zeros: 1000 is "1", 500 is "0.5".
std::string cpus_text(std::uint32_t cpu_millis) {
  std::string text = format("{}.{:03}", cpu_millis / 1000, cpu_millis % 1000);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

bool reserved(std::string_view name) {
  return name == "SHOAL_JOB_ID" || name == "SHOAL_TASK_INDEX" || name == "SHOAL_ATTEMPT" ||
         name == "SHOAL_NODE" || name == "SHOAL_CPUS" || name == "SHOAL_SUPERVISOR";
}

std::vector<std::string> environment_for(const task::Launch& launch, NodeId node,
                                         const std::vector<EnvironmentVariable>& defaults) {
  const TaskId task = launch.attempt.task;
  std::vector<std::string> environment;
  environment.reserve(5 + launch.spec.environment.size() + defaults.size());
  environment.push_back("SHOAL_JOB_ID=" + to_string(task.job));
  environment.push_back(format("SHOAL_TASK_INDEX={}", task.index));
  environment.push_back(format("SHOAL_ATTEMPT={}", launch.attempt.number));
  environment.push_back("SHOAL_NODE=" + to_string(node));
  environment.push_back("SHOAL_CPUS=" + cpus_text(launch.spec.cpu_millis));
  for (const EnvironmentVariable& variable : launch.spec.environment) {
    if (!reserved(variable.name)) environment.push_back(variable.name + "=" + variable.value);
  }
  for (const EnvironmentVariable& variable : defaults) {
    const bool given =
        std::ranges::find(launch.spec.environment, variable.name, &EnvironmentVariable::name) !=
        launch.spec.environment.end();
    if (!given) environment.push_back(variable.name + "=" + variable.value);
  }
  return environment;
}

}  // namespace

std::vector<EnvironmentVariable> default_environment() {
  std::vector<EnvironmentVariable> variables;
  for (const char* name : {"PATH", "HOME", "USER", "LANG", "TMPDIR"}) {
    const char* value = getenv(name);
    if (value != nullptr) variables.push_back({.name = name, .value = value});
  }
  return variables;
}

LaunchMessage launch_message(const task::Launch& launch, NodeId node, const OutputFiles& files,
                             const std::vector<EnvironmentVariable>& defaults) {
  const TaskSpec& spec = launch.spec;
  const bool scratch = spec.working_folder.empty();
  return {
      .attempt = launch.attempt,
      .shard = launch.shard,
      .cpu_millis = spec.cpu_millis,
      .memory_bytes = spec.memory_bytes,
      .lease_end = launch.lease_end,
      .timeout = spec.timeout,
      .output_bytes_max = spec.output_bytes_max,
      .scratch = scratch,
      .working_folder = scratch ? files.scratch_folder(launch.attempt) : spec.working_folder,
      .stdin_file = spec.stdin_file,
      .output_files = {files.file(launch.attempt, task::Stream::out),
                       files.file(launch.attempt, task::Stream::err)},
      .argv = spec.argv,
      .environment = environment_for(launch, node, defaults),
  };
}

}  // namespace shoal::exec
