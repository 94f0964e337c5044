# Descriptions and outcomes of tasks and jobs (include/shoal/job.hpp). What comes from a user or an
# operating system is Data: it need not be UTF-8. Times are milliseconds of the Unix epoch.
@0xe94b2c7f60d1a853;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("shoal::wire::schema");

struct EnvironmentVariable {
  name @0 :Data;
  value @1 :Data;
}

struct TaskSpec {
  kind @0 :UInt8;
  substitute @1 :Bool;
  cpuMillis @2 :UInt32;
  memoryBytes @3 :UInt64;
  timeoutMs @4 :Int64;
  sleepMs @5 :Int64;
  retries @6 :UInt32;
  priority @7 :Int32;
  outputBytesMax @8 :UInt64;
  argv @9 :List(Data);
  environment @10 :List(EnvironmentVariable);
  workingFolder @11 :Data;
  stdinFile @12 :Data;
  atMostOnce @13 :Bool;
}

struct AttemptResult {
  reason @0 :UInt8;
  outCapped @1 :Bool;
  errCapped @2 :Bool;
  exitStatus @3 :Int32;
  signal @4 :Int32;
  startedMs @5 :Int64;
  endedMs @6 :Int64;
  cpuTimeUs @7 :Int64;
  memoryBytesPeak @8 :UInt64;
  outBytes @9 :UInt64;
  errBytes @10 :UInt64;
  message @11 :Data;
}

struct TaskCounts {
  total @0 :UInt32;
  ready @1 :UInt32;
  claimed @2 :UInt32;
  succeeded @3 :UInt32;
  failed @4 :UInt32;
  cancelled @5 :UInt32;
  lost @6 :UInt32;
}

struct TaskStatus {
  index @0 :UInt32;
  attempt @1 :UInt32;
  failures @2 :UInt32;
  state @3 :UInt8;
  node :group {
    high @4 :UInt64;
    low @5 :UInt64;
  }
  argument @6 :Data;
  result @7 :AttemptResult;  # Absent before an attempt has ended.
  recovered @8 :Bool;
}

struct JobStatus {
  id @0 :UInt64;
  createdMs @1 :Int64;
  endedMs @2 :Int64;
  count @3 :UInt32;
  state @4 :UInt8;
  cancelled @5 :Bool;
  name @6 :Data;
  spec @7 :TaskSpec;
  counts @8 :TaskCounts;
}

struct Error {
  code @0 :UInt8;
  message @1 :Text;
}
