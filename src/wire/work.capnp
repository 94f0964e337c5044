# How work moves between nodes (wire/work_messages.hpp). Steady-clock times are nanoseconds of the
# node that set them; others echo them untouched.
@0xa3d85f10e7b96c24;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("shoal::wire::schema");

using Task = import "task.capnp";
using Shard = import "shard.capnp";

struct AttemptId {
  job @0 :UInt64;
  index @1 :UInt32;
  number @2 :UInt32;
}

struct NewElement {
  index @0 :UInt32;
  argument @1 :Data;
}

struct CreateJob {
  job @0 :UInt64;
  nonce :group {
    high @1 :UInt64;
    low @2 :UInt64;
  }
  count @3 :UInt32;
  single @4 :Bool;
  name @5 :Data;
  spec @6 :Task.TaskSpec;
  argument @7 :Data;
}

struct CreateTasks {
  job @0 :UInt64;
  nonce :group {
    high @1 :UInt64;
    low @2 :UInt64;
  }
  spec @3 :Task.TaskSpec;
  elements @4 :List(NewElement);
}

struct CloseJob {
  job @0 :UInt64;
  nonce :group {
    high @1 :UInt64;
    low @2 :UInt64;
  }
}

struct CancelJob {
  job @0 :UInt64;
}

struct CancelTasks {
  job @0 :UInt64;
  index @1 :UInt32;
  oneOnly @2 :Bool;  # Set: `index` alone; else all.
}

struct GetJob {
  job @0 :UInt64;
  local @1 :Bool;
}

struct GetTasks {
  job @0 :UInt64;
  from @1 :UInt32;
  limit @2 :UInt32;
  states @3 :UInt32;
  local @4 :Bool;
}

struct WatchShard {
  job @0 :UInt64;
  watch @1 :UInt64;
  withOutput @2 :Bool;
  stop @3 :Bool;
}

struct GetTail {
  attempt :group {
    job @0 :UInt64;
    index @1 :UInt32;
    number @2 :UInt32;
  }
  stream @3 :UInt8;
}

struct OwnerRequest {
  id @0 :UInt64;
  shard @1 :UInt32;
  union {
    createJob @2 :CreateJob;
    createTasks @3 :CreateTasks;
    closeJob @4 :CloseJob;
    cancelJob @5 :CancelJob;
    cancelTasks @6 :CancelTasks;
    getJob @7 :GetJob;
    getTasks @8 :GetTasks;
    watchShard @9 :WatchShard;
    getTail @10 :GetTail;
  }
}

struct OwnerRequests {
  items @0 :List(OwnerRequest);
}

struct Done {
  copies @0 :UInt32;
}

struct WrongOwner {
  entry @0 :Shard.TableEntry;
}

struct JobReply {
  owner :group {
    high @0 :UInt64;
    low @1 :UInt64;
  }
  status @2 :Task.JobStatus;
  home @3 :List(Shard.Id);
  single @4 :Task.TaskStatus;
}

struct TasksReply {
  more @0 :Bool;
  tasks @1 :List(Task.TaskStatus);
  missing @2 :List(UInt32);
  next @3 :UInt32;
}

struct TailReply {
  known @0 :Bool;
  bytes @1 :Data;
}

struct OwnerReply {
  id @0 :UInt64;
  union {
    done @1 :Done;
    error @2 :Task.Error;
    wrongOwner @3 :WrongOwner;
    jobReply @4 :JobReply;
    tasksReply @5 :TasksReply;
    tailReply @6 :TailReply;
  }
}

struct OwnerReplies {
  items @0 :List(OwnerReply);
}

struct Tails {
  out @0 :Data;
  err @1 :Data;
}

struct TaskEvent {
  status @0 :Task.TaskStatus;
  tails @1 :Tails;
}

struct TaskEvents {
  watch @0 :UInt64;
  shard @1 :UInt32;
  snapshotEnd @2 :Bool;
  events @3 :List(TaskEvent);
}

struct JobEvent {
  watch @0 :UInt64;
  status @1 :Task.JobStatus;
}

struct CountItem {
  job @0 :UInt64;
  shard @1 :UInt32;
  ballot :group {
    round @2 :UInt64;
    node :group {
      high @3 :UInt64;
      low @4 :UInt64;
    }
  }
  counts @5 :Task.TaskCounts;
  cancelled @6 :Bool;
}

struct CountReport {
  items @0 :List(CountItem);
}

struct CountQueryItem {
  job @0 :UInt64;
  shard @1 :UInt32;
  cancelled @2 :Bool;
}

struct CountQuery {
  items @0 :List(CountQueryItem);
}

struct Hint {
  ready @0 :UInt32;
}

struct Pull {
  transfer @0 :UInt64;
  sentNs @1 :Int64;
  memoryBytes @2 :UInt64;
  cpuMillis @3 :UInt32;
  countMax @4 :UInt32;
  hinted @5 :Bool;
}

struct GrantItem {
  attempt :group {
    job @0 :UInt64;
    index @1 :UInt32;
    number @2 :UInt32;
  }
  spec @3 :UInt32;
  shard @4 :UInt32;
  leaseMs @5 :UInt32;
  argument @6 :Data;
}

struct Grant {
  transfer @0 :UInt64;
  pullSentNs @1 :Int64;
  ready @2 :UInt32;
  specs @3 :List(Task.TaskSpec);
  items @4 :List(GrantItem);
}

struct HeldAttempt {
  attempt :group {
    job @0 :UInt64;
    index @1 :UInt32;
    number @2 :UInt32;
  }
  shard @3 :UInt32;
  running @4 :Bool;
}

struct GiveBack {
  items @0 :List(HeldAttempt);
}

struct GiveBackAck {
  items @0 :List(AttemptId);
}

struct Renew {
  sentNs @0 :Int64;
  items @1 :List(HeldAttempt);
  openTransfers @2 :List(UInt64);
  bootEpoch @3 :UInt64;
  complete @4 :Bool;
  longest @5 :Bool;
  lastTransfer @6 :UInt64;
}

struct RenewedAttempt {
  attempt :group {
    job @0 :UInt64;
    index @1 :UInt32;
    number @2 :UInt32;
  }
  leaseMs @3 :UInt32;
}

struct Renewed {
  sentNs @0 :Int64;
  items @1 :List(RenewedAttempt);
  over @2 :List(AttemptId);
}

struct RenewCall {
  shards @0 :List(UInt32);
}

struct OutcomeItem {
  attempt :group {
    job @0 :UInt64;
    index @1 :UInt32;
    number @2 :UInt32;
  }
  shard @3 :UInt32;
  result @4 :Task.AttemptResult;
  out @5 :Data;
  err @6 :Data;
  node :group {
    high @7 :UInt64;
    low @8 :UInt64;
  }
}

struct Outcomes {
  items @0 :List(OutcomeItem);
}

struct OutcomeAck {
  items @0 :List(AttemptId);
}

struct EndAttempts {
  reason @0 :UInt8;
  items @1 :List(AttemptId);
}

struct ReadOutput {
  request @0 :UInt64;
  attempt :group {
    job @1 :UInt64;
    index @2 :UInt32;
    number @3 :UInt32;
  }
  offset @4 :UInt64;
  bytesMax @5 :UInt32;
  stream @6 :UInt8;
}

struct OutputData {
  request @0 :UInt64;
  offset @1 :UInt64;
  known @2 :Bool;
  ended @3 :Bool;
  bytes @4 :Data;
}
