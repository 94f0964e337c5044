# What stands in a frame or a datagram (wire/message.hpp). A body is one segment without a segment
# table. The numbers of union members are the protocol: new ones are appended.
@0x8ed47a2b91f0c356;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("shoal::wire::schema");

using Membership = import "membership.capnp";
using Shard = import "shard.capnp";
using Work = import "work.capnp";
using Client = import "client.capnp";
using Control = import "control.capnp";

struct Message {
  union {
    ping @0 :Membership.Ping;
    indirectPing @1 :Membership.IndirectPing;
    pingAck @2 :Membership.PingAck;
    pingNack @3 :Membership.PingNack;
    gossip @4 :Membership.Gossip;
    memberDigest @5 :Membership.MemberDigest;
    memberTable @6 :Membership.MemberTable;
    prepare @7 :Shard.Prepare;
    promise @8 :Shard.Promise;
    refuse @9 :Shard.Refuse;
    fetch @10 :Shard.Fetch;
    fetched @11 :Shard.Fetched;
    writeRecords @12 :Shard.WriteRecords;
    ack @13 :Shard.Ack;
    confirm @14 :Shard.Confirm;
    confirmed @15 :Shard.Confirmed;
    tableDigest @16 :Shard.TableDigest;
    tableEntries @17 :Shard.TableEntries;
    foundingOffer @18 :Shard.FoundingOffer;
    foundingWord @19 :Shard.FoundingWord;
    foundingWithdraw @20 :Shard.FoundingWithdraw;
    foundingRecord @21 :Shard.FoundingRecord;
    foundingHeld @22 :Shard.FoundingHeld;
    ownerRequests @23 :Work.OwnerRequests;
    ownerReplies @24 :Work.OwnerReplies;
    taskEvents @25 :Work.TaskEvents;
    jobEvent @26 :Work.JobEvent;
    countReport @27 :Work.CountReport;
    countQuery @28 :Work.CountQuery;
    hint @29 :Work.Hint;
    pull @30 :Work.Pull;
    grant @31 :Work.Grant;
    giveBack @32 :Work.GiveBack;
    giveBackAck @33 :Work.GiveBackAck;
    renew @34 :Work.Renew;
    renewed @35 :Work.Renewed;
    renewCall @36 :Work.RenewCall;
    outcomes @37 :Work.Outcomes;
    outcomeAck @38 :Work.OutcomeAck;
    endAttempts @39 :Work.EndAttempts;
    readOutput @40 :Work.ReadOutput;
    outputData @41 :Work.OutputData;
    nodeQuery @42 :Client.NodeQuery;
    nodeAnswer @43 :Client.NodeAnswer;
    retire @44 :Shard.Retire;
    ownerSilent @45 :Control.OwnerSilent;
    ownerQuery @46 :Control.OwnerQuery;
    ownerAnswer @47 :Control.OwnerAnswer;
    handOver @48 :Control.HandOver;
    storeQuery @49 :Control.StoreQuery;
    storeAnswer @50 :Control.StoreAnswer;
    sameKey @51 :Control.SameKey;
    lostNodes @52 :Control.LostNodes;
    nodeCommand @53 :Control.NodeCommand;
    nodeCommandReply @54 :Control.NodeCommandReply;
  }
}

struct Messages {
  items @0 :List(Message);
}

struct ClientMessage {
  union {
    clientRequest @0 :Client.ClientRequest;
    clientForget @1 :Client.ClientForget;
    clientReply @2 :Client.ClientReply;
  }
}

struct ClientMessages {
  items @0 :List(ClientMessage);
}

struct Hello {
  node :group {
    high @0 :UInt64;
    low @1 :UInt64;
  }
  cluster :group {
    high @2 :UInt64;
    low @3 :UInt64;
  }
  listening :group {
    ipHigh @4 :UInt64;
    ipLow @5 :UInt64;
    port @6 :UInt16;
  }
  protocol @7 :UInt32;
  client @8 :Bool;
  version @9 :Text;
}
