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
            WriteRecords, Ack, FoundingHeld, CancelJob, GetJob, OwnerRequests, Done, WrongOwner,
            OwnerReplies, CountReport, CountQuery, Hint, GiveBack, GiveBackAck, RenewCall, Outcomes,
            OutcomeAck, ReadOutput, OutputData, ListMembers, GetRing, ClientForget, JobId>)
    return 1;
  if (OneOf<T, Incarnation, Ballot, ConfigId, RecordKey, RecordVersion, ConfirmItem, Confirm,
            Confirmed, TableDigest, FoundingWithdraw, NewElement, CloseJob, CancelTasks, GetTail,
            TasksReply, TailReply, OwnerReply, JobEvent, HeldAttempt, Renew, EndAttempts, JobList,
            WatchEvent, CancelRequest, Ring, ClientRequest, NodeQuery, NodeId, ClusterId, Nonce,
            TaskId, AttemptId, Address, EnvironmentVariable, Error>)
    return 2;
  if (OneOf<T, IndirectPing, PingAck, Record, PrepareItem, DigestEntry, FetchItem, FetchedItem,
            AckException, TableEntry, TableEntries, OwnerRequest, TaskEvent, CountQueryItem,
            WatchJob, Quantiles, ClientReply, task::SpecRecord, ShardState>)
    return 3;
  if (OneOf<T, Load, Ping, MemberTable, ShardConfig, RefuseItem, FoundingMember, FoundingOffer,
            FoundingWord, CreateTasks, GetTasks, WatchShard, JobReply, TaskEvents, GrantItem,
            Renewed, OutcomeItem, ShowTasks, RingRow, NodeAnswer>)
    return 4;
  if (OneOf<T, FoundingRecord, CountItem, ListJobs, ReadLog, MemberList, task::OutputRead,
            task::OutputPiece>)
    return 5;
  if (OneOf<T, MemberRecord, Pull, Grant, LogData, MemberRow, Hello>) return 6;
  if (OneOf<T, MemberInfo, PromiseItem, WriteItem, AckItem, CreateJob, TaskCounts, TaskStatus>)
    return 7;
  if (OneOf<T, JobStatus, task::TaskRecord>) return 9;
  if (OneOf<T, AttemptResult, task::JobRecord>) return 10;
  if (OneOf<T, TaskSpec>) return 13;
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
  } else if constexpr (kCount == 9) {
    auto& [a, b, c, d, e, f, g, h, i] = value;
    return std::tie(a, b, c, d, e, f, g, h, i);
  } else if constexpr (kCount == 10) {
    auto& [a, b, c, d, e, f, g, h, i, j] = value;
    return std::tie(a, b, c, d, e, f, g, h, i, j);
  } else if constexpr (kCount == 13) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m] = value;
    return std::tie(a, b, c, d, e, f, g, h, i, j, k, l, m);
  } else if constexpr (kCount == 17) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q] = value;
    return std::tie(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q);
  }
}

}  // namespace shoal::wire
