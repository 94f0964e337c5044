// Private to wire/*.cpp: put() and get() of every struct of the schemas, and of lists of them. They
// stand in one file for each theme; those of include/shoal, which all themes share, in
// codec_types.cpp.
#pragma once

#include "wire/codec_parts.hpp"
// The line above comes before Cap'n Proto.
#include <string>
#include <vector>

#include "wire/message.capnp.h"
#include "wire/message.hpp"
#include "wire/persist.capnp.h"

namespace shoal::wire {

#define SHOAL_WIRE_TYPE(T)                    \
  void put(schema::T::Builder out, const T&); \
  T get(schema::T::Reader in, Reading& reading)

SHOAL_WIRE_TYPE(Load);
SHOAL_WIRE_TYPE(MemberInfo);
SHOAL_WIRE_TYPE(MemberRecord);
SHOAL_WIRE_TYPE(Ping);
SHOAL_WIRE_TYPE(IndirectPing);
SHOAL_WIRE_TYPE(PingAck);
SHOAL_WIRE_TYPE(PingNack);
SHOAL_WIRE_TYPE(Gossip);
SHOAL_WIRE_TYPE(MemberDigest);
SHOAL_WIRE_TYPE(MemberTable);

SHOAL_WIRE_TYPE(Ballot);
SHOAL_WIRE_TYPE(ShardConfig);
SHOAL_WIRE_TYPE(PrepareItem);
SHOAL_WIRE_TYPE(Prepare);
SHOAL_WIRE_TYPE(PromiseItem);
SHOAL_WIRE_TYPE(Promise);
SHOAL_WIRE_TYPE(RefuseItem);
SHOAL_WIRE_TYPE(Refuse);
SHOAL_WIRE_TYPE(FetchItem);
SHOAL_WIRE_TYPE(Fetch);
SHOAL_WIRE_TYPE(FetchedItem);
SHOAL_WIRE_TYPE(Fetched);
SHOAL_WIRE_TYPE(WriteItem);
SHOAL_WIRE_TYPE(WriteRecords);
SHOAL_WIRE_TYPE(AckItem);
SHOAL_WIRE_TYPE(Ack);
SHOAL_WIRE_TYPE(ConfirmItem);
SHOAL_WIRE_TYPE(Confirm);
SHOAL_WIRE_TYPE(Confirmed);
SHOAL_WIRE_TYPE(RetireItem);
SHOAL_WIRE_TYPE(Retire);
SHOAL_WIRE_TYPE(TableEntry);
SHOAL_WIRE_TYPE(TableDigest);
SHOAL_WIRE_TYPE(TableEntries);
SHOAL_WIRE_TYPE(FoundingMember);
SHOAL_WIRE_TYPE(FoundingOffer);
SHOAL_WIRE_TYPE(FoundingWord);
SHOAL_WIRE_TYPE(FoundingWithdraw);
SHOAL_WIRE_TYPE(FoundingRecord);
SHOAL_WIRE_TYPE(FoundingHeld);

SHOAL_WIRE_TYPE(EnvironmentVariable);
SHOAL_WIRE_TYPE(TaskSpec);
SHOAL_WIRE_TYPE(AttemptResult);
SHOAL_WIRE_TYPE(TaskCounts);
SHOAL_WIRE_TYPE(TaskStatus);
SHOAL_WIRE_TYPE(JobStatus);
SHOAL_WIRE_TYPE(Error);

SHOAL_WIRE_TYPE(NewElement);
SHOAL_WIRE_TYPE(CreateJob);
SHOAL_WIRE_TYPE(CreateTasks);
SHOAL_WIRE_TYPE(CloseJob);
SHOAL_WIRE_TYPE(CancelJob);
SHOAL_WIRE_TYPE(CancelTasks);
SHOAL_WIRE_TYPE(GetJob);
SHOAL_WIRE_TYPE(GetTasks);
SHOAL_WIRE_TYPE(WatchShard);
SHOAL_WIRE_TYPE(GetTail);
SHOAL_WIRE_TYPE(OwnerRequest);
SHOAL_WIRE_TYPE(OwnerRequests);
SHOAL_WIRE_TYPE(Done);
SHOAL_WIRE_TYPE(WrongOwner);
SHOAL_WIRE_TYPE(JobReply);
SHOAL_WIRE_TYPE(TasksReply);
SHOAL_WIRE_TYPE(TailReply);
SHOAL_WIRE_TYPE(OwnerReply);
SHOAL_WIRE_TYPE(OwnerReplies);
SHOAL_WIRE_TYPE(TaskEvent);
SHOAL_WIRE_TYPE(TaskEvents);
SHOAL_WIRE_TYPE(JobEvent);
SHOAL_WIRE_TYPE(CountItem);
SHOAL_WIRE_TYPE(CountReport);
SHOAL_WIRE_TYPE(CountQueryItem);
SHOAL_WIRE_TYPE(CountQuery);
SHOAL_WIRE_TYPE(Hint);
SHOAL_WIRE_TYPE(Pull);
SHOAL_WIRE_TYPE(GrantItem);
SHOAL_WIRE_TYPE(Grant);
SHOAL_WIRE_TYPE(HeldAttempt);
SHOAL_WIRE_TYPE(GiveBack);
SHOAL_WIRE_TYPE(GiveBackAck);
SHOAL_WIRE_TYPE(Renew);
SHOAL_WIRE_TYPE(RenewedAttempt);
SHOAL_WIRE_TYPE(Renewed);
SHOAL_WIRE_TYPE(RenewCall);
SHOAL_WIRE_TYPE(OutcomeItem);
SHOAL_WIRE_TYPE(Outcomes);
SHOAL_WIRE_TYPE(OutcomeAck);
SHOAL_WIRE_TYPE(EndAttempts);
SHOAL_WIRE_TYPE(ReadOutput);
SHOAL_WIRE_TYPE(OutputData);

SHOAL_WIRE_TYPE(ListJobs);
SHOAL_WIRE_TYPE(JobList);
SHOAL_WIRE_TYPE(WatchJob);
SHOAL_WIRE_TYPE(WatchEvent);
SHOAL_WIRE_TYPE(ShowTasks);
SHOAL_WIRE_TYPE(CancelRequest);
SHOAL_WIRE_TYPE(ReadLog);
SHOAL_WIRE_TYPE(LogData);
SHOAL_WIRE_TYPE(Quantiles);
SHOAL_WIRE_TYPE(NodeStats);
SHOAL_WIRE_TYPE(MemberRow);
SHOAL_WIRE_TYPE(ListMembers);
SHOAL_WIRE_TYPE(MemberList);
SHOAL_WIRE_TYPE(GetRing);
SHOAL_WIRE_TYPE(RingRow);
SHOAL_WIRE_TYPE(Ring);
SHOAL_WIRE_TYPE(ClientRequest);
SHOAL_WIRE_TYPE(ClientForget);
SHOAL_WIRE_TYPE(ClientReply);
SHOAL_WIRE_TYPE(NodeQuery);
SHOAL_WIRE_TYPE(NodeAnswer);

SHOAL_WIRE_TYPE(OwnerSilentItem);
SHOAL_WIRE_TYPE(OwnerSilent);
SHOAL_WIRE_TYPE(OwnerQuery);
SHOAL_WIRE_TYPE(OwnershipItem);
SHOAL_WIRE_TYPE(OwnerAnswer);
SHOAL_WIRE_TYPE(HandOver);
SHOAL_WIRE_TYPE(StoreMark);
SHOAL_WIRE_TYPE(StoreQuery);
SHOAL_WIRE_TYPE(StoreAnswer);
SHOAL_WIRE_TYPE(SameKey);
SHOAL_WIRE_TYPE(LostNodes);
SHOAL_WIRE_TYPE(SetDraining);
SHOAL_WIRE_TYPE(LeaveCluster);
SHOAL_WIRE_TYPE(ForgetNode);
SHOAL_WIRE_TYPE(RecoverShard);
SHOAL_WIRE_TYPE(ShowShard);
SHOAL_WIRE_TYPE(NodeCommandBody);
SHOAL_WIRE_TYPE(NodeCommand);
SHOAL_WIRE_TYPE(ShardCopy);
SHOAL_WIRE_TYPE(NodeCommandReply);
SHOAL_WIRE_TYPE(CommandNode);

#undef SHOAL_WIRE_TYPE

template <class Builder, class T>
void put_list(Builder list, const std::vector<T>& values) {
  capnp::uint i = 0;
  for (const T& value : values) put(list[i++], value);
}

template <class T, class List>
std::vector<T> get_list(List list, Reading& reading, std::size_t max = kNoLimit) {
  std::vector<T> values;
  if (!reading.take(list.size(), max)) return values;
  values.reserve(list.size());
  for (const auto item : list) values.push_back(get(item, reading));
  return values;
}

// Messages that are a list of items.
template <class Builder, class Message>
void put_items(Builder out, const Message& message) {
  if (!message.items.empty()) put_list(out.initItems(count(message.items)), message.items);
}

// Lists of numbers, of ids (NodeId, RecordKey), of attempts and of strings.
template <class Number, class T>
void put_numbers(typename capnp::List<Number>::Builder list, const std::vector<T>& values) {
  capnp::uint i = 0;
  for (const T value : values) list.set(i++, static_cast<Number>(value));
}
template <class T, class List>
std::vector<T> get_numbers(List list, Reading& reading, std::size_t max = kNoLimit) {
  std::vector<T> values;
  if (!reading.take(list.size() * sizeof(T) / sizeof(capnp::word), max)) return values;
  values.reserve(list.size());
  for (const auto value : list) values.push_back(static_cast<T>(value));
  return values;
}
template <class Builder, class Id>
void put_ids(Builder list, const std::vector<Id>& ids) {
  capnp::uint i = 0;
  for (const Id& id : ids) put_id(list[i++], id);
}
template <class Id = NodeId, class List>
std::vector<Id> get_ids(List list, Reading& reading, std::size_t max = kNoLimit) {
  std::vector<Id> ids;
  if (!reading.take(list.size(), max)) return ids;
  ids.reserve(list.size());
  for (const auto id : list) ids.push_back(get_id<Id>(id));
  return ids;
}
template <class Builder>
void put_attempts(Builder list, const std::vector<AttemptId>& attempts) {
  capnp::uint i = 0;
  for (const AttemptId& attempt : attempts) put_attempt(list[i++], attempt);
}
template <class List>
std::vector<AttemptId> get_attempts(List list, Reading& reading) {
  std::vector<AttemptId> attempts;
  if (!reading.take(list.size(), kNoLimit)) return attempts;
  attempts.reserve(list.size());
  for (const auto attempt : list) attempts.push_back(get_attempt(attempt));
  return attempts;
}
template <class Builder>
void put_strings(Builder list, const std::vector<std::string>& strings) {
  capnp::uint i = 0;
  for (const std::string& string : strings) list.set(i++, blob(string));
}
template <class List>
std::vector<std::string> get_strings(List list, Reading& reading, std::size_t bytes_max) {
  std::vector<std::string> strings;
  if (!reading.take(list.size(), kNoLimit)) return strings;
  strings.reserve(list.size());
  for (const auto string : list) strings.push_back(reading.string(string, bytes_max));
  return strings;
}

}  // namespace shoal::wire
