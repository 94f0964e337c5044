#include "wire/codec_types.hpp"

namespace shoal::wire {
namespace {

template <class Builder, class Message>
void put_members(Builder out, const Message& message) {
  if (!message.members.empty()) put_list(out.initMembers(count(message.members)), message.members);
}

template <class Reader>
std::vector<FoundingMember> get_members(Reader in, Reading& reading) {
  return get_list<FoundingMember>(in.getMembers(), reading, kMembersMax);
}

}  // namespace

void put(schema::FoundingMember::Builder out, const FoundingMember& member) {
  put_id(out.getNode(), member.node);
  put_address(out.getAddress(), member.address);
  out.setWeightEighths(member.weight_eighths);
  if (!member.zone.empty()) out.setZone(blob(member.zone));
}

FoundingMember get(schema::FoundingMember::Reader in, Reading& reading) {
  return {
      .node = get_id(in.getNode()),
      .address = get_address(in.getAddress()),
      .weight_eighths = in.getWeightEighths(),
      .zone = reading.string(in.getZone(), kNodeNameBytesMax),
  };
}

void put(schema::FoundingOffer::Builder out, const FoundingOffer& offer) {
  out.setNumber(offer.number);
  put_id(out.getCluster(), offer.cluster);
  out.setShardCount(offer.shard_count);
  put_members(out, offer);
}

FoundingOffer get(schema::FoundingOffer::Reader in, Reading& reading) {
  return {
      .number = in.getNumber(),
      .cluster = get_id<ClusterId>(in.getCluster()),
      .shard_count = in.getShardCount(),
      .members = get_members(in, reading),
  };
}

void put(schema::FoundingWord::Builder out, const FoundingWord& word) {
  out.setNumber(word.number);
  put_id(out.getCluster(), word.cluster);
  out.setGiven(word.given);
  put_id(out.getHeldBy(), word.held_by);
}

FoundingWord get(schema::FoundingWord::Reader in, Reading&) {
  return {
      .number = in.getNumber(),
      .cluster = get_id<ClusterId>(in.getCluster()),
      .given = in.getGiven(),
      .held_by = get_id(in.getHeldBy()),
  };
}

void put(schema::FoundingWithdraw::Builder out, const FoundingWithdraw& withdraw) {
  out.setNumber(withdraw.number);
  put_id(out.getCluster(), withdraw.cluster);
}

FoundingWithdraw get(schema::FoundingWithdraw::Reader in, Reading&) {
  return {.number = in.getNumber(), .cluster = get_id<ClusterId>(in.getCluster())};
}

void put(schema::FoundingRecord::Builder out, const FoundingRecord& record) {
  out.setNumber(record.number);
  put_id(out.getCluster(), record.cluster);
  out.setShardCount(record.shard_count);
  put_members(out, record);
  out.setComplete(record.complete);
}

FoundingRecord get(schema::FoundingRecord::Reader in, Reading& reading) {
  return {
      .number = in.getNumber(),
      .cluster = get_id<ClusterId>(in.getCluster()),
      .shard_count = in.getShardCount(),
      .members = get_members(in, reading),
      .complete = in.getComplete(),
  };
}

void put(schema::FoundingHeld::Builder out, const FoundingHeld& held) {
  put_id(out.getCluster(), held.cluster);
}

FoundingHeld get(schema::FoundingHeld::Reader in, Reading&) {
  return {.cluster = get_id<ClusterId>(in.getCluster())};
}

}  // namespace shoal::wire
