# Clients and their gateway, and listings between nodes (wire/client_messages.hpp).
@0xf62c0b9ad4781e35;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("shoal::wire::schema");

using Task = import "task.capnp";
using Shard = import "shard.capnp";
using Work = import "work.capnp";
using Membership = import "membership.capnp";
using Control = import "control.capnp";

struct ListJobs {
  limit @0 :UInt32;
  states @1 :UInt32;
  prefixBits @2 :UInt64;
  prefixMask @3 :UInt64;
  name @4 :Data;
}

struct JobList {
  jobs @0 :List(Task.JobStatus);
  missing @1 :List(Data);
}

struct WatchJob {
  job @0 :UInt64;
  tasks @1 :Bool;
  withOutput @2 :Bool;
}

struct WatchEvent {
  tasks @0 :List(Work.TaskEvent);
  job @1 :Task.JobStatus;
}

struct ShowTasks {
  job @0 :UInt64;
  from @1 :UInt32;
  limit @2 :UInt32;
  states @3 :UInt32;
  local @4 :Bool;
}

struct CancelRequest {
  job @0 :UInt64;
  index @1 :UInt32;
  oneOnly @2 :Bool;
}

struct ReadLog {
  job @0 :UInt64;
  index @1 :UInt32;
  attempt @2 :UInt32;
  offset @3 :UInt64;
  stream @4 :UInt8;
  follow @5 :Bool;
}

struct LogData {
  attempt :group {
    job @0 :UInt64;
    index @1 :UInt32;
    number @2 :UInt32;
  }
  node :group {
    high @3 :UInt64;
    low @4 :UInt64;
  }
  offset @5 :UInt64;
  complete @6 :Bool;
  bytes @7 :Data;
  note @8 :Text;
}

struct Quantiles {
  count @0 :UInt64;
  p50 @1 :UInt64;
  p99 @2 :UInt64;
}

struct NodeStats {
  tasksRun @0 :UInt64;
  tasksStolen @1 :UInt64;
  tasksGiven @2 :UInt64;
  records @3 :UInt64;
  commits @4 :UInt64;
  shardsHome @5 :UInt64;
  shardsOwned @6 :UInt64;
  residentBytes @7 :UInt64;
  droppedInputs @8 :UInt64;
  sync @9 :Quantiles;
  uptimeMs @10 :UInt64;
  cpuMillis @11 :UInt32;
  cpuMillisFree @12 :UInt32;
  memoryBytes @13 :UInt64;
  memoryBytesFree @14 :UInt64;
  running @15 :UInt32;
  ready @16 :UInt32;
}

struct MemberRow {
  node :group {
    high @0 :UInt64;
    low @1 :UInt64;
  }
  state @2 :UInt8;
  self @3 :Bool;
  info @4 :Membership.MemberInfo;
  stats @5 :NodeStats;
  version @6 :Text;
}

struct ListMembers {
  withStats @0 :Bool;
}

struct MemberList {
  cluster :group {
    high @0 :UInt64;
    low @1 :UInt64;
  }
  shardCount @2 :UInt32;
  serving @3 :Bool;
  waitingFor @4 :Text;
  members @5 :List(MemberRow);
}

struct GetRing {
  job @0 :UInt64;
  oneOnly @1 :Bool;
}

struct RingRow {
  shard @0 :UInt32;
  owner :group {
    high @1 :UInt64;
    low @2 :UInt64;
  }
  round @3 :UInt64;
  home @4 :List(Shard.Id);
}

struct Ring {
  shardCount @0 :UInt32;
  rows @1 :List(RingRow);
}

struct CommandNode {
  node :group {
    high @0 :UInt64;
    low @1 :UInt64;
  }
  body @2 :Control.NodeCommandBody;
}

struct ClientRequest {
  id @0 :UInt64;
  union {
    createJob @1 :Work.CreateJob;
    createTasks @2 :Work.CreateTasks;
    closeJob @3 :Work.CloseJob;
    cancelRequest @4 :CancelRequest;
    getJob @5 :Work.GetJob;
    showTasks @6 :ShowTasks;
    listJobs @7 :ListJobs;
    watchJob @8 :WatchJob;
    readLog @9 :ReadLog;
    listMembers @10 :ListMembers;
    getRing @11 :GetRing;
    commandNode @12 :CommandNode;
  }
}

struct ClientForget {
  id @0 :UInt64;
}

struct ClientReply {
  id @0 :UInt64;
  last @1 :Bool;
  union {
    done @2 :Work.Done;
    error @3 :Task.Error;
    jobReply @4 :Work.JobReply;
    tasksReply @5 :Work.TasksReply;
    jobList @6 :JobList;
    watchEvent @7 :WatchEvent;
    logData @8 :LogData;
    memberList @9 :MemberList;
    ring @10 :Ring;
    shardCopy @11 :Control.ShardCopy;
  }
}

struct NodeQuery {
  id @0 :UInt64;
  union {
    listJobs @1 :ListJobs;
    listMembers @2 :ListMembers;
  }
}

struct NodeAnswer {
  id @0 :UInt64;
  jobs @1 :List(Task.JobStatus);
  stats @2 :NodeStats;
  version @3 :Text;
}
