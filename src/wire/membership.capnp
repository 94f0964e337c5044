# Members and probes (wire/membership_messages.hpp). Enums are bytes: their values stand in the C++
# header.
@0xd1a6f3c27be80941;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("shoal::wire::schema");

struct Load {
  memoryBytesFree @0 :UInt64;
  cpuMillisFree @1 :UInt32;
  ready @2 :UInt32;
  running @3 :UInt32;
  storeSequence @4 :UInt64;
  wallMs @5 :Int64;
}

struct MemberInfo {
  address :group {
    ipHigh @0 :UInt64;
    ipLow @1 :UInt64;
    port @2 :UInt16;
  }
  weightEighths @3 :UInt32;
  cpuMillis @4 :UInt32;
  memoryBytes @5 :UInt64;
  protocol @6 :UInt32;
  name @7 :Data;
  zone @8 :Data;
  bootNonce @9 :UInt64;
  draining @10 :Bool;
  leaving @11 :Bool;
}

struct MemberRecord {
  node :group {
    high @0 :UInt64;
    low @1 :UInt64;
  }
  bootEpoch @2 :UInt64;
  counter @3 :UInt64;
  accuser :group {
    high @4 :UInt64;
    low @5 :UInt64;
  }
  state @6 :UInt8;
  info @7 :MemberInfo;
  goneSeconds @8 :UInt32;
}

struct Ping {
  sequence @0 :UInt64;
  target :group {
    high @1 :UInt64;
    low @2 :UInt64;
  }
  load @3 :Load;
  news @4 :List(MemberRecord);
}

struct IndirectPing {
  sequence @0 :UInt64;
  target :group {
    high @1 :UInt64;
    low @2 :UInt64;
  }
  news @3 :List(MemberRecord);
}

struct PingAck {
  sequence @0 :UInt64;
  load @1 :Load;
  news @2 :List(MemberRecord);
}

struct PingNack {
  sequence @0 :UInt64;
}

struct Gossip {
  news @0 :List(MemberRecord);
}

struct MemberDigest {
  buckets @0 :List(UInt64);
}

struct MemberTable {
  bucketMask @0 :UInt64;
  join @1 :Bool;
  reply @2 :Bool;
  records @3 :List(MemberRecord);
}
