#include "wire/codec_types.hpp"

namespace shoal::wire {

void put(schema::OwnerSilentItem::Builder out, const OwnerSilentItem& item) {
  out.setShard(number(item.shard));
  put_ballot(out.getBallot(), item.ballot);
}

OwnerSilentItem get(schema::OwnerSilentItem::Reader in, Reading&) {
  return {.shard = ShardId{in.getShard()}, .ballot = get_ballot(in.getBallot())};
}

void put(schema::OwnerSilent::Builder out, const OwnerSilent& silent) { put_items(out, silent); }

OwnerSilent get(schema::OwnerSilent::Reader in, Reading& reading) {
  return {.items = get_list<OwnerSilentItem>(in.getItems(), reading, kShardsMax)};
}

void put(schema::OwnerQuery::Builder out, const OwnerQuery& query) {
  put_numbers<std::uint32_t>(out.initShards(count(query.shards)), query.shards);
}

OwnerQuery get(schema::OwnerQuery::Reader in, Reading& reading) {
  return {.shards = get_numbers<ShardId>(in.getShards(), reading, kShardsMax)};
}

void put(schema::OwnershipItem::Builder out, const OwnershipItem& item) {
  out.setShard(number(item.shard));
  out.setState(static_cast<std::uint8_t>(item.state));
  put_ballot(out.getBallot(), item.ballot);
}

OwnershipItem get(schema::OwnershipItem::Reader in, Reading& reading) {
  return {
      .shard = ShardId{in.getShard()},
      .state = reading.enumerated(in.getState(), Ownership::owner),
      .ballot = get_ballot(in.getBallot()),
  };
}

void put(schema::OwnerAnswer::Builder out, const OwnerAnswer& answer) { put_items(out, answer); }

OwnerAnswer get(schema::OwnerAnswer::Reader in, Reading& reading) {
  return {.items = get_list<OwnershipItem>(in.getItems(), reading, kShardsMax)};
}

void put(schema::HandOver::Builder out, const HandOver& hand_over) {
  put_numbers<std::uint32_t>(out.initShards(count(hand_over.shards)), hand_over.shards);
}

HandOver get(schema::HandOver::Reader in, Reading& reading) {
  return {.shards = get_numbers<ShardId>(in.getShards(), reading, kShardsMax)};
}

void put(schema::StoreMark::Builder out, const StoreMark& mark) {
  out.setBootEpoch(mark.boot_epoch);
  out.setBootNonce(mark.boot_nonce);
  out.setSequence(mark.sequence);
}

StoreMark get(schema::StoreMark::Reader in, Reading&) {
  return {
      .boot_epoch = in.getBootEpoch(),
      .boot_nonce = in.getBootNonce(),
      .sequence = in.getSequence(),
  };
}

void put(schema::StoreQuery::Builder out, const StoreQuery& query) {
  put(out.initMark(), query.mark);
  out.setSettled(query.settled);
}

StoreQuery get(schema::StoreQuery::Reader in, Reading& reading) {
  return {.mark = get(in.getMark(), reading), .settled = in.getSettled()};
}

void put(schema::StoreAnswer::Builder out, const StoreAnswer& answer) {
  put(out.initNewest(), answer.newest);
  put(out.initSettled(), answer.settled);
  out.setSequence(answer.sequence);
  put_id(out.getNode(), answer.node);
}

StoreAnswer get(schema::StoreAnswer::Reader in, Reading& reading) {
  return {
      .newest = get(in.getNewest(), reading),
      .settled = get(in.getSettled(), reading),
      .sequence = in.getSequence(),
      .node = get_id(in.getNode()),
  };
}

void put(schema::SameKey::Builder out, const SameKey& same) {
  out.setBootNonce(same.boot_nonce);
  out.setHeard(same.heard);
  put_address(out.getAddress(), same.address);
  out.setVoted(same.voted);
}

SameKey get(schema::SameKey::Reader in, Reading&) {
  return {
      .boot_nonce = in.getBootNonce(),
      .heard = in.getHeard(),
      .address = get_address(in.getAddress()),
      .voted = in.getVoted(),
  };
}

void put(schema::LostNodes::Builder out, const LostNodes& lost) {
  if (!lost.nodes.empty()) put_ids(out.initNodes(count(lost.nodes)), lost.nodes);
  out.setReply(lost.reply);
}

LostNodes get(schema::LostNodes::Reader in, Reading& reading) {
  return {.nodes = get_ids(in.getNodes(), reading, kMembersMax), .reply = in.getReply()};
}

void put(schema::SetDraining::Builder out, const SetDraining& command) { out.setOn(command.on); }

SetDraining get(schema::SetDraining::Reader in, Reading&) { return {.on = in.getOn()}; }

void put(schema::LeaveCluster::Builder out, const LeaveCluster& command) {
  out.setNow(command.now);
}

LeaveCluster get(schema::LeaveCluster::Reader in, Reading&) { return {.now = in.getNow()}; }

void put(schema::ForgetNode::Builder out, const ForgetNode& command) {
  put_id(out.getNode(), command.node);
}

ForgetNode get(schema::ForgetNode::Reader in, Reading&) { return {.node = get_id(in.getNode())}; }

void put(schema::RecoverShard::Builder out, const RecoverShard& command) {
  out.setShard(number(command.shard));
  if (!command.lost.empty()) put_ids(out.initLost(count(command.lost)), command.lost);
}

RecoverShard get(schema::RecoverShard::Reader in, Reading& reading) {
  return {
      .shard = ShardId{in.getShard()},
      .lost = get_ids(in.getLost(), reading, kMembersMax),
  };
}

void put(schema::ShowShard::Builder out, const ShowShard& command) {
  out.setShard(number(command.shard));
}

ShowShard get(schema::ShowShard::Reader in, Reading&) { return {.shard = ShardId{in.getShard()}}; }

void put(schema::NodeCommandBody::Builder out, const NodeCommandBody& body) {
  std::visit(Overloaded{
                 [&](const SetDraining& command) { put(out.initSetDraining(), command); },
                 [&](const LeaveCluster& command) { put(out.initLeaveCluster(), command); },
                 [&](const ForgetNode& command) { put(out.initForgetNode(), command); },
                 [&](const RecoverShard& command) { put(out.initRecoverShard(), command); },
                 [&](const ShowShard& command) { put(out.initShowShard(), command); },
             },
             body);
}

NodeCommandBody get(schema::NodeCommandBody::Reader in, Reading& reading) {
  switch (in.which()) {
    case schema::NodeCommandBody::SET_DRAINING:
      return get(in.getSetDraining(), reading);
    case schema::NodeCommandBody::LEAVE_CLUSTER:
      return get(in.getLeaveCluster(), reading);
    case schema::NodeCommandBody::FORGET_NODE:
      return get(in.getForgetNode(), reading);
    case schema::NodeCommandBody::RECOVER_SHARD:
      return get(in.getRecoverShard(), reading);
    case schema::NodeCommandBody::SHOW_SHARD:
      return get(in.getShowShard(), reading);
  }
  reading.reject("a command of an unknown kind");
  return {};
}

void put(schema::NodeCommand::Builder out, const NodeCommand& command) {
  out.setId(command.id);
  put(out.initBody(), command.body);
}

NodeCommand get(schema::NodeCommand::Reader in, Reading& reading) {
  return {.id = in.getId(), .body = get(in.getBody(), reading)};
}

void put(schema::ShardCopy::Builder out, const ShardCopy& copy) {
  out.setKnown(copy.known);
  put_ballot(out.getPromised(), copy.promised);
  put(out.initConfig(), copy.config);
  out.setFloor(copy.floor);
  out.setRecords(copy.records);
  out.setBad(copy.bad);
  out.setState(static_cast<std::uint8_t>(copy.state));
}

ShardCopy get(schema::ShardCopy::Reader in, Reading& reading) {
  return {
      .known = in.getKnown(),
      .promised = get_ballot(in.getPromised()),
      .config = get(in.getConfig(), reading),
      .floor = in.getFloor(),
      .records = in.getRecords(),
      .bad = in.getBad(),
      .state = reading.enumerated(in.getState(), Ownership::owner),
  };
}

void put(schema::NodeCommandReply::Builder out, const NodeCommandReply& reply) {
  out.setId(reply.id);
  std::visit(Overloaded{
                 [&](const Done& body) { put(out.initDone(), body); },
                 [&](const Error& body) { put(out.initError(), body); },
                 [&](const ShardCopy& body) { put(out.initShardCopy(), body); },
             },
             reply.body);
}

NodeCommandReply get(schema::NodeCommandReply::Reader in, Reading& reading) {
  NodeCommandReply reply{.id = in.getId()};
  switch (in.which()) {
    case schema::NodeCommandReply::DONE:
      reply.body = get(in.getDone(), reading);
      return reply;
    case schema::NodeCommandReply::ERROR:
      reply.body = get(in.getError(), reading);
      return reply;
    case schema::NodeCommandReply::SHARD_COPY:
      reply.body = get(in.getShardCopy(), reading);
      return reply;
  }
  reading.reject("an answer of an unknown kind");
  return reply;
}

}  // namespace shoal::wire
