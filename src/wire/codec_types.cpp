#include "wire/codec_types.hpp"

#include <algorithm>
#include <utility>

#include "task/record.hpp"

namespace shoal::wire {

void put(schema::EnvironmentVariable::Builder out, const EnvironmentVariable& variable) {
  out.setName(blob(variable.name));
  out.setValue(blob(variable.value));
}

EnvironmentVariable get(schema::EnvironmentVariable::Reader in, Reading& reading) {
  return {.name = reading.string(in.getName(), kSpecBytesMax),
          .value = reading.string(in.getValue(), kSpecBytesMax)};
}

void put(schema::TaskSpec::Builder out, const TaskSpec& spec) {
  out.setKind(static_cast<std::uint8_t>(spec.kind));
  out.setSubstitute(spec.substitute);
  out.setAtMostOnce(spec.at_most_once);
  out.setCpuMillis(spec.cpu_millis);
  out.setMemoryBytes(spec.memory_bytes);
  out.setTimeoutMs(spec.timeout.count());
  out.setSleepMs(spec.sleep.count());
  out.setRetries(spec.retries);
  out.setPriority(spec.priority);
  out.setOutputBytesMax(spec.output_bytes_max);
  if (!spec.argv.empty()) put_strings(out.initArgv(count(spec.argv)), spec.argv);
  if (!spec.environment.empty()) {
    put_list(out.initEnvironment(count(spec.environment)), spec.environment);
  }
  if (!spec.working_folder.empty()) out.setWorkingFolder(blob(spec.working_folder));
  if (!spec.stdin_file.empty()) out.setStdinFile(blob(spec.stdin_file));
}

TaskSpec get(schema::TaskSpec::Reader in, Reading& reading) {
  TaskSpec spec{
      .kind = reading.enumerated(in.getKind(), TaskKind::sleep),
      .argv = get_strings(in.getArgv(), reading, kSpecBytesMax),
      .environment = get_list<EnvironmentVariable>(in.getEnvironment(), reading),
      .working_folder = reading.string(in.getWorkingFolder(), kSpecBytesMax),
      .stdin_file = reading.string(in.getStdinFile(), kSpecBytesMax),
      .cpu_millis = in.getCpuMillis(),
      .memory_bytes = in.getMemoryBytes(),
      .timeout = reading.duration(in.getTimeoutMs()),
      .sleep = reading.duration(in.getSleepMs()),
      .retries = in.getRetries(),
      .priority = in.getPriority(),
      .output_bytes_max = in.getOutputBytesMax(),
      .substitute = in.getSubstitute(),
      .at_most_once = in.getAtMostOnce(),
  };
  if (task::spec_bytes(spec) > kSpecBytesMax) reading.reject("a description beyond its limit");
  return spec;
}

void put(schema::AttemptResult::Builder out, const AttemptResult& result) {
  out.setReason(static_cast<std::uint8_t>(result.reason));
  out.setExitStatus(result.exit_status);
  out.setSignal(result.signal);
  out.setStartedMs(result.started.time_since_epoch().count());
  out.setEndedMs(result.ended.time_since_epoch().count());
  out.setCpuTimeUs(result.cpu_time.count());
  out.setMemoryBytesPeak(result.memory_bytes_peak);
  out.setOutBytes(result.output_bytes[0]);
  out.setErrBytes(result.output_bytes[1]);
  out.setOutCapped(result.output_capped[0]);
  out.setErrCapped(result.output_capped[1]);
  if (!result.message.empty()) out.setMessage(blob(result.message));
}

AttemptResult get(schema::AttemptResult::Reader in, Reading& reading) {
  // Cut, not refused: the record or the report that holds it must stay readable.
  std::string message = reading.string(in.getMessage());
  message.resize(std::min(message.size(), kNameBytesMax));
  return {
      .reason = reading.enumerated(in.getReason(), EndReason::node_stopped),
      .exit_status = in.getExitStatus(),
      .signal = in.getSignal(),
      .started = reading.wall_time(in.getStartedMs()),
      .ended = reading.wall_time(in.getEndedMs()),
      .cpu_time = std::chrono::microseconds(in.getCpuTimeUs()),
      .memory_bytes_peak = in.getMemoryBytesPeak(),
      .output_bytes = {in.getOutBytes(), in.getErrBytes()},
      .output_capped = {in.getOutCapped(), in.getErrCapped()},
      .message = std::move(message),
  };
}

void put(schema::TaskCounts::Builder out, const TaskCounts& counts) {
  out.setTotal(counts.total);
  out.setReady(counts.ready);
  out.setClaimed(counts.claimed);
  out.setSucceeded(counts.succeeded);
  out.setFailed(counts.failed);
  out.setCancelled(counts.cancelled);
  out.setLost(counts.lost);
}

TaskCounts get(schema::TaskCounts::Reader in, Reading&) {
  return {
      .total = in.getTotal(),
      .ready = in.getReady(),
      .claimed = in.getClaimed(),
      .succeeded = in.getSucceeded(),
      .failed = in.getFailed(),
      .cancelled = in.getCancelled(),
      .lost = in.getLost(),
  };
}

void put(schema::TaskStatus::Builder out, const TaskStatus& status) {
  out.setIndex(status.index);
  out.setState(static_cast<std::uint8_t>(status.state));
  out.setAttempt(status.attempt);
  put_id(out.getNode(), status.node);
  out.setFailures(status.failures);
  if (!status.argument.empty()) out.setArgument(blob(status.argument));
  if (status.result) put(out.initResult(), *status.result);
  out.setRecovered(status.recovered);
}

TaskStatus get(schema::TaskStatus::Reader in, Reading& reading) {
  TaskStatus status{
      .index = in.getIndex(),
      .state = reading.enumerated(in.getState(), TaskState::lost),
      .attempt = in.getAttempt(),
      .node = get_id(in.getNode()),
      .argument = reading.string(in.getArgument(), kArgumentBytesMax),
      .failures = in.getFailures(),
      .recovered = in.getRecovered(),
  };
  if (in.hasResult()) status.result = get(in.getResult(), reading);
  return status;
}

void put(schema::JobStatus::Builder out, const JobStatus& status) {
  out.setId(status.id.value);
  out.setName(blob(status.name));
  out.setState(static_cast<std::uint8_t>(status.state));
  out.setCount(status.count);
  put(out.initSpec(), status.spec);
  put(out.initCounts(), status.counts);
  out.setCreatedMs(status.created.time_since_epoch().count());
  out.setEndedMs(status.ended.time_since_epoch().count());
  out.setCancelled(status.cancelled);
}

JobStatus get(schema::JobStatus::Reader in, Reading& reading) {
  return {
      .id = JobId{in.getId()},
      .name = reading.string(in.getName(), kNameBytesMax),
      .state = reading.enumerated(in.getState(), JobState::finished),
      .count = in.getCount(),
      .spec = get(in.getSpec(), reading),
      .counts = get(in.getCounts(), reading),
      .created = reading.wall_time(in.getCreatedMs()),
      .ended = reading.wall_time(in.getEndedMs()),
      .cancelled = in.getCancelled(),
  };
}

void put(schema::Error::Builder out, const Error& error) {
  out.setCode(static_cast<std::uint8_t>(error.code));
  out.setMessage(text(error.message));
}

Error get(schema::Error::Reader in, Reading& reading) {
  if (in.getCode() == 0) reading.reject("an error without a code");
  return {.code = reading.enumerated(in.getCode(), ErrorCode::internal),
          .message = reading.string(in.getMessage())};
}

}  // namespace shoal::wire
