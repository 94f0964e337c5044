// Every message, as one variant. Handlers visit it exhaustively: an unhandled message is a compile
// error.
#pragma once

#include <variant>

#include "wire/client_messages.hpp"
#include "wire/control_messages.hpp"
#include "wire/membership_messages.hpp"
#include "wire/shard_messages.hpp"
#include "wire/work_messages.hpp"

namespace shoal::wire {

// Between nodes.
using Message =
    std::variant<Ping, IndirectPing, PingAck, PingNack, Gossip, MemberDigest, MemberTable,  //
                 Prepare, Promise, Refuse, Fetch, Fetched, WriteRecords, Ack, Confirm,
                 Confirmed,                                                                      //
                 TableDigest, TableEntries,                                                      //
                 FoundingOffer, FoundingWord, FoundingWithdraw, FoundingRecord, FoundingHeld,    //
                 OwnerRequests, OwnerReplies, TaskEvents, JobEvent, CountReport, CountQuery,     //
                 Hint, Pull, Grant, GiveBack, GiveBackAck, Renew, Renewed, RenewCall, Outcomes,  //
                 OutcomeAck, EndAttempts, ReadOutput, OutputData, NodeQuery, NodeAnswer,         //
                 Retire, OwnerSilent, OwnerQuery, OwnerAnswer, HandOver, StoreQuery, StoreAnswer,
                 SameKey, LostNodes, NodeCommand, NodeCommandReply>;

// Between a client and its gateway.
using ClientMessage = std::variant<ClientRequest, ClientForget, ClientReply>;

// First frame in each direction of a stream. Datagrams carry the same identity in each frame's
// header.
struct Hello {
  std::uint32_t protocol = 1;
  bool client = false;
  NodeId node;          // Of the sender; zero for clients.
  ClusterId cluster;    // Zero: not founded yet, or a client.
  Address listening;    // Where the sender takes streams and datagrams; port 0 for clients.
  std::string version;  // For people.
};

}  // namespace shoal::wire
