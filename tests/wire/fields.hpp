// Every wire struct as a tuple of its fields, so that random content and comparison need no code
// for each. A struct whose field count does not match its row does not compile.
#pragma once

#include <concepts>
#include <tuple>

#include "wire/message.hpp"
#include "wire/persist.hpp"

namespace shoal::wire {

template <class T, class... Ts>
concept OneOf = (std::same_as<T, Ts> || ...);

template <class T>
consteval int field_count() {
  if (OneOf<T, PingNack, Gossip, MemberDigest, Prepare, Promise, Refuse, Fetch, Fetched,
            WriteRecords, Ack, FoundingHeld, CancelJob, OwnerRequests, Done, WrongOwner,
            OwnerReplies, CountReport, CountQuery, Hint, GiveBack, GiveBackAck, RenewCall, Outcomes,
            OutcomeAck, ReadOutput, OutputData, ListMembers, GetRing, ClientForget, JobId, Retire,
            OwnerSilent, OwnerQuery, OwnerAnswer, HandOver, SetDraining, LeaveCluster, ForgetNode,
            ShowShard>)
    return 1;
  if (OneOf<T, Incarnation, Ballot, ConfigId, RecordKey, RecordVersion, ConfirmItem, Confirm,
            Confirmed, TableDigest, FoundingWithdraw, NewElement, CloseJob, CancelTasks, GetTail,
            TailReply, OwnerReply, JobEvent, GetJob, RenewedAttempt, EndAttempts, JobList,
            WatchEvent, CancelRequest, Ring, ClientRequest, NodeQuery, NodeId, ClusterId, Nonce,
            TaskId, AttemptId, Address, EnvironmentVariable, Error, RetireItem, OwnerSilentItem,
            StoreQuery, LostNodes, RecoverShard, NodeCommand, NodeCommandReply, CommandNode>)
    return 2;
  if (OneOf<T, IndirectPing, PingAck, Record, PrepareItem, DigestEntry, FetchItem, FetchedItem,
            AckException, TableEntry, TableEntries, OwnerRequest, TaskEvent, CountQueryItem,
            WatchJob, Quantiles, ClientReply, task::SpecRecord, ShardState, HeldAttempt, Renewed,
            OwnershipItem, StoreMark>)
    return 3;
  if (OneOf<T, Ping, MemberTable, ShardConfig, RefuseItem, FoundingMember, FoundingOffer,
            FoundingWord, CreateTasks, WatchShard, JobReply, TaskEvents, RingRow, NodeAnswer,
            TasksReply, SameKey, StoreAnswer>)
    return 4;
  if (OneOf<T, GetTasks, GrantItem, Grant, OutcomeItem, ShowTasks, FoundingRecord, CountItem,
            ListJobs, ReadLog, MemberList, task::OutputRead, task::OutputPiece>)
    return 5;
  if (OneOf<T, Load, MemberRecord, Pull, LogData, MemberRow, Hello>) return 6;
  if (OneOf<T, Renew, PromiseItem, WriteItem, AckItem, CreateJob, TaskCounts, ShardCopy>) return 7;
  if (OneOf<T, TaskStatus>) return 8;
  if (OneOf<T, JobStatus>) return 9;
  if (OneOf<T, AttemptResult, MemberInfo, task::JobRecord>) return 10;
  if (OneOf<T, task::TaskRecord>) return 11;
  if (OneOf<T, TaskSpec>) return 14;
  if (OneOf<T, NodeStats>) return 17;
  return 0;
}

template <class T>
concept Fields = field_count<T>() > 0;

template <class T>
auto fields(T& value) {
  constexpr int kCount = field_count<std::remove_const_t<T>>();
  if constexpr (kCount == 1) {
    auto& [a] = value;
    return std::tie(a);
  } else if constexpr (kCount == 2) {
    auto& [a, b] = value;
    return std::tie(a, b);
  } else if constexpr (kCount == 3) {
    auto& [a, b, c] = value;
    return std::tie(a, b, c);
  } else if constexpr (kCount == 4) {
    auto& [a, b, c, d] = value;
    return std::tie(a, b, c, d);
  } else if constexpr (kCount == 5) {
    auto& [a, b, c, d, e] = value;
    return std::tie(a, b, c, d, e);
  } else if constexpr (kCount == 6) {
    auto& [a, b, c, d, e, f] = value;
    return std::tie(a, b, c, d, e, f);
  } else if constexpr (kCount == 7) {
    auto& [a, b, c, d, e, f, g] = value;
    return std::tie(a, b, c, d, e, f, g);
  } else if constexpr (kCount == 8) {
    auto& [a, b, c, d, e, f, g, h] = value;
    return std::tie(a, b, c, d, e, f, g, h);
  } else if constexpr (kCount == 9) {
    auto& [a, b, c, d, e, f, g, h, i] = value;
    return std::tie(a, b, c, d, e, f, g, h, i);
  } else if constexpr (kCount == 10) {
    auto& [a, b, c, d, e, f, g, h, i, j] = value;
    return std::tie(a, b, c, d, e, f, g, h, i, j);
  } else if constexpr (kCount == 11) {
    auto& [a, b, c, d, e, f, g, h, i, j, k] = value;
    return std::tie(a, b, c, d, e, f, g, h, i, j, k);
  } else if constexpr (kCount == 14) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = value;
    return std::tie(a, b, c, d, e, f, g, h, i, j, k, l, m, n);
  } else if constexpr (kCount == 17) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q] = value;
    return std::tie(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q);
  }
}

}  // namespace shoal::wire
