# Values on disk and in records (wire/persist.hpp, task/record.hpp): one segment without a segment
# table. Fields are only ever appended; numbers are never used again.
@0x97c31de0a85f4b62;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("shoal::wire::schema");

using Task = import "task.capnp";
using Shard = import "shard.capnp";

struct ShardState {
  promised :group {
    round @0 :UInt64;
    node :group {
      high @1 :UInt64;
      low @2 :UInt64;
    }
  }
  floor @3 :UInt64;
  config @4 :Shard.ShardConfig;
}

struct TaskRecord {
  attempt @0 :UInt32;
  failures @1 :UInt32;
  deaths @2 :UInt32;
  leaseMs @3 :UInt32;
  node :group {
    high @4 :UInt64;
    low @5 :UInt64;
  }
  notBeforeMs @6 :Int64;
  state @7 :UInt8;
  argument @8 :Data;
  result @9 :Task.AttemptResult;  # Absent before an attempt has ended.
  recovered @10 :Bool;
  transfer @11 :UInt64;
}

struct JobRecord {
  nonce :group {
    high @0 :UInt64;
    low @1 :UInt64;
  }
  createdMs @2 :Int64;
  endedMs @3 :Int64;
  count @4 :UInt32;
  state @5 :UInt8;
  cancelled @6 :Bool;
  name @7 :Data;
  spec @8 :Task.TaskSpec;
  counts @9 :Task.TaskCounts;
  single @10 :TaskRecord;
}

struct SpecRecord {
  nonce :group {
    high @0 :UInt64;
    low @1 :UInt64;
  }
  spec @2 :Task.TaskSpec;
  cancelled @3 :Bool;
}
