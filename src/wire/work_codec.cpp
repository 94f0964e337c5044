#include "wire/codec_types.hpp"

namespace shoal::wire {
namespace {

// Messages that are a list of attempts.
template <class Builder, class Message>
void put_attempt_items(Builder out, const Message& message) {
  if (!message.items.empty()) put_attempts(out.initItems(count(message.items)), message.items);
}

TimePoint steady(std::int64_t nanoseconds) { return TimePoint(Duration(nanoseconds)); }
std::int64_t steady(TimePoint time) { return time.time_since_epoch().count(); }

}  // namespace

void put(schema::Hint::Builder out, const Hint& hint) { out.setReady(hint.ready); }

Hint get(schema::Hint::Reader in, Reading&) { return {.ready = in.getReady()}; }

void put(schema::Pull::Builder out, const Pull& pull) {
  out.setTransfer(pull.transfer);
  out.setSentNs(steady(pull.sent));
  out.setCpuMillis(pull.cpu_millis);
  out.setMemoryBytes(pull.memory_bytes);
  out.setCountMax(pull.count_max);
  out.setHinted(pull.hinted);
}

Pull get(schema::Pull::Reader in, Reading&) {
  return {
      .transfer = in.getTransfer(),
      .sent = steady(in.getSentNs()),
      .cpu_millis = in.getCpuMillis(),
      .memory_bytes = in.getMemoryBytes(),
      .count_max = in.getCountMax(),
      .hinted = in.getHinted(),
  };
}

void put(schema::GrantItem::Builder out, const GrantItem& item) {
  put_attempt(out.getAttempt(), item.attempt);
  out.setSpec(item.spec);
  if (!item.argument.empty()) out.setArgument(blob(item.argument));
  out.setShard(number(item.shard));
  out.setLeaseMs(item.lease_ms);
}

GrantItem get(schema::GrantItem::Reader in, Reading& reading) {
  return {
      .attempt = get_attempt(in.getAttempt()),
      .spec = in.getSpec(),
      .argument = reading.string(in.getArgument(), kArgumentBytesMax),
      .shard = ShardId{in.getShard()},
      .lease_ms = in.getLeaseMs(),
  };
}

void put(schema::Grant::Builder out, const Grant& grant) {
  out.setTransfer(grant.transfer);
  out.setPullSentNs(steady(grant.pull_sent));
  out.setReady(grant.ready);
  if (!grant.specs.empty()) put_list(out.initSpecs(count(grant.specs)), grant.specs);
  put_items(out, grant);
}

Grant get(schema::Grant::Reader in, Reading& reading) {
  Grant grant{
      .transfer = in.getTransfer(),
      .pull_sent = steady(in.getPullSentNs()),
      .ready = in.getReady(),
      .specs = get_list<TaskSpec>(in.getSpecs(), reading),
      .items = get_list<GrantItem>(in.getItems(), reading),
  };
  for (const GrantItem& item : grant.items) {
    if (item.spec >= grant.specs.size()) reading.reject("a grant without its description");
  }
  return grant;
}

void put(schema::HeldAttempt::Builder out, const HeldAttempt& held) {
  put_attempt(out.getAttempt(), held.attempt);
  out.setShard(number(held.shard));
  out.setRunning(held.running);
}

HeldAttempt get(schema::HeldAttempt::Reader in, Reading&) {
  return {
      .attempt = get_attempt(in.getAttempt()),
      .shard = ShardId{in.getShard()},
      .running = in.getRunning(),
  };
}

void put(schema::GiveBack::Builder out, const GiveBack& give_back) { put_items(out, give_back); }

GiveBack get(schema::GiveBack::Reader in, Reading& reading) {
  return {.items = get_list<HeldAttempt>(in.getItems(), reading)};
}

void put(schema::GiveBackAck::Builder out, const GiveBackAck& ack) { put_attempt_items(out, ack); }

GiveBackAck get(schema::GiveBackAck::Reader in, Reading& reading) {
  return {.items = get_attempts(in.getItems(), reading)};
}

void put(schema::Renew::Builder out, const Renew& renew) {
  out.setSentNs(steady(renew.sent));
  put_items(out, renew);
  put_numbers<std::uint64_t>(out.initOpenTransfers(count(renew.open_transfers)),
                             renew.open_transfers);
  out.setLastTransfer(renew.last_transfer);
  out.setBootEpoch(renew.boot_epoch);
  out.setComplete(renew.complete);
  out.setLongest(renew.longest);
}

Renew get(schema::Renew::Reader in, Reading& reading) {
  return {
      .sent = steady(in.getSentNs()),
      .items = get_list<HeldAttempt>(in.getItems(), reading),
      .open_transfers = get_numbers<std::uint64_t>(in.getOpenTransfers(), reading),
      .last_transfer = in.getLastTransfer(),
      .boot_epoch = in.getBootEpoch(),
      .complete = in.getComplete(),
      .longest = in.getLongest(),
  };
}

void put(schema::RenewedAttempt::Builder out, const RenewedAttempt& renewed) {
  put_attempt(out.getAttempt(), renewed.attempt);
  out.setLeaseMs(renewed.lease_ms);
}

RenewedAttempt get(schema::RenewedAttempt::Reader in, Reading&) {
  return {.attempt = get_attempt(in.getAttempt()), .lease_ms = in.getLeaseMs()};
}

void put(schema::Renewed::Builder out, const Renewed& renewed) {
  out.setSentNs(steady(renewed.sent));
  put_items(out, renewed);
  if (!renewed.over.empty()) put_attempts(out.initOver(count(renewed.over)), renewed.over);
}

Renewed get(schema::Renewed::Reader in, Reading& reading) {
  return {
      .sent = steady(in.getSentNs()),
      .items = get_list<RenewedAttempt>(in.getItems(), reading),
      .over = get_attempts(in.getOver(), reading),
  };
}

void put(schema::RenewCall::Builder out, const RenewCall& call) {
  put_numbers<std::uint32_t>(out.initShards(count(call.shards)), call.shards);
}

RenewCall get(schema::RenewCall::Reader in, Reading& reading) {
  return {.shards = get_numbers<ShardId>(in.getShards(), reading, kShardsMax)};
}

void put(schema::OutcomeItem::Builder out, const OutcomeItem& item) {
  put_attempt(out.getAttempt(), item.attempt);
  out.setShard(number(item.shard));
  put_id(out.getNode(), item.node);
  put(out.initResult(), item.result);
  if (!item.tails[0].empty()) out.setOut(blob(item.tails[0]));
  if (!item.tails[1].empty()) out.setErr(blob(item.tails[1]));
}

OutcomeItem get(schema::OutcomeItem::Reader in, Reading& reading) {
  return {
      .attempt = get_attempt(in.getAttempt()),
      .shard = ShardId{in.getShard()},
      .node = get_id(in.getNode()),
      .result = get(in.getResult(), reading),
      .tails = {reading.string(in.getOut(), kOutputTailBytes),
                reading.string(in.getErr(), kOutputTailBytes)},
  };
}

void put(schema::Outcomes::Builder out, const Outcomes& outcomes) { put_items(out, outcomes); }

Outcomes get(schema::Outcomes::Reader in, Reading& reading) {
  return {.items = get_list<OutcomeItem>(in.getItems(), reading)};
}

void put(schema::OutcomeAck::Builder out, const OutcomeAck& ack) { put_attempt_items(out, ack); }

OutcomeAck get(schema::OutcomeAck::Reader in, Reading& reading) {
  return {.items = get_attempts(in.getItems(), reading)};
}

void put(schema::EndAttempts::Builder out, const EndAttempts& end) {
  put_attempt_items(out, end);
  out.setReason(static_cast<std::uint8_t>(end.reason));
}

EndAttempts get(schema::EndAttempts::Reader in, Reading& reading) {
  return {
      .items = get_attempts(in.getItems(), reading),
      .reason = reading.enumerated(in.getReason(), EndReason::node_stopped),
  };
}

void put(schema::ReadOutput::Builder out, const ReadOutput& message) {
  const task::OutputRead& read = message.read;
  out.setRequest(read.request);
  put_attempt(out.getAttempt(), read.attempt);
  out.setStream(static_cast<std::uint8_t>(read.stream));
  out.setOffset(read.offset);
  out.setBytesMax(read.bytes_max);
}

ReadOutput get(schema::ReadOutput::Reader in, Reading& reading) {
  return {.read = {
              .request = in.getRequest(),
              .attempt = get_attempt(in.getAttempt()),
              .stream = reading.enumerated(in.getStream(), task::Stream::err),
              .offset = in.getOffset(),
              .bytes_max = in.getBytesMax(),
          }};
}

void put(schema::OutputData::Builder out, const OutputData& message) {
  const task::OutputPiece& piece = message.piece;
  out.setRequest(piece.request);
  out.setKnown(piece.known);
  out.setEnded(piece.ended);
  out.setOffset(piece.offset);
  out.setBytes(blob(piece.bytes));
}

OutputData get(schema::OutputData::Reader in, Reading& reading) {
  return {.piece = {
              .request = in.getRequest(),
              .known = in.getKnown(),
              .ended = in.getEnded(),
              .offset = in.getOffset(),
              .bytes = reading.string(in.getBytes()),
          }};
}

}  // namespace shoal::wire
