#include "wire/codec.hpp"

#include "task/record.hpp"
#include "wire/codec_types.hpp"
#include "wire/frame.hpp"

namespace shoal::wire {
namespace {

// Rooms for the lists that carry the load, so that they are built in one go. Too little costs a
// second building, too much only zeroed memory.
constexpr std::size_t kMessageBytes = 256;
constexpr std::size_t kStatusBytes = 160;

std::size_t padded(const std::string& bytes) { return (bytes.size() + 7) / 8 * 8; }

std::size_t bytes_of(const std::vector<Record>& records) {
  std::size_t bytes = 0;
  for (const Record& record : records) bytes += 40 + padded(record.value);
  return bytes;
}

std::size_t bytes_of(const CreateTasks& create) {
  std::size_t bytes = kMessageBytes + task::spec_bytes(create.spec);
  for (const NewElement& element : create.elements) bytes += 16 + padded(element.argument);
  return bytes;
}

std::size_t bytes_of(const std::vector<TaskStatus>& tasks) {
  std::size_t bytes = 0;
  for (const TaskStatus& status : tasks) bytes += kStatusBytes + padded(status.argument);
  return bytes;
}

std::size_t bytes_of(const std::vector<TaskEvent>& events) {
  std::size_t bytes = 0;
  for (const TaskEvent& event : events) {
    bytes += kStatusBytes + padded(event.status.argument);
    if (event.has_tails) bytes += 32 + padded(event.tails[0]) + padded(event.tails[1]);
  }
  return bytes;
}

struct SizeHint {
  template <class Message>
  std::size_t operator()(const Message&) const {
    return kMessageBytes;
  }
  std::size_t operator()(const WriteRecords& write) const {
    std::size_t bytes = 64;
    for (const WriteItem& item : write.items) {
      bytes += 96 + (item.config ? 160 : 0) + bytes_of(item.records);
    }
    return bytes;
  }
  std::size_t operator()(const Ack& ack) const {
    std::size_t bytes = 64;
    for (const AckItem& item : ack.items) {
      bytes += 96 + (item.config ? 160 : 0) + 32 * item.exceptions.size();
    }
    return bytes;
  }
  std::size_t operator()(const Fetched& fetched) const {
    std::size_t bytes = 64;
    for (const FetchedItem& item : fetched.items) bytes += 128 + bytes_of(item.records);
    return bytes;
  }
  std::size_t operator()(const Promise& promise) const {
    std::size_t bytes = 64;
    for (const PromiseItem& item : promise.items) bytes += 320 + 32 * item.digest.size();
    return bytes;
  }
  std::size_t operator()(const OwnerRequests& requests) const {
    std::size_t bytes = 64;
    for (const OwnerRequest& request : requests.items) {
      const auto* create = std::get_if<CreateTasks>(&request.body);
      bytes += create != nullptr ? bytes_of(*create) : kMessageBytes;
    }
    return bytes;
  }
  std::size_t operator()(const OwnerReplies& replies) const {
    std::size_t bytes = 64;
    for (const OwnerReply& reply : replies.items) {
      const auto* tasks = std::get_if<TasksReply>(&reply.body);
      bytes += 64 + (tasks != nullptr ? bytes_of(tasks->tasks) : 0);
    }
    return bytes;
  }
  std::size_t operator()(const TaskEvents& events) const {
    return kMessageBytes + bytes_of(events.events);
  }
  std::size_t operator()(const Grant& grant) const {
    std::size_t bytes = kMessageBytes;
    for (const TaskSpec& spec : grant.specs) bytes += 128 + task::spec_bytes(spec);
    for (const GrantItem& item : grant.items) bytes += 32 + padded(item.argument);
    return bytes;
  }
  std::size_t operator()(const Outcomes& outcomes) const {
    std::size_t bytes = 64;
    for (const OutcomeItem& item : outcomes.items) {
      bytes += 128 + padded(item.result.message) + padded(item.tails[0]) + padded(item.tails[1]);
    }
    return bytes;
  }
  std::size_t operator()(const OutputData& output) const {
    return kMessageBytes + padded(output.piece.bytes);
  }
  std::size_t operator()(const ClientRequest& request) const {
    const auto* create = std::get_if<CreateTasks>(&request.body);
    return create != nullptr ? bytes_of(*create) : kMessageBytes;
  }
  std::size_t operator()(const ClientReply& reply) const {
    if (const auto* tasks = std::get_if<TasksReply>(&reply.body)) {
      return kMessageBytes + bytes_of(tasks->tasks);
    }
    if (const auto* event = std::get_if<WatchEvent>(&reply.body)) {
      return kMessageBytes + bytes_of(event->tasks);
    }
    if (const auto* log = std::get_if<LogData>(&reply.body)) {
      return kMessageBytes + padded(log->bytes);
    }
    return kMessageBytes;
  }
};

void put(schema::Message::Builder out, const Message& message) {
  std::visit(Overloaded{
                 [&](const Ping& body) { put(out.initPing(), body); },
                 [&](const IndirectPing& body) { put(out.initIndirectPing(), body); },
                 [&](const PingAck& body) { put(out.initPingAck(), body); },
                 [&](const PingNack& body) { put(out.initPingNack(), body); },
                 [&](const Gossip& body) { put(out.initGossip(), body); },
                 [&](const MemberDigest& body) { put(out.initMemberDigest(), body); },
                 [&](const MemberTable& body) { put(out.initMemberTable(), body); },
                 [&](const Prepare& body) { put(out.initPrepare(), body); },
                 [&](const Promise& body) { put(out.initPromise(), body); },
                 [&](const Refuse& body) { put(out.initRefuse(), body); },
                 [&](const Fetch& body) { put(out.initFetch(), body); },
                 [&](const Fetched& body) { put(out.initFetched(), body); },
                 [&](const WriteRecords& body) { put(out.initWriteRecords(), body); },
                 [&](const Ack& body) { put(out.initAck(), body); },
                 [&](const Confirm& body) { put(out.initConfirm(), body); },
                 [&](const Confirmed& body) { put(out.initConfirmed(), body); },
                 [&](const TableDigest& body) { put(out.initTableDigest(), body); },
                 [&](const TableEntries& body) { put(out.initTableEntries(), body); },
                 [&](const FoundingOffer& body) { put(out.initFoundingOffer(), body); },
                 [&](const FoundingWord& body) { put(out.initFoundingWord(), body); },
                 [&](const FoundingWithdraw& body) { put(out.initFoundingWithdraw(), body); },
                 [&](const FoundingRecord& body) { put(out.initFoundingRecord(), body); },
                 [&](const FoundingHeld& body) { put(out.initFoundingHeld(), body); },
                 [&](const OwnerRequests& body) { put(out.initOwnerRequests(), body); },
                 [&](const OwnerReplies& body) { put(out.initOwnerReplies(), body); },
                 [&](const TaskEvents& body) { put(out.initTaskEvents(), body); },
                 [&](const JobEvent& body) { put(out.initJobEvent(), body); },
                 [&](const CountReport& body) { put(out.initCountReport(), body); },
                 [&](const CountQuery& body) { put(out.initCountQuery(), body); },
                 [&](const Hint& body) { put(out.initHint(), body); },
                 [&](const Pull& body) { put(out.initPull(), body); },
                 [&](const Grant& body) { put(out.initGrant(), body); },
                 [&](const GiveBack& body) { put(out.initGiveBack(), body); },
                 [&](const GiveBackAck& body) { put(out.initGiveBackAck(), body); },
                 [&](const Renew& body) { put(out.initRenew(), body); },
                 [&](const Renewed& body) { put(out.initRenewed(), body); },
                 [&](const RenewCall& body) { put(out.initRenewCall(), body); },
                 [&](const Outcomes& body) { put(out.initOutcomes(), body); },
                 [&](const OutcomeAck& body) { put(out.initOutcomeAck(), body); },
                 [&](const EndAttempts& body) { put(out.initEndAttempts(), body); },
                 [&](const ReadOutput& body) { put(out.initReadOutput(), body); },
                 [&](const OutputData& body) { put(out.initOutputData(), body); },
                 [&](const NodeQuery& body) { put(out.initNodeQuery(), body); },
                 [&](const NodeAnswer& body) { put(out.initNodeAnswer(), body); },
                 [&](const Retire& body) { put(out.initRetire(), body); },
                 [&](const OwnerSilent& body) { put(out.initOwnerSilent(), body); },
                 [&](const OwnerQuery& body) { put(out.initOwnerQuery(), body); },
                 [&](const OwnerAnswer& body) { put(out.initOwnerAnswer(), body); },
                 [&](const HandOver& body) { put(out.initHandOver(), body); },
                 [&](const StoreQuery& body) { put(out.initStoreQuery(), body); },
                 [&](const StoreAnswer& body) { put(out.initStoreAnswer(), body); },
                 [&](const SameKey& body) { put(out.initSameKey(), body); },
                 [&](const LostNodes& body) { put(out.initLostNodes(), body); },
                 [&](const NodeCommand& body) { put(out.initNodeCommand(), body); },
                 [&](const NodeCommandReply& body) { put(out.initNodeCommandReply(), body); },
             },
             message);
}

std::optional<Message> get_membership(schema::Message::Reader in, Reading& reading) {
  switch (in.which()) {
    case schema::Message::PING:
      return get(in.getPing(), reading);
    case schema::Message::INDIRECT_PING:
      return get(in.getIndirectPing(), reading);
    case schema::Message::PING_ACK:
      return get(in.getPingAck(), reading);
    case schema::Message::PING_NACK:
      return get(in.getPingNack(), reading);
    case schema::Message::GOSSIP:
      return get(in.getGossip(), reading);
    case schema::Message::MEMBER_DIGEST:
      return get(in.getMemberDigest(), reading);
    case schema::Message::MEMBER_TABLE:
      return get(in.getMemberTable(), reading);
    default:
      return std::nullopt;
  }
}

std::optional<Message> get_shard(schema::Message::Reader in, Reading& reading) {
  switch (in.which()) {
    case schema::Message::PREPARE:
      return get(in.getPrepare(), reading);
    case schema::Message::PROMISE:
      return get(in.getPromise(), reading);
    case schema::Message::REFUSE:
      return get(in.getRefuse(), reading);
    case schema::Message::FETCH:
      return get(in.getFetch(), reading);
    case schema::Message::FETCHED:
      return get(in.getFetched(), reading);
    case schema::Message::WRITE_RECORDS:
      return get(in.getWriteRecords(), reading);
    case schema::Message::ACK:
      return get(in.getAck(), reading);
    case schema::Message::CONFIRM:
      return get(in.getConfirm(), reading);
    case schema::Message::CONFIRMED:
      return get(in.getConfirmed(), reading);
    case schema::Message::TABLE_DIGEST:
      return get(in.getTableDigest(), reading);
    case schema::Message::TABLE_ENTRIES:
      return get(in.getTableEntries(), reading);
    case schema::Message::FOUNDING_OFFER:
      return get(in.getFoundingOffer(), reading);
    case schema::Message::FOUNDING_WORD:
      return get(in.getFoundingWord(), reading);
    case schema::Message::FOUNDING_WITHDRAW:
      return get(in.getFoundingWithdraw(), reading);
    case schema::Message::FOUNDING_RECORD:
      return get(in.getFoundingRecord(), reading);
    case schema::Message::FOUNDING_HELD:
      return get(in.getFoundingHeld(), reading);
    case schema::Message::RETIRE:
      return get(in.getRetire(), reading);
    default:
      return std::nullopt;
  }
}

std::optional<Message> get_work(schema::Message::Reader in, Reading& reading) {
  switch (in.which()) {
    case schema::Message::OWNER_REQUESTS:
      return get(in.getOwnerRequests(), reading);
    case schema::Message::OWNER_REPLIES:
      return get(in.getOwnerReplies(), reading);
    case schema::Message::TASK_EVENTS:
      return get(in.getTaskEvents(), reading);
    case schema::Message::JOB_EVENT:
      return get(in.getJobEvent(), reading);
    case schema::Message::COUNT_REPORT:
      return get(in.getCountReport(), reading);
    case schema::Message::COUNT_QUERY:
      return get(in.getCountQuery(), reading);
    case schema::Message::HINT:
      return get(in.getHint(), reading);
    case schema::Message::PULL:
      return get(in.getPull(), reading);
    case schema::Message::GRANT:
      return get(in.getGrant(), reading);
    case schema::Message::GIVE_BACK:
      return get(in.getGiveBack(), reading);
    case schema::Message::GIVE_BACK_ACK:
      return get(in.getGiveBackAck(), reading);
    case schema::Message::RENEW:
      return get(in.getRenew(), reading);
    case schema::Message::RENEWED:
      return get(in.getRenewed(), reading);
    case schema::Message::RENEW_CALL:
      return get(in.getRenewCall(), reading);
    case schema::Message::OUTCOMES:
      return get(in.getOutcomes(), reading);
    case schema::Message::OUTCOME_ACK:
      return get(in.getOutcomeAck(), reading);
    case schema::Message::END_ATTEMPTS:
      return get(in.getEndAttempts(), reading);
    case schema::Message::READ_OUTPUT:
      return get(in.getReadOutput(), reading);
    case schema::Message::OUTPUT_DATA:
      return get(in.getOutputData(), reading);
    case schema::Message::NODE_QUERY:
      return get(in.getNodeQuery(), reading);
    case schema::Message::NODE_ANSWER:
      return get(in.getNodeAnswer(), reading);
    default:
      return std::nullopt;
  }
}

std::optional<Message> get_control(schema::Message::Reader in, Reading& reading) {
  switch (in.which()) {
    case schema::Message::OWNER_SILENT:
      return get(in.getOwnerSilent(), reading);
    case schema::Message::OWNER_QUERY:
      return get(in.getOwnerQuery(), reading);
    case schema::Message::OWNER_ANSWER:
      return get(in.getOwnerAnswer(), reading);
    case schema::Message::HAND_OVER:
      return get(in.getHandOver(), reading);
    case schema::Message::STORE_QUERY:
      return get(in.getStoreQuery(), reading);
    case schema::Message::STORE_ANSWER:
      return get(in.getStoreAnswer(), reading);
    case schema::Message::SAME_KEY:
      return get(in.getSameKey(), reading);
    case schema::Message::LOST_NODES:
      return get(in.getLostNodes(), reading);
    case schema::Message::NODE_COMMAND:
      return get(in.getNodeCommand(), reading);
    case schema::Message::NODE_COMMAND_REPLY:
      return get(in.getNodeCommandReply(), reading);
    default:
      return std::nullopt;
  }
}

Message get(schema::Message::Reader in, Reading& reading) {
  if (auto message = get_shard(in, reading)) return *std::move(message);
  if (auto message = get_work(in, reading)) return *std::move(message);
  if (auto message = get_membership(in, reading)) return *std::move(message);
  if (auto message = get_control(in, reading)) return *std::move(message);
  reading.reject("a message of an unknown kind");
  return PingNack{};
}

void put(schema::ClientMessage::Builder out, const ClientMessage& message) {
  std::visit(Overloaded{
                 [&](const ClientRequest& body) { put(out.initClientRequest(), body); },
                 [&](const ClientForget& body) { put(out.initClientForget(), body); },
                 [&](const ClientReply& body) { put(out.initClientReply(), body); },
             },
             message);
}

ClientMessage get(schema::ClientMessage::Reader in, Reading& reading) {
  switch (in.which()) {
    case schema::ClientMessage::CLIENT_REQUEST:
      return get(in.getClientRequest(), reading);
    case schema::ClientMessage::CLIENT_FORGET:
      return get(in.getClientForget(), reading);
    case schema::ClientMessage::CLIENT_REPLY:
      return get(in.getClientReply(), reading);
  }
  reading.reject("a message of an unknown kind");
  return ClientForget{};
}

template <class Root, class M>
std::string encode_body(std::span<const M> messages) {
  std::size_t hint = 64;
  for (const M& message : messages) hint += std::visit(SizeHint{}, message);
  return build<Root>(hint, [&](typename Root::Builder out) {
    auto list = out.initItems(static_cast<capnp::uint>(messages.size()));
    capnp::uint i = 0;
    for (const M& message : messages) put(list[i++], message);
  });
}

// In one body where it fits, else in halves.
template <class Root, class M>
void encode_into(std::span<const M> messages, std::vector<std::string>& bodies) {
  if (messages.empty()) return;
  std::string body = encode_body<Root>(messages);
  if (body.size() <= kFrameBytesMax) {
    bodies.push_back(std::move(body));
    return;
  }
  SHOAL_ASSERT(messages.size() > 1);
  encode_into<Root>(messages.first(messages.size() / 2), bodies);
  encode_into<Root>(messages.subspan(messages.size() / 2), bodies);
}

// Runs of messages that by their hints fit a frame: what queued up is not built whole, only to be
// split.
template <class Root, class M>
std::vector<std::string> encode_all(std::span<const M> messages) {
  std::vector<std::string> bodies;
  while (!messages.empty()) {
    std::size_t run = 1;
    std::size_t bytes = std::visit(SizeHint{}, messages.front());
    for (; run < messages.size(); ++run) {
      bytes += std::visit(SizeHint{}, messages[run]);
      if (bytes > kFrameBytesMax) break;
    }
    encode_into<Root>(messages.first(run), bodies);
    messages = messages.subspan(run);
  }
  return bodies;
}

template <class Root, class M>
Result<std::vector<M>> decode_all(std::string_view body) {
  return parse<std::vector<M>, Root>(body, kFrameBytesMax,
                                     [](typename Root::Reader in, Reading& reading) {
                                       std::vector<M> messages;
                                       const auto items = in.getItems();
                                       if (!reading.take(items.size(), kNoLimit)) return messages;
                                       messages.reserve(items.size());
                                       for (const auto item : items)
                                         messages.push_back(get(item, reading));
                                       return messages;
                                     });
}

}  // namespace

std::vector<std::string> encode_messages(std::span<const Message> messages) {
  return encode_all<schema::Messages>(messages);
}

Result<std::vector<Message>> decode_messages(std::string_view body) {
  return decode_all<schema::Messages, Message>(body);
}

std::string encode_message(const Message& message) {
  return encode_body<schema::Messages>(std::span(&message, 1));
}

std::vector<std::string> encode_client_messages(std::span<const ClientMessage> messages) {
  return encode_all<schema::ClientMessages>(messages);
}

Result<std::vector<ClientMessage>> decode_client_messages(std::string_view body) {
  return decode_all<schema::ClientMessages, ClientMessage>(body);
}

std::string encode_hello(const Hello& hello) {
  return build<schema::Hello>(kHelloBytesMax, [&](schema::Hello::Builder out) {
    out.setProtocol(hello.protocol);
    out.setClient(hello.client);
    put_id(out.getNode(), hello.node);
    put_id(out.getCluster(), hello.cluster);
    put_address(out.getListening(), hello.listening);
    out.setVersion(text(hello.version));
  });
}

Result<Hello> decode_hello(std::string_view body) {
  return parse<Hello, schema::Hello>(
      body, kHelloBytesMax, [](schema::Hello::Reader in, Reading& reading) -> Hello {
        return {
            .protocol = in.getProtocol(),
            .client = in.getClient(),
            .node = get_id(in.getNode()),
            .cluster = get_id<ClusterId>(in.getCluster()),
            .listening = get_address(in.getListening()),
            .version = reading.string(in.getVersion(), kHelloBytesMax),
        };
      });
}

}  // namespace shoal::wire
