#include "wire/persist.hpp"

#include "wire/codec_types.hpp"
#include "wire/frame.hpp"

namespace shoal::wire {
namespace {

constexpr std::size_t kValueBytesMax = kFrameBytesMax;  // A record travels in one message.

// Bytes of a structure of `words`, data and pointers, and of a string behind a pointer.
constexpr std::size_t words(std::size_t count) { return count * sizeof(capnp::word); }
std::size_t string_bytes(const std::string& string) { return (string.size() + 7) / 8 * 8; }

std::size_t size_hint(const task::TaskRecord& record) {
  std::size_t bytes = words(9) + string_bytes(record.argument);
  if (record.result) bytes += words(9) + string_bytes(record.result->message);
  return bytes;
}

std::size_t size_hint(const TaskSpec& spec) { return words(16) + task::spec_bytes(spec); }

void put_task(schema::TaskRecord::Builder out, const task::TaskRecord& record) {
  out.setState(static_cast<std::uint8_t>(record.state));
  out.setAttempt(record.attempt);
  out.setFailures(record.failures);
  out.setDeaths(record.deaths);
  put_id(out.getNode(), record.node);
  out.setLeaseMs(record.lease_ms);
  out.setTransfer(record.transfer);
  out.setRecovered(record.recovered);
  out.setNotBeforeMs(record.not_before.time_since_epoch().count());
  if (!record.argument.empty()) out.setArgument(blob(record.argument));
  if (record.result) put(out.initResult(), *record.result);
}

task::TaskRecord get_task(schema::TaskRecord::Reader in, Reading& reading) {
  task::TaskRecord record{
      .state = reading.enumerated(in.getState(), TaskState::lost),
      .attempt = in.getAttempt(),
      .failures = in.getFailures(),
      .deaths = in.getDeaths(),
      .node = get_id(in.getNode()),
      .lease_ms = in.getLeaseMs(),
      .transfer = in.getTransfer(),
      .recovered = in.getRecovered(),
      .not_before = reading.wall_time(in.getNotBeforeMs()),
      .argument = reading.string(in.getArgument(), kArgumentBytesMax),
  };
  if (in.hasResult()) record.result = get(in.getResult(), reading);
  return record;
}

void put_job(schema::JobRecord::Builder out, const task::JobRecord& record) {
  put_id(out.getNonce(), record.nonce);
  out.setName(blob(record.name));
  out.setState(static_cast<std::uint8_t>(record.state));
  out.setCount(record.count);
  out.setCancelled(record.cancelled);
  out.setCreatedMs(record.created.time_since_epoch().count());
  out.setEndedMs(record.ended.time_since_epoch().count());
  put(out.initSpec(), record.spec);
  if (record.counts != TaskCounts{}) put(out.initCounts(), record.counts);
  if (record.single) put_task(out.initSingle(), *record.single);
}

task::JobRecord get_job(schema::JobRecord::Reader in, Reading& reading) {
  task::JobRecord record{
      .nonce = get_id<Nonce>(in.getNonce()),
      .name = reading.string(in.getName(), kNameBytesMax),
      .state = reading.enumerated(in.getState(), JobState::finished),
      .count = in.getCount(),
      .cancelled = in.getCancelled(),
      .created = reading.wall_time(in.getCreatedMs()),
      .ended = reading.wall_time(in.getEndedMs()),
      .spec = get(in.getSpec(), reading),
      .counts = get(in.getCounts(), reading),
  };
  if (in.hasSingle()) record.single = get_task(in.getSingle(), reading);
  return record;
}

task::SpecRecord get_spec(schema::SpecRecord::Reader in, Reading& reading) {
  return {
      .nonce = get_id<Nonce>(in.getNonce()),
      .cancelled = in.getCancelled(),
      .spec = get(in.getSpec(), reading),
  };
}

ShardState get_state(schema::ShardState::Reader in, Reading& reading) {
  return {
      .promised = get_ballot(in.getPromised()),
      .config = get(in.getConfig(), reading),
      .floor = in.getFloor(),
  };
}

}  // namespace

std::string encode(const ShardState& state) {
  return build<schema::ShardState>(256, [&](schema::ShardState::Builder out) {
    put_ballot(out.getPromised(), state.promised);
    put(out.initConfig(), state.config);
    out.setFloor(state.floor);
  });
}

std::string encode(const task::TaskRecord& record) {
  return build<schema::TaskRecord>(size_hint(record),
                                   [&](schema::TaskRecord::Builder out) { put_task(out, record); });
}

std::string encode(const task::JobRecord& record) {
  const std::size_t hint = words(16) + string_bytes(record.name) + size_hint(record.spec) +
                           (record.single ? size_hint(*record.single) : 0);
  return build<schema::JobRecord>(hint,
                                  [&](schema::JobRecord::Builder out) { put_job(out, record); });
}

std::string encode(const task::SpecRecord& record) {
  return build<schema::SpecRecord>(words(4) + size_hint(record.spec),
                                   [&](schema::SpecRecord::Builder out) {
                                     put_id(out.getNonce(), record.nonce);
                                     out.setCancelled(record.cancelled);
                                     put(out.initSpec(), record.spec);
                                   });
}

Result<ShardState> decode_shard_state(std::string_view bytes) {
  return parse<ShardState, schema::ShardState>(bytes, kValueBytesMax, get_state);
}

Result<task::TaskRecord> decode_task(std::string_view bytes) {
  return parse<task::TaskRecord, schema::TaskRecord>(bytes, kValueBytesMax, get_task);
}

Result<task::JobRecord> decode_job(std::string_view bytes) {
  return parse<task::JobRecord, schema::JobRecord>(bytes, kValueBytesMax, get_job);
}

Result<task::SpecRecord> decode_spec(std::string_view bytes) {
  return parse<task::SpecRecord, schema::SpecRecord>(bytes, kValueBytesMax, get_spec);
}

}  // namespace shoal::wire
