#include "wire/codec_types.hpp"

namespace shoal::wire {
namespace {

template <class Builder>
void put_news(Builder out, const std::vector<MemberRecord>& news) {
  if (!news.empty()) put_list(out.initNews(count(news)), news);
}

template <class Reader>
std::vector<MemberRecord> get_news(Reader in, Reading& reading) {
  return get_list<MemberRecord>(in.getNews(), reading, kMembersMax);
}

}  // namespace

void put(schema::Load::Builder out, const Load& load) {
  out.setCpuMillisFree(load.cpu_millis_free);
  out.setMemoryBytesFree(load.memory_bytes_free);
  out.setReady(load.ready);
  out.setRunning(load.running);
  out.setStoreSequence(load.store_sequence);
  out.setWallMs(load.wall_ms);
}

Load get(schema::Load::Reader in, Reading&) {
  return {
      .cpu_millis_free = in.getCpuMillisFree(),
      .memory_bytes_free = in.getMemoryBytesFree(),
      .ready = in.getReady(),
      .running = in.getRunning(),
      .store_sequence = in.getStoreSequence(),
      .wall_ms = in.getWallMs(),
  };
}

void put(schema::MemberInfo::Builder out, const MemberInfo& info) {
  put_address(out.getAddress(), info.address);
  out.setName(blob(info.name));
  if (!info.zone.empty()) out.setZone(blob(info.zone));
  out.setWeightEighths(info.weight_eighths);
  out.setCpuMillis(info.cpu_millis);
  out.setMemoryBytes(info.memory_bytes);
  out.setProtocol(info.protocol);
  out.setBootNonce(info.boot_nonce);
  out.setDraining(info.draining);
  out.setLeaving(info.leaving);
}

MemberInfo get(schema::MemberInfo::Reader in, Reading& reading) {
  return {
      .address = get_address(in.getAddress()),
      .name = reading.string(in.getName(), kNodeNameBytesMax),
      .zone = reading.string(in.getZone(), kNodeNameBytesMax),
      .weight_eighths = in.getWeightEighths(),
      .cpu_millis = in.getCpuMillis(),
      .memory_bytes = in.getMemoryBytes(),
      .protocol = in.getProtocol(),
      .boot_nonce = in.getBootNonce(),
      .draining = in.getDraining(),
      .leaving = in.getLeaving(),
  };
}

void put(schema::MemberRecord::Builder out, const MemberRecord& record) {
  put_id(out.getNode(), record.node);
  out.setState(static_cast<std::uint8_t>(record.state));
  out.setBootEpoch(record.incarnation.boot_epoch);
  out.setCounter(record.incarnation.counter);
  put_id(out.getAccuser(), record.accuser);
  if (record.info) put(out.initInfo(), *record.info);
  out.setGoneSeconds(record.gone_seconds);
}

MemberRecord get(schema::MemberRecord::Reader in, Reading& reading) {
  MemberRecord record{
      .node = get_id(in.getNode()),
      .state = reading.enumerated(in.getState(), MemberState::left),
      .incarnation = {in.getBootEpoch(), in.getCounter()},
      .accuser = get_id(in.getAccuser()),
      .gone_seconds = in.getGoneSeconds(),
  };
  if (in.hasInfo()) record.info = get(in.getInfo(), reading);
  return record;
}

void put(schema::Ping::Builder out, const Ping& ping) {
  out.setSequence(ping.sequence);
  put_id(out.getTarget(), ping.target);
  put(out.initLoad(), ping.load);
  put_news(out, ping.news);
}

Ping get(schema::Ping::Reader in, Reading& reading) {
  return {
      .sequence = in.getSequence(),
      .target = get_id(in.getTarget()),
      .load = get(in.getLoad(), reading),
      .news = get_news(in, reading),
  };
}

void put(schema::IndirectPing::Builder out, const IndirectPing& ping) {
  out.setSequence(ping.sequence);
  put_id(out.getTarget(), ping.target);
  put_news(out, ping.news);
}

IndirectPing get(schema::IndirectPing::Reader in, Reading& reading) {
  return {
      .sequence = in.getSequence(),
      .target = get_id(in.getTarget()),
      .news = get_news(in, reading),
  };
}

void put(schema::PingAck::Builder out, const PingAck& ack) {
  out.setSequence(ack.sequence);
  put(out.initLoad(), ack.load);
  put_news(out, ack.news);
}

PingAck get(schema::PingAck::Reader in, Reading& reading) {
  return {
      .sequence = in.getSequence(),
      .load = get(in.getLoad(), reading),
      .news = get_news(in, reading),
  };
}

void put(schema::PingNack::Builder out, const PingNack& nack) { out.setSequence(nack.sequence); }

PingNack get(schema::PingNack::Reader in, Reading&) { return {.sequence = in.getSequence()}; }

void put(schema::Gossip::Builder out, const Gossip& gossip) { put_news(out, gossip.news); }

Gossip get(schema::Gossip::Reader in, Reading& reading) { return {.news = get_news(in, reading)}; }

void put(schema::MemberDigest::Builder out, const MemberDigest& digest) {
  put_numbers<std::uint64_t>(out.initBuckets(count(digest.buckets)), digest.buckets);
}

MemberDigest get(schema::MemberDigest::Reader in, Reading& reading) {
  return {.buckets = get_numbers<std::uint64_t>(in.getBuckets(), reading, kBucketsMax)};
}

void put(schema::MemberTable::Builder out, const MemberTable& table) {
  if (!table.records.empty()) put_list(out.initRecords(count(table.records)), table.records);
  out.setBucketMask(table.bucket_mask);
  out.setJoin(table.join);
  out.setReply(table.reply);
}

MemberTable get(schema::MemberTable::Reader in, Reading& reading) {
  return {
      .records = get_list<MemberRecord>(in.getRecords(), reading, kMembersMax),
      .bucket_mask = in.getBucketMask(),
      .join = in.getJoin(),
      .reply = in.getReply(),
  };
}

}  // namespace shoal::wire
