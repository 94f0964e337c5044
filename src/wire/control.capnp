# Takeover triggers, identities, operators' commands (wire/control_messages.hpp).
@0xc5b3e2917d60f48a;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("shoal::wire::schema");

using Task = import "task.capnp";
using Shard = import "shard.capnp";
using Work = import "work.capnp";

struct OwnerSilentItem {
  shard @0 :UInt32;
  ballot :group {
    round @1 :UInt64;
    node :group {
      high @2 :UInt64;
      low @3 :UInt64;
    }
  }
}

struct OwnerSilent {
  items @0 :List(OwnerSilentItem);
}

struct OwnerQuery {
  shards @0 :List(UInt32);
}

struct OwnershipItem {
  shard @0 :UInt32;
  state @1 :UInt8;
  ballot :group {
    round @2 :UInt64;
    node :group {
      high @3 :UInt64;
      low @4 :UInt64;
    }
  }
}

struct OwnerAnswer {
  items @0 :List(OwnershipItem);
}

struct HandOver {
  shards @0 :List(UInt32);
}

struct StoreMark {
  bootEpoch @0 :UInt64;
  bootNonce @1 :UInt64;
  sequence @2 :UInt64;
}

struct StoreQuery {
  mark @0 :StoreMark;
  settled @1 :Bool;
}

struct StoreAnswer {
  newest @0 :StoreMark;
  settled @1 :StoreMark;
  sequence @2 :UInt64;
  node :group {
    high @3 :UInt64;
    low @4 :UInt64;
  }
}

struct SameKey {
  bootNonce @0 :UInt64;
  address :group {
    ipHigh @1 :UInt64;
    ipLow @2 :UInt64;
    port @3 :UInt16;
  }
  heard @4 :UInt64;
  voted @5 :Bool;
}

struct LostNodes {
  nodes @0 :List(Shard.Id);
  reply @1 :Bool;
}

struct SetDraining {
  on @0 :Bool;
}

struct LeaveCluster {
  now @0 :Bool;
}

struct ForgetNode {
  node :group {
    high @0 :UInt64;
    low @1 :UInt64;
  }
}

struct RecoverShard {
  shard @0 :UInt32;
  lost @1 :List(Shard.Id);
}

struct ShowShard {
  shard @0 :UInt32;
}

struct NodeCommandBody {
  union {
    setDraining @0 :SetDraining;
    leaveCluster @1 :LeaveCluster;
    forgetNode @2 :ForgetNode;
    recoverShard @3 :RecoverShard;
    showShard @4 :ShowShard;
  }
}

struct NodeCommand {
  id @0 :UInt64;
  body @1 :NodeCommandBody;
}

struct ShardCopy {
  promised :group {
    round @0 :UInt64;
    node :group {
      high @1 :UInt64;
      low @2 :UInt64;
    }
  }
  config @3 :Shard.ShardConfig;
  floor @4 :UInt64;
  records @5 :UInt64;
  bad @6 :UInt64;
  state @7 :UInt8;
  known @8 :Bool;
}

struct NodeCommandReply {
  id @0 :UInt64;
  union {
    done @1 :Work.Done;
    error @2 :Task.Error;
    shardCopy @3 :ShardCopy;
  }
}
