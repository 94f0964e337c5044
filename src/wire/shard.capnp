# The shard protocol and the founding (wire/shard_messages.hpp).
#
# Ballots repeat, so hot lists name them by number: 0 is the item's own ballot, i > 0 is
# `ballots[i - 1]`. A record then costs 40 bytes beside its value, a digest entry 32.
@0xb07e5d914c3fa862;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("shoal::wire::schema");

struct Id {
  high @0 :UInt64;
  low @1 :UInt64;
}

struct Ballot {
  round @0 :UInt64;
  node :group {
    high @1 :UInt64;
    low @2 :UInt64;
  }
}

struct ShardConfig {
  ballot :group {
    round @0 :UInt64;
    node :group {
      high @1 :UInt64;
      low @2 :UInt64;
    }
  }
  seq @3 :UInt64;
  home @4 :List(Id);
  next @5 :List(Id);
  learners @6 :List(Id);
}

struct Record {
  key :group {
    high @0 :UInt64;
    low @1 :UInt64;
  }
  version @2 :UInt64;
  ballot @3 :UInt32;
  value @4 :Data;
}

struct PrepareItem {
  shard @0 :UInt32;
  ballot :group {
    round @1 :UInt64;
    node :group {
      high @2 :UInt64;
      low @3 :UInt64;
    }
  }
  config @4 :ShardConfig;
}

struct Prepare {
  items @0 :List(PrepareItem);
}

struct DigestEntry {
  key :group {
    high @0 :UInt64;
    low @1 :UInt64;
  }
  version @2 :UInt64;
  ballot @3 :UInt32;
  bad @4 :Bool;
}

struct PromiseItem {
  shard @0 :UInt32;
  page @1 :UInt32;
  pageCount @2 :UInt32;
  ballot :group {
    round @3 :UInt64;
    node :group {
      high @4 :UInt64;
      low @5 :UInt64;
    }
  }
  floor @6 :UInt64;
  config @7 :ShardConfig;
  digest @8 :List(DigestEntry);
  ballots @9 :List(Ballot);
}

struct Promise {
  items @0 :List(PromiseItem);
}

struct RefuseItem {
  shard @0 :UInt32;
  asked :group {
    round @1 :UInt64;
    node :group {
      high @2 :UInt64;
      low @3 :UInt64;
    }
  }
  promised :group {
    round @4 :UInt64;
    node :group {
      high @5 :UInt64;
      low @6 :UInt64;
    }
  }
  config @7 :ShardConfig;
}

struct Refuse {
  items @0 :List(RefuseItem);
}

struct FetchItem {
  shard @0 :UInt32;
  ballot :group {
    round @1 :UInt64;
    node :group {
      high @2 :UInt64;
      low @3 :UInt64;
    }
  }
  keys @4 :List(Id);
}

struct Fetch {
  items @0 :List(FetchItem);
}

struct FetchedItem {
  shard @0 :UInt32;
  ballot :group {
    round @1 :UInt64;
    node :group {
      high @2 :UInt64;
      low @3 :UInt64;
    }
  }
  records @4 :List(Record);
  ballots @5 :List(Ballot);
}

struct Fetched {
  items @0 :List(FetchedItem);
}

struct WriteItem {
  shard @0 :UInt32;
  configBallot @1 :UInt32;
  ballot :group {
    round @2 :UInt64;
    node :group {
      high @3 :UInt64;
      low @4 :UInt64;
    }
  }
  configSeq @5 :UInt64;
  floor @6 :UInt64;
  number @7 :UInt64;
  config @8 :ShardConfig;
  records @9 :List(Record);
  ballots @10 :List(Ballot);
}

struct WriteRecords {
  items @0 :List(WriteItem);
}

struct AckException {
  key :group {
    high @0 :UInt64;
    low @1 :UInt64;
  }
  version @2 :UInt64;
  ballot @3 :UInt32;
  gone @4 :Bool;
}

struct AckItem {
  shard @0 :UInt32;
  configBallot @1 :UInt32;
  ballot :group {
    round @2 :UInt64;
    node :group {
      high @3 :UInt64;
      low @4 :UInt64;
    }
  }
  configSeq @5 :UInt64;
  floor @6 :UInt64;
  number @7 :UInt64;
  config @8 :ShardConfig;
  exceptions @9 :List(AckException);
  ballots @10 :List(Ballot);
}

struct Ack {
  items @0 :List(AckItem);
}

struct ConfirmItem {
  shard @0 :UInt32;
  ballot :group {
    round @1 :UInt64;
    node :group {
      high @2 :UInt64;
      low @3 :UInt64;
    }
  }
}

struct Confirm {
  round @0 :UInt64;
  items @1 :List(ConfirmItem);
}

struct Confirmed {
  round @0 :UInt64;
  items @1 :List(ConfirmItem);
}

struct RetireItem {
  shard @0 :UInt32;
  config :group {
    ballot :group {
      round @1 :UInt64;
      node :group {
        high @2 :UInt64;
        low @3 :UInt64;
      }
    }
    seq @4 :UInt64;
  }
}

struct Retire {
  items @0 :List(RetireItem);
}

struct TableEntry {
  shard @0 :UInt32;
  owner :group {
    round @1 :UInt64;
    node :group {
      high @2 :UInt64;
      low @3 :UInt64;
    }
  }
  config @4 :ShardConfig;
}

struct TableDigest {
  shardCount @0 :UInt32;
  groups @1 :List(UInt64);
}

struct TableEntries {
  shardCount @0 :UInt32;
  entries @1 :List(TableEntry);
  wantedGroups @2 :List(UInt32);
}

struct FoundingMember {
  node :group {
    high @0 :UInt64;
    low @1 :UInt64;
  }
  address :group {
    ipHigh @2 :UInt64;
    ipLow @3 :UInt64;
    port @4 :UInt16;
  }
  weightEighths @5 :UInt32;
  zone @6 :Data;
}

struct FoundingOffer {
  number @0 :UInt64;
  cluster :group {
    high @1 :UInt64;
    low @2 :UInt64;
  }
  shardCount @3 :UInt32;
  members @4 :List(FoundingMember);
}

struct FoundingWord {
  number @0 :UInt64;
  cluster :group {
    high @1 :UInt64;
    low @2 :UInt64;
  }
  heldBy :group {
    high @3 :UInt64;
    low @4 :UInt64;
  }
  given @5 :Bool;
}

struct FoundingWithdraw {
  number @0 :UInt64;
  cluster :group {
    high @1 :UInt64;
    low @2 :UInt64;
  }
}

struct FoundingRecord {
  number @0 :UInt64;
  cluster :group {
    high @1 :UInt64;
    low @2 :UInt64;
  }
  shardCount @3 :UInt32;
  complete @4 :Bool;
  members @5 :List(FoundingMember);
}

struct FoundingHeld {
  cluster :group {
    high @0 :UInt64;
    low @1 :UInt64;
  }
}
